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

    Of what is in memory only the newest is held as it is read. Older buckets stay
    packed, as they were saved, and come back by pages: 60 cells take 20 KB as they are
    read, and half a kilobyte packed.
    """

    __slots__ = (
        "_fetch",
        "_hot_from",
        "_packed",
        "_present",
        "_resident_from",
        "buckets",
        "dirty",
    )

    def __init__(
        self,
        fetch: Callable[[int], bytes | None] | None = None,
        resident_from: int = 0,
    ) -> None:
        self.buckets: dict[int, Held] = {}
        self.dirty: set[int] = set()
        self._fetch = fetch
        self._resident_from = resident_from
        self._hot_from = resident_from * BUCKETS_PER_PAGE
        self._packed: dict[int, bytes] = {}
        # Of the buckets before `_hot_from`, those of these pages are all at hand.
        self._present: frozenset[int] = frozenset()

    def hold(self, page: int, data: bytes) -> None:
        """Take a saved page in as it is packed; nothing newer is held yet."""
        self._packed[page] = data
        self._hot_from = max(self._hot_from, (page + 1) * BUCKETS_PER_PAGE)

    def ready(self, start_ms: int, end_ms: int = 0) -> None:
        """Bring a moment, or [start, end), where it was evicted, to hand."""
        bucket = start_ms // BUCKET_MS
        if bucket < self._hot_from:
            stop = min(-(-end_ms // BUCKET_MS), self._hot_from)
            for page in _pages(bucket, max(stop, bucket + 1)):
                self._recall(page)

    def evict(self, page: int, packed_ms: int = 0) -> None:
        """Forget the saved pages before an hour number; the store keeps them.

        Of what is saved after it, the buckets before a moment stay packed.
        """
        dirty = self.dirty
        page = self._resident_from = max(page, self._resident_from)
        hot = max(packed_ms // BUCKET_MS, page * BUCKETS_PER_PAGE)
        if hot < self._hot_from:
            self._warm(hot)
        self._hot_from = hot
        for bucket in [one for one in self.buckets if one < hot]:
            number = bucket // BUCKETS_PER_PAGE
            if number not in dirty:
                if number >= page and number not in self._packed:
                    self.page(number)
                del self.buckets[bucket]
        self._present &= dirty
        for one in [one for one in self._packed if one < page]:
            del self._packed[one]

    def _warm(self, bucket: int) -> None:
        """Bring the buckets from one on to hand, as new ones are."""
        for page in _pages(bucket, self._hot_from):
            if page not in self._present and (data := self._saved(page)):
                self.restore(data, bucket)

    @abstractmethod
    def page(self, page: int) -> bytes:
        """What was stated of an hour, packed for the store."""

    @abstractmethod
    def restore(self, data: bytes, first: int = 0) -> None:
        """Put the buckets of a packed page back, from a number on; `dirty` stays."""

    def _saved(self, page: int) -> bytes | None:
        """A page as it was saved last, None where nothing was."""
        if page >= self._resident_from:
            return self._packed.get(page)
        return self._fetch(page) if self._fetch else None

    def _recall(self, page: int) -> None:
        if page not in self._present:
            data = self._saved(page)
            if data:
                self.restore(data)
            self._present |= {page}

    def _rest(self, page: int) -> bytes | None:
        """The saved page, where not all of it is at hand."""
        if page in self._present or page * BUCKETS_PER_PAGE >= self._hot_from:
            return None
        return self._saved(page)


def _pages(first: int, stop: int) -> range:
    """The pages of the buckets in [first, stop)."""
    return range(first // BUCKETS_PER_PAGE, -(-stop // BUCKETS_PER_PAGE))


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
        for cell in unpacked_cells(data):
            bucket = cell[0] // BUCKET_MS
            if bucket < first:
                continue
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
