"""Settings: from the environment or from `dbslo.yaml`, all faults at once.

The environment wins over the file, the file over the default. `DBSLO_X_FILE` (in
the file `x_file`) names a file that holds the value of `DBSLO_X`: for secrets.
"""

import difflib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from dbslo.parsing import WrongError
from dbslo.settings_table import PREFIX, SETTINGS, Setting
from dbslo.trees import read_file
from slo.faults import Node, SpecificationError
from slo.model import Place
from slo.reading import Fields, Findings, kind_of

CONFIG: Final = "DBSLO_CONFIG"
DEFAULT_FILE: Final = Path("dbslo.yaml")
ENVIRONMENT: Final = "(environment)"
_MAX_SECRET_BYTES: Final = 64 * 1024
_FOREIGN = re.compile(r"DBSLO_(PORT|SERVICE_(HOST|PORT))(_.*)?")
"""What Kubernetes sets for a service that is called dbslo."""


class Settings(msgspec.Struct, frozen=True):
    """The settings as read. What they mean stands in SETTINGS.

    `given` are the names that the environment or the file set. Secrets are among
    the values: never print or log this.
    """

    kafka: str
    kafka_options: dict[str, str]
    kafka_iam_region: str
    topics: dict[str, str]
    partitions: int
    runtime: str
    slot: str
    flush_ms: int
    store: str
    specs: tuple[Path, ...]
    inventory: Path
    policy_divisor: int
    pagerduty_url: str
    pagerduty_key: str
    webhook_url: str
    grafana_url: str
    runbook_url: str
    metrics_listen: tuple[str, int]
    metrics_token: str
    stuck_seconds: int
    blind_seconds: int
    log_level: str
    given: frozenset[str] = frozenset()

    def __repr__(self) -> str:
        return f"Settings(given={sorted(self.given)})"

    def require(self, *names: str) -> None:
        """Raises SpecificationError for every one of these settings that is empty."""
        findings = Findings()
        for setting in SETTINGS:
            if setting.name in names and not getattr(self, setting.field):
                remedy = f"Set {setting.name}, or {setting.field} in {DEFAULT_FILE}"
                place = Place(ENVIRONMENT, 0)
                findings.fault(place, setting.name, "is not set", remedy)
        if findings.faults:
            raise SpecificationError(tuple(findings.faults))


class _Written(msgspec.Struct, frozen=True):
    """A value as somebody wrote it, and where."""

    value: str
    place: Place
    key: str


def read_settings(
    environ: Mapping[str, str], default_file: Path = DEFAULT_FILE
) -> Settings:
    """The settings of an environment and a file.

    The file is the one that DBSLO_CONFIG names, else `default_file` where it exists.
    Raises SpecificationError with every fault; no message holds a secret's value.
    """
    findings = Findings()
    found = gather_settings(environ, findings, default_file).settings
    if findings.faults:
        raise SpecificationError(tuple(findings.faults))
    return found


class Gathered(NamedTuple):
    """Settings with stand-ins for what is wrong, and the fields that are.

    `astray`: something is written that is nobody's, and may be any setting's.
    """

    settings: Settings
    wrong: frozenset[str]
    astray: bool


def gather_settings(
    environ: Mapping[str, str], findings: Findings, default_file: Path = DEFAULT_FILE
) -> Gathered:
    """As `read_settings`, for who has more to read: faults go to `findings`."""
    in_file = _from_file(_file(environ, default_file), findings)
    in_environment = _from_environment(environ, findings)
    values: dict[str, Any] = {}
    keys = {fault.key for fault in findings.faults}
    wrong = {setting.field for setting in SETTINGS if setting.keys & keys}
    astray = not keys <= {key for setting in SETTINGS for key in setting.keys}
    given = set()
    for setting in SETTINGS:
        faults = len(findings.faults)
        written = _direct_or_from_file(setting, in_environment, findings)
        written = written or _direct_or_from_file(setting, in_file, findings)
        if written is not None:
            given.add(setting.name)
        values[setting.field] = _parsed(setting, written, findings)
        if len(findings.faults) > faults:
            wrong.add(setting.field)
    found = Settings(**values, given=frozenset(given))
    return Gathered(found, frozenset(wrong), astray)


def _file(environ: Mapping[str, str], default_file: Path) -> Path | None:
    named = environ.get(CONFIG)
    if named:
        return Path(named)
    return default_file if default_file.exists() else None


