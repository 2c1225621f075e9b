"""OpenSLO v1: trees to SLOs. Every fault of every document, at once."""

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from slo.entries import Catalogue
from slo.faults import Node
from slo.indicators import Indicator, read_indicator
from slo.model import SLO, Place, Urgency
from slo.objective import read_objective
from slo.policy import DEFAULT, Policy
from slo.reading import Fields, Findings, exact, kind_of, nearest, shown

API_VERSION: Final = "openslo/v1"
ANNOTATION_PREFIX: Final = "dbslo/"
ANNOTATIONS: Final = ("dbslo/urgency", "dbslo/min-bad", "dbslo/min-total")
"""The annotations that change what an SLO does."""

KINDS: Final = ("Service", "SLI", "SLO")
UNUSED: Final = {
    "DataSource": "sources are Kafka topics, named by settings and inventory",
    "AlertPolicy": "the alert policy is built in; dbslo/urgency caps what may page",
    "AlertCondition": "the alert policy is built in; dbslo/urgency caps what may page",
    "AlertNotificationTarget": "who is told stands in settings, DBSLO_PAGERDUTY_KEY",
}
"""Kinds that are recognised and not acted upon, with the reason."""

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


class Read(msgspec.Struct, frozen=True):
    """What the documents hold: SLOs, and the services that they declare."""

    slos: tuple[SLO, ...]
    services: dict[str, str]  # name: description


def read_specifications(
    documents: Sequence[Node],
    catalogue: Catalogue,
    findings: Findings,
    policy: Policy = DEFAULT,
) -> Read:
    """The SLOs of OpenSLO documents; faults and warnings go to `findings`.

    SLOs that have a fault are left out. References may point forwards and into
    other files.
    """
    objects = _Objects(findings)
    for document in documents:
        for node in _flat(document):
            objects.add(node)
    indicators = _Indicators(objects.of("SLI"), catalogue, findings)
    slos = [_slo(found, indicators, policy) for found in objects.of("SLO")]
    services = {s.name: _description(s) for s in objects.of("Service")}
    kept = tuple(slo for slo in slos if slo is not None)
    _check_services(kept, services, findings)
    indicators.warn_of_unused()
    return Read(kept, services)


def _flat(document: Node) -> Iterator[Node]:
    """The objects of a document, which may be a list of them."""
    if isinstance(document.value, list):
        yield from document.value
    else:
        yield document


# -- objects -------------------------------------------------------------------------


class _Object(msgspec.Struct, frozen=True):
    """One OpenSLO object, its metadata read."""

    kind: str
    name: str
    node: Node
    fields: Fields
    metadata: Fields


class _Objects:
    """The objects by kind, each name once."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._found: dict[tuple[str, str], _Object] = {}

    def of(self, kind: str) -> list[_Object]:
        """The objects of a kind, in the order of the files."""
        return [found for found in self._found.values() if found.kind == kind]

    def add(self, node: Node) -> None:
        """Read an object's head."""
        fields = Fields(node, "", self._findings)
        if not isinstance(node.value, dict):
            return
        known = self._version(fields)
        kind = fields.required_text("kind", f"Write one of {', '.join(KINDS)}")
        if not known:
            return
        if kind in UNUSED:
            fields.warn(
                "kind", f"{kind} is not acted upon: {UNUSED[kind]}", "Remove it"
            )
            return
        if kind and kind not in KINDS:
            remedy = nearest(kind, (*KINDS, *UNUSED))
            fields.fault("kind", f"{shown(kind)} is no kind of {API_VERSION}", remedy)
            return
        self._keep(kind, node, fields)

    def _version(self, fields: Fields) -> bool:
        """Whether the rest can be judged as v1."""
        version = fields.required_text("apiVersion", f"Write `{API_VERSION}`")
        if version in ("", API_VERSION):
            return True
        reason = f"{shown(version)} is not read"
        fields.fault("apiVersion", reason, f"Convert it to {API_VERSION}")
        return not version.startswith("openslo")

    def _keep(self, kind: str, node: Node, fields: Fields) -> None:
        metadata = fields.required_fields("metadata", "Write `metadata: {name: ...}`")
        if metadata is None:
            return
        name = metadata.required_text("name", "Give it a name")
        check_name(metadata, "name", name)
        earlier = self._found.get((kind, name))
        if name and earlier is not None:
            at = earlier.fields.place
            reason = f"{kind} {name} stands already in {at.file}:{at.line}"
            metadata.fault("name", reason, "Rename or remove one of the two")
        # A second object of one name is read too, for its own faults.
        key = name if earlier is None else f"{name}#{len(self._found)}"
        self._found[kind, key] = _Object(kind, name, node, fields, metadata)


