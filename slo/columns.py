"""The columns: windows of very many series at once, as bounds, and long scans.

The one file that imports NumPy. A window of every series is a ring of up to 32 slots,
each at most 1/30 of it, so its sums are known but for what its edge cuts through: the
slot there counts wholly in the bound on one side, and not at all on the other. Sums
are 64-bit integers and exact; only shares are floats, which `EPSILON` covers. Nothing
here decides anything: `slo.screen` does, and whoever is not certain goes to the judge.
"""

from array import array
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

Whole = npt.NDArray[np.int64]
Share = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Pick = Whole | slice
"""Which series: their places, or all of them."""

SLOTS = 32
PARTS = 30
EPSILON = 1e-9
"""Shares that lie closer to a limit than this, relatively, are not told apart from it."""

NEVER = -(1 << 62)
"""A moment before all others."""


def whole(values: Iterable[int]) -> Whole:
    """Integers as a column."""
    return np.array(list(values), dtype=np.int64)


def shares(values: Iterable[float]) -> Share:
    """Floats as a column."""
    return np.array(list(values), dtype=np.float64)


def flags(values: Iterable[bool]) -> Flags:
    """Truths as a column."""
    return np.array(list(values), dtype=np.bool_)


def constant(size: int, value: int) -> Whole:
    """A column of one integer."""
    return np.full(size, value, dtype=np.int64)


def truths(size: int) -> Flags:
    """A column that is true throughout."""
    return np.ones(size, dtype=np.bool_)


def nobody(size: int) -> Flags:
    """A column that is false throughout."""
    return np.zeros(size, dtype=np.bool_)


def places(column: Flags) -> Whole:
    """Where a column is true."""
    return np.flatnonzero(column)


def every(columns: Sequence[Flags], like: Flags) -> Flags:
    """Where all columns are true; everywhere for none."""
    found = np.ones_like(like)
    for column in columns:
        found &= column
    return found


def chosen(at: Whole, column: Whole) -> tuple[Whole, Whole]:
    """Places, each once, and what a column says of them."""
    marks = nobody(column.size)
    marks[at] = True
    once = places(marks)
    return once, column[once]


def fraction(above: Whole, below: int) -> Share:
    """A column of integers, divided."""
    found: Share = above / below
    return found


def later(one: Whole, other: Whole) -> Whole:
    """The later moment, series by series."""
    return np.maximum(one, other)


class Bounds(msgspec.Struct, frozen=True):
    """One window of the series picked.

    The bad share lies in [low, high], with the time before the first observation as
    good. At most `bad` were bad. Where buckets are counted, [fewest, most] were there.
    """

    low: Share
    high: Share
    bad: Whole
    fewest: Whole | None = None
    most: Whole | None = None


