"""From the facts of one series to the counts of a bucket or slice, again and again.

A recount looks at facts alone, so it says the same whatever the order, batching or
repetition of what came in. Each kind of SLI has one small class with the
same verb: `recount` a slot.
"""

from collections.abc import Iterable, Sequence
from math import inf

import msgspec

from slo.facts import Deltas
from slo.feeds import FeedReading, Reading
from slo.ledger import SeriesLedger
from slo.measure import Measured, budgeted, ratio, threshold
from slo.model import (
    BUCKET_MS,
    MINUTE,
    SECOND,
    Budgeting,
    Counts,
    Part,
    Series,
    SliKind,
)
from slo.stretch import step_ms

SKEW_MS = MINUTE
"""How far a source's clock may run ahead of arrival; stage 1 refuses more."""

ALIVE_LIMIT_MS = 30 * SECOND
"""A connector that said nothing for this long cannot vouch for its database."""


class Recounted(msgspec.Struct, frozen=True, gc=False):
    """What a slot adds to the ledger, and the events behind it for the guards."""

    counts: Counts
    events: Counts
    clamped: bool = False


class ThresholdRecount:
    """Cells against a limit: the value SLIs, such as lag."""

    def __init__(self, series: Series, feeds: list[FeedReading]) -> None:
        self.slo = series.slo
        self.feeds = feeds
        limit = series.slo.indicator.threshold
        if limit is None:
            raise ValueError(f"{series.slo.indicator.id} has no threshold")
        self.limit = limit
        self.step_ms = series.slo.slice_ms if series.slo.sliced else BUCKET_MS

    def recount(self, slot: int, judged_ms: int) -> Recounted | None:
        """The first feed with a judgeable cell speaks for the slot."""
        del judged_ms
        start = slot * self.step_ms
        end = start + self.step_ms
        for feed in self.feeds:
            for reading in feed.readings:
                cells = reading.cells(start, end)
                if cells:
                    found = threshold(cells, reading.part, self.limit)
                    if found is not None:
                        counts = budgeted(found, self.slo)
                        return Recounted(counts, counts)
        return None


class RatioRecount:
    """Good of total events: the error rates."""

    def __init__(self, series: Series, feeds: list[FeedReading]) -> None:
        self.slo = series.slo
        self.feeds = feeds
        self.step_ms = series.slo.slice_ms if series.slo.sliced else BUCKET_MS

    def recount(self, slot: int, judged_ms: int) -> Recounted | None:
        """The first feed whose parts are all known speaks for the slot."""
        del judged_ms
        start = slot * self.step_ms
        for feed in self.feeds:
            found = _ratio_of(feed, start, start + self.step_ms)
            if found is not None:
                counts = budgeted(found, self.slo)
                events = Counts(found.good, found.total)
                return Recounted(counts, events, found.clamped)
        return None


def _ratio_of(feed: FeedReading, start_ms: int, end_ms: int) -> Measured | None:
    """None until every part is known; absent ones that count as zero are no events."""
    amounts: list[int | None] = []
    for reading in (feed.good, feed.bad, feed.total):
        amount = None
        if reading is not None:
            amount = reading.amount(start_ms, end_ms)
            if amount is None:
                return None
        amounts.append(amount)
    return ratio(*amounts)


