"""What a check of the boards finds, and how checks walk a board."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

Json = dict[str, Any]
Boards = Mapping[str, Json]


class Finding(NamedTuple):
    """One thing that is wrong, and where: D04, a board's uid, a panel's title."""

    rule: str
    board: str
    panel: str
    message: str

    def __str__(self) -> str:
        where = f"{self.board} / {self.panel}" if self.panel else self.board
        return f"{self.rule} {where}: {self.message}"


def every_panel(board: Json) -> Iterator[Json]:
    """Panels and rows, those inside collapsed rows too."""
    for panel in board["panels"]:
        yield panel
        yield from panel.get("panels", [])


def drawn_panels(board: Json) -> Iterator[Json]:
    """Every panel that draws something: all but rows."""
    return (panel for panel in every_panel(board) if panel["type"] != "row")


def leaves(node: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every scalar of a tree with its path, such as `panels[3].title`."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield from leaves(value, f"{path}.{key}" if path else key)
    elif isinstance(node, list):
        for position, value in enumerate(node):
            yield from leaves(value, f"{path}[{position}]")
    else:
        yield path, node


def expressions(board: Json) -> Iterator[tuple[str, str]]:
    """Every PromQL expression with the title of its panel or annotation."""
    for panel in drawn_panels(board):
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"]
    for annotation in board["annotations"]["list"]:
        yield f"annotation {annotation['name']}", annotation["target"]["expr"]


def variables(board: Json) -> list[Json]:
    """The board's variables in their order."""
    listed: list[Json] = board["templating"]["list"]
    return listed