def _known() -> set[str]:
    names = {setting.name for setting in SETTINGS}
    return names | {f"{name}_FILE" for name in names} | {CONFIG}


def _from_environment(
    environ: Mapping[str, str], findings: Findings
) -> dict[str, _Written]:
    """The variables that are ours; one that is nearly ours is a fault."""
    found = {}
    place = Place(ENVIRONMENT, 0)
    known = _known()
    for name in sorted(environ):
        if name in known:
            if environ[name]:
                found[name] = _Written(environ[name], place, name)
        elif name.startswith(PREFIX) and not _FOREIGN.fullmatch(name):
            close = difflib.get_close_matches(name, known, n=1, cutoff=0.87)
            if close:
                remedy = f"Did you mean {close[0]}?"
                findings.fault(place, name, "is no setting", remedy)
    return found


def _from_file(path: Path | None, findings: Findings) -> dict[str, _Written]:
    """The settings of a file, under their environment names."""
    if path is None:
        return {}
    trees = read_file(path)
    findings.faults.extend(trees.faults)
    found: dict[str, _Written] = {}
    for document in trees.documents:
        fields = Fields(document, "", findings)
        for setting in SETTINGS:
            for field, name in (
                (setting.field, setting.name),
                (f"{setting.field}_file", f"{setting.name}_FILE"),
            ):
                node = fields.node(field)
                if node is not None and _writable(setting, fields, field, node):
                    found[name] = _Written(_flat(node), node.place, field)
        fields.close()
    return found


def _writable(setting: Setting, fields: Fields, field: str, node: Node) -> bool:
    """Whether a value has a form that the setting can have; else it is a fault."""
    value = node.value
    listed = value if isinstance(value, list) else []
    nested = any(isinstance(item.value, dict | list) for item in listed)
    if not nested and (setting.lines or not isinstance(value, dict)):
        return True
    form = "a mapping" if setting.lines else "a plain value"
    reason = f"must be {form}, is {'a list of more' if nested else kind_of(value)}"
    fields.fault(field, reason, f"Write {form}")
    return False


def _flat(node: Node) -> str:
    """A YAML value as the environment would write it."""
    match node.value:
        case dict() as fields:
            return "".join(f"{key}={_flat(inner)}\n" for key, inner in fields.items())
        case list() as items:
            return ",".join(_flat(item) for item in items)
        case bool() as value:
            return str(value).lower()
        case value:
            return str(value)


def _direct_or_from_file(
    setting: Setting, written: Mapping[str, _Written], findings: Findings
) -> _Written | None:
    """What is set directly or through `..._FILE`; both at once is a fault."""
    direct, pointer = written.get(setting.name), written.get(f"{setting.name}_FILE")
    if pointer is None:
        return direct
    if direct is not None:
        reason = f"is set beside {direct.key}"
        findings.fault(pointer.place, pointer.key, reason, "Keep one of the two")
        return direct
    content = _secret(pointer, findings)
    return None if content is None else _Written(content, pointer.place, pointer.key)


def _secret(pointer: _Written, findings: Findings) -> str | None:
    """The content of a file that a `..._FILE` names."""
    path = Path(pointer.value)
    reason = f"is larger than {_MAX_SECRET_BYTES:,} bytes"
    try:
        with path.open("rb") as content:
            read = content.read(_MAX_SECRET_BYTES + 1)
        if len(read) <= _MAX_SECRET_BYTES:
            return read.decode()
    except OSError as error:
        reason = f"cannot be read: {error.strerror}"
    except UnicodeDecodeError:
        reason = "is not UTF-8"
    except ValueError:  # a path with a NUL in it
        reason = "is not a path"
    remedy = "Check the path and its permissions"
    findings.fault(pointer.place, pointer.key, f"{str(path)!r} {reason}", remedy)
    return None


def _parsed(setting: Setting, written: _Written | None, findings: Findings) -> Any:
    """The value of a setting; the default where it is not set, or wrong."""
    if written is not None:
        try:
            value = written.value if setting.lines else written.value.strip()
            return setting.parse(value)
        except WrongError as error:
            shown = "" if setting.secret else f"{written.value[:60]!r} "
            reason = f"{shown}{error}"
            findings.fault(written.place, written.key, reason, error.remedy)
    return setting.parse(setting.default) if setting.default else _empty(setting)


def _empty(setting: Setting) -> Any:
    """What a setting without a value is."""
    return {} if setting.lines else ""


__all__ = ["SETTINGS", "Gathered", "Setting", "Settings", "read_settings"]