class FreshnessRecount:
    """The age of the newest thing seen, bucket by bucket of arrival.

    A bucket is good where something no older than the limit at its end had arrived
    by then. Silence is bad, unless an `alive` input guards it: then it is bad only
    where the connector itself spoke while the thing was overdue.
    """

    def __init__(self, series: Series, feeds: list[FeedReading]) -> None:
        self._slo = series.slo
        self._feed = feeds[0]
        limit = series.slo.indicator.threshold
        if limit is None:
            raise ValueError(f"{series.slo.indicator.id} has no threshold")
        self._limit_ms = round(limit * SECOND)
        value = self._feed.of(Part.VALUE)
        if value is None:
            raise ValueError(f"{series.slo.indicator.id} has no value input")
        self._value = value
        self._alive = self._feed.of(Part.ALIVE)
        self.step_ms = series.slo.slice_ms if series.slo.sliced else BUCKET_MS
        self.first_ms: int | None = None  # the first arrival ever

    def observe(self, start_ms: int) -> bool:
        """Note an arrival of the value; whether it is the earliest known."""
        if self.first_ms is not None and self.first_ms <= start_ms:
            return False
        self.first_ms = start_ms
        return True

    def touched(self, start_ms: int) -> range:
        """From the fact's own slot as far as its value may matter."""
        reach = start_ms + max(self._limit_ms, ALIVE_LIMIT_MS) + SKEW_MS
        return range(start_ms // self.step_ms, reach // self.step_ms + 1)

    def recount(self, slot: int, judged_ms: int) -> Recounted | None:
        """The buckets of the slot that ended by `judged_ms`."""
        if self.first_ms is None:
            return None
        start = slot * self.step_ms
        begin = max(start, self.first_ms // BUCKET_MS * BUCKET_MS)
        end = min(start + self.step_ms, judged_ms // BUCKET_MS * BUCKET_MS)
        if begin >= end:
            return None
        reach = max(self._limit_ms, ALIVE_LIMIT_MS) + SKEW_MS
        self._feed.ready(begin - reach, end)
        judged = [
            good
            for bucket in range(begin, end, BUCKET_MS)
            if (good := self._judge(bucket)) is not None
        ]
        if not judged:
            return None
        # A slice that is still running is bad once nothing can save it, not before.
        coming = (start + self.step_ms - end) // BUCKET_MS
        measured = Measured(sum(judged) + coming, len(judged) + coming)
        counts = budgeted(measured, self._slo)
        return Recounted(counts, counts)

    def _judge(self, bucket: int) -> bool | None:
        """Good, bad, or None where a silent connector cannot blame its database."""
        end = bucket + BUCKET_MS
        newest = _newest(self._value, end, self._limit_ms)
        if newest >= end - self._limit_ms:
            return True
        if self._alive is None:
            return False
        # It must have spoken when the next thing was overdue already, and of late.
        spoke = _newest(self._alive, end, ALIVE_LIMIT_MS)
        needed = max(newest + self._limit_ms, end - ALIVE_LIMIT_MS)
        return False if spoke >= needed else None


def _newest(reading: Reading, end_ms: int, limit_ms: int) -> float:
    """The newest value that arrived before `end_ms`, -inf where there is none.

    Nothing that arrived before the limit and the allowed skew can be within the limit.
    """
    oldest = (end_ms - limit_ms - SKEW_MS) // BUCKET_MS * BUCKET_MS
    cells = reading.cells(oldest, end_ms)
    return max((cell[4] for cell in cells), default=-inf)


class RowsRecount:
    """Every CDC row an event: good where it arrived within the limit."""

    step_ms = BUCKET_MS

    def __init__(self) -> None:
        self.routes: list[Deltas] = []

    def recount(self, slot: int, judged_ms: int) -> Recounted | None:
        """The sums of all routes."""
        del judged_ms
        start = slot * BUCKET_MS
        good = total = 0
        for facts in self.routes:
            facts.ready(start)
            for more_good, more_total in facts.between(start, start + BUCKET_MS):
                good += more_good
                total += more_total
        if not total:
            return None
        return Recounted(Counts(good, total), Counts(good, total))


class SumRecount:
    """What the members of a series that spans clusters have counted, added up."""

    def __init__(self, series: Series, members: Sequence[SeriesLedger]) -> None:
        self.step_ms = step_ms(series.slo)
        self._members = members

    def recount(self, slot: int, judged_ms: int) -> Recounted | None:
        """The sums of the members that have anything in the slot."""
        del judged_ms
        start = slot * self.step_ms
        windows = [one.window(start, start + self.step_ms) for one in self._members]
        counts = sum((one.counts for one in windows), Counts())
        if not counts.total:
            return None
        return Recounted(counts, sum((one.events for one in windows), Counts()))


AnyRecount = (
    ThresholdRecount | RatioRecount | FreshnessRecount | RowsRecount | SumRecount
)


def counts_rows(series: Series) -> bool:
    """Whether a freshness SLO counts rows instead of slices of age."""
    return (
        series.slo.indicator.kind is SliKind.FRESHNESS
        and series.slo.budgeting is Budgeting.OCCURRENCES
    )


def rows_signal(series: Series) -> str:
    """The signal of the rows that a freshness SLO counts: `cdc:rows/<limit in ms>`."""
    limit = series.slo.indicator.threshold or 0.0
    return f"cdc:rows/{round(limit * SECOND)}"


def recount_of(series: Series, feeds: Iterable[FeedReading]) -> AnyRecount:
    """The recount that fits a series."""
    readings = list(feeds)
    if counts_rows(series):
        return RowsRecount()
    match series.slo.indicator.kind:
        case SliKind.THRESHOLD:
            return ThresholdRecount(series, readings)
        case SliKind.RATIO:
            return RatioRecount(series, readings)
        case SliKind.FRESHNESS:
            return FreshnessRecount(series, readings)
