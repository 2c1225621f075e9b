"""Laws of the screen: who is said to have stayed has stayed, and bounds hold.

The reference is the judge, asked about everybody at every tick.
"""

from fractions import Fraction
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slo.alert import Step, step
from slo.certain import Limit
from slo.columns import (
    NEVER,
    Rings,
    hot_slots,
    moments_of,
    seen_share,
    shares,
    stacked,
    whole,
)
from slo.evaluation import Judge, Timing
from slo.heat import SCANNED, hot_ms, hot_of
from slo.ledger import SeriesLedger
from slo.model import DAY, HOUR, MINUTE, SECOND, Budgeting, Counts, SliKind
from slo.moves import Moves
from slo.policy import DEFAULT, compressed
from slo.screen import Screen
from slo.stretch import Lookup, step_ms
from slo.verdict import Alert, Verdict
from tests.slo.made import T0, fill, series_of, whole_of
from tests.slo.test_laws import buckets_of, objectives, row_of, runs

TIMINGS = [Timing(MINUTE, 3 * MINUTE), Timing(10 * SECOND, 30 * SECOND)]


class Watched:
    """One series as a worker holds it: ledger, judge, what was told, what moved."""

    def __init__(self, series, policy, timing, buckets):
        self.series, self.timing = series, timing
        self.judge, self.ledger = Judge(series, policy), SeriesLedger()
        self.verdict, self.alert = Verdict.UNKNOWN, Alert(series.key)
        self.number, self.moves = 0, Moves()
        for start, row in buckets.items():
            self.put(start, row)

    def put(self, start, row):
        before = self.ledger.sums
        self.ledger.put(start, Counts(*row[:2]), Counts(*row[2:]))
        self._moved(start, before)

    def remove(self, start):
        before = self.ledger.sums
        self.ledger.remove(start)
        self._moved(start, before)

    def _moved(self, start, before):
        by = [now - was for now, was in zip(self.ledger.sums, before, strict=True)]
        self.moves.bucket(self.number, start, by)

    def tell(self, screen):
        tiers = [rule.tier.name for rule in self.judge.rules]
        tier = tiers.index(self.alert.tier) if self.alert.tier else -1
        screen.tell(self.number, self.verdict, self.alert.level, tier)

    def span(self):
        first, last = self.ledger.first, self.ledger.last
        self.moves.span(
            self.number,
            NEVER if first is None else first,
            NEVER if last is None else last,
            self.timing.arrival_lag_ms,
        )

    def takes(self, status):
        """What a status does: whether the verdict turned, and the step."""
        before = self.verdict
        self.alert, what = step(self.alert, status)
        self.verdict = status.verdict
        return before is not status.verdict, what


class Fleet:
    """Several series on two clusters, their screen, and the judge of each."""

    def __init__(self, watched):
        self.watched = watched
        self.clusters = [number % 2 for number in range(len(watched))]
        terms = [one.judge.terms for one in watched]
        self.screen = Screen(terms, self.clusters)
        for number, one in enumerate(watched):
            one.number, one.moves = number, self.screen.moves
            one.span()
            one.tell(self.screen)
        self.screen.fill([one.ledger for one in watched])

    def tick(self, moments):
        """Judge everybody; the numbers of those that the screen had left out."""
        moments = {c: m for c, m in moments.items() if c in self.clusters}
        for one in self.watched:
            one.span()
        unsettled = self.screen.unsettled(moments)
        left_out = []
        for number, one in enumerate(self.watched):
            if (moment := moments.get(self.clusters[number])) is None:
                continue
            now, stale = moment
            status = one.judge.status(
                one.ledger, one.timing, now, "no mark" if stale else ""
            )
            found = one.judge.weigh(one.ledger, one.timing, now, stale=stale)
            outcome = found.outcome
            assert (outcome.verdict, outcome.tier, outcome.might_page) == (
                status.verdict,
                status.tier,
                status.might_page,
            )
            if number not in unsettled:
                left_out.append(number)
                was = one.verdict, one.alert
                assert one.takes(status) == (False, Step.NONE), (was, status)
                continue
            one.takes(status)
            if outcome.verdict in (Verdict.PAGE, Verdict.TICKET):
                self.screen.guard(
                    number,
                    outcome.place,
                    one.judge.assured(one.ledger, one.timing, outcome),
                )
            one.tell(self.screen)
        return left_out


