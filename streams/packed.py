"""Cells as they came, read by columns; by route and start, as facts take them.

To make an object of every number and a tuple of every cell takes longer than what is
done with them afterwards. So the cells of a batch stay packed: where all of them are
written as stage 1 writes them, their bytes are columns at once. Whoever asks for a cell
gets its tuple.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple, overload

import msgspec

from slo.columns import (
    Flags,
    Share,
    Whole,
    changes,
    joined,
    octets,
    shares,
    stacked,
    whole,
)
from slo.model import BUCKET_MS

Cell = tuple[int, int, int, float, float, float, float]
"""(route, start_ms, arrival_ms, count, sum, min, max); count 0 where the wire has none.

Two statements of one cell are joined, never added: see `slo.facts.join`.
"""

FEW: Final = 64
"""So many cells are as soon read one by one."""

LATEST_MS: Final = 1 << 42
"""No moment of ours is later; so route and start are one number to sort by."""

SEVEN, SHORT, LONG, TIME, NUMBER = 0x97, 0xCC, 0xCD, 0xCF, 0xCB
"""How MessagePack marks seven in a row, 8, 16 and 64 bits, and a float."""

WORDS: Final = 6
"""Two moments and four numbers end a cell, each its mark and eight bytes."""

_raws = msgspec.msgpack.Decoder(list[msgspec.Raw]).decode
_cells = msgspec.msgpack.Decoder(list[Cell]).decode


class Columns(NamedTuple):
    """Cells, a row each: the route's number in the batch, the start, four numbers."""

    route: Whole
    start: Whole
    stats: Share


Run = tuple[int, int, int]
"""The place of a route, the first of its cells, and the one after the last."""


class PackedCells(Sequence[Cell]):
    """The cells of a batch. Raises msgspec.DecodeError where they are none."""

    __slots__ = ("_cells", "_size", "columns", "raw")

    def __init__(self, raw: msgspec.Raw) -> None:
        self.raw = raw
        self._cells: list[Cell] | None = None
        found = _raws(raw)
        self._size = len(found)
        self.columns = _columns(raw, found) if self._size > FEW else None
        if self.columns is None:
            self._cells = _cells(raw)

    def routes(self) -> set[int]:
        """The least and the greatest number of a route, where there is any cell."""
        if self.columns is not None:
            return {int(self.columns.route.min()), int(self.columns.route.max())}
        return {cell[0] for cell in self._all()}

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[Cell]:
        return iter(self._all())

    @overload
    def __getitem__(self, at: int) -> Cell: ...
    @overload
    def __getitem__(self, at: slice) -> list[Cell]: ...
    def __getitem__(self, at: int | slice) -> Cell | list[Cell]:
        return self._all()[at]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and self._all() == list(other)

    __hash__ = None  # type: ignore[assignment]

    def _all(self) -> list[Cell]:
        return self._cells if self._cells is not None else _cells(self.raw)


def _columns(raw: msgspec.Raw, cells: Sequence[msgspec.Raw]) -> Columns | None:
    """The cells by columns, where all of them are written as stage 1 writes them."""
    data, sizes = octets(raw), whole(map(len, cells))
    ends = sizes.cumsum() + (data.size - int(sizes.sum()))
    begin, width = ends - sizes, sizes - WORDS * 9 - 1
    if not ((data[begin] == SEVEN) & (width > 0)).all():
        return None
    words = data[ends[:, None] + whole(range(-WORDS * 9, 0))].reshape(-1, WORDS, 9)
    marks = words[:, :, 0]
    if (marks[:, :2] != TIME).any() or (marks[:, 2:] != NUMBER).any():
        return None
    values = words[:, :, 1:].copy()
    start = values[:, 0].view(">u8")[:, 0]
    route, known = _numbers(data, begin + 1, width)
    if not known.all() or (start >= LATEST_MS).any():
        return None
    stats = values[:, 2:].copy().view(">f8")[:, :, 0]
    return Columns(route, start.astype("i8"), stats.astype("f8"))


def _numbers(data: Whole, at: Whole, width: Whole) -> tuple[Whole, Flags]:
    """Whole numbers of 7, 8 or 16 bits; where there are such."""
    mark, high, low = (data[at + place].astype("i8") for place in range(3))
    short, long = (width == 2) & (mark == SHORT), (width == 3) & (mark == LONG)
    number = mark.copy()
    number[short] = high[short]
    number[long] = high[long] * 256 + low[long]
    return number, short | long | ((width == 1) & (mark < 128))


def columns_of(cells: Sequence[Cell]) -> Columns | None:
    """Cells by columns; None where one is too odd for that."""
    if isinstance(cells, PackedCells) and cells.columns is not None:
        return cells.columns
    if not cells:
        return Columns(whole(()), whole(()), stacked([shares(())] * 4).T)
    route, start, _, *stats = zip(*cells, strict=True)
    if min(route) < 0 or min(start) < 0 or max(start) >= LATEST_MS:
        return None
    return Columns(whole(route), whole(start), stacked([shares(s) for s in stats]).T)


def encoded(value: object) -> Any:
    """The `enc_hook` of an encoder: cells are written as they came."""
    if isinstance(value, PackedCells):
        return value.raw
    raise NotImplementedError(f"{type(value).__name__} is not encoded")


class Ordered:
    """The cells of several batches by route and start, those of a route in a row.

    `places` are those of each part's routes: below 0, nobody reads it. `periods_ms` are
    those of each place. `held` is what facts hold of the bucket of each cell. `uneven`
    are the places where a period starts on no multiple of its length.
    """

    __slots__ = ("_slots", "_start", "buckets", "held", "runs", "uneven")

    def __init__(
        self,
        parts: Sequence[Columns],
        places: Sequence[Sequence[int]],
        periods_ms: Sequence[int],
    ) -> None:
        pairs = zip(parts, places, strict=True)
        route = joined([whole(some)[one.route] for one, some in pairs])
        start = joined([one.start for one in parts])
        order = (route * LATEST_MS + start).argsort(kind="stable")
        order = order[int((route < 0).sum()) :]
        route, start = route[order], start[order]
        stats = joined([one.stats for one in parts])[order].T.tolist()
        edges = [0, *changes(route).tolist(), len(order)] if len(order) else []
        routes: list[int] = route[edges[:-1]].tolist()
        self.runs: list[Run] = list(zip(routes, edges, edges[1:], strict=False))
        self._start = start
        self._slots: dict[int, list[int]] = {}
        self.buckets: list[int] = (start // BUCKET_MS).tolist()
        self.held = list(zip(zip(start.tolist(), *stats, strict=True), strict=True))
        off = start % whole(max(one, 1) for one in periods_ms)[route] != 0
        self.uneven: set[int] = set(route[off].tolist())

    def slots(self, step_ms: int) -> list[int]:
        """The slot of each cell, where slots are so wide."""
        found = self._slots.get(step_ms)
        if found is None:
            found = self._slots[step_ms] = (self._start // step_ms).tolist()
        return found
