"""Where panels stand: rows from top to bottom, 24 columns from left to right."""

from collections.abc import Iterable
from typing import NamedTuple

from grafanalib import core

from dashboards.panels import ModernPanel

COLUMNS = 24
HEADING = 1


class Size(NamedTuple):
    """Width in columns, height in grid units of 30 pixels."""

    width: int
    height: int


TILE = Size(4, 4)
QUARTER = Size(6, 4)
CHART = Size(12, 9)
THIRD = Size(8, 8)
WIDE = Size(24, 6)
TABLE = Size(24, 10)


class Row(NamedTuple):
    """A question, and the panels that answer it, with their sizes."""

    title: str
    panels: list[tuple[Size, ModernPanel]]
    collapsed: bool = False


def placed(rows: Iterable[Row]) -> list[core.Panel]:
    """Rows and panels with their grid positions.

    Panels flow from left to right; one that does not fit beside its neighbours
    goes below them, or below the shortest of them where a tall one stands first.
    """
    found: list[core.Panel] = []
    y = 0
    for row in rows:
        heading = core.RowPanel(
            title=row.title,
            collapsed=row.collapsed,
            gridPos=core.GridPos(h=HEADING, w=COLUMNS, x=0, y=y),
        )
        found.append(heading)
        y = _flow(row.panels, y + HEADING)
        inside = [panel for _, panel in row.panels]
        if row.collapsed:
            heading.panels = inside
            y = heading.gridPos.y + HEADING
        else:
            found += inside
    return found


def _flow(panels: Iterable[tuple[Size, ModernPanel]], top: int) -> int:
    """Give each panel the highest, then leftmost place that is free; the next free y."""
    floor = [top] * COLUMNS
    for size, panel in panels:
        y, x = min(
            (max(floor[x : x + size.width]), x) for x in range(COLUMNS - size.width + 1)
        )
        panel.gridPos = core.GridPos(h=size.height, w=size.width, x=x, y=y)
        floor[x : x + size.width] = [y + size.height] * size.width
    return max(floor)