class Event(NamedTuple):
    """Before a tick: time passes on a cluster, and a series' buckets change."""

    number: int
    cluster: int
    passes: int  # seconds
    stale: bool
    what: str
    back: int  # steps behind the newest bucket
    length: int
    percent: int


events = st.lists(
    st.builds(
        Event,
        st.integers(0, 3),
        st.integers(0, 2),  # 2: both
        st.sampled_from([0, 0, 10, 10, 60, 300, 3_600, 7_000, 90_000]),
        st.sampled_from([False, False, False, True]),
        st.sampled_from(["append", "append", "late", "remove", "nothing"]),
        st.integers(0, 40),
        st.integers(1, 12),
        st.sampled_from([0, 0, 1, 5, 50, 100]),
    ),
    max_size=25,
)


def happen(one, event):
    """Change buckets of a series as an event says."""
    slo = one.series.slo
    step_ = step_ms(slo)
    last = one.ledger.last if one.ledger.last is not None else T0 // step_ * step_
    if event.what == "append":
        start = last + (1 + event.back // 8) * step_
    else:
        start = last - event.back * step_
    for number in range(event.length if event.what != "nothing" else 0):
        at = start + number * step_
        if event.what == "remove":
            one.remove(at)
        else:
            one.put(at, row_of(slo, 100 - event.percent, 100))


fleets = st.lists(
    st.tuples(objectives, st.sampled_from(TIMINGS), runs), min_size=1, max_size=4
)


@settings(max_examples=400)
@given(fleets, st.sampled_from([DEFAULT, compressed(DEFAULT, 12)]), events)
def test_who_is_left_out_of_judging_has_stayed(fleet, policy, events):
    several = Fleet(
        [Watched(s, policy, timing, buckets_of(s, r)) for s, timing, r in fleet]
    )
    nows = [T0, T0]
    several.tick({0: (T0, False), 1: (T0, False)})
    for event in events:
        happen(several.watched[event.number % len(fleet)], event)
        moved = [event.cluster] if event.cluster < 2 else [0, 1]
        for cluster in moved:
            nows[cluster] += event.passes * SECOND
        several.tick({cluster: (nows[cluster], event.stale) for cluster in moved})


told = st.lists(
    st.tuples(
        st.sampled_from(["good", "bad", "bad", "15%", "none"]),
        st.integers(1, 12),
        st.sampled_from([1, 1, 3]),  # slices to a tick
    ),
    min_size=1,
    max_size=7,
)


@settings(max_examples=60)
@given(objectives, st.sampled_from([compressed(DEFAULT, 12), DEFAULT]), told)
def test_an_outage_told_slice_by_slice_is_judged_where_anything_turns(
    series, policy, told
):
    step_, total = step_ms(series.slo), whole_of(series)
    one = Watched(series, policy, Timing(step_, 0), {})
    end = fill(one.ledger, series, T0 // step_ * step_, (400, "good"))
    several = Fleet([one])
    several.tick({0: (end, False)})
    waited = 0
    for word, length, to_a_tick in [*told, ("good", 40, 1)]:
        for _ in range(length):
            bad = {"good": 0, "bad": total, "15%": total * 15 // 100, "none": 0}[word]
            if word != "none":
                one.put(end, (total - bad, total, total - bad, total))
            end, waited = end + step_, waited + 1
            if waited >= to_a_tick:
                several.tick({0: (end, False)})
                waited = 0


@given(
    st.fractions(Fraction(1, 100_000), Fraction(1)),
    st.integers(1, 10**15),
    st.integers(-2, 2),
    st.integers(1, 100),
)
def test_no_share_is_told_from_a_limit_that_it_may_equal(limit, total, off, seen):
    bad = max(int(limit * total * 100 / seen) + off, 0)
    share = whole([bad]) * shares([seen / 100]) / whole([total])
    found = Limit([(limit.numerator, limit.denominator)])
    exact = Fraction(bad * seen, total * 100) > limit
    assert not (found.exceeded(slice(None), share)[0] and not exact)
    assert not (found.kept(slice(None), share)[0] and exact)
    far = shares([float(limit) * 1.0001, float(limit) * 0.9999])
    twice = Limit([(limit.numerator, limit.denominator)] * 2)
    assert twice.exceeded(slice(None), far).tolist() == [True, False]
    assert twice.kept(slice(None), far).tolist() == [False, True]


@settings(max_examples=300)
@given(objectives, runs, st.lists(st.integers(0, 5_000), max_size=6))
def test_every_window_lies_within_its_bounds(series, runs, passes):
    buckets = buckets_of(series, runs)
    ledger = SeriesLedger()
    for start, row in buckets.items():
        ledger.put(start, Counts(*row[:2]), Counts(*row[2:]))
    windows = tuple(sorted({*DEFAULT.windows_ms, series.slo.period_ms}))
    lookup = Lookup(series.slo, windows)
    step_ = lookup.step_ms
    end = (ledger.last if buckets else T0 // step_ * step_) + step_
    rings = [Rings(1, s.span_ms, s.grain_ms, counted=True) for s in lookup.windows]
    for ring in rings:
        moments = ring.moments(end)
        ring.fill(
            whole([0]),
            moments.start,
            stacked([ledger.profile([moments], moments_of([moments]))]),
        )
    for passed in [0, *passes]:
        end += passed * step_
        for ring, found in zip(rings, lookup.find(ledger, end), strict=True):
            edge = ring.edge(whole([end]))
            ring.slide(whole([0]), edge)
            first = whole([NEVER if ledger.first is None else ledger.first])
            _, seen = seen_share(first, whole([end]), ring.span_ms)
            bounds = ring.bounds(whole([0]), edge, seen)
            share = found.bad * found.seen_ms / (max(found.total, 1) * found.span_ms)
            assert bounds.low[0] * (1 - 1e-12) <= share <= bounds.high[0] * (1 + 1e-12)
            assert found.bad <= bounds.bad[0]
            sums = ledger.since([int(edge[0])])[0]
            assert bounds.fewest[0] <= sums[2] <= bounds.most[0]
            assert ring.width_ms * 30 >= found.span_ms
            assert ring.holds(whole([0]), edge)[0]


# -- it is worth its while: who stays is left out ------------------------------------

STEADY = {
    "all is well": [(3 * 24 * 60, "good")],
    "an error now and then": [*[(700, "good"), (1, "bad")] * 7, (700, "good")],
    "an outage": [(3 * 24 * 60, "good"), (300, "bad")],
    "nothing for an hour": [(3 * 24 * 60, "good"), (60, "none")],
}


@pytest.mark.parametrize("story", STEADY)
@pytest.mark.parametrize("budgeting", list(Budgeting))
def test_a_series_that_goes_on_as_it_was_is_seldom_judged(story, budgeting):
    series = series_of(budgeting, kind=SliKind.THRESHOLD, min_bad=3)
    one = Watched(series, DEFAULT, TIMINGS[0], {})
    stretches = STEADY[story]
    if budgeting is Budgeting.OCCURRENCES:
        stretches = [(count * 6, word) for count, word in stretches]
    end = fill(one.ledger, series, T0, *stretches)
    several = Fleet([one])
    step_, total = step_ms(series.slo), whole_of(series)
    word = stretches[-1][1]
    judged = 0
    for number in range(40):
        start = end + number * step_
        if word != "none":
            good = 0 if word == "bad" else total
            one.put(start, (good, total, good, total))
        now = start + step_ + one.timing.arrival_lag_ms
        judged += not several.tick({0: (now, False)})
    assert judged <= 4


def test_an_alert_that_nothing_may_change_is_not_asked_about():
    series = series_of(min_bad=3)
    one = Watched(series, DEFAULT, TIMINGS[0], {})
    end = fill(one.ledger, series, T0, (3 * 24 * 60, "good"), (300, "bad"))
    several = Fleet([one])
    now = end + one.timing.arrival_lag_ms
    assert several.tick({0: (now, False)}) == []
    assert one.alert.level is Verdict.PAGE
    assert several.tick({0: (now + 10 * SECOND, False)}) == [0]
    one.put(end - 10 * MINUTE, (1, 1, 1, 1))  # one of those it rests on turns good
    assert several.tick({0: (now + 10 * SECOND, False)}) == []


def told_by_the_minute(series, stretches):
    """Three days of good, then each slice with a tick of its own; what was told."""
    step_, total = step_ms(series.slo), whole_of(series)
    one = Watched(series, DEFAULT, Timing(MINUTE, 0), {})
    end = fill(one.ledger, series, T0, (3 * DAY // step_, "good"))
    several = Fleet([one])
    several.tick({0: (end, False)})
    said = []
    for count, word in stretches:
        for _ in range(count):
            if word != "none":
                bad = total if word == "bad" else 0
                one.put(end, (total - bad, total, total - bad, total))
            end += step_
            several.tick({0: (end, False)})
            said.append(one.verdict)
    return said


def test_the_slice_that_reaches_a_guard_is_judged():
    said = told_by_the_minute(series_of(min_bad=7), [(9, "bad")])
    assert said.index(Verdict.PAGE) == 6


def test_the_slice_with_which_half_a_window_is_missing_is_judged_and_its_end():
    series = series_of(target="0.8")  # pages cannot be reached: the 2 h window decides
    said = told_by_the_minute(series, [(70, "none"), (90, "good")])
    assert said.index(Verdict.UNKNOWN) == 60
    assert said[said.index(Verdict.UNKNOWN) :].index(Verdict.OK) == 69


def test_guards_pass_no_longer_than_what_they_rest_on_is_in_the_window():
    """A burst, then a trickle that is all bad but too little by itself."""
    series = series_of(Budgeting.OCCURRENCES, "0.99", SliKind.RATIO, min_bad=28)
    one = Watched(series, DEFAULT, Timing(10 * SECOND, 0), {})
    several, tiers, left_out = Fleet([one]), [], 0
    for minute in range(75):
        start = T0 + minute * MINUTE
        bad = 20 if not minute else int(minute <= 10 or minute % 3 == 0)
        if bad:
            one.put(start, (0, bad, 0, bad))
        left_out += bool(several.tick({0: (start + 10 * SECOND, False)}))
        tiers.append(one.alert.tier)
    assert tiers[12] == "page-fast"
    assert tiers[-1] != "page-fast"
    assert left_out > 20


def test_a_window_that_goes_back_is_judged():
    series = series_of(min_bad=3)
    one = Watched(series, DEFAULT, TIMINGS[0], {})
    end = fill(one.ledger, series, T0, (3 * 24 * 60, "good"), (10, "bad"))
    several = Fleet([one])
    now = end + one.timing.arrival_lag_ms
    several.tick({0: (now, False)})
    assert one.verdict is Verdict.PAGE
    ahead = [end + number * MINUTE for number in range(50, 60)]
    for start in ahead:  # a source whose clock runs ahead
        one.put(start, (1, 1, 1, 1))
    several.tick({0: (now, False)})
    assert one.verdict is not Verdict.PAGE
    for start in ahead:  # corrects itself
        one.remove(start)
    several.tick({0: (now, False)})
    assert one.verdict is Verdict.PAGE


# -- long scans ----------------------------------------------------------------------


@given(
    st.lists(
        st.tuples(
            st.sampled_from([1, 1, 1, 2, 7]), st.integers(0, 10), st.integers(0, 10)
        ),
        min_size=SCANNED,
        max_size=120,
    ),
    st.sampled_from([(1, 2), (9, 625), (1, 1), (999, 1000)]),
    st.sampled_from([10 * SECOND, 60 * SECOND]),
)
def test_hot_time_by_columns_is_that_of_a_loop(slots, limit, slot_ms):
    ledger, start = SeriesLedger(), T0
    for distance, bad, good in slots:
        start += distance * 10 * SECOND
        ledger.put(start, Counts(good, good + bad))
    expected = hot_of(ledger.bad_slots(T0 - HOUR, slot_ms), slot_ms, limit)
    assert hot_ms(ledger, T0 - HOUR, slot_ms, limit) == expected
    if len(ledger):
        found = hot_slots(*ledger.running(T0 - HOUR, slot_ms), slot_ms, limit)
        assert found * slot_ms == expected


def test_what_64_bits_do_not_hold_is_left_to_the_loop():
    ledger = SeriesLedger()
    for number in range(SCANNED + 6):
        ledger.put(T0 + number * MINUTE, Counts(0, 10**12))
    limit = (10**9, 10**9 + 1)
    assert hot_slots(*ledger.running(T0, MINUTE), MINUTE, limit) is None
    assert hot_ms(ledger, T0, MINUTE, limit) == (SCANNED + 6) * MINUTE
