"""Tables: several instant queries, merged to one line for each label set."""

from collections.abc import Sequence
from typing import Any

import msgspec

from dashboards.looks import About, Look, Override, Query, field_config, properties
from dashboards.panels import ModernPanel, panel

MOST_ROWS = 100
"""What a table shows at most; the worst come first."""

COLORED_CELL = {"custom.cellOptions": {"mode": "basic", "type": "color-background"}}
GAUGE_CELL = {"custom.cellOptions": {"mode": "basic", "type": "gauge"}}

_PLAIN_CELL = {
    "align": "auto",
    "cellOptions": {"type": "auto"},
    "filterable": True,
    "inspect": False,
}


class Column(msgspec.Struct, frozen=True):
    """A column: the value of a query, or (where there is none) a label.

    `cell` are further field properties, such as COLORED_CELL.
    """

    name: str
    look: Look
    query: str = ""
    label: str = ""
    cell: dict[str, Any] = {}


def table(
    title: str, about: About, columns: Sequence[Column], sort_by: str
) -> ModernPanel:
    """A table of these columns in this order, greatest `sort_by` first."""
    measured = [column for column in columns if column.query]
    options = {
        "cellHeight": "sm",
        "frameIndex": 0,
        "showHeader": True,
        "sortBy": [{"desc": True, "displayName": sort_by}],
    }
    overrides = tuple(
        Override(c.name, properties(c.look, **c.cell, noValue=c.look.no_value))
        for c in columns
    )
    fields = field_config(Look(unit="none", overrides=overrides), custom=_PLAIN_CELL)
    queries = [Query(column.query, instant=True) for column in measured]
    made = panel("table", (title, about), queries, options, fields)
    for target in made.targets:
        target.format = "table"
    made.transformations = [
        {"id": "merge", "options": {}},
        _organized(columns, measured),
        _sorted(sort_by),
        {"id": "limit", "options": {"limitField": MOST_ROWS}},
    ]
    return made


def _organized(columns: Sequence[Column], measured: Sequence[Column]) -> dict[str, Any]:
    raw = {f"Value #{chr(65 + i)}": c.name for i, c in enumerate(measured)}
    raw |= {c.label: c.name for c in columns if c.label}
    order = {c.name: i for i, c in enumerate(columns)}
    options = {
        "excludeByName": {"Time": True},
        "indexByName": {name: order[new] for name, new in raw.items()},
        "renameByName": raw,
    }
    return {"id": "organize", "options": options}


def _sorted(field: str) -> dict[str, Any]:
    order = [{"desc": True, "field": field}]
    return {"id": "sortBy", "options": {"fields": {}, "sort": order}}
