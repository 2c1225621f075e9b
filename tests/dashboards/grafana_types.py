"""Grafana's own types as JSON Schemas:  python -m tests.dashboards.grafana_types

Makes `schemas/<version>.json` from the npm package @grafana/schema (Apache-2.0), whose
TypeScript types are what Grafana itself is compiled against. Needs npm; the schemas
are kept here so that the tests do not. Descriptions are left out.
"""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from tests.ground.cache import Missing, once

VERSIONS = ("11.6.16", "13.1.0")
KINDS = ("bargauge", "stat", "statetimeline", "table", "text", "timeseries")
WITH_FIELDS = ("statetimeline", "table", "timeseries")
SCHEMAS = Path(__file__).with_name("schemas")
GENERATOR = ("ts-json-schema-generator@2", "typescript@5")
SECONDS = 600


def schemas(version: str) -> dict[str, Any]:
    """The schemas of one Grafana version, from npm."""
    folder = once(f"grafana-schema/{version}", lambda draft: _install(version, draft))
    raw = _raw(folder)
    return {
        "dashboard": _schema(folder, next(_types(raw / "dashboard/x")), "Dashboard"),
        "options": {kind: _panel(folder, raw, kind, "Options") for kind in KINDS},
        "fields": {
            kind: _panel(folder, raw, kind, "FieldConfig") for kind in WITH_FIELDS
        },
    }


def _raw(folder: Path) -> Path:
    dist = folder / "node_modules/@grafana/schema/dist"
    return next(
        path for path in (dist / "types/raw", dist / "esm/raw") if path.is_dir()
    )


def _types(folder: Path) -> Any:
    return folder.glob("*types.gen.d.ts")


def _panel(folder: Path, raw: Path, kind: str, name: str) -> Any:
    where = raw / "composable" / kind / "panelcfg/x"
    return _schema(folder, next(_types(where)), name)


def _install(version: str, folder: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        msg = "npm is not installed"
        raise Missing(msg)
    quiet = ("--ignore-scripts", "--no-audit", "--no-fund", "--legacy-peer-deps")
    _run([npm, "install", *quiet, f"@grafana/schema@{version}", *GENERATOR], folder)


def _schema(folder: Path, types: Path, name: str) -> Any:
    options = ("--no-type-check", "--no-top-ref", "--type", name, "--path", str(types))
    tool = str(folder / "node_modules/.bin/ts-json-schema-generator")
    return _bare(json.loads(_run([tool, *options], folder)))


def _run(command: list[str], cwd: Path) -> str:
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, timeout=SECONDS, cwd=cwd
    )
    return done.stdout


def _bare(node: Any) -> Any:
    """A schema without its prose, which is most of it."""
    if isinstance(node, dict):
        return {
            key: _bare(value)
            for key, value in node.items()
            if not (key == "description" and isinstance(value, str))
        }
    return [_bare(one) for one in node] if isinstance(node, list) else node


if __name__ == "__main__":
    SCHEMAS.mkdir(exist_ok=True)
    for each in VERSIONS:
        text = json.dumps(schemas(each), sort_keys=True, separators=(",", ":"))
        (SCHEMAS / f"{each}.json").write_text(f"{text}\n")
