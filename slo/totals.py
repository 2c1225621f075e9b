"""Running totals over rows in order of time: a window is one subtraction.

The store of a ledger, without any meaning: rows have a start and three sums (bad,
total, buckets), or five where the events behind slices are not the counts.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from math import gcd
from operator import add, sub

import msgspec

from slo.model import SECOND, Counts
from slo.narrow import extended, kind_of, lengthened, spliced, wide_enough
from slo.pages import LedgerPage, Starts

Sums = tuple[int, int, int, int, int]
"""(bad, total, buckets, events bad, events total) of a stretch of rows."""

BadSlot = tuple[int, int, int, bool]
"""(number, bad, total, whether no row lies between it and the bad slot before)."""


Row = tuple[int, int, int, int, int]
"""(start_ms, good, total, events good, events total); the last two repeat the first
two except for slices, where they count what the slice was made of."""


class Window(msgspec.Struct, frozen=True, gc=False):
    """What a window holds: counts, the events behind slices, and how many buckets."""

    counts: Counts
    events: Counts
    buckets: int


class RunningTotals:
    """Rows by start; each column holds the sum of all rows before each row.

    `ticks` are the starts in `unit_ms`, seconds wherever they are whole. `dropped` is
    what each column came to in rows that were dropped. A column takes 2 bytes a row for
    as long as its sum fits, then 4, then 8. A row appended costs an append per column.
    One that comes late, or changes, also moves the totals after it.
    """

    __slots__ = ("columns", "dropped", "ticks", "unit_ms")

    def __init__(self) -> None:
        self.ticks = array("I")
        self.unit_ms = SECOND
        self.columns = tuple(array("H", [0]) for _ in range(3))
        self.dropped: tuple[int, ...] = (0, 0, 0)

    def __len__(self) -> int:
        return len(self.ticks)

    @property
    def newest(self) -> int:
        """The start of the newest row, in ms; -1 where there is none."""
        return self.ticks[-1] * self.unit_ms if self.ticks else -1

    @property
    def sums(self) -> list[int]:
        """What each column comes to in all, rows that were dropped included."""
        pairs = zip(self.dropped, self.columns, strict=True)
        return [gone + column[-1] for gone, column in pairs]

    def start(self, at: int) -> int:
        """The start of a row, in ms."""
        return self.ticks[at] * self.unit_ms

    def starts(self, at: int, upto: int) -> list[int]:
        """The starts of the rows in [at, upto), in ms."""
        unit_ms = self.unit_ms
        return [tick * unit_ms for tick in self.ticks[at:upto]]

    def _ticks(self, starts: Sequence[int] | Starts) -> "array[int]":
        """Starts in ms as ticks. Where one is no whole second all are kept in ms."""
        if isinstance(starts, Starts):
            if self.unit_ms > 1 and starts.divides(SECOND):
                return array("I", starts.moments(SECOND))
            starts = starts.moments()
        if self.unit_ms > 1 and gcd(SECOND, *starts) < SECOND:
            self.ticks = array("q", self.starts(0, len(self)))
            self.unit_ms = 1
        if self.unit_ms == 1:
            return array("q", starts)
        return array("I", [start // SECOND for start in starts])

    def begin(self, bad: int, total: int) -> None:
        """Go on from the totals of rows that were dropped; for empty ones."""
        self.dropped = (bad, total, 0)

    def append(self, start_ms: int, bad: int, total: int) -> None:
        """A row of one bucket after all others."""
        columns = self.columns
        try:
            column = columns[0]
            column.append(column[-1] + bad)
            column = columns[1]
            column.append(column[-1] + total)
            column = columns[2]
            column.append(column[-1] + 1)
        except OverflowError:
            self._make_room(len(self.ticks) + 1, 0, (bad, total, 1))
            self.append(start_ms, bad, total)
        else:
            tick = self._ticks((start_ms,))
            self.ticks += tick

    def append_events(self, events: Counts) -> None:
        """The events behind the row just appended, where they have columns."""
        bad, total = self.columns[3:]
        try:
            bad.append(bad[-1] + events.total - events.good)
            total.append(total[-1] + events.total)
        except OverflowError:
            more = (events.total - events.good, events.total)
            self._make_room(len(self.ticks), 3, more)
            self.append_events(events)

    def extend(self, starts: Sequence[int], sums: Sequence[Sequence[int]]) -> None:
        """Rows after all others; `sums` are as many as there are columns."""
        pairs = zip(self.columns, sums, strict=True)
        self.columns = tuple(extended(column, values) for column, values in pairs)
        ticks = self._ticks(starts)
        self.ticks += ticks

    def lay(self, pages: Sequence[LedgerPage]) -> None:
        """The rows of pages after all others, each page later than the one before.

        All of a column at once: page by page takes far longer.
        """
        if any(page.events_total for page in pages):
            self.split()
        apart = len(self.columns) == 5
        columns = [page.all_columns if apart else page.columns for page in pages]
        pairs = zip(self.columns, zip(*columns, strict=True), strict=True)
        self.columns = tuple(lengthened(column, runs) for column, runs in pairs)
        for page in pages:
            ticks = self._ticks(page.held)
            self.ticks += ticks

    def _make_room(self, size: int, first: int, more: Sequence[int]) -> None:
        """Widen the columns from `first` on that cannot take so much more.

        What was appended beyond `size` totals is taken back.
        """
        columns = list(self.columns)
        for number, by in enumerate(more, first):
            del columns[number][size:]
            columns[number] = wide_enough(columns[number], columns[number][-1] + by)
        self.columns = tuple(columns)

    def split(self) -> None:
        """Give the events columns of their own; until now they were the counts."""
        if len(self.columns) == 3:
            bad, total, buckets = self.columns
            self.columns = (bad, total, buckets, bad[:], total[:])
            self.dropped = (*self.dropped, *self.dropped[:2])

    def splice(
        self,
        at: int,
        upto: int,
        starts: Sequence[int] | Starts,
        sums: Sequence[Sequence[int]],
    ) -> None:
        """Put rows in the place of those in [at, upto); `sums` are three or five."""
        if len(sums) == 5:
            self.split()
        elif len(self.columns) == 5:
            sums = (*sums, sums[0], sums[1])
        self.ticks[at:upto] = self._ticks(starts)
        self.columns = tuple(
            spliced(column, at, upto, values)
            for column, values in zip(self.columns, sums, strict=True)
        )

    def fold(
        self, at: int, upto: int, kept: Sequence[int], starts: Sequence[int]
    ) -> None:
        """Join the rows in [at, upto): those from one kept row to the next are one."""
        self.ticks[at:upto] = self._ticks(starts)
        for column in self.columns:
            column[at:upto] = array(column.typecode, [column[one] for one in kept])

    def drop(self, count: int) -> None:
        """Drop the oldest rows; the totals go on from what they came to."""
        del self.ticks[:count]
        gone = [column[count] for column in self.columns]
        self.dropped = tuple(map(add, self.dropped, gone))
        self.columns = tuple(
            array(kind_of(column[-1] - by), [total - by for total in column[count:]])
            for column, by in zip(self.columns, gone, strict=True)
        )

    # -- looking -----------------------------------------------------------------

    def place(self, moment_ms: int) -> int:
        """The first row that starts at or after a moment."""
        return bisect_left(self.ticks, -(-moment_ms // self.unit_ms))

    def span(self, start_ms: int, end_ms: int) -> tuple[int, int]:
        """The rows that start in [start, end), as places."""
        return self.place(start_ms), self.place(max(start_ms, end_ms))

    def window(self, at: int, upto: int) -> Window:
        """What the rows in [at, upto) hold."""
        bad, total, buckets, events_bad, events_total = self.between(at, upto)
        return Window(
            Counts(total - bad, total),
            Counts(events_total - events_bad, events_total),
            buckets,
        )

    def rows(self, at: int, upto: int) -> Iterator[Row]:
        """The rows in [at, upto), oldest first."""
        bad, total, _, *events = self.values(at, upto)
        events_bad, events_total = events or (bad, total)
        columns = (self.starts(at, upto), bad, total, events_bad, events_total)
        for start, b, t, eb, et in zip(*columns, strict=True):
            yield start, t - b, t, et - eb, et

    def between(self, at: int, upto: int) -> Sums:
        """The sums of the rows in [at, upto)."""
        bad, total, buckets, *events = (c[upto] - c[at] for c in self.columns)
        events_bad, events_total = events or (bad, total)
        return bad, total, buckets, events_bad, events_total

    def values(self, at: int, upto: int) -> list[list[int]]:
        """What each row in [at, upto) adds to each of the three or five columns."""
        return [
            list(map(sub, column[at + 1 : upto + 1], column[at:upto]))
            for column in self.columns
        ]

    def since(self, moments: Iterable[int]) -> list[Sums]:
        """The sums of the rows from each moment on, to the newest."""
        ticks, unit_ms = self.ticks, self.unit_ms
        if len(self.columns) == 5:
            upto = len(ticks)
            return [self.between(self.place(m), upto) for m in moments]
        bad, total, buckets = self.columns
        all_bad, all_total, all_buckets = bad[-1], total[-1], buckets[-1]
        found: list[Sums] = []
        for moment in moments:
            at = bisect_left(ticks, -(-moment // unit_ms))
            b, t = all_bad - bad[at], all_total - total[at]
            found.append((b, t, all_buckets - buckets[at], b, t))
        return found

    def last_bad(self) -> int:
        """The newest row with anything bad, -1 where there is none."""
        bad = self.columns[0]
        return bisect_left(bad, bad[-1]) - 1

    def bad_slots(self, start_ms: int, slot_ms: int) -> Iterator[BadSlot]:
        """The slots that begin at a moment or later and hold anything bad.

        A slot is all rows that start in one multiple of `slot_ms`. Stretches without
        anything bad are skipped by bisection.
        """
        ticks, unit_ms = self.ticks, self.unit_ms
        bad, total = self.columns[:2]
        size = len(ticks)
        at = self.place(-(-start_ms // slot_ms) * slot_ms)
        upto = -1
        while (first := bisect_right(bad, bad[at], at) - 1) < size:
            slot = ticks[first] * unit_ms // slot_ms
            begin, end = slot * slot_ms, (slot + 1) * slot_ms
            low = first
            while low > at and ticks[low - 1] * unit_ms >= begin:
                low -= 1
            joined = low == upto
            upto = first + 1
            while upto < size and ticks[upto] * unit_ms < end:
                upto += 1
            yield slot, bad[upto] - bad[low], total[upto] - total[low], joined
            at = upto
