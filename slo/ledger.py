"""The ledger: good and total per bucket of one series, with running totals.

A window is the difference of two running totals, found by bisection. Counts are
set from facts, so setting a bucket twice changes nothing.
"""

from array import array
from bisect import bisect_left
from collections.abc import Iterator

import msgspec

from slo.model import DAY, Counts

Row = tuple[int, int, int, int, int]
"""(start_ms, good, total, events good, events total); the last two repeat the first
two except for slices, where they count what the slice was made of."""


class Window(msgspec.Struct, frozen=True, gc=False):
    """What a window holds: counts, the events behind slices, and how many buckets."""

    counts: Counts
    events: Counts
    buckets: int


class SeriesLedger:
    """The buckets of one series, oldest first.

    Buckets later than `first known` change nothing in the monotone counters:
    `known_good` and `known_bad` hold what each bucket said when it was first set.
    """

    __slots__ = (
        "_clean",
        "_events_good",
        "_events_total",
        "_good",
        "_running",
        "_starts",
        "_total",
        "dirty",
        "known_bad",
        "known_good",
        "last_bad",
        "revisions",
    )

    def __init__(self) -> None:
        self._starts = array("q")
        self._good = array("q")
        self._total = array("q")
        self._events_good = array("q")
        self._events_total = array("q")
        self._running: tuple[array[int], ...] = tuple(array("q", [0]) for _ in range(4))
        self._clean = 0
        self.dirty: set[int] = set()
        self.known_good = 0
        self.known_bad = 0
        self.last_bad = -1
        self.revisions = 0

    def __len__(self) -> int:
        return len(self._starts)

    @property
    def first(self) -> int | None:
        """Start of the oldest bucket, None while nothing was observed."""
        return self._starts[0] if self._starts else None

    @property
    def last(self) -> int | None:
        """Start of the newest bucket."""
        return self._starts[-1] if self._starts else None

    def put(self, start_ms: int, counts: Counts, events: Counts | None = None) -> bool:
        """Set a bucket; whether the ledger changed."""
        events = events or counts
        row = (start_ms, counts.good, counts.total, events.good, events.total)
        at = self._place(start_ms)
        if at < len(self._starts) and self._starts[at] == start_ms:
            if self._row(at) == row:
                return False
            self._replace(at, row)
            self.revisions += 1
        else:
            self._insert(at, row)
            self.known_good += counts.good
            self.known_bad += counts.bad
        self._clean = min(self._clean, at)
        self.dirty.add(start_ms // DAY)
        if counts.bad and start_ms > self.last_bad:
            self.last_bad = start_ms
        return True

    def remove(self, start_ms: int) -> bool:
        """Take a bucket out again, where its facts no longer say anything."""
        at = self._place(start_ms)
        if at == len(self._starts) or self._starts[at] != start_ms:
            return False
        for column in self._columns():
            del column[at]
        self._clean = min(self._clean, at)
        self.revisions += 1
        self.dirty.add(start_ms // DAY)
        return True

    def window(self, start_ms: int, end_ms: int) -> Window:
        """The buckets that start in [start, end)."""
        self._tidy()
        low, high = self._place(start_ms), self._place(end_ms)
        good, total, events_good, events_total = (
            column[high] - column[low] for column in self._running
        )
        return Window(
            Counts(good, total), Counts(events_good, events_total), high - low
        )

    def rows(self, start_ms: int = 0, end_ms: int = 1 << 62) -> Iterator[Row]:
        """The buckets that start in [start, end), oldest first."""
        for at in range(self._place(start_ms), self._place(end_ms)):
            yield self._row(at)

    def forget(self, before_ms: int) -> None:
        """Drop buckets that no window serves any more."""
        count = self._place(before_ms)
        if count == 0:
            return
        for column in self._columns():
            del column[:count]
        for column in self._running:
            del column[1:]
        self._clean = 0

    # -- pages -----------------------------------------------------------------

    def page(self, day: int) -> bytes:
        """The buckets of a day, packed for the store."""
        return msgspec.msgpack.encode(list(self.rows(day * DAY, (day + 1) * DAY)))

    def restore(self, data: bytes) -> None:
        """Put a packed day back; the first-known counters are kept elsewhere."""
        known, dirty, revisions = (self.known_good, self.known_bad), set(self.dirty), 0
        revisions = self.revisions
        for start, good, total, events_good, events_total in msgspec.msgpack.decode(
            data, type=list[Row]
        ):
            self.put(start, Counts(good, total), Counts(events_good, events_total))
        self.known_good, self.known_bad = known
        self.dirty, self.revisions = dirty, revisions

    # -- columns ---------------------------------------------------------------

    def _columns(self) -> "tuple[array[int], ...]":
        return (
            self._starts,
            self._good,
            self._total,
            self._events_good,
            self._events_total,
        )

    def _row(self, at: int) -> Row:
        return (
            self._starts[at],
            self._good[at],
            self._total[at],
            self._events_good[at],
            self._events_total[at],
        )

    def _place(self, start_ms: int) -> int:
        starts = self._starts
        if starts and start_ms > starts[-1]:
            return len(starts)
        return bisect_left(starts, start_ms)

    def _replace(self, at: int, row: Row) -> None:
        for column, value in zip(self._columns(), row, strict=True):
            column[at] = value

    def _insert(self, at: int, row: Row) -> None:
        if at == len(self._starts):
            for column, value in zip(self._columns(), row, strict=True):
                column.append(value)
        else:
            for column, value in zip(self._columns(), row, strict=True):
                column.insert(at, value)

    def _tidy(self) -> None:
        """Bring the running totals up to date, from the first changed bucket on."""
        size = len(self._starts)
        if self._clean == size and len(self._running[0]) == size + 1:
            return
        for running, column in zip(self._running, self._columns()[1:], strict=True):
            del running[self._clean + 1 :]
            total = running[self._clean]
            for value in column[self._clean :]:
                total += value
                running.append(total)
        self._clean = size
