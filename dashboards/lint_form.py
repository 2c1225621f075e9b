"""Checks of form: schema, ids, grid, size."""

import re
from collections import Counter
from collections.abc import Iterator

from dashboards.findings import Boards, Finding, Json, every_panel, leaves
from dashboards.normalise import SCHEMA_VERSION, dumped, panel_id

LEGACY = frozenset({"graph", "singlestat", "table-old", "grafana-piechart-panel"})
UID = re.compile(r"dbslo-[a-z-]{3,32}")
FIRST_STEP = re.compile(r"steps\[0\]\.value$")
FIRST_SCREEN = 20
"""Grid rows that a reader sees before scrolling."""
MOST_ON_FIRST_SCREEN = 12
MOST_PANELS = 35
MOST_REPEATED = 12
MOST_BYTES = 200_000
COLUMNS = 24


def d04_schema(uid: str, board: Json) -> Iterator[Finding]:
    """The schema version is the one that Grafana 11 to 13 provision."""
    if board["schemaVersion"] != SCHEMA_VERSION:
        message = f"schemaVersion is {board['schemaVersion']}, not {SCHEMA_VERSION}"
        yield Finding("D04", uid, "", message)


def d04_no_nulls(uid: str, board: Json) -> Iterator[Finding]:
    """No null but that of a first threshold, which is minus infinity."""
    for path, value in leaves(board):
        if value is None and not FIRST_STEP.search(path):
            yield Finding("D04", uid, "", f"{path} is null")


def d04_no_legacy_panels(uid: str, board: Json) -> Iterator[Finding]:
    """No panel kind that Grafana has removed."""
    for panel in every_panel(board):
        if panel["type"] in LEGACY:
            yield Finding("D04", uid, panel["title"], f"{panel['type']} is gone")


def d05_identity(uid: str, board: Json) -> Iterator[Finding]:
    """The uid has our form; titles are unique; ids hang on board and title."""
    if board["uid"] != uid or not UID.fullmatch(uid):
        yield Finding("D05", uid, "", f"uid {board['uid']!r} is not {UID.pattern}")
    panels = list(every_panel(board))
    for title, count in Counter(panel["title"] for panel in panels).items():
        if count > 1:
            yield Finding("D05", uid, title, f"{count} panels have this title")
    for panel in panels:
        if panel["id"] != panel_id(uid, panel["title"]):
            yield Finding("D05", uid, panel["title"], "the id is not of its title")
    for number, count in Counter(panel["id"] for panel in panels).items():
        if count > 1:
            yield Finding("D05", uid, "", f"{count} panels have the id {number}")


def d05_unique_titles(boards: Boards) -> Iterator[Finding]:
    """No two boards have the same title."""
    for title, count in Counter(b["title"] for b in boards.values()).items():
        if count > 1:
            yield Finding("D05", "", "", f"{count} boards have the title {title!r}")


def d06_grid(uid: str, board: Json) -> Iterator[Finding]:
    """Panels lie within 24 columns, on nobody else, without a gap between rows."""
    taken: dict[tuple[int, int], str] = {}
    for panel in board["panels"]:
        place, title = panel["gridPos"], panel["title"]
        if place["x"] < 0 or place["x"] + place["w"] > COLUMNS:
            yield Finding("D06", uid, title, "reaches beyond the 24 columns")
        for cell in _cells(place):
            if cell in taken:
                yield Finding("D06", uid, title, f"lies on {taken[cell]!r}")
                break
            taken[cell] = title
    filled = {y for _, y in taken}
    for y in sorted(set(range(max(filled))) - filled):
        yield Finding("D06", uid, "", f"grid row {y} is empty")


def _cells(place: Json) -> Iterator[tuple[int, int]]:
    for y in range(place["y"], place["y"] + place["h"]):
        for x in range(place["x"], place["x"] + place["w"]):
            yield x, y


def d06_first_screen(uid: str, board: Json) -> Iterator[Finding]:
    """What is seen first is little: 12 panels; the whole board at most 35."""
    drawn = [panel for panel in every_panel(board) if panel["type"] != "row"]
    if len(drawn) > MOST_PANELS:
        yield Finding("D06", uid, "", f"{len(drawn)} panels of at most {MOST_PANELS}")
    first = [p for p in board["panels"] if p["gridPos"]["y"] < FIRST_SCREEN]
    seen = sum(panel["type"] != "row" for panel in first)
    if seen > MOST_ON_FIRST_SCREEN:
        yield Finding("D06", uid, "", f"{seen} panels on the first screen")


def d06_rows(uid: str, board: Json) -> Iterator[Finding]:
    """The board begins with a heading, and no heading is without panels."""
    kinds = [panel["type"] for panel in board["panels"]]
    if kinds[:1] != ["row"]:
        yield Finding("D06", uid, "", "the board does not begin with a row")
    for panel, following in zip(board["panels"], [*kinds[1:], "row"], strict=True):
        if panel["type"] == "row" and following == "row" and not panel["panels"]:
            yield Finding("D06", uid, panel["title"], "the row is empty")


def d15_repeats(uid: str, board: Json) -> Iterator[Finding]:
    """A repeated panel says how many may stand in a row, and that is few."""
    for panel in every_panel(board):
        if "repeat" in panel and panel.get("maxPerRow", 99) > MOST_REPEATED:
            yield Finding("D15", uid, panel["title"], "repeats without a bound")


def d20_size(uid: str, board: Json) -> Iterator[Finding]:
    """The file stays small enough to read a change of it."""
    size = len(dumped(board))
    if size > MOST_BYTES:
        yield Finding("D20", uid, "", f"{size:,} bytes of at most {MOST_BYTES:,}")
