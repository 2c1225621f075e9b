"""From facts to good and total: good, bad, no data, and nothing good by accident."""

from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction
from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slo.measure import (
    ABSURD_AMOUNT,
    Measured,
    amount_of,
    budgeted,
    ratio,
    sentinel_of,
    single_amounts,
    threshold,
    total_amount,
    value_of,
)
from slo.model import (
    MILLIONTHS,
    MINUTE,
    SECOND,
    Budgeting,
    Counts,
    Input,
    Outcome,
    Part,
    Sentinel,
    Stat,
)
from tests.slo.made import T0, series_of

BROKEN = Sentinel(-1.0, Outcome.BAD, "replication is broken")
MISSING = Sentinel(-2.0, Outcome.NO_DATA, "not applicable")


def cell(*values):
    """A cell of values as CloudWatch would sum them up."""
    return (T0, float(len(values)), sum(values), min(values), max(values))


def gauge(value):
    """A cell of a source that has no counts."""
    return (T0, 0.0, value, value, value)


@pytest.mark.parametrize(
    ("stat", "value"),
    [(Stat.MAX, 6.0), (Stat.MIN, 1.0), (Stat.SUM, 9.0), (Stat.AVERAGE, 3.0)],
)
def test_a_statistic_of_a_cell(stat, value):
    assert value_of(cell(1.0, 2.0, 6.0), stat) == value
    assert value_of(gauge(7.0), stat) == 7.0


NO_NUMBERS = {
    "an average over next to no samples": (T0, 1e-305, 7e9, 0.0, 7e9),
    "infinity": (T0, 1.0, inf, inf, inf),
    "not a number": (T0, 1.0, nan, nan, nan),
}


@pytest.mark.parametrize("said", NO_NUMBERS)
@pytest.mark.parametrize("rate", [False, True])
def test_what_is_no_number_is_no_amount(said, rate):
    part = Input(Part.TOTAL, (), stat=Stat.AVERAGE, rate=rate)
    assert total_amount([NO_NUMBERS[said]], part, MINUTE) is None
    assert total_amount([NO_NUMBERS[said], cell(-60.0)], part, MINUTE) is None
    slots = [[cell(60.0)], [NO_NUMBERS[said]], None]
    known = 3_600 if rate else 60
    assert single_amounts(slots, part, MINUTE, 0) == [known, None, 0]


@pytest.mark.parametrize(
    ("said", "means"),
    [
        (gauge(0.0), None),
        (gauge(-1.0), Outcome.BAD),
        (gauge(-2.0), Outcome.NO_DATA),
        (cell(-1.0, 3.0), Outcome.BAD),
        (cell(-2.0, -1.0), Outcome.BAD),
        (cell(-3.0, 1.0), None),
    ],
    ids=["none", "bad", "no data", "in the minimum", "the worse of two", "between"],
)
def test_what_a_sentinel_means(said, means):
    assert (
        sentinel_of(said, Input(Part.VALUE, (), sentinels=(MISSING, BROKEN))) is means
    )


LAG = Input(Part.VALUE, ("Lag",), sentinels=(BROKEN, MISSING))


@pytest.mark.parametrize(
    ("cells", "found"),
    [
        ([], None),
        ([gauge(1.0)], Measured(1, 1)),
        ([gauge(1.0001)], Measured(0, 1)),
        ([gauge(-1.0)], Measured(0, 1)),
        ([gauge(-2.0)], None),
        ([gauge(-2.0), gauge(0.5), gauge(3.0), gauge(-1.0)], Measured(1, 3)),
        ([cell(0.1, 0.1, 9.0)], Measured(0, 1)),
    ],
    ids=[
        "nothing said, no data",
        "at the limit is good",
        "above it is bad",
        "broken is bad, though -1 is below the limit",
        "not applicable is no data",
        "each cell for itself",
        "the maximum counts, not the mean",
    ],
)
def test_cells_against_a_limit(cells, found):
    assert threshold(cells, LAG, 1.0) == found


def test_an_input_without_sentinels_takes_every_value_as_it_is():
    assert threshold([gauge(-1.0)], Input(Part.VALUE, ()), 1.0) == Measured(1, 1)


# -- amounts ---------------------------------------------------------------------------


@given(st.decimals(0, 10**6, places=4), st.sampled_from([SECOND, 15 * SECOND, MINUTE]))
def test_a_rate_times_its_period_is_rounded_half_even_once(rate, period_ms):
    part = Input(Part.TOTAL, (), stat=Stat.SUM, rate=True)
    exact = Decimal(float(rate)) * period_ms / SECOND
    said = amount_of(gauge(float(rate)), part, period_ms)
    assert abs(said - exact.quantize(Decimal(1), ROUND_HALF_EVEN)) <= (
        0 if abs(exact % 1 - Decimal("0.5")) > Decimal("1e-6") else 1
    )


@pytest.mark.parametrize(("value", "amount"), [(0.5, 0), (1.5, 2), (2.5, 2), (3.5, 4)])
def test_halves_go_to_the_even_number(value, amount):
    assert (
        amount_of(gauge(value), Input(Part.TOTAL, (), stat=Stat.SUM), MINUTE) == amount
    )


