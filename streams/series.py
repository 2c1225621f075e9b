"""One series in memory: its facts' readings, its ledger, its alert."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial

from slo.columns import NEVER
from slo.evaluation import Timing
from slo.feeds import FeedReading
from slo.ledger import SeriesLedger
from slo.model import BUCKET_MS, HOUR, MINUTE, Counts, Series
from slo.moves import Moves
from slo.recount import AnyRecount, FreshnessRecount, SumRecount, recount_of
from slo.runs import Shape, Task, shape_of
from slo.saying import seen_last
from slo.setting import Changed
from slo.verdict import Alert, Verdict
from streams.store import id_of

CountRow = tuple[int, int, int, int, int]
"""(start_ms, good, total, events good, events total); total 0: taken out again."""

Fetch = Callable[[int, int], bytes | None]
"""(id of a route or series, page number) to the page as it is stored."""


NEW_INPUT_MS = 10 * MINUTE
"""How far behind what is judged an input may begin and still move a series' first."""

LEAP_MS = 6 * HOUR
"""The longest silence that is judged at once."""


def definition(series: Series) -> str:
    """What a series counts; another definition begins a history of its own.

    Counts of two definitions cannot be added up.
    """
    slo = series.slo
    return "|".join(
        str(part)
        for part in (
            slo.indicator.id,
            slo.indicator.threshold,
            slo.budgeting,
            slo.slice_ms,
            slo.slice_target,
        )
    )


class SeriesState:
    """One series: its facts' readings, its ledger, its alert."""

    ledger: SeriesLedger

    __slots__ = (
        "_timing",
        "alert",
        "clamped",
        "feeds",
        "fresh",
        "history_page",
        "id",
        "judged_ms",
        "key",
        "ledger",
        "members",
        "moves",
        "number",
        "recount",
        "reshaped",
        "series",
        "shape",
        "touched",
        "unsaved",
        "verdict",
        "whole",
    )

    def __init__(
        self, series: Series, fetch: Fetch, members: "Sequence[SeriesState]" = ()
    ) -> None:
        self.series = series
        self.key = series.key
        self.members = members
        self.whole: SeriesState | None = None  # what it is a member of
        self.id = number = id_of(f"{series.key}|{definition(series)}".encode())
        self.feeds = [] if members else [FeedReading(feed) for feed in series.feeds]
        self.recount: AnyRecount
        if members:
            self.recount = SumRecount(series, [one.ledger for one in members])
            for one in members:
                one.whole = self
        else:
            self.recount = recount_of(series, self.feeds)
        self.ledger = SeriesLedger(partial(fetch, number))
        self.history_page = 0  # the hours before it are summed up in the store
        self.alert = Alert(series.key)
        self.verdict = Verdict.UNKNOWN
        self._timing: Timing | None = None
        self.number = -1  # its number in the screen
        self.moves: Moves | None = None  # where the screen hears of changes
        self.fresh: set[SeriesState] | None = None  # who changed since it was judged
        self.shape: Shape | None = None
        self.reshaped = True  # another route is read: look at the shape again
        self.touched: set[int] = set()
        self.judged_ms = 0
        self.clamped = 0
        self.unsaved = False  # its row in the store is out of date

    @property
    def seen(self) -> str:
        """The worst that the sources said in the newest slot, in words."""
        last = self.ledger.last
        if last is None:
            return ""
        end_ms = last + self.recount.step_ms
        return seen_last(self.series.slo, self.feeds, last, end_ms)

    @property
    def timing(self) -> Timing:
        """Cadence and lag of the most preferred feed that has spoken, in ms.

        As of the last recount, so that all who judge by it judge alike.
        """
        if self._timing is None:
            self._timing = self._timing_now()
        return self._timing

    def _timing_now(self) -> Timing:
        feeds = (feed.feed for feed in self.feeds if feed.seen)
        feed = next(feeds, self.series.feeds[0])
        return Timing(feed.cadence_ms, feed.arrival_lag_ms)

    def touch_from(self, start_ms: int, *, tells_age: bool) -> None:
        """What freshness is measured or guarded by arrived at a moment.

        `tells_age`: it is what is measured, not what guards it.
        """
        recount = self.recount
        if not isinstance(recount, FreshnessRecount):
            return
        self.unsaved = True
        known, slots = recount.first_ms, recount.touched(start_ms)
        end = min(slots.stop, self.judged_ms // recount.step_ms + 1)
        # What arrived before all that is judged comes from an input that we did not
        # know then, such as a new table's old rows: it says nothing of the time since.
        early = known is not None and start_ms + NEW_INPUT_MS < self.judged_ms
        if tells_age and not early and recount.observe(start_ms) and known is not None:
            end = max(end, known // recount.step_ms + 1)
        self.touched.update(range(slots.start, end))

    def judge_to(self, now_ms: int) -> None:
        """Time has gone on: buckets of freshness that ended by now are judged."""
        recount = self.recount
        if not isinstance(recount, FreshnessRecount) or recount.first_ms is None:
            self.judged_ms = max(self.judged_ms, now_ms)
            return
        before, self.judged_ms = (
            self.judged_ms,
            max(self.judged_ms, now_ms // BUCKET_MS * BUCKET_MS),
        )
        # A leap over more than hours is a start on old records, not a silence.
        begin = max(before, recount.first_ms, self.judged_ms - LEAP_MS)
        self.touched.update(
            range(begin // recount.step_ms, -(-self.judged_ms // recount.step_ms))
        )

    def task(self) -> Task:
        """What is to be recounted; nothing is touched any more afterwards."""
        if self.reshaped:
            self.shape, known = shape_of(self.recount), self._timing
            self._timing = self._timing_now()
            self.reshaped = False
            if known != self._timing:
                self.tell_span()
                if self.fresh is not None:
                    self.fresh.add(self)
        slots = sorted(self.touched)
        self.touched.clear()
        return Task(self.recount, self.shape, slots, self.judged_ms)

    def settle(self, rows: list[CountRow], clamped: int) -> list[CountRow]:
        """Take in what was recounted; the rows of the ledger that changed."""
        self.unsaved = True
        self.clamped += clamped
        changed = self.ledger.put_rows(rows)
        found = changed.rows
        if found:
            self._tell(changed)
            if self.whole is not None:
                step = self.recount.step_ms
                self.whole.touched.update(row[0] // step for row in found)
        return found

    def _tell(self, changed: Changed) -> None:
        """Tell the screen what has changed in the ledger."""
        if self.moves is not None:
            for (start, *_), move in changed.revised:
                self.moves.bucket(self.number, start, move)
            if changed.fresh:
                self.moves.fresh(self.number, *changed.columns)
            self.tell_span()
        if self.fresh is not None:
            self.fresh.add(self)

    def tell_span(self) -> None:
        """Tell the screen where the data begins and ends, and how late it may be."""
        if self.moves is not None:
            first, last = self.ledger.first, self.ledger.last
            self.moves.span(
                self.number,
                NEVER if first is None else first,
                NEVER if last is None else last,
                self.timing.arrival_lag_ms,
            )

    def replay(self, rows: Iterable[CountRow]) -> None:
        """Put rows of the journal back; the row of the series is not in the store."""
        self.unsaved = True
        for start, good, total, events_good, events_total in rows:
            if total <= 0:
                self.ledger.remove(start)
            else:
                self.ledger.put(
                    start, Counts(good, total), Counts(events_good, events_total)
                )
