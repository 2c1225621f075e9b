"""Facts: what the sources stated, joined. Counts are recomputed from these.

A join looks at content alone, so it is commutative, associative and idempotent:
neither arrival nor offset can change what a cell says in the end.
"""

from collections.abc import Callable, Iterable, Sequence

from slo.hours import BUCKETS_PER_PAGE, Facts
from slo.model import BUCKET_MS, HOUR
from slo.pages import (
    Cell,
    packed_cells,
    packed_deltas,
    unpacked_cells,
    unpacked_deltas,
)

__all__ = ["BUCKETS_PER_PAGE", "Cell", "Cells", "Deltas", "Stated", "join"]


Stated = tuple[int, int, int, float, float, float, float]
"""A cell as a batch states it: (route, start_ms, arrival_ms, count, sum, min, max)."""


def join(one: Cell, other: Cell, sentinels: frozenset[float]) -> Cell:
    """The statement of two about one cell that holds.

    The greater count wins; at an equal or absent count a sentinel (a broken
    replica must not turn good), then the greater number.
    """
    return one if _rank(one, sentinels) >= _rank(other, sentinels) else other


def _rank(cell: Cell, sentinels: frozenset[float]) -> tuple[float, ...]:
    _, count, total, low, high = cell
    return (count, low in sentinels or high in sentinels, high, total, low)


