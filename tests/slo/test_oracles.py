"""The engine against arithmetic that was worked out without it (`oracles.json`)."""

import json
from fractions import Fraction
from itertools import count
from math import floor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from slo.evaluation import Judge, Timing
from slo.ledger import SeriesLedger
from slo.measure import Measured, budgeted
from slo.model import (
    DAY,
    HOUR,
    MILLIONTHS,
    MINUTE,
    SECOND,
    Budgeting,
    Counts,
)
from slo.policy import DEFAULT, Policy, Tier, reachable
from slo.stretch import grain_ms, step_ms
from slo.verdict import Verdict
from tests.slo.made import EAGER, T0, fill, series_of, status_at

ORACLES = json.loads(Path(__file__).with_name("oracles.json").read_text("utf-8"))

AT_ONCE = Timing(0, 0)
"""A source that is never late."""


def exact(number: float) -> Fraction:
    """The decimal that was written down."""
    return Fraction(str(number))


def ticket(long_ms: int, short_ms: int, factor: Fraction) -> Policy:
    """One tier at a factor of 30 days. Tickets need no hot time."""
    share = factor * long_ms / (30 * DAY)
    return Policy((Tier("t", Verdict.TICKET, long_ms, short_ms, share),))


FAST = ticket(HOUR, 5 * MINUTE, Fraction("14.4"))


# -- factors -----------------------------------------------------------------------

TABLES = [
    *(("workbook_factors_30d", 30, row) for row in ORACLES["workbook_factors_30d"]),
    *(("workbook_factors_28d", 28, row) for row in ORACLES["workbook_factors_28d"]),
    *(("sloth_custom_7d", 7, row) for row in ORACLES["sloth_custom_7d"]),
    *(
        (
            f"datadog_{days}",
            int(days[:-1]),
            dict(zip(("burn", "long_h", "budget_pct"), row, strict=True)),
        )
        for days, rows in ORACLES["datadog_burn_tables"].items()
        for row in rows
    ),
]


@pytest.mark.parametrize(
    ("days", "row"),
    [table[1:] for table in TABLES],
    ids=[f"{name} {row['budget_pct']}% in {row['long_h']}h" for name, _, row in TABLES],
)
def test_a_share_of_the_budget_in_a_window_gives_the_published_factor(days, row):
    share = exact(row["budget_pct"]) / 100
    tier = Tier("t", Verdict.PAGE, row["long_h"] * HOUR, MINUTE, share)
    assert float(tier.factor(days * DAY)) == pytest.approx(row["burn"], rel=1e-12)


@pytest.mark.parametrize("percent", ORACLES["unreachable"]["max_burn"])
def test_no_burn_exceeds_one_over_the_budget(percent):
    target = exact(percent) / 100
    most = exact(ORACLES["unreachable"]["max_burn"][percent])
    at = Tier("t", Verdict.PAGE, HOUR, MINUTE, most * HOUR / (30 * DAY))
    assert abs(float(1 / (1 - target) - most)) < 1e-9
    assert reachable(
        replace(at, budget_share=at.budget_share * Fraction("0.999")), target, 30 * DAY
    )
    assert not reachable(
        replace(at, budget_share=at.budget_share * Fraction("1.001")), target, 30 * DAY
    )


@pytest.mark.parametrize(
    "factor", ORACLES["unreachable"]["target_below_which_never_fires"]
)
def test_below_some_target_a_tier_never_fires(factor):
    least = ORACLES["unreachable"]["target_below_which_never_fires"][factor]
    (tier,) = (t for t in DEFAULT.tiers if float(t.factor(30 * DAY)) == float(factor))
    assert reachable(tier, Fraction(least) + Fraction(1, 10**9), 30 * DAY)
    assert not reachable(tier, Fraction(least) - Fraction(1, 10**9), 30 * DAY)


# -- detection and reset ---------------------------------------------------------------


