"""The pages in which facts and ledgers are kept: columns with delta-encoded starts.

A page holds an hour, or the sums of many hours. Most of its numbers fit in one byte:
an hour of minute slices takes about 200 bytes.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from math import gcd
from operator import sub

import msgspec

from slo.narrow import climbed

WHOLE = 1 << 53
"""Whole numbers below take fewer bytes as such; above, MessagePack may have none."""

NO_PAGES: frozenset[int] = frozenset()
"""One for all: an empty set of each series' and route's own would take 200 bytes."""


class Starts(msgspec.Struct, frozen=True, array_like=True):
    """Moments in order: the first, and each one's distance from the one before.

    `gaps` are in units of `unit_ms`.
    """

    first_ms: int = 0
    unit_ms: int = 1
    gaps: list[int] = []

    def moments(self, unit_ms: int = 1) -> Sequence[int]:
        """The moments, in epoch ms or in units that `divides`; there is at least one."""
        first, unit, gaps = self.first_ms // unit_ms, self.unit_ms // unit_ms, self.gaps
        if gaps.count(1) == len(gaps):  # as most hours of minutes are
            return list(range(first, first + unit * (len(gaps) + 1), unit))
        return climbed(first, gaps, unit)

    def divides(self, unit_ms: int) -> bool:
        """Whether every moment and every distance is a multiple of a unit."""
        return not (self.first_ms % unit_ms or self.unit_ms % unit_ms)


def starts_of(moments: Sequence[int]) -> Starts:
    """Moments in ascending order, packed."""
    steps = list(map(sub, moments[1:], moments[:-1]))
    unit_ms = gcd(*steps) or 1
    first_ms = moments[0] if moments else 0
    if steps.count(unit_ms) == len(steps):  # as most hours of minutes are
        return Starts(first_ms, unit_ms, [1] * len(steps))
    return Starts(first_ms, unit_ms, [step // unit_ms for step in steps])


# -- ledgers -------------------------------------------------------------------


class LedgerPage(msgspec.Struct, frozen=True, array_like=True):
    """Buckets, oldest first. `gone` are starts of buckets that were taken out again.

    `events_bad` and `events_total` are empty where the events are the counts,
    `buckets` is empty where every row is one bucket.
    """

    held: Starts = Starts()
    bad: list[int] = []
    total: list[int] = []
    events_bad: list[int] = []
    events_total: list[int] = []
    buckets: list[int] = []
    gone: list[int] = []

    @property
    def starts(self) -> Sequence[int]:
        """The start of each bucket, in epoch ms."""
        return self.held.moments() if self.total else []

    @property
    def columns(self) -> tuple[list[int], ...]:
        """Bad, total, buckets, and the events' bad and total where they differ."""
        buckets = self.buckets or [1] * len(self.total)
        if not self.events_total:
            return (self.bad, self.total, buckets)
        return (self.bad, self.total, buckets, self.events_bad, self.events_total)

    @property
    def all_columns(self) -> tuple[list[int], ...]:
        """All five columns, whether the events differ or not."""
        columns = self.columns
        return columns if len(columns) == 5 else (*columns, self.bad, self.total)


_encode = msgspec.msgpack.Encoder().encode
_ledger_decoder = msgspec.msgpack.Decoder(LedgerPage)


def packed(
    starts: Sequence[int], columns: Sequence[list[int]], gone: Iterable[int]
) -> bytes:
    """A page as bytes. `starts` in epoch ms, `columns` as in `LedgerPage.columns`."""
    bad, total, buckets, *events = columns
    differ = bool(events) and events != [bad, total]
    return _encode(
        LedgerPage(
            held=starts_of(starts),
            bad=bad,
            total=total,
            events_bad=events[0] if differ else [],
            events_total=events[1] if differ else [],
            buckets=buckets if buckets.count(1) != len(buckets) else [],
            gone=sorted(gone),
        )
    )


def unpacked(data: bytes) -> LedgerPage:
    """The page of some bytes. Raises msgspec.DecodeError where they are none."""
    page = _ledger_decoder.decode(data)
    rows = len(page.total)
    always = len(page.bad) == rows and len(page.held.gaps) == max(rows - 1, 0)
    seldom = (page.events_bad, page.events_total, page.buckets)
    if not always or any(len(column) not in (0, rows) for column in seldom):
        raise msgspec.DecodeError("the columns of a page differ in length")
    return page