TOTAL = Input(Part.TOTAL, ("Received",), stat=Stat.SUM, sentinels=(BROKEN, MISSING))
PLAIN = Input(Part.TOTAL, ("Received",), stat=Stat.SUM)


@pytest.mark.parametrize(
    ("part", "cells", "amount"),
    [
        (TOTAL, [cell(3.0, 4.0), cell(5.0)], 12),
        (TOTAL, [gauge(5.0), gauge(-2.0)], None),
        (TOTAL, [gauge(-1.0)], None),
        (PLAIN, [gauge(5.0), gauge(-2.0)], 3),
        (TOTAL, [gauge(float(ABSURD_AMOUNT - 1))], ABSURD_AMOUNT - 1),
        (TOTAL, [gauge(float(ABSURD_AMOUNT))], None),
    ],
    ids=[
        "amounts add up",
        "of one sentinel nobody knows what it stands for",
        "a sentinel is not zero either",
        "without sentinels every number is one",
        "much",
        "too much to be true",
    ],
)
def test_amounts_of_a_slice(part, cells, amount):
    assert total_amount(cells, part, MINUTE) == amount


@pytest.mark.parametrize(
    ("known", "found"),
    [
        ({"good": 7, "total": 10}, Measured(7, 10)),
        ({"bad": 3, "total": 10}, Measured(7, 10)),
        ({"good": 7, "bad": 3}, Measured(7, 10)),
        ({"good": 0, "bad": 3}, Measured(0, 3)),
        ({"bad": 0, "total": 0}, None),
        ({"bad": 3, "total": 0}, None),
        ({"good": 12, "total": 10}, Measured(10, 10, clamped=True)),
        ({"bad": 12, "total": 10}, Measured(0, 10, clamped=True)),
        ({"good": -2, "total": 10}, Measured(0, 10, clamped=True)),
    ],
    ids=[
        "good of total",
        "bad of total",
        "good and bad",
        "nothing good",
        "no traffic is no data",
        "failures of nothing cannot be judged",
        "more good than there was is cut, and said",
        "more bad than there was is cut, and said",
        "less than nothing is cut, and said",
    ],
)
def test_a_ratio_of_two_of_good_bad_and_total(known, found):
    assert ratio(known.get("good"), known.get("bad"), known.get("total")) == found


@given(*[st.none() | st.integers(-10, 10)] * 3)
def test_good_lies_between_nothing_and_a_total_above_nothing(good, bad, total):
    found = ratio(good, bad, total)
    if found is not None:
        assert 0 <= found.good <= found.total
        assert found.total > 0


# -- budgeting ---------------------------------------------------------------------------

OCCURRENCES = series_of(Budgeting.OCCURRENCES).slo
SHARES = series_of(Budgeting.RATIO_TIMESLICES).slo


def slices(target):
    return series_of(Budgeting.TIMESLICES, slice_target=Fraction(target)).slo


@pytest.mark.parametrize(
    ("slo", "measured", "counts"),
    [
        (OCCURRENCES, Measured(7, 10), Counts(7, 10)),
        (slices("0.9"), Measured(9, 10), Counts(1, 1)),
        (slices("0.9"), Measured(8, 9), Counts(0, 1)),
        (slices("0.9"), Measured(0, 1), Counts(0, 1)),
        (slices("1"), Measured(10**9 - 1, 10**9), Counts(0, 1)),
        (SHARES, Measured(1, 3), Counts(333_333, MILLIONTHS)),
        (SHARES, Measured(2, 3), Counts(666_667, MILLIONTHS)),
        (SHARES, Measured(1, 2_000_000), Counts(0, MILLIONTHS)),
        (SHARES, Measured(3, 2_000_000), Counts(2, MILLIONTHS)),
        (SHARES, Measured(0, 9), Counts(0, MILLIONTHS)),
        (SHARES, Measured(9, 9), Counts(MILLIONTHS, MILLIONTHS)),
    ],
    ids=[
        "occurrences are the events themselves",
        "a slice that reaches its target is good",
        "one that does not is bad",
        "one event may be a slice",
        "all but one is not all",
        "a share in millionths",
        "rounded to the nearest",
        "half of one goes to the even nothing",
        "one and a half to the even two",
        "nothing",
        "all",
    ],
)
def test_what_a_bucket_adds_to_the_ledger(slo, measured, counts):
    assert budgeted(measured, slo) == counts


@given(st.integers(1, 10**12), st.data())
def test_a_share_is_the_fraction_rounded_half_even(total, data):
    good = data.draw(st.integers(0, total))
    counts = budgeted(Measured(good, total), SHARES)
    assert counts.good == round(Fraction(good * MILLIONTHS, total))


@given(st.integers(1, 10**6), st.fractions(0, 1), st.data())
def test_a_slice_is_compared_without_rounding(total, target, data):
    good = data.draw(st.integers(0, total))
    counts = budgeted(Measured(good, total), slices(target))
    assert counts == Counts(int(Fraction(good, total) >= target), 1)
