"""What a command prints: tables, lines and JSON; colours and progress on a terminal only."""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec
from rich.console import Console, JustifyMethod
from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn
from rich.table import Table

from slo.faults import Fault, SpecificationError
from slo.model import SECOND

STYLES = {
    "ok": "green",
    "watch": "yellow",
    "ticket": "dark_orange",
    "page": "bold red",
    "unknown": "magenta",
}
"""Colours of verdicts, the same as on the boards."""


class Column(NamedTuple):
    """A column of a table; numbers stand to the right.

    Where a terminal is too narrow, columns that are `spare` are left out, the highest
    first; one that `wraps` takes the room that is left.
    """

    title: str
    right: bool = False
    spare: int = 0
    wraps: bool = False


def console(*, stderr: bool = False) -> Console:
    """The terminal, or the file or pipe that stands in its place."""
    return Console(
        file=sys.stderr if stderr else sys.stdout, highlight=False, soft_wrap=True
    )


def say(line: str = "", style: str | None = None) -> None:
    """One line to stdout, flushed, so that a pipe sees it at once."""
    out = console()
    if out.is_terminal:
        out.print(line, style=style, markup=False)
    else:
        print(line, flush=True)


def complain(line: str) -> None:
    """One line to stderr."""
    out = console(stderr=True)
    out.print(line, style="red" if out.is_terminal else None, markup=False)


def emit(value: Any) -> None:
    """One JSON document on one line, flushed."""
    print(msgspec.json.encode(value).decode(), flush=True)


def table(columns: Sequence[Column], rows: Iterable[Sequence[str]]) -> None:
    """A table: drawn on a terminal, aligned columns without a frame elsewhere."""
    out = console()
    if not out.is_terminal:
        for line in _aligned(columns, list(rows)):
            print(line)
        return
    kept, cells = fitting(columns, list(rows), out.width)
    drawn = Table(box=None, header_style="bold", pad_edge=False)
    for column in kept:
        side: JustifyMethod = "right" if column.right else "left"
        drawn.add_column(column.title, justify=side, no_wrap=not column.wraps)
    for row in cells:
        drawn.add_row(*(_coloured(cell) for cell in row))
    out.print(drawn, soft_wrap=False)


WRAPPED = 24
"""The least width of a column that wraps."""


def fitting(
    columns: Sequence[Column], rows: list[Sequence[str]], width: int
) -> tuple[list[Column], list[list[str]]]:
    """The columns, and the rows without the others, that a width has room for."""
    kept = list(range(len(columns)))
    while _width(columns, rows, kept) > width:
        spare = max(kept, key=lambda at: columns[at].spare)
        if not columns[spare].spare:
            break
        kept.remove(spare)
    return [columns[at] for at in kept], [[row[at] for at in kept] for row in rows]


def _width(
    columns: Sequence[Column], rows: list[Sequence[str]], kept: list[int]
) -> int:
    widths = [
        max(len(columns[at].title), *(len(row[at]) for row in rows), 0) for at in kept
    ]
    shown = [
        min(width, WRAPPED) if columns[at].wraps else width
        for at, width in zip(kept, widths, strict=True)
    ]
    return sum(shown) + 2 * len(shown)


def _coloured(cell: str) -> str:
    escaped = cell.replace("[", "\\[")
    style = STYLES.get(cell)
    return f"[{style}]{escaped}[/]" if style else escaped


def _aligned(columns: Sequence[Column], rows: list[Sequence[str]]) -> Iterator[str]:
    cells = [[column.title for column in columns], *rows]
    widths = [max(len(row[at]) for row in cells) for at in range(len(columns))]
    for row in cells:
        padded = (
            cell.rjust(width) if column.right else cell.ljust(width)
            for cell, width, column in zip(row, widths, columns, strict=True)
        )
        yield "  ".join(padded).rstrip()


# -- progress -------------------------------------------------------------------


Step = Callable[[float, float], None]
"""Called with what is done and with how much there is in all, both counts."""


@contextmanager
def progress(title: str) -> Iterator[Step]:
    """A bar on stderr while work is long; silent where stderr is no terminal."""
    out = console(stderr=True)
    if not out.is_terminal:
        yield lambda done, total: None  # noqa: ARG005
        return
    parts: list[ProgressColumn] = [
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
    ]
    with Progress(*parts, console=out, transient=True) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


# -- words ----------------------------------------------------------------------


def faults(error: SpecificationError) -> None:
    """Every fault, one a line, to stderr: file, line, key, reason, remedy."""
    for fault in error.faults:
        complain(str(fault))
    count = len(error.faults)
    complain(f"{count} fault{'s' if count != 1 else ''}")


def as_objects(found: Iterable[Fault]) -> list[dict[str, Any]]:
    """Faults as JSON objects."""
    return [
        {
            "file": fault.place.file,
            "line": fault.place.line,
            "key": fault.key,
            "reason": fault.reason,
            "remedy": fault.remedy,
        }
        for fault in found
    ]


def rfc3339(at_ms: int) -> str:
    """Epoch ms as RFC 3339 in UTC with milliseconds."""
    moment = datetime.fromtimestamp(at_ms / SECOND, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def percent(ratio: float, digits: int = 1) -> str:
    """A ratio as text; percentages exist nowhere else."""
    return f"{100 * ratio:.{digits}f}%"


def span(ms: float) -> str:
    """A duration in its two largest units, such as 3d 4h, 12m 5s or -3h 20m."""
    left, sign = abs(round(ms / SECOND)), "-" if ms <= -SECOND / 2 else ""
    parts: list[str] = []
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count or (parts and len(parts) < 2):
            parts.append(f"{count}{unit}")
    kept = [part for part in parts[:2] if not part.startswith("0")]
    return sign + (" ".join(kept) or "0s")