def check_name(fields: Fields, key: str, name: str) -> None:
    """A fault where a name is not an RFC 1123 label."""
    if name and not _NAME.fullmatch(name):
        reason = f"{shown(name)!r} is not a name"
        remedy = "Use lower-case letters, digits and hyphens, at most 63"
        fields.fault(key, reason, remedy)


def _description(service: _Object) -> str:
    """Read a Service to its end."""
    _labels(service.metadata)
    _close_metadata(service.metadata)
    spec = service.fields.fields("spec")
    text = spec.text("description") if spec else ""
    if spec is not None:
        spec.close()
    service.fields.close()
    return text


def _labels(metadata: Fields) -> dict[str, str]:
    return {key: text for key, text, _ in metadata.pairs("labels")}


def _close_metadata(metadata: Fields) -> None:
    for name in ("displayName", "labels", "annotations"):
        metadata.node(name)
    metadata.close()


# -- indicators by reference ----------------------------------------------------------


class _Indicators:
    """The SLI objects, read once, and who uses them."""

    def __init__(
        self, objects: list[_Object], catalogue: Catalogue, findings: Findings
    ) -> None:
        self.catalogue = catalogue
        self._findings = findings
        self._objects = {found.name: found for found in objects}
        self._used: set[str] = set()
        self._read = {found.name: self._indicator(found) for found in objects}

    def _indicator(self, found: _Object) -> Indicator | None:
        _labels(found.metadata)
        _close_metadata(found.metadata)
        spec = found.fields.required_fields("spec", "Write its `ratioMetric`")
        found.fields.close()
        return read_indicator(spec, found.name, self.catalogue) if spec else None

    def of(self, spec: Fields) -> tuple[Indicator | None, Node | None]:
        """The indicator of an SLO's `spec`, inline or by reference, and its text."""
        inline, reference = spec.fields("indicator"), spec.text("indicatorRef")
        if inline is not None and reference:
            spec.fault("indicatorRef", "is written beside indicator", "Keep one")
        if inline is not None:
            return self._inline(inline), spec.node("indicator")
        if reference:
            return self._referred(spec, reference)
        if not spec.has("indicatorRef"):
            remedy = "Write `indicator` or `indicatorRef`"
            spec.fault("indicator", "is missing", remedy)
        return None, None

    def _inline(self, fields: Fields) -> Indicator | None:
        for name in ("apiVersion", "kind"):
            fields.text(name)
        metadata = fields.fields("metadata")
        name = metadata.text("name") if metadata else ""
        if metadata is not None:
            check_name(metadata, "name", name)
            _close_metadata(metadata)
        spec = fields.required_fields("spec", "Write its `ratioMetric`")
        fields.close()
        return read_indicator(spec, name or "inline", self.catalogue) if spec else None

    def _referred(
        self, spec: Fields, name: str
    ) -> tuple[Indicator | None, Node | None]:
        self._used.add(name)
        if name in self._read:
            return self._read[name], self._objects[name].node
        remedy = (
            nearest(name, self._read) if self._read else "Write it as an SLI object"
        )
        spec.fault("indicatorRef", f"there is no SLI {shown(name)}", remedy)
        return None, None

    def warn_of_unused(self) -> None:
        """Warn of SLI objects that no SLO refers to."""
        for name, found in self._objects.items():
            if name not in self._used:
                reason = f"SLI {name} is used by no SLO"
                found.metadata.warn("name", reason, "Refer to it, or remove it")


