"""From what grafanalib writes to what Grafana 11 to 13 want.

grafanalib 0.7.1 stopped at Grafana 6 to 9: schema version 12, nulls everywhere,
keys of panels that are gone. Here its output is reduced to the keys that today's
types know, and given what they require: the schema version, data sources as
references, ids that stay the same for the same board and title, sorted keys.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from grafanalib import core
from grafanalib._gen import DashboardEncoder

SCHEMA_VERSION = 42
"""The newest schema of Classic JSON; Grafana 11 to 13 provision it from files."""

DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}

ALL = {"selected": True, "text": ["All"], "value": ["$__all"]}

_BOARD_KEYS = frozenset(
    [
        "annotations",
        "description",
        "editable",
        "graphTooltip",
        "links",
        "panels",
        "refresh",
        "schemaVersion",
        "tags",
        "templating",
        "time",
        "timepicker",
        "timezone",
        "title",
        "uid",
    ]
)
_PANEL_KEYS = frozenset(
    [
        "datasource",
        "description",
        "fieldConfig",
        "gridPos",
        "id",
        "links",
        "options",
        "targets",
        "timeFrom",
        "title",
        "transformations",
        "type",
    ]
)
_ROW_KEYS = frozenset(["collapsed", "gridPos", "id", "panels", "title", "type"])
_TARGET_KEYS = frozenset(
    ["datasource", "expr", "format", "instant", "legendFormat", "range", "refId"]
)
_VARIABLE_KEYS = frozenset(
    [
        "allValue",
        "current",
        "datasource",
        "description",
        "hide",
        "includeAll",
        "label",
        "multi",
        "name",
        "query",
        "refresh",
        "regex",
        "sort",
        "type",
    ]
)

Json = dict[str, Any]


def normalised(board: core.Dashboard) -> Json:
    """The board as a tree that Grafana takes as it is."""
    encoded = json.dumps(board, cls=DashboardEncoder)
    tree: Json = _kept(_without_nulls(json.loads(encoded)), _BOARD_KEYS)
    tree["schemaVersion"] = SCHEMA_VERSION
    tree["timepicker"] = {}
    tree["panels"] = [_panel(one, board.uid) for one in tree["panels"]]
    tree["templating"]["list"] = [_variable(v) for v in tree["templating"]["list"]]
    return tree


def dumped(tree: Json) -> bytes:
    """The same bytes for the same tree: sorted keys, two spaces, a last newline."""
    text = json.dumps(tree, indent=2, sort_keys=True, ensure_ascii=False)
    return f"{text}\n".encode()


def panel_id(uid: str, title: str) -> int:
    """The id of a panel, 1 to 2^31: alerts and links hold on to it.

    It hangs on board and title alone, so that adding a panel moves no other.
    """
    digest = hashlib.blake2b(f"{uid}/{title}".encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big") % (2**31 - 1) + 1


def _panel(panel: Json, uid: str) -> Json:
    is_row = panel["type"] == "row"
    found = _kept(panel, _ROW_KEYS if is_row else _PANEL_KEYS)
    found["id"] = panel_id(uid, panel["title"])
    if is_row:
        found["panels"] = [_panel(one, uid) for one in panel.get("panels", [])]
        return found
    found["targets"] = [_target(target) for target in panel.get("targets", [])]
    if found["targets"]:
        found["datasource"] = DATASOURCE
    return _without_empty(found)


def _target(target: Json) -> Json:
    found = _kept(target, _TARGET_KEYS)
    instant = bool(found.get("instant"))
    found |= {"datasource": DATASOURCE, "instant": instant, "range": not instant}
    return _without_empty(found)


def _variable(variable: Json) -> Json:
    found = _kept(variable, _VARIABLE_KEYS)
    if found["type"] == "query":
        found["datasource"] = DATASOURCE
    found.pop("current", None)  # without All the first value is a good start
    if found.get("includeAll"):
        found["current"] = ALL
    return _without_empty(found)


def _kept(node: Mapping[str, Any], keys: frozenset[str]) -> Json:
    return {key: value for key, value in node.items() if key in keys}


def _without_empty(node: Json) -> Json:
    return {key: value for key, value in node.items() if value not in ("", [])}


def _without_nulls(node: Any) -> Any:
    if isinstance(node, dict):
        return {
            key: _without_nulls(value)
            for key, value in node.items()
            if value is not None or _is_first_step(node, key)
        }
    if isinstance(node, list):
        return [_without_nulls(one) for one in node]
    return node


def _is_first_step(node: Json, key: str) -> bool:
    """A threshold from minus infinity upwards, which JSON can only write as null."""
    return key == "value" and node.keys() == {"color", "value"}
