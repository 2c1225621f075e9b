"""Recounting many series at once says what the reference says slot by slot."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slo.facts import Cells
from slo.feeds import FeedReading
from slo.measure import ABSURD_AMOUNT
from slo.model import (
    BUCKET_MS,
    HOUR,
    MINUTE,
    SECOND,
    Budgeting,
    Feed,
    Input,
    Outcome,
    Part,
    Sentinel,
    Series,
    SliKind,
    Stat,
)
from slo.recount import recount_of
from slo.resources import Engine, ResourceKind
from slo.runs import Task, one_by_one, recount_all, shape_of
from tests.fleet import CLUSTER, INSTANCE, entry, slo
from tests.slo.made import T0

BROKEN = Sentinel(-1.0, Outcome.BAD, "broken")
ABSENT = Sentinel(-2.0, Outcome.NO_DATA, "absent")
PARTS = [
    (Part.VALUE,),
    (Part.GOOD, Part.TOTAL),
    (Part.BAD, Part.TOTAL),
    (Part.GOOD, Part.BAD),
    (Part.GOOD,),
    (Part.BAD,),
    (Part.TOTAL,),
    (Part.GOOD, Part.BAD, Part.TOTAL),
]


def feed_of(draw, source, parts, *, simple):
    metrics = [1] if simple else [1, 1, 2]
    inputs = tuple(
        Input(
            part,
            tuple(f"m{n}" for n in range(draw(st.sampled_from(metrics)))),
            stat=draw(st.sampled_from(list(Stat))),
            rate=draw(st.booleans()),
            absent=draw(st.sampled_from(["no_data", "zero"])),
            sentinels=draw(st.sampled_from([(), (), (BROKEN, ABSENT)])),
        )
        for part in parts
    )
    kinds = (Engine.AURORA_MYSQL,), ResourceKind.INSTANCE
    return Feed(source, *kinds, inputs, cadence_ms=MINUTE, arrival_lag_ms=MINUTE)


numbers = st.sampled_from(
    [0.0, 0.025, 0.5, 1.0, 1.5, 2.5, 7.0, 100.0, -1.0, -2.0, -7.0, float(ABSURD_AMOUNT)]
)
stats = st.tuples(st.sampled_from([0.0, 1.0, 6.0]), numbers, numbers, numbers)


def cells_of(draw, sentinels, *, simple):
    """One route: a cell a minute, some missing; else of any period."""
    periods = [MINUTE] if simple else [MINUTE, 10 * SECOND, 15 * SECOND, 2 * MINUTE]
    period = draw(st.sampled_from(periods))
    facts = Cells(period, frozenset(one.value for one in sentinels))
    for number in draw(st.sets(st.integers(0, 8), max_size=8)):
        off = 0 if simple else draw(st.sampled_from([0] * 12 + [3_000]))
        facts.take([(0, T0 + number * period + off, 0, *draw(stats))])
    return facts


def recount_with_facts(draw, series, *, simple):
    """A recount and its facts; where it is simple, one feed speaks of one route each."""
    feeds = [FeedReading(feed) for feed in series.feeds]
    recount = recount_of(series, feeds)
    for number, feed in enumerate(feeds):
        if number and (simple or draw(st.booleans())):
            continue
        for reading in feed.readings:
            for rank in range(len(reading.part.metrics)):
                for _ in range(1 if simple else draw(st.integers(0, 2))):
                    facts = cells_of(draw, reading.part.sentinels, simple=simple)
                    reading.attach(rank, facts)
    return recount


@st.composite
def tasks(draw):
    """Series of one SLO, with facts of their own."""
    simple = draw(st.sampled_from([True, True, True, False]))
    parts = draw(st.sampled_from(PARTS))
    kind = SliKind.THRESHOLD if parts == (Part.VALUE,) else SliKind.RATIO
    feeds = tuple(
        feed_of(draw, f"source{n}", parts, simple=simple)
        for n in range(draw(st.integers(1, 2)))
    )
    indicator = entry("X", kind, feeds[0], Budgeting.OCCURRENCES, threshold=1.0)
    objective = slo(
        "x",
        indicator,
        budgeting=draw(st.sampled_from(list(Budgeting))),
        slice_ms=draw(st.sampled_from([MINUTE, MINUTE, 10 * SECOND, 5 * MINUTE])),
        slice_target=draw(st.sampled_from([Fraction(1, 2), Fraction(9, 10)])),
    )
    series = Series(objective, INSTANCE, CLUSTER, feeds)
    found = []
    for _ in range(draw(st.integers(1, 4))):
        recount = recount_with_facts(draw, series, simple=simple)
        first, step = T0 // recount.step_ms, recount.step_ms
        last = max(10 * MINUTE // step, 1)
        offsets = draw(st.sets(st.integers(0, last), min_size=1, max_size=20))
        slots = sorted(first + offset for offset in offsets)
        found.append(Task(recount, shape_of(recount), slots, T0 + HOUR))
    return found


@settings(max_examples=150)
@given(st.lists(tasks(), max_size=3))
def test_series_together_are_recounted_as_slot_by_slot(several):
    everything = [task for some in several for task in some]
    assert recount_all(everything) == [one_by_one(task) for task in everything]


# -- what goes together ----------------------------------------------------------------

FEED = Feed(
    "cloudwatch",
    (Engine.AURORA_MYSQL,),
    ResourceKind.INSTANCE,
    (
        Input(Part.BAD, ("Deadlocks",), stat=Stat.SUM),
        Input(Part.TOTAL, ("Commits",), stat=Stat.SUM),
    ),
    cadence_ms=MINUTE,
    arrival_lag_ms=MINUTE,
)


def ratio(*routes):
    """A recount of bad of total; of each input so many routes, of so long periods."""
    indicator = entry("X", SliKind.RATIO, FEED, Budgeting.OCCURRENCES)
    feed = FeedReading(FEED)
    for reading, periods in zip(feed.readings, routes, strict=True):
        for period_ms in periods:
            reading.attach(0, Cells(period_ms))
    return recount_of(Series(slo("x", indicator), INSTANCE, CLUSTER, (FEED,)), [feed])


@pytest.mark.parametrize(
    ("routes", "simple"),
    [
        (([MINUTE], [MINUTE]), True),
        (([MINUTE], []), False),
        (([MINUTE, MINUTE], [MINUTE]), False),
        (([], []), False),
    ],
    ids=[
        "one route of each input",
        "an input that nobody has stated yet",
        "two tag sets of one metric",
        "no facts at all",
    ],
)
def test_a_series_is_simple_while_every_input_has_one_route(routes, simple):
    assert (shape_of(ratio(*routes)) is not None) is simple


def test_a_series_that_no_longer_reads_a_second_tag_set_is_simple_again():
    recount = ratio([MINUTE, MINUTE], [MINUTE])
    bad = recount.feeds[0].readings[0]
    bad.detach(0, bad.routes[0][0])
    assert shape_of(recount).readings[0].only is bad.routes[0][0]
    bad.detach(0, bad.routes[0][0])
    assert shape_of(recount) is None


def test_cells_off_their_grid_or_in_several_to_a_slot_are_told_one_by_one():
    facts = Cells(MINUTE)
    facts.take([(0, T0, 0, 1.0, 2.0, 2.0, 2.0)])
    slot = T0 // BUCKET_MS
    assert facts.singles([slot, slot + 1], BUCKET_MS) == [
        ((T0, 1.0, 2.0, 2.0, 2.0),),
        None,
    ]
    assert facts.singles([T0 // MINUTE], MINUTE) is not None
    assert facts.singles([T0 // (5 * MINUTE)], 5 * MINUTE) is None
    facts.take([(0, T0 + MINUTE + 3_000, 0, 1.0, 2.0, 2.0, 2.0)])
    assert facts.singles([slot], BUCKET_MS) is None
    assert Cells(10 * SECOND).singles([slot], BUCKET_MS) is None


def test_cells_that_are_no_longer_at_hand_are_told_one_by_one():
    facts = Cells(MINUTE)
    facts.take([(0, T0, 0, 1.0, 2.0, 2.0, 2.0)])
    facts.dirty.clear()
    facts.evict(T0 // HOUR + 1)
    assert facts.singles([T0 // MINUTE], MINUTE) is None