# -- SLOs -----------------------------------------------------------------------------


def _slo(found: _Object, indicators: _Indicators, policy: Policy) -> SLO | None:
    """The SLO of an object, None where it has a fault."""
    before = len(found.fields.findings.faults)
    annotations = _annotations(found.metadata)
    labels = _labels(found.metadata)
    display_name = found.metadata.text("displayName")
    _close_metadata(found.metadata)
    spec = found.fields.required_fields("spec", "Write service, indicator, objectives")
    found.fields.close()
    if spec is None:
        return None
    indicator, text = indicators.of(spec)
    entry = indicator.entry if indicator else None
    objective = read_objective(spec, entry, policy)
    service = spec.required_text("service", "Name the service that it belongs to")
    check_name(spec, "service", service)
    description = spec.text("description")
    if spec.node("alertPolicies") is not None:
        reason = f"is not acted upon: {UNUSED['AlertPolicy']}"
        spec.warn("alertPolicies", reason, "Remove it")
    spec.close()
    if indicator is None or len(found.fields.findings.faults) > before:
        return None
    entry = indicator.entry
    return SLO(
        name=found.name,
        service=service,
        indicator=entry,
        target=objective.target,
        budgeting=objective.budgeting,
        urgency=Urgency(annotations.get("dbslo/urgency", entry.urgency)),
        selector=indicator.selector,
        slice_ms=objective.slice_ms,
        slice_target=objective.slice_target,
        period_ms=objective.period_ms,
        min_total=int(annotations.get("dbslo/min-total", entry.min_total)),
        min_bad=int(annotations.get("dbslo/min-bad", entry.min_bad)),
        display_name=display_name,
        description=description,
        labels=labels,
        annotations=annotations,
        revision=_revision(found.node, text),
        place=found.fields.place,
    )


def _annotations(metadata: Fields) -> dict[str, str]:
    """Annotations as text; those of ours are checked."""
    fields = metadata.fields("annotations")
    if fields is None:
        return {}
    found = {}
    for name in fields.names():
        node = fields.node(name)
        value = node.value if node else None
        if isinstance(value, dict | list) or value is None:
            fields.fault(name, f"must be text, is {kind_of(value)}", "Write text")
        elif _annotation_holds(fields, name, value):
            found[name] = str(value)
    return found


def _annotation_holds(fields: Fields, name: str, value: Any) -> bool:
    """Whether an annotation is right, if it is one of ours."""
    if not name.startswith(ANNOTATION_PREFIX):
        return True
    if name == "dbslo/urgency":
        return fields.choice(name, Urgency, None) is not None
    if name in ANNOTATIONS:
        number = exact(value)
        text = str(value)
        if (number is not None and number >= 0 and text.isdigit()) or (
            text.isdigit() and len(text) < 10
        ):
            return True
        reason = f"must be a whole number, is {kind_of(value)}"
        fields.fault(name, reason, 'Write a count, such as "10"')
        return False
    fields.fault(name, "is no annotation of dbslo", nearest(name, ANNOTATIONS))
    return False


def _check_services(
    slos: Sequence[SLO], services: dict[str, str], findings: Findings
) -> None:
    """Where services are declared at all, an SLO should belong to one of them."""
    for slo in slos:
        if services and slo.service not in services:
            reason = f"there is no Service {slo.service}"
            remedy = nearest(slo.service, services)
            findings.warn(slo.place, "spec.service", reason, remedy)


def _revision(node: Node, indicator: Node | None) -> str:
    """A short hash of what is written; comments and layout do not count."""
    written = json.dumps([_plain(node), indicator and _plain(indicator)], default=str)
    return hashlib.blake2b(written.encode(), digest_size=6).hexdigest()


def _plain(node: Node) -> Any:
    match node.value:
        case dict() as fields:
            return {key: _plain(fields[key]) for key in sorted(fields)}
        case list() as items:
            return [_plain(item) for item in items]
        case value:
            return value


__all__ = ["ANNOTATIONS", "Place", "Read", "check_name", "read_specifications"]