class Cells(Facts[tuple[Cell, ...]]):
    """The cells of one route: one metric of one resource under one tag set.

    Two statements of a cell are joined. `outweighed` counts the statements that
    lost to another.
    """

    __slots__ = ("_stride", "outweighed", "period_ms", "sentinels")

    def __init__(
        self,
        period_ms: int,
        sentinels: frozenset[float] = frozenset(),
        fetch: Callable[[int], bytes | None] | None = None,
        resident_from: int = 0,
    ) -> None:
        super().__init__(fetch, resident_from)
        self.period_ms = period_ms
        self.sentinels = sentinels
        self.outweighed = 0
        # While every period starts on a multiple of its length, as CloudWatch's do,
        # only every so many buckets can hold anything.
        self._stride = 1
        if period_ms and period_ms % BUCKET_MS == 0 and HOUR % period_ms == 0:
            self._stride = period_ms // BUCKET_MS

    def merge(self, cell: Cell) -> bool:
        """Join one statement in; whether the facts changed."""
        if self._stride > 1 and cell[0] % self.period_ms:
            self._stride = 1
        bucket = cell[0] // BUCKET_MS
        page = bucket // BUCKETS_PER_PAGE
        if bucket < self._hot_from:
            self._recall(page)
        held = self.buckets.get(bucket)
        if held is None:
            self.buckets[bucket] = (cell,)
        elif cell in held:
            return False
        else:
            merged = self._merged(held, cell)
            if merged == held:
                self.outweighed += 1
                return False
            self.outweighed += len(merged) == len(held)
            self.buckets[bucket] = merged
        self.dirty.add(page)
        return True

    def take(self, run: Iterable[Stated]) -> list[int]:
        """Join statements in, as `merge` does; the starts of the cells that changed."""
        buckets, hot_from = self.buckets, self._hot_from
        changed: list[int] = []
        for _, start, _, count, total, low, high in run:
            bucket = start // BUCKET_MS
            if bucket >= hot_from and bucket not in buckets:
                buckets[bucket] = ((start, count, total, low, high),)
                changed.append(start)
            elif self.merge((start, count, total, low, high)):
                changed.append(start)
        self.dirty.update([start // HOUR for start in changed])
        if self._stride > 1 and any(map(self.period_ms.__rmod__, changed)):
            self._stride = 1
        return changed

    def take_first(
        self, buckets: Sequence[int], held: Sequence[tuple[Cell]], *, even: bool
    ) -> bool:
        """Take in the cells of ascending buckets where each is the first of its own.

        Whether it was so; nothing is taken in otherwise. `even`: every period starts
        on a multiple of its length.
        """
        if (
            buckets[0] < self._hot_from
            or len(set(buckets)) < len(buckets)
            or not self.buckets.keys().isdisjoint(buckets)
        ):
            return False
        self.buckets.update(zip(buckets, held, strict=True))
        first, last = buckets[0] // BUCKETS_PER_PAGE, buckets[-1] // BUCKETS_PER_PAGE
        if first == last:
            self.dirty.add(first)
        else:
            self.dirty.update([bucket // BUCKETS_PER_PAGE for bucket in buckets])
        if not even:
            self._stride = 1
        return True

    def _merged(self, held: tuple[Cell, ...], cell: Cell) -> tuple[Cell, ...]:
        by_start = {known[0]: known for known in held}
        known = by_start.get(cell[0])
        by_start[cell[0]] = cell if known is None else join(known, cell, self.sentinels)
        return tuple(by_start[start] for start in sorted(by_start))

    def between(self, start_ms: int, end_ms: int) -> Sequence[Cell]:
        """The cells whose period starts in [start, end); bounds on bucket edges."""
        first = start_ms // BUCKET_MS
        if first < self._hot_from:
            self.ready(start_ms, end_ms)
        return self._held(first, end_ms // BUCKET_MS)

    def _held(self, first: int, stop: int) -> Sequence[Cell]:
        """The cells at hand of the buckets in [first, stop)."""
        stride = self._stride
        first = -(-first // stride) * stride
        if first + stride >= stop:  # one bucket at most, as for a minute of CloudWatch
            return self.buckets.get(first, ()) if first < stop else ()
        get = self.buckets.get
        found: list[Cell] = []
        for bucket in range(first, stop, stride):
            held = get(bucket)
            if held is not None:
                found += held
        return found

    def singles(
        self, slots: Sequence[int], step_ms: int
    ) -> list[Sequence[Cell] | None] | None:
        """The only cell that each of some slots can hold, slots in ascending order.

        None where a slot may hold several, or is not at hand: ask `between`.
        """
        width = step_ms // BUCKET_MS
        if self._stride == 1 or width not in (1, self._stride):
            return None
        if slots[0] * width < self._hot_from:
            return None
        get = self.buckets.get
        if width == 1:
            return list(map(get, slots))
        return [get(slot * width) for slot in slots]

    def page(self, page: int) -> bytes:
        """The cells of an hour, packed for the store."""
        first = page * BUCKETS_PER_PAGE
        rest = self._rest(page)
        cells = list(self._held(first, first + BUCKETS_PER_PAGE))
        if rest:
            cells = self._joined(unpacked_cells(rest), cells)
        data = self._packed[page] = packed_cells(cells)
        return data

    def _joined(self, some: list[Cell], others: list[Cell]) -> list[Cell]:
        if not others or some[-1][0] < others[0][0]:
            return some + others
        by_start = {cell[0]: cell for cell in some}
        for cell in others:
            known = by_start.get(cell[0], cell)
            by_start[cell[0]] = join(known, cell, self.sentinels)
        return [by_start[start] for start in sorted(by_start)]

    def restore(self, data: bytes, first: int = 0) -> None:
        """Join a packed page back in; restoring twice changes nothing."""
        for cell in unpacked_cells(data, first * BUCKET_MS):
            bucket = cell[0] // BUCKET_MS
            if self._stride > 1 and cell[0] % self.period_ms:
                self._stride = 1
            held = self.buckets.get(bucket)
            self.buckets[bucket] = self._merged(held, cell) if held else (cell,)


class Deltas(Facts[tuple[int, int]]):
    """Counts (good, total) of things that happened, by event time. They add."""

    __slots__ = ()

    def add(self, bucket_ms: int, good: int, total: int) -> None:
        """Add what one batch counted. The offset fence makes it exactly once."""
        bucket = bucket_ms // BUCKET_MS
        page = bucket // BUCKETS_PER_PAGE
        if bucket < self._hot_from:
            self._recall(page)
        held_good, held_total = self.buckets.get(bucket, (0, 0))
        self.buckets[bucket] = (held_good + good, held_total + total)
        self.dirty.add(page)

    def between(self, start_ms: int, end_ms: int) -> list[tuple[int, int]]:
        """The (good, total) pairs of the buckets in [start, end)."""
        self.ready(start_ms, end_ms)
        get = self.buckets.get
        return [
            held
            for bucket in range(start_ms // BUCKET_MS, end_ms // BUCKET_MS)
            if (held := get(bucket)) is not None
        ]

    def page(self, page: int) -> bytes:
        """The sums of an hour, packed for the store."""
        first = page * BUCKETS_PER_PAGE
        rest = self._rest(page)
        sums = {b: (g, t) for b, g, t in unpacked_deltas(rest)} if rest else {}
        for bucket in range(first, first + BUCKETS_PER_PAGE):
            if bucket in self.buckets:
                sums[bucket] = self.buckets[bucket]
        rows = ((bucket, *sums[bucket]) for bucket in sorted(sums))
        data = self._packed[page] = packed_deltas(first, rows)
        return data

    def restore(self, data: bytes, first: int = 0) -> None:
        """Put a packed page back: what memory holds of it is newer, and stays."""
        for bucket, good, total in unpacked_deltas(data):
            if bucket >= first:
                self.buckets.setdefault(bucket, (good, total))