class Rings:
    """One window of `size` series: `span_ms` long, its edge on multiples of `grain_ms`.

    `counted`: buckets are counted too, for coverage.
    """

    __slots__ = ("_grain_ms", "_slots", "_sums", "_tail", "span_ms", "width_ms")

    def __init__(
        self, size: int, span_ms: int, grain_ms: int, *, counted: bool
    ) -> None:
        self.span_ms = span_ms
        self._grain_ms = grain_ms
        self.width_ms = -(-span_ms // (PARTS * grain_ms)) * grain_ms
        self._tail = constant(size, NEVER // self.width_ms)  # the slot of the edge
        columns = 3 if counted else 2
        self._slots = np.zeros((columns, SLOTS, size), dtype=np.int64)
        self._sums = np.zeros((columns, size), dtype=np.int64)

    @property
    def nbytes(self) -> int:
        """What it takes of memory."""
        return self._slots.nbytes + self._sums.nbytes + self._tail.nbytes

    def edge(self, end_ms: Whole) -> Whole:
        """From when on a bucket counts, where windows end at a moment."""
        return (end_ms - self.span_ms) // self._grain_ms * self._grain_ms

    def moments(self, end_ms: int) -> range:
        """Where the slots of a window begin that ends at a moment, and the last ends."""
        edge = (end_ms - self.span_ms) // self._grain_ms * self._grain_ms
        first, width = edge // self.width_ms * self.width_ms, self.width_ms
        return range(first, first + (SLOTS + 1) * width, width)

    def fill(self, at: Whole, first_ms: int, since: Whole) -> None:
        """Take series in whose slots begin at `first_ms`.

        `since` holds for each of them, for each column, the sums from each moment on.
        """
        tail = first_ms // self.width_ms
        held = (since[:, :, :-1] - since[:, :, 1:])[:, : len(self._slots)]
        self._tail[at] = tail
        for slot in range(SLOTS):
            self._slots[:, (tail + slot) % SLOTS, at] = held[:, :, slot].T
        self._sums[:, at] = held.sum(axis=2).T

    def slide(self, at: Whole, edge_ms: Whole) -> None:
        """Let windows begin at later edges; what began before leaves them."""
        target = edge_ms // self.width_ms
        ahead = target - self._tail[at]
        moved = np.flatnonzero(ahead > 0)
        if not moved.size:
            return
        who, ahead = at[moved], ahead[moved]
        far = who[ahead >= SLOTS]
        self._slots[:, :, far] = 0
        self._sums[:, far] = 0
        near = ahead < SLOTS
        for step in range(int(ahead[near].max(initial=0))):
            leaving = who[near & (ahead > step)]
            slot = (self._tail[leaving] + step) % SLOTS
            for sums, slots in zip(self._sums, self._slots, strict=True):
                sums[leaving] -= slots[slot, leaving]
                slots[slot, leaving] = 0
        self._tail[who] = target[moved]

    def add(self, at: Whole, starts: Whole, moves: Whole) -> None:
        """Change buckets: `moves` are columns of bad, total and buckets.

        Slide first, so that the newest of them has a slot.
        """
        slot = starts // self.width_ms
        held = slot >= self._tail[at]
        if not held.all():
            at, slot, moves = at[held], slot[held], moves[:, held]
        where = slot % SLOTS * self._tail.size + at
        for sums, slots, column in zip(self._sums, self._slots, moves, strict=False):
            np.add.at(sums, at, column)
            np.add.at(slots.reshape(-1), where, column)

    def holds(self, at: Pick, edge_ms: Whole) -> Flags:
        """Where all that a window asks for is still held."""
        return edge_ms >= self._tail[at] * self.width_ms

    def bounds(self, at: Pick, edge_ms: Whole, seen: Share) -> Bounds:
        """What can be said of the window, which was slid to its edge.

        `seen` is the share of it since the first observation.
        """
        sums = self._sums[:, at]
        bad, total = sums[0], sums[1]
        counted = sums[2] if len(sums) == 3 else None
        if self.width_ms == self._grain_ms:  # the edge cuts through nothing
            share = bad * seen / np.maximum(total, 1)
            return Bounds(share, share, bad, counted, counted)
        cut = self._cut(at, edge_ms)
        # The worst: all that is bad in the slot at the edge counts, and of the good
        # nothing. The best: the other way round.
        high = bad * seen / np.maximum(total - cut[1] + cut[0], 1)
        low = (bad - cut[0]) * seen / np.maximum(total - cut[0], 1)
        fewest = None if counted is None else counted - cut[2]
        return Bounds(low, high, bad, fewest, counted)

    def _cut(self, at: Pick, edge_ms: Whole) -> Whole:
        """What the slots at the edges hold, nothing where an edge is a slot's own."""
        size = self._tail.shape[0]
        who = np.arange(size) if isinstance(at, slice) else at
        held: Whole = self._slots[:, self._tail[at] % SLOTS, who]
        held *= edge_ms % self.width_ms != 0
        return held


def seen_share(first_ms: Whole, end_ms: Whole, span_ms: int) -> tuple[Whole, Share]:
    """The part of a window before the first observation, ms; the share of the rest."""
    prior = np.clip(first_ms - (end_ms - span_ms), 0, span_ms)
    return prior, (span_ms - prior) / span_ms


def octets(data: Any) -> Whole:
    """Bytes as a column of small integers."""
    return np.frombuffer(data, dtype=np.uint8)


def joined(columns: Sequence[Any]) -> Any:
    """Columns, one behind the other."""
    return np.concatenate(columns)


def changes(column: Whole) -> Whole:
    """The places at which a column differs from the place before."""
    return np.flatnonzero(column[1:] != column[:-1]) + 1


def table(flat: "array[int]", width: int) -> Whole:
    """Rows of so many integers, one behind the other, as columns."""
    found: Whole = np.frombuffer(flat, dtype=np.int64).reshape(-1, width).T
    return found


def running(values: "array[int]") -> Whole:
    """What values of 32 bits come to, one by one; no memory holds too many of them."""
    return np.add.accumulate(np.frombuffer(values, dtype=np.uint32), dtype=np.int64)


def since(starts: "array[int]", sums: Sequence["array[int]"], moments: Whole) -> Whole:
    """For each column of running totals, what it comes to from each moment on.

    Starts and moments are in the same unit.
    """
    at = np.searchsorted(np.asarray(starts), moments)
    found = np.empty((len(sums), at.size), dtype=np.int64)
    for row, column in zip(found, sums, strict=True):  # none exceeds the last
        np.subtract(column[-1], np.asarray(column)[at], out=row)
    return found


def moments_of(grids: Iterable[range]) -> Whole:
    """The moments of several grids, one grid after the other."""
    return np.concatenate([np.arange(g.start, g.stop, g.step) for g in grids])


def stacked(found: Sequence[Any]) -> Any:
    """Columns of several series, one behind the other."""
    return np.stack(found)


# -- long scans --------------------------------------------------------------------


def hot_slots(
    starts: Sequence[int],
    sums: Sequence[Sequence[int]],
    slot_ms: int,
    limit: tuple[int, int],
) -> int | None:
    """How many slots are hot, as `slo.tiers.hot_ms` counts them.

    `sums` are the running totals of bad and total, one longer than `starts`. None
    where 64 bits do not hold what must be compared.
    """
    above, below = limit
    bad, total = (np.asarray(column, dtype=np.int64) for column in sums)
    if max(int(bad[-1] - bad[0]) * below, int(total[-1] - total[0]) * above) >> 62:
        return None
    slots = np.asarray(starts, dtype=np.int64) // slot_ms
    ends = np.flatnonzero(slots[1:] != slots[:-1]) + 1
    edges = np.concatenate(([0], ends, [slots.size]))
    bad, total, numbers = bad[edges], total[edges], slots[edges[:-1]]
    hot = (bad[1:] - bad[:-1]) * below > (total[1:] - total[:-1]) * above
    gaps = numbers[1:] - numbers[:-1] - 1
    return int(hot.sum() + gaps[hot[1:] & hot[:-1]].sum())
