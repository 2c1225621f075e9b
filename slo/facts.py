"""Facts: what the sources stated, joined. Counts are recomputed from these.

A join looks at content alone, so it is commutative, associative and idempotent:
neither arrival nor offset can change what a cell says in the end.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from slo.model import BUCKET_MS, HOUR
from slo.pages import (
    Cell,
    packed_cells,
    packed_deltas,
    unpacked_cells,
    unpacked_deltas,
)

__all__ = ["BUCKETS_PER_PAGE", "Cell", "Cells", "Deltas", "join"]

BUCKETS_PER_PAGE = HOUR // BUCKET_MS

Held = TypeVar("Held")


def join(one: Cell, other: Cell, sentinels: frozenset[float]) -> Cell:
    """The statement of two about one cell that holds.

    The greater count wins; at an equal or absent count a sentinel (a broken
    replica must not turn good), then the greater number.
    """
    return one if _rank(one, sentinels) >= _rank(other, sentinels) else other


def _rank(cell: Cell, sentinels: frozenset[float]) -> tuple[float, ...]:
    _, count, total, low, high = cell
    return (count, low in sentinels or high in sentinels, high, total, low)


class Facts(ABC, Generic[Held]):
    """What one route stated, by 10 s bucket, in pages of an hour.

    `dirty` are the pages that changed since they were saved; the caller clears it.
    `fetch` reads a page that is no longer in memory; pages before `resident_from`
    (an hour number) are asked for once, as soon as they matter.
    """

    __slots__ = ("_fetch", "_present", "_resident_from", "buckets", "dirty")

    def __init__(
        self, fetch: Callable[[int], bytes | None] | None, resident_from: int
    ) -> None:
        self.buckets: dict[int, Held] = {}
        self.dirty: set[int] = set()
        self._fetch = fetch
        self._resident_from = resident_from
        self._present: set[int] = set()  # pages before that which are in memory

    def ready(self, start_ms: int) -> None:
        """Bring the page of a moment into memory, where it was evicted."""
        page = start_ms // HOUR
        if page < self._resident_from:
            self._recall(page)

    def evict(self, page: int) -> None:
        """Forget the saved pages before an hour number; the store keeps them."""
        if page <= self._resident_from:
            return
        self._resident_from = page
        self._present = {one for one in self.dirty if one < page}
        keep = page * BUCKETS_PER_PAGE
        for bucket in [b for b in self.buckets if b < keep]:
            if bucket // BUCKETS_PER_PAGE not in self._present:
                del self.buckets[bucket]

    @abstractmethod
    def restore(self, data: bytes) -> None:
        """Put a packed page back; `dirty` stays as it is."""

    def _recall(self, page: int) -> None:
        if page in self._present:
            return
        data = self._fetch(page) if self._fetch else None
        if data:
            self.restore(data)
        self._present.add(page)

    def _span(self, start_ms: int, end_ms: int) -> range:
        """The buckets in [start, end), which are in memory then."""
        if start_ms < self._resident_from * HOUR:
            for page in range(start_ms // HOUR, -(-end_ms // HOUR)):
                self.ready(page * HOUR)
        return range(start_ms // BUCKET_MS, end_ms // BUCKET_MS)


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
        if page < self._resident_from:
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

    def _merged(self, held: tuple[Cell, ...], cell: Cell) -> tuple[Cell, ...]:
        by_start = {known[0]: known for known in held}
        known = by_start.get(cell[0])
        by_start[cell[0]] = cell if known is None else join(known, cell, self.sentinels)
        return tuple(by_start[start] for start in sorted(by_start))

    def between(self, start_ms: int, end_ms: int) -> Sequence[Cell]:
        """The cells whose period starts in [start, end); bounds on bucket edges."""
        if start_ms < self._resident_from * HOUR:
            self._span(start_ms, end_ms)
        stride, stop = self._stride, end_ms // BUCKET_MS
        first = -(-start_ms // (BUCKET_MS * stride)) * stride
        if first + stride >= stop:  # one bucket at most, as for a minute of CloudWatch
            return self.buckets.get(first, ()) if first < stop else ()
        get = self.buckets.get
        found: list[Cell] = []
        for bucket in range(first, stop, stride):
            held = get(bucket)
            if held is not None:
                found += held
        return found

    def page(self, page: int) -> bytes:
        """The cells of an hour, packed for the store."""
        return packed_cells(self.between(page * HOUR, (page + 1) * HOUR))

    def restore(self, data: bytes) -> None:
        """Join a packed page back in; restoring twice changes nothing."""
        for cell in unpacked_cells(data):
            if self._stride > 1 and cell[0] % self.period_ms:
                self._stride = 1
            bucket = cell[0] // BUCKET_MS
            held = self.buckets.get(bucket)
            self.buckets[bucket] = self._merged(held, cell) if held else (cell,)


class Deltas(Facts[tuple[int, int]]):
    """Counts (good, total) of things that happened, by event time. They add."""

    __slots__ = ()

    def __init__(
        self,
        fetch: Callable[[int], bytes | None] | None = None,
        resident_from: int = 0,
    ) -> None:
        super().__init__(fetch, resident_from)

    def add(self, bucket_ms: int, good: int, total: int) -> None:
        """Add what one batch counted. The offset fence makes it exactly once."""
        bucket = bucket_ms // BUCKET_MS
        page = bucket // BUCKETS_PER_PAGE
        if page < self._resident_from:
            self._recall(page)
        held_good, held_total = self.buckets.get(bucket, (0, 0))
        self.buckets[bucket] = (held_good + good, held_total + total)
        self.dirty.add(page)

    def between(self, start_ms: int, end_ms: int) -> list[tuple[int, int]]:
        """The (good, total) pairs of the buckets in [start, end)."""
        get = self.buckets.get
        return [
            held
            for bucket in self._span(start_ms, end_ms)
            if (held := get(bucket)) is not None
        ]

    def page(self, page: int) -> bytes:
        """The sums of an hour, packed for the store."""
        self.ready(page * HOUR)
        first = page * BUCKETS_PER_PAGE
        return packed_deltas(
            first,
            (
                (bucket, *self.buckets[bucket])
                for bucket in range(first, first + BUCKETS_PER_PAGE)
                if bucket in self.buckets
            ),
        )

    def restore(self, data: bytes) -> None:
        """Put a packed page back: its sums replace what memory holds."""
        for bucket, good, total in unpacked_deltas(data):
            self.buckets[bucket] = (good, total)
