"""Laws of the core: whatever comes in whatever order, the same numbers come out."""

from itertools import pairwise

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from slo.evaluation import Judge, Timing, evaluate
from slo.facts import Cells
from slo.ledger import SeriesLedger
from slo.measure import budgeted, threshold
from slo.model import (
    DAY,
    HOUR,
    MILLIONTHS,
    MINUTE,
    SECOND,
    Budgeting,
    Counts,
    SliKind,
    Urgency,
)
from slo.policy import DEFAULT, Policy, compressed
from slo.stretch import step_ms
from slo.verdict import Verdict
from tests.fleet import LAG, LAG_SLO
from tests.slo.made import T0, series_of
from tests.slo.plain import plainly

# -- order, batches, duplicates --------------------------------------------------

SENTINELS = frozenset({-1.0})
statements = st.lists(
    st.builds(
        lambda minute, offset, count, value: (
            T0 + minute * MINUTE + offset * 10 * SECOND,
            float(count),
            value,
            value,
            value,
        ),
        st.integers(0, 90),
        st.integers(0, 5),
        st.integers(0, 3),
        st.sampled_from([-1.0, 0.0, 0.5, 1.0, 1.5, 60.0]),
    ),
    max_size=40,
)


def walk(batches):
    """Stage 2 in short: merge, recount what was touched, put; after each batch."""
    cells, ledger = Cells(MINUTE, SENTINELS), SeriesLedger()
    for batch in batches:
        touched = {cell[0] // MINUTE for cell in batch if cells.merge(cell)}
        for minute in touched:
            start = minute * MINUTE
            found = threshold(cells.between(start, start + MINUTE), LAG, 1.0)
            ledger.put(start, budgeted(found, LAG_SLO))
    return list(ledger.rows())


@given(statements, st.data())
def test_order_batches_and_duplicates_do_not_matter(said, data):
    again = said + data.draw(st.lists(st.sampled_from(said)) if said else st.just([]))
    shuffled = data.draw(st.permutations(again))
    size = data.draw(st.integers(1, 10))
    batches = [shuffled[at : at + size] for at in range(0, len(shuffled), size)]
    assert walk(batches) == walk([said])


# -- the engine against the plain reference ----------------------------------------

BUDGETS = list(Budgeting)
TICKETS_FIRST = Policy(DEFAULT.tiers[::-1])
POLICIES = [DEFAULT, compressed(DEFAULT, 12), Policy(DEFAULT.tiers[1:3], 0, 0)]
TIMINGS = [
    Timing(MINUTE, 3 * MINUTE),
    Timing(10 * SECOND, 30 * SECOND),
    Timing(15 * SECOND, 0),
]

objectives = st.builds(
    series_of,
    budgeting=st.sampled_from(BUDGETS),
    target=st.sampled_from(["0.5", "0.9", "0.99", "0.995", "0.999"]),
    kind=st.sampled_from([SliKind.RATIO, SliKind.THRESHOLD]),
    urgency=st.sampled_from(list(Urgency)),
    min_bad=st.sampled_from([0, 3, 10]),
    min_total=st.sampled_from([0, 20, 1_000]),
    slice_ms=st.sampled_from([10 * SECOND, MINUTE, 7 * MINUTE]),
    period_ms=st.sampled_from([30 * DAY, 7 * DAY, DAY]),
)
runs = st.lists(
    st.tuples(
        st.sampled_from([0, 0, 1, 2, 5, 30, 600, 4_000]),  # slices without data
        st.integers(1, 25),  # slices with data
        st.sampled_from([0, 0, 0, 1, 5, 40, 100]),  # percent bad
        st.sampled_from([1, 10, 100]),  # events in each
    ),
    max_size=8,
)


def buckets_of(series, runs):
    """(good, total, events good, events total) by start, from the newest run back."""
    step = step_ms(series.slo)
    start = T0 // step * step
    found = {}
    for gap, length, percent, total in runs:
        start -= gap * step
        for number in range(length):
            bad = total * percent // 100
            if 0 < percent < 100 and total == 1:
                bad = number % 2
            start -= step
            found[start] = row_of(series.slo, total - bad, total)
    return found


def row_of(slo, good, total):
    """A ledger row of a bucket or slice in which `total` events were seen."""
    match slo.budgeting:
        case Budgeting.OCCURRENCES:
            return good, total, good, total
        case Budgeting.TIMESLICES:
            return int(good * 2 >= total), 1, good, total
        case Budgeting.RATIO_TIMESLICES:
            return good * MILLIONTHS // total, MILLIONTHS, good, total


def ledger_of(buckets, fetch=None):
    ledger = SeriesLedger(fetch)
    for start, row in buckets.items():
        ledger.put(start, Counts(*row[:2]), Counts(*row[2:]))
    return ledger


@settings(max_examples=500)
@given(
    objectives,
    st.sampled_from(POLICIES),
    st.sampled_from(TIMINGS),
    runs,
    st.integers(0, 40),
)
def test_the_verdict_is_that_of_a_plain_loop_with_fractions(
    series, policy, timing, runs, late
):
    buckets = buckets_of(series, runs)
    now = T0 + late * 90 * SECOND
    said = Judge(series, policy).status(ledger_of(buckets), timing, now)
    plain = plainly(series, policy, timing, buckets, now)
    assert [status.verdict.value for status in said.tiers] == list(plain.tiers)
    assert (said.verdict.value, said.tier) == (plain.verdict, plain.tier)
    assert said.end_ms == plain.end_ms
    assert said.hot_ms == plain.hot_ms
    budget = 1 - series.slo.target
    for found in said.windows.values():
        seen = plain.windows[found.window_ms]
        assert (found.total - found.good, found.total) == (seen.bad, seen.total)
        assert found.prior_ms == seen.prior_ms
        assert found.coverage == float(seen.coverage)
        assert found.burn == float(seen.share / budget)
        assert found.bad_events == int(seen.guard_bad)
        assert found.expected_events == pytest.approx(float(seen.guard_total))
    spent = plain.windows[series.slo.period_ms].share / budget
    assert said.budget.spent_ratio == float(spent)


@given(objectives, runs, st.integers(0, 200))
def test_who_asks_once_hears_what_who_asks_again_hears(series, runs, late):
    ledger = ledger_of(buckets_of(series, runs))
    judge = Judge(series, DEFAULT)
    for now in (T0, T0 + late * 10 * SECOND):
        once = evaluate(series, ledger, policy=DEFAULT, timing=TIMINGS[0], now_ms=now)
        assert judge.status(ledger, TIMINGS[0], now) == once


@settings(max_examples=300)
@given(
    objectives,
    st.sampled_from([*POLICIES, TICKETS_FIRST]),
    runs,
    st.integers(0, 40),
    st.sampled_from(["", "no mark of cloudwatch[0] for 7s"]),
)
def test_people_are_told_what_a_status_says(series, policy, runs, late, stale):
    ledger = ledger_of(buckets_of(series, runs))
    now = T0 + late * 90 * SECOND
    elsewhere = replace(series, resource=replace(series.resource, name="elsewhere"))
    judge = Judge(elsewhere, policy).beside(series)
    status = Judge(series, policy).status(ledger, TIMINGS[0], now, stale)
    weighed = judge.weigh(ledger, TIMINGS[0], now, stale=bool(stale))
    told = judge.told(ledger, weighed, now, stale)
    assert told == replace(status, tiers=(), hot_ms={})


@given(objectives, runs, st.integers(0, 40))
def test_a_shorter_window_never_holds_more_than_a_longer_one(series, runs, late):
    now = T0 + late * 5 * MINUTE
    ledger = ledger_of(buckets_of(series, runs))
    status = Judge(series, DEFAULT).status(ledger, TIMINGS[0], now)
    by_length = sorted(status.windows.values(), key=lambda one: one.window_ms)
    for short, long in pairwise(by_length):
        assert short.total <= long.total
        assert short.total - short.good <= long.total - long.good
        assert short.bad_events <= long.bad_events


@given(objectives, runs)
def test_our_own_silence_is_unknown_and_keeps_the_numbers(series, runs):
    ledger = ledger_of(buckets_of(series, runs))
    judge = Judge(series, DEFAULT)
    fine = judge.status(ledger, TIMINGS[0], T0)
    stale = judge.status(ledger, TIMINGS[0], T0, "no mark of cloudwatch[0] for 7s")
    bad_enough = fine.verdict in (Verdict.PAGE, Verdict.TICKET)
    assert stale.verdict is (fine.verdict if bad_enough else Verdict.UNKNOWN)
    for status in (fine, stale):
        assert status.windows == fine.windows
        assert status.tiers == fine.tiers
        assert status.budget == fine.budget


@settings(max_examples=60)
@given(objectives, runs, st.integers(0, 200), st.integers(-30, 2))
def test_folding_old_hours_changes_no_verdict(series, runs, late, hours):
    buckets = buckets_of(series, runs)
    plain, saved = ledger_of(buckets), {}
    folded = ledger_of(buckets, saved.get)
    saved |= {page: folded.page(page) for page in folded.dirty}
    folded.dirty.clear()
    folded.evict(T0 // HOUR + hours)
    judge = Judge(series, DEFAULT)
    for now in (T0, T0 + late * 10 * SECOND):
        expected = judge.status(plain, TIMINGS[0], now)
        assert judge.status(folded, TIMINGS[0], now) == expected
    assert list(folded.rows()) == list(plain.rows())


def test_a_status_can_be_written_and_read_back():
    series = series_of()
    status = Judge(series, DEFAULT).status(SeriesLedger(), TIMINGS[0], T0)
    again = msgspec.json.decode(msgspec.json.encode(status), type=type(status))
    assert again == status