MINUTES_PAGES = 24
"""So many hours behind the fine ones are kept as rows of ten minutes."""


class HistoryPage(msgspec.Struct, frozen=True, array_like=True):
    """The rows of a ledger before the hour number `page`, as they are held.

    `first_ms` is the oldest bucket ever observed, if before it; `forgotten` are bad and
    total of what was dropped, `rows` a page of the others. Before `fine_page` they are
    folded, but in the `open` hours.
    """

    page: int
    first_ms: int | None
    forgotten: tuple[int, int]
    rows: bytes
    fine_page: int
    open: set[int]

    def packed(self) -> bytes:
        """The history as bytes."""
        return _encode(self)


_history_decoder = msgspec.msgpack.Decoder(HistoryPage)
_hourly_decoder = msgspec.msgpack.Decoder(
    tuple[int, int | None, tuple[int, int], bytes]
)


def unpacked_history(data: bytes) -> HistoryPage:
    """The history of some bytes. Raises msgspec.DecodeError where they are none."""
    try:
        return _history_decoder.decode(data)
    except msgspec.ValidationError:
        page, first_ms, forgotten, rows = _hourly_decoder.decode(data)
    # Earlier versions folded all before `page` to an hour each. So wide they are where
    # rows of ten minutes end: those of ten minutes are all open, and come from pages.
    fine_page = page + MINUTES_PAGES
    hours = set(range(page, fine_page))
    return HistoryPage(page, first_ms, forgotten, rows, fine_page, hours)


# -- facts ---------------------------------------------------------------------

Cell = tuple[int, float, float, float, float]
"""(start_ms, count, sum, min, max) in SI units; count 0 where the wire has none."""


class CellPage(msgspec.Struct, frozen=True, array_like=True):
    """Cells, oldest first. `low` and `high` are empty where they are the sum."""

    held: Starts = Starts()
    count: list[float] = []
    total: list[float] = []
    low: list[float] = []
    high: list[float] = []


_cells_decoder = msgspec.msgpack.Decoder(CellPage)


def packed_cells(cells: Sequence[Cell]) -> bytes:
    """Cells in order of their starts as bytes; whole numbers take less room."""
    starts, *columns = zip(*cells, strict=True) if cells else ((),) * 5
    count, total, low, high = (_whole(column) for column in columns)
    return _encode(
        CellPage(
            held=starts_of(starts),
            count=count,
            total=total,
            low=low if low != total else [],
            high=high if high != total else [],
        )
    )


def _whole(column: Sequence[float]) -> list[float]:
    """Most of a column are alike, so each number is looked at once."""
    whole = {v: int(v) for v in {*column} if abs(v) < WHOLE and not v % 1}
    return [*map(whole.get, column, column)] if whole else list(column)


def unpacked_cells(data: bytes, from_ms: int = 0) -> list[Cell]:
    """The cells of some bytes that start at a moment or later.

    Raises msgspec.DecodeError where they are none.
    """
    page = _cells_decoder.decode(data)
    if not page.total:
        return []
    low, high = page.low or page.total, page.high or page.total
    starts = page.held.moments()
    at = bisect_left(starts, from_ms)  # mostly the last of an hour are asked for
    columns = (starts, page.count, page.total, low, high)
    return list(zip(*(column[at:] for column in columns), strict=True))


_deltas_decoder = msgspec.msgpack.Decoder(tuple[int, list[tuple[int, int, int]]])


def packed_deltas(first: int, sums: Iterable[tuple[int, int, int]]) -> bytes:
    """(bucket, good, total) of the buckets from number `first` on as bytes."""
    return _encode((first, [(bucket - first, g, t) for bucket, g, t in sums]))


def unpacked_deltas(data: bytes) -> list[tuple[int, int, int]]:
    """The sums of some bytes. Raises msgspec.DecodeError where they are none."""
    first, sums = _deltas_decoder.decode(data)
    return [(bucket + first, good, total) for bucket, good, total in sums]