def first_moment(seconds: float | Fraction, grid_ms: int) -> int:
    """The first moment of the grid at which burn is strictly above, in ms."""
    return (floor(exact(seconds) * SECOND / grid_ms) + 1) * grid_ms


def outage(series, history_ms, bad, policy=FAST):
    """Statuses after every slice of an outage that follows on good history."""
    ledger, judge = SeriesLedger(), Judge(series, policy)
    step, whole = step_ms(series.slo), MILLIONTHS
    fill(ledger, series, T0 - history_ms, (history_ms // step, "good"))
    for number in count(1):
        ledger.put(T0 + (number - 1) * step, Counts(whole - bad, whole))
        yield judge.status(ledger, AT_ONCE, T0 + number * step), number * step


SINGLE_WINDOWS = ORACLES["detection_s_total_outage_99.9"]


@pytest.mark.parametrize("window", SINGLE_WINDOWS)
@pytest.mark.parametrize("history", ["a full window", "none"])
def test_a_total_outage_is_detected_to_the_slice(window, history):
    hours, factor = (exact(part.rstrip("h")) for part in window.split("@"))
    long_ms = int(hours) * HOUR
    policy = ticket(long_ms, 10 * SECOND, factor)
    grid = 480 if hours < 30 else 21_600 // 10
    series = series_of(Budgeting.RATIO_TIMESLICES, "0.999", slice_ms=grid)
    past_ms = -(-long_ms // HOUR) * HOUR if history == "a full window" else 0
    seconds = exact(SINGLE_WINDOWS[window])
    if past_ms and grain_ms(series.slo, long_ms) > seconds * SECOND:
        # the edge waits meanwhile: the window holds the outage beside all of its past
        seconds /= 1 - factor / 1_000
    expected = first_moment(seconds, grid)
    for status, elapsed in outage(series, past_ms, MILLIONTHS, policy):
        assert (status.verdict is Verdict.TICKET) == (elapsed >= expected), elapsed
        if elapsed >= expected:
            break


WORKBOOK = ORACLES["mwmbr_15pct_10min_99.9"]


def test_the_workbooks_example_15_percent_of_errors_for_10_minutes():
    """On a grid of 0.4 s: when each window crosses, the alert opens and ends."""

    def burns_fast(window):
        bad = window.total - window.good
        return bad * 1_000 > window.total * Fraction("14.4")

    def at_or_after(seconds):
        return -(-exact(seconds) * SECOND // grid) * grid

    grid = 400
    slo = {"slice_ms": grid, "target": "0.999"}
    series = series_of(Budgeting.RATIO_TIMESLICES, **slo)
    ledger, judge = SeriesLedger(), Judge(series, FAST)
    fill(ledger, series, T0 - HOUR, (HOUR // grid, "good"))
    seen = {}
    for number in range(2 * HOUR // grid):
        word = "15%" if number * grid < 10 * MINUTE else "good"
        end = fill(ledger, series, T0 + number * grid, (1, word))
        status = judge.status(ledger, AT_ONCE, end)
        for name, burns in {
            "short": burns_fast(status.windows["5m"]),
            "long": burns_fast(status.windows["1h"]),
            "alert": status.verdict is Verdict.TICKET,
        }.items():
            if burns and name not in seen:
                seen[name] = (end - T0, None)
            elif not burns and name in seen and seen[name][1] is None:
                seen[name] = (seen[name][0], end - T0 - 10 * MINUTE)

    assert seen["short"][0] == first_moment(WORKBOOK["short_crosses_s"], grid)
    assert seen["long"][0] == first_moment(WORKBOOK["long_crosses_s"], grid)
    assert seen["alert"][0] == first_moment(WORKBOOK["alert_on_at_s"], grid)
    assert seen["short"][1] == at_or_after(WORKBOOK["short_clears_after_stop_s"])
    assert seen["alert"][1] == at_or_after(WORKBOOK["short_clears_after_stop_s"])
    assert seen["long"][1] == at_or_after(WORKBOOK["long_clears_after_stop_s"])


@given(st.integers(15, 1000))
def test_detection_is_budget_over_error_ratio_times_window_times_burn(permille):
    """The Workbook's formula, for any error ratio that the fast tier can see."""
    grid = 10 * SECOND
    seconds = Fraction(1, permille) * 3600 * Fraction("14.4")
    series = series_of(Budgeting.RATIO_TIMESLICES, "0.999", slice_ms=grid)
    expected = first_moment(float(seconds), grid)
    for status, elapsed in outage(series, HOUR, permille * 1_000):
        fires = status.verdict is Verdict.TICKET
        if seconds * SECOND % grid:
            assert fires == (elapsed >= expected)
        if elapsed >= expected:
            break


# -- bad minutes to trip a tier -----------------------------------------------------------

BAD_MINUTES = {
    "0.99": ("8.64", "21.6", "43.2"),
    "0.995": ("4.32", "10.8", "21.6"),
    "0.999": ("0.864", "2.16", "4.32"),
    "0.9995": ("0.432", "1.08", "2.16"),
}


@pytest.mark.parametrize("target", BAD_MINUTES)
def test_so_many_bad_minutes_trip_a_long_window(target):
    series = series_of(target=target)
    ledger = SeriesLedger()
    end = fill(ledger, series, T0 - 3 * DAY - HOUR, (4_320 + 60, "good"))
    fast, slow, ticket = (exact(minutes) for minutes in BAD_MINUTES[target])
    for minute in range(1, 50):
        end = fill(ledger, series, end, (1, "bad"))
        tiers = {
            t.tier: t.verdict
            for t in status_at(series, ledger, end, policy=EAGER).tiers
        }
        assert (tiers["page-fast"] is Verdict.PAGE) == (minute > fast)
        assert (tiers["page-slow"] is Verdict.PAGE) == (minute > slow)
        # three days begin on a whole hour, so an hour more of good minutes may count
        assert (tiers["ticket-slow"] is Verdict.TICKET) == (minute > ticket)


# -- budgets ---------------------------------------------------------------------------------


def spent(series, rows):
    """The budget after rows of (good, total) that were all there is."""
    ledger = SeriesLedger()
    for number, (good, total) in enumerate(rows):
        start = T0 + number * step_ms(series.slo)
        ledger.put(start, budgeted(Measured(good, total), series.slo))
    whole = replace(
        series, slo=replace(series.slo, period_ms=len(rows) * step_ms(series.slo))
    )
    return status_at(whole, ledger, T0 + len(rows) * step_ms(series.slo)).budget


NOBL9 = ORACLES["budgeting_methods_nobl9_gist"]


@pytest.mark.parametrize(
    ("budgeting", "name"),
    [
        (Budgeting.OCCURRENCES, "occurrences"),
        (Budgeting.TIMESLICES, "timeslices"),
        (Budgeting.RATIO_TIMESLICES, "ratio_timeslices"),
    ],
)
def test_three_ways_to_budget_the_same_ten_slices(budgeting, name):
    series = series_of(budgeting, "0.95", slice_target=Fraction("0.95"))
    budget = spent(series, list(zip(NOBL9["good"], NOBL9["valid"], strict=True)))
    assert budget.good / budget.total == pytest.approx(NOBL9[name], abs=1e-6)
    assert budget.spent_ratio == pytest.approx(NOBL9["burnt"][name], abs=1e-5)


def test_a_ratio_of_sums_and_no_average_of_ratios():
    bias = ORACLES["avg_of_ratios_bias"]
    spiky = [(1, 1)] * 8_628 + [(50_000, 100_000)] * 12
    quiet = [(1_000, 1_000)] * 8_628 + [(0, 1)] * 12
    for name, rows in {"spiky": spiky, "quiet_errors": quiet}.items():
        budget = spent(series_of(Budgeting.OCCURRENCES, "0.999"), rows)
        assert 1 - budget.good / budget.total == pytest.approx(bias[name]["true"])
        slices = spent(series_of(Budgeting.RATIO_TIMESLICES, "0.999"), rows)
        average = 1 - slices.good / slices.total
        assert average == pytest.approx(bias[name]["sloth_optimised_30d"])


@pytest.mark.parametrize(
    ("target", "days", "seconds"),
    [
        ("0.95", 14, ORACLES["openslo_ddos_2w_95"]["timeslices_min"] * 60),
        ("0.9995", 7, ORACLES["openslo_low_traffic_week_9995_budget_s"]),
    ],
)
def test_an_unspent_budget_in_time(target, days, seconds):
    series = series_of(target=target, period_ms=days * DAY)
    ledger = SeriesLedger()
    end = fill(ledger, series, T0, (10, "good"))
    budget = status_at(series, ledger, end).budget
    assert (budget.spent_ratio, budget.remaining_ratio) == (0, 1)
    assert budget.remaining_ms == pytest.approx(seconds * SECOND)


def test_one_bad_slice_of_five_minutes_in_twelve_hours():
    budget = spent(series_of(target="0.99"), [(1, 1)] * 143 + [(0, 1)])
    share = ORACLES["datadog_timeslice"]["one_bad_5m_slice_in_12h_pct"] / 100
    assert budget.good / budget.total == pytest.approx(share)


def test_one_failure_of_ten_an_hour_burns_100_times():
    """And not 1,000 times, as the Workbook's text has it."""
    oracle = ORACLES["low_traffic_10rph_1_error_99.9"]
    series = series_of(Budgeting.OCCURRENCES, "0.999")
    ledger = SeriesLedger()
    for request in range(7_200):
        start = T0 - 30 * DAY + request * 6 * MINUTE
        ledger.put(start, Counts(int(request != 7_195), 1))
    status = status_at(series, ledger, T0)
    assert status.windows["1h"].burn == pytest.approx(oracle["burn_1h"])
    percent = status.budget.spent_ratio * 100
    assert percent == pytest.approx(oracle["budget_consumed_pct"])


def test_missing_slices_of_a_young_series_count_as_good():
    oracle = ORACLES["elastic_missing_slices_good"]["one_bad_event_1h_1m_slices_obj_99"]
    series = series_of(target="0.99")
    ledger = SeriesLedger()
    end = fill(ledger, series, T0, (1, "bad"))
    burn = status_at(series, ledger, end).windows["1h"].burn
    assert burn == pytest.approx(oracle["new"])


@pytest.mark.parametrize(("window", "tier"), [("err_1h", 0), ("err_6h", 1)])
def test_the_error_ratio_at_which_a_tier_begins(window, tier):
    limit = DEFAULT.tiers[tier].factor(30 * DAY) * (1 - Fraction("0.9995"))
    assert float(limit) == pytest.approx(ORACLES["gitlab_9995"][window])


def test_a_burn_of_1_04_is_above_1_for_nothing_is_rounded_first():
    series = series_of(Budgeting.OCCURRENCES, "0.99")
    ledger = SeriesLedger()
    for minute in range(72 * 60):
        ledger.put(T0 + minute * MINUTE, Counts(100_000 - 1_040, 100_000))
    status = status_at(series, ledger, T0 + 3 * DAY, policy=EAGER)
    assert status.windows["3d"].burn == pytest.approx(1.04)
    assert (status.verdict, status.tier) == (Verdict.TICKET, "ticket-slow")


def test_a_burn_of_exactly_1_is_not_above_1():
    series = series_of(Budgeting.OCCURRENCES, "0.99")
    ledger = SeriesLedger()
    for minute in range(72 * 60):
        ledger.put(T0 + minute * MINUTE, Counts(99_000, 100_000))
    status = status_at(series, ledger, T0 + 3 * DAY, policy=EAGER)
    assert status.windows["3d"].burn == 1
    assert status.verdict is Verdict.OK
