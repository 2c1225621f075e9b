"""docker-compose.yml as Docker would read it: merged, and with its variables filled in."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
FILE = ROOT / "docker-compose.yml"
VARIABLE = re.compile(r"\$\$|\$\{(\w+)(?:(:?-)([^}]*))?\}")


def compose(environ: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The file with `${NAME:-default}` replaced; an unset name without one raises."""
    tree: dict[str, Any] = yaml.safe_load(FILE.read_text())
    filled: dict[str, Any] = _filled(tree, environ or {})
    return filled


def _filled(node: Any, environ: Mapping[str, str]) -> Any:
    if isinstance(node, dict):
        return {key: _filled(value, environ) for key, value in node.items()}
    if isinstance(node, list):
        return [_filled(one, environ) for one in node]
    if isinstance(node, str):
        return VARIABLE.sub(lambda found: _value(found, environ), node)
    return node


def _value(found: re.Match[str], environ: Mapping[str, str]) -> str:
    if found[0] == "$$":
        return "$"
    name, sign, default = found.groups()
    if name in environ and (environ[name] or sign == "-"):
        return environ[name]
    if default is None:
        msg = f"${{{name}}} has no default"
        raise KeyError(msg)
    return default


def services() -> dict[str, dict[str, Any]]:
    """Every service by its name."""
    found: dict[str, dict[str, Any]] = compose()["services"]
    return found


def binds(name: str) -> Iterator[tuple[Path, str, str]]:
    """The bind mounts of a service: the path here, the path there, the mode."""
    for volume in services()[name].get("volumes", []):
        source, target, *mode = volume.split(":")
        if source.startswith("."):
            yield ROOT / source, target, mode[0] if mode else "rw"


def mounted(name: str, path: str) -> Path:
    """The file here that a service sees at a path."""
    for source, target, _ in binds(name):
        if path == target:
            return source
        if path.startswith(f"{target}/"):
            return source / path.removeprefix(f"{target}/")
    msg = f"{name} mounts nothing at {path}"
    raise FileNotFoundError(msg)
