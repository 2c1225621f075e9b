"""Facts: what the sources stated, joined. Counts are recomputed from these.

A join looks at content alone, so it is commutative, associative and idempotent:
neither arrival nor offset can change what a cell says in the end.
"""

from collections.abc import Callable, Iterable

import msgspec

from slo.model import BUCKET_MS, HOUR

Cell = tuple[int, float, float, float, float]
"""(start_ms, count, sum, min, max) in SI units; count 0 where the wire has none."""

BUCKETS_PER_PAGE = HOUR // BUCKET_MS


def join(one: Cell, other: Cell, sentinels: frozenset[float]) -> Cell:
    """The statement of two about one cell that holds.

    The greater count wins; at an equal or absent count a sentinel (a broken
    replica must not turn good), then the greater number.
    """
    if one == other:
        return one
    return max(one, other, key=lambda cell: _rank(cell, sentinels))


def _rank(cell: Cell, sentinels: frozenset[float]) -> tuple[float, ...]:
    _, count, total, low, high = cell
    return (count, low in sentinels or high in sentinels, high, total, low)


class Cells:
    """The cells of one route: one metric of one resource under one tag set.

    Kept by 10 s bucket of the period's start, in pages of an hour. `fetch` reads
    a page that is no longer in memory; pages before `resident_from` (an hour
    number) are asked for once.
    """

    __slots__ = (
        "_fetch",
        "_resident_from",
        "buckets",
        "dirty",
        "period_ms",
        "sentinels",
    )

    def __init__(
        self,
        period_ms: int,
        sentinels: frozenset[float] = frozenset(),
        fetch: Callable[[int], bytes | None] | None = None,
        resident_from: int = 0,
    ) -> None:
        self.period_ms = period_ms
        self.sentinels = sentinels
        self.buckets: dict[int, tuple[Cell, ...]] = {}
        self.dirty: set[int] = set()
        self._fetch = fetch
        self._resident_from = resident_from

    def merge(self, cell: Cell) -> bool:
        """Join one statement in; whether the facts changed."""
        bucket = cell[0] // BUCKET_MS
        page = bucket // BUCKETS_PER_PAGE
        if page < self._resident_from:
            self._recall(page)
        held = self.buckets.get(bucket)
        if held is None:
            self.buckets[bucket] = (cell,)
        else:
            merged = self._merged(held, cell)
            if merged == held:
                return False
            self.buckets[bucket] = merged
        self.dirty.add(page)
        return True

    def _merged(self, held: tuple[Cell, ...], cell: Cell) -> tuple[Cell, ...]:
        if len(held) == 1 and held[0][0] == cell[0]:
            return (join(held[0], cell, self.sentinels),)
        by_start = {known[0]: known for known in held}
        known = by_start.get(cell[0])
        by_start[cell[0]] = cell if known is None else join(known, cell, self.sentinels)
        return tuple(by_start[start] for start in sorted(by_start))

    def between(self, start_ms: int, end_ms: int) -> list[Cell]:
        """The cells whose period starts in [start, end); bounds on bucket edges."""
        get = self.buckets.get
        found: list[Cell] = []
        for bucket in range(start_ms // BUCKET_MS, end_ms // BUCKET_MS):
            held = get(bucket)
            if held is not None:
                found.extend(held)
        return found

    def ready(self, start_ms: int) -> None:
        """Bring the page of a moment into memory, where it was evicted."""
        page = start_ms // HOUR
        if page < self._resident_from:
            self._recall(page)

    def _recall(self, page: int) -> None:
        first = page * BUCKETS_PER_PAGE
        if any(b in self.buckets for b in range(first, first + BUCKETS_PER_PAGE)):
            return
        data = self._fetch(page) if self._fetch else None
        if data:
            self.restore(data)

    # -- pages -----------------------------------------------------------------

    def page(self, page: int) -> bytes:
        """The cells of an hour, packed for the store."""
        first = page * BUCKETS_PER_PAGE
        return msgspec.msgpack.encode(
            [
                cell
                for bucket in range(first, first + BUCKETS_PER_PAGE)
                for cell in self.buckets.get(bucket, ())
            ]
        )

    def restore(self, data: bytes) -> None:
        """Join a packed page back in; restoring twice changes nothing."""
        dirty = set(self.dirty)
        resident, self._resident_from = self._resident_from, 0
        for cell in msgspec.msgpack.decode(data, type=list[Cell]):
            self.merge(cell)
        self.dirty, self._resident_from = dirty, resident

    def evict(self, page: int) -> None:
        """Forget clean pages before an hour number; the store keeps them."""
        if page <= self._resident_from:
            return
        keep = page * BUCKETS_PER_PAGE
        for bucket in [b for b in self.buckets if b < keep]:
            del self.buckets[bucket]
        self._resident_from = page


class Deltas:
    """Counts of things that happened, by 10 s bucket of event time. They add."""

    __slots__ = ("_fetch", "_resident_from", "buckets", "dirty")

    def __init__(
        self,
        fetch: Callable[[int], bytes | None] | None = None,
        resident_from: int = 0,
    ) -> None:
        self.buckets: dict[int, tuple[int, int]] = {}
        self.dirty: set[int] = set()
        self._fetch = fetch
        self._resident_from = resident_from

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
            for bucket in range(start_ms // BUCKET_MS, end_ms // BUCKET_MS)
            if (held := get(bucket)) is not None
        ]

    def ready(self, start_ms: int) -> None:
        """Bring the page of a moment into memory, where it was evicted."""
        page = start_ms // HOUR
        if page < self._resident_from:
            self._recall(page)

    def _recall(self, page: int) -> None:
        first = page * BUCKETS_PER_PAGE
        if any(b in self.buckets for b in range(first, first + BUCKETS_PER_PAGE)):
            return
        data = self._fetch(page) if self._fetch else None
        if data:
            self.restore(data)

    def page(self, page: int) -> bytes:
        """The sums of an hour, packed for the store."""
        first = page * BUCKETS_PER_PAGE
        return msgspec.msgpack.encode(
            [
                (bucket, *self.buckets[bucket])
                for bucket in range(first, first + BUCKETS_PER_PAGE)
                if bucket in self.buckets
            ]
        )

    def restore(self, data: bytes) -> None:
        """Put a packed page back: its sums replace what memory holds."""
        for bucket, good, total in msgspec.msgpack.decode(
            data, type=list[tuple[int, int, int]]
        ):
            self.buckets[bucket] = (good, total)

    def evict(self, page: int) -> None:
        """Forget clean pages before an hour number; the store keeps them."""
        if page <= self._resident_from:
            return
        keep = page * BUCKETS_PER_PAGE
        for bucket in [b for b in self.buckets if b < keep]:
            del self.buckets[bucket]
        self._resident_from = page


def newest(cells: Iterable[Cell]) -> float | None:
    """The greatest value among cells, None where there is none."""
    return max((cell[4] for cell in cells), default=None)
