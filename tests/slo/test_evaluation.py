"""Evaluation as stories: guards, hot time, cold start, unknown, what wins."""

from fractions import Fraction

import pytest
from msgspec.structs import replace

from slo.evaluation import NEVER_OBSERVED, Judge
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
    SliKind,
    Urgency,
)
from slo.names import duration
from slo.policy import DEFAULT
from slo.verdict import Verdict
from tests.slo.made import MINUTELY, STEADY, T0, fill, series_of, status_at

OK, WATCH, TICKET = Verdict.OK, Verdict.WATCH, Verdict.TICKET
PAGE, UNKNOWN = Verdict.PAGE, Verdict.UNKNOWN
LAG = series_of(min_bad=3)
EVENTS = series_of(Budgeting.OCCURRENCES, "0.999", SliKind.RATIO)


def verdict(series, *stretches, before=HOUR, **how):
    """The status after good slices of `before` ms and what follows on them."""
    ledger = SeriesLedger()
    step = series.slo.slice_ms if series.slo.sliced else 10 * SECOND
    end = fill(ledger, series, T0 - before, (before // step, "good"), *stretches)
    return status_at(series, ledger, end, **how)


# -- a failover spends budget and pages nobody ------------------------------------------

CONNECT = series_of(
    Budgeting.RATIO_TIMESLICES, "0.999", SliKind.RATIO, min_total=100, min_bad=10
)
"""Connections through a proxy, as the catalogue ships them."""


def attempts(ledger, start_ms, down):
    """Minutes of 600 attempts; those from `down[0]` to `down[1]` ms fail."""
    for minute in range(6 * 60):
        begin = start_ms + minute * MINUTE
        lost = max(0, min(down[1], begin + MINUTE) - max(down[0], begin))
        found = Measured(600 - 600 * lost // MINUTE, 600)
        yield begin + MINUTE
        counts = budgeted(found, CONNECT.slo)
        ledger.put(begin, counts, Counts(found.good, found.total))


@pytest.mark.parametrize("seconds", [10, 28, 45, 60])
@pytest.mark.parametrize("phase", [0, 1, 16, 30, 46, 59])
@pytest.mark.parametrize("history", ["a day", "none"])
def test_a_failover_within_a_minute_never_pages(seconds, phase, history):
    ledger, judge = SeriesLedger(), Judge(CONNECT, DEFAULT)
    if history == "a day":
        fill(ledger, CONNECT, T0 - DAY, (DAY // MINUTE, "good"))
    begins = T0 + 20 * MINUTE + phase * SECOND
    for end in attempts(ledger, T0, (begins, begins + seconds * SECOND)):
        status = judge.status(ledger, MINUTELY, end + 150 * SECOND)
        assert status.verdict is not PAGE
    assert status.budget.spent_ratio == pytest.approx(seconds / 2_592, abs=1e-4)


@pytest.mark.parametrize("phase", [0, 1, 16, 30, 46, 59])
def test_an_outage_that_lasts_pages_after_three_bad_minutes(phase):
    ledger, judge = SeriesLedger(), Judge(CONNECT, DEFAULT)
    fill(ledger, CONNECT, T0 - DAY, (DAY // MINUTE, "good"))
    begins = T0 + 20 * MINUTE + phase * SECOND
    paged = None
    for end in attempts(ledger, T0, (begins, T0 + DAY)):
        status = judge.status(ledger, MINUTELY, end + 150 * SECOND)
        if status.verdict is PAGE and paged is None:
            paged = end - MINUTE - begins  # the end of the newest minute counted
    assert paged == 180 * SECOND - phase * SECOND


def test_an_outage_of_events_pages_after_90_s():
    for seconds in range(10, 200, 10):
        status = verdict(EVENTS, (seconds // 10, "bad"), timing=STEADY)
        assert (status.verdict is PAGE) == (seconds >= 90), seconds
        assert status.hot_ms["page-fast"] == seconds * SECOND
        assert status.hot_floor_ms == 90 * SECOND


def test_what_holds_a_page_back_is_said():
    status = verdict(EVENTS, (8, "bad"), timing=STEADY)
    assert (status.verdict, status.tier) == (WATCH, "page-fast")
    assert status.reason == "burning, held back: hot for 80s of at least 90s"


def test_slots_that_are_not_hot_between_hot_ones_do_not_add_up_as_one_stretch():
    status = verdict(EVENTS, *[(4, "bad"), (1, "good")] * 2, timing=STEADY)
    assert status.hot_ms["page-fast"] == 80 * SECOND


def test_a_slot_exactly_as_bad_as_the_tier_is_not_hot():
    for bad, hot in ((144, 0), (145, 3)):  # 14.4 x 0.1 % of 10,000
        ledger = SeriesLedger()
        for bucket in range(3):
            ledger.put(T0 + bucket * 10 * SECOND, Counts(10_000 - bad, 10_000))
        status = status_at(EVENTS, ledger, T0 + 30 * SECOND, timing=STEADY)
        assert status.hot_ms["page-fast"] == hot * 10 * SECOND


def test_empty_slots_between_hot_ones_are_hot():
    """With 10 s of traffic every 10 minutes an outage pages at its second burst."""
    series = series_of(Budgeting.OCCURRENCES, "0.999", SliKind.RATIO)
    ledger, judge, paged = SeriesLedger(), Judge(series, DEFAULT), []
    for burst in range(-12, 9):
        start = T0 + burst * 10 * MINUTE
        ledger.put(start, Counts(0 if burst >= 0 else 100, 100))
        status = judge.status(ledger, STEADY, start + 10 * SECOND)
        if status.verdict is PAGE:
            paged.append(burst)
    assert paged[0] == 1


def test_empty_slots_after_the_last_hot_one_are_not_hot():
    ledger = SeriesLedger()
    end = fill(ledger, EVENTS, T0 - HOUR, (360, "good"), (1, "bad"))
    later = status_at(EVENTS, ledger, end + 4 * MINUTE, timing=STEADY)
    assert later.hot_ms["page-fast"] == 10 * SECOND


def test_a_source_slower_than_a_bucket_is_hot_by_its_cadence():
    """Cells of a minute in buckets of 10 s: each stands for its whole minute."""
    ledger = SeriesLedger()
    for minute in range(-60, 3):
        ledger.put(T0 + minute * MINUTE, Counts(0 if minute >= 0 else 600, 600))
    status = status_at(EVENTS, ledger, T0 + 2 * MINUTE + 10 * SECOND)
    assert status.hot_ms["page-fast"] == status.hot_floor_ms == 3 * MINUTE
    assert status.verdict is PAGE


# -- guards ---------------------------------------------------------------------------------


def test_two_bad_slices_are_held_back_and_a_third_pages():
    series = series_of(target="0.999", min_bad=3)
    held = verdict(series, (2, "bad"))
    assert held.reason == "burning, held back: 2 bad of at least 3"
    assert verdict(series, (3, "bad")).verdict is PAGE


def test_slices_are_guarded_as_slices_however_many_cells_each_was_made_of():
    """Six bad cells in one slice are one bad slice of the three that it takes."""
    for budgeting, whole in (
        (Budgeting.TIMESLICES, 1),
        (Budgeting.RATIO_TIMESLICES, MILLIONTHS),
    ):
        series = series_of(budgeting, "0.999", SliKind.THRESHOLD, min_bad=3)
        ledger = SeriesLedger()
        end = fill(ledger, series, T0 - HOUR, (60, "good"))
        for minute in range(2):
            ledger.put(end + minute * MINUTE, Counts(0, whole), Counts(0, 6))
        window = status_at(series, ledger, end + 2 * MINUTE).windows["1h"]
        assert (window.bad_events, window.expected_events) == (2, 60)


def test_ratios_are_guarded_by_events_also_where_they_are_budgeted_in_slices():
    ledger, judge = SeriesLedger(), Judge(CONNECT, DEFAULT)
    said = {}
    for minute in range(-60, 5):
        bad = 3 if minute >= 0 else 0
        counts = budgeted(Measured(6 - bad, 6), CONNECT.slo)
        start = T0 + minute * MINUTE
        ledger.put(start, counts, Counts(6 - bad, 6))
        said[minute] = judge.status(ledger, MINUTELY, start + MINUTE)
    assert said[2].reason == "burning, held back: 9 bad of at least 10"
    assert said[2].windows["1h"].bad_events == 9
    assert said[3].verdict is PAGE


def test_the_bad_events_of_good_slices_are_counted_too():
    series = series_of(target="0.999", kind=SliKind.RATIO)
    ledger = SeriesLedger()
    for minute in range(-60, 0):
        ledger.put(T0 + minute * MINUTE, Counts(1, 1), Counts(99, 100))
    hour = status_at(series, ledger, T0).windows["1h"]
    assert (hour.good, hour.total, hour.bad_events) == (60, 60, 60)


def test_too_few_in_all_are_held_back():
    series = series_of(Budgeting.OCCURRENCES, "0.999", SliKind.RATIO, min_total=1_000)
    ledger = SeriesLedger()
    for minute in range(-120, 5):
        ledger.put(T0 + minute * MINUTE, Counts(0 if minute >= 0 else 16, 16))
    status = status_at(series, ledger, T0 + 4 * MINUTE + 10 * SECOND)
    fast, slow = status.tiers[:2]
    assert fast.reason == "burning, held back: 960 in all of at least 1000"
    assert slow.verdict is PAGE  # 6 hours hold enough, most of them before the first


def test_a_tier_that_a_total_outage_cannot_reach_says_so():
    status = verdict(series_of(target="0.9"), (240, "bad"))
    assert status.tiers[0].reason == "unreachable at this target"
    assert status.tiers[0].verdict is OK
    assert status.tiers[1].verdict is PAGE


# -- cold start ----------------------------------------------------------------------------


def test_a_new_series_is_not_paged_by_28_bad_seconds_in_its_first_five_minutes():
    for budgeting in Budgeting:
        series = series_of(budgeting, "0.999", SliKind.RATIO, slice_ms=10 * SECOND)
        ledger, judge = SeriesLedger(), Judge(series, DEFAULT)
        end = fill(ledger, series, T0, (12, "good"), (3, "bad"))
        for _ in range(60):
            status = judge.status(ledger, STEADY, end + 5 * SECOND)
            assert status.verdict in (OK, WATCH)
            end = fill(ledger, series, end, (1, "good"))


def test_a_new_series_is_not_blind_either():
    status = verdict(LAG, (5, "bad"), before=0)
    assert (status.verdict, status.tier) == (PAGE, "page-fast")
    hour = status.windows["1h"]
    assert (hour.good, hour.total, hour.prior_ms) == (0, 5, 55 * MINUTE)
    assert hour.burn == pytest.approx(5 / 60 / 0.005)
    assert hour.coverage == 1


def test_the_time_before_counts_towards_the_least_total_but_never_towards_bad_or_heat():
    ledger = SeriesLedger()
    series = series_of(Budgeting.OCCURRENCES, "0.999", SliKind.RATIO, min_total=3_600)
    for bucket in range(10):
        ledger.put(T0 + bucket * 10 * SECOND, Counts(0, 10))
    status = status_at(series, ledger, T0 + 100 * SECOND, timing=STEADY)
    hour = status.windows["1h"]
    assert (hour.total, hour.expected_events, hour.bad_events) == (100, 3_600, 100)
    assert status.hot_ms["page-fast"] == 100 * SECOND
    assert status.verdict is PAGE


def test_a_young_series_says_that_it_is_young():
    assert verdict(LAG, before=2 * HOUR).reason == "young: its data began 2h ago"
    assert verdict(LAG, before=3 * DAY).reason == "within budget"
    assert verdict(LAG, (1, "good"), before=0).reason == "young: its data began 1m ago"
    seconds = status_at(EVENTS, ledger_of(EVENTS, (3, "good")), T0 + 30 * SECOND)
    assert seconds.reason == "young: its data began 30s ago"
    old = series_of(period_ms=30 * DAY)
    assert verdict(old, before=2 * DAY).reason == "young: its data began 2d ago"


def ledger_of(series, *stretches):
    ledger = SeriesLedger()
    fill(ledger, series, T0, *stretches)
    return ledger


# -- unknown -------------------------------------------------------------------------------


def test_what_was_never_observed_is_unknown_and_covers_nothing():
    for series in (LAG, EVENTS, CONNECT):
        status = status_at(series, SeriesLedger(), T0)
        assert (status.verdict, status.reason) == (UNKNOWN, NEVER_OBSERVED)
        assert not status.observed
        assert status.coverage == 0
        assert {window.coverage for window in status.windows.values()} == {0}
        assert status.budget.remaining_ratio == 1
        assert {tier.verdict for tier in status.tiers} == {UNKNOWN}


def test_a_source_that_falls_silent_turns_unknown_when_half_of_5_minutes_is_missing():
    said = [verdict(LAG, (missing, "none")) for missing in range(5)]
    assert [status.verdict for status in said] == [OK, OK, OK, UNKNOWN, UNKNOWN]
    assert said[3].tier == "page-fast"
    assert said[3].reason == "no data for 60% of the last 5m"
    assert said[3].coverage == pytest.approx(57 / 60)


def test_slices_that_are_late_within_what_is_allowed_are_not_missed():
    ledger = ledger_of(LAG, (60, "good"))
    judge = Judge(LAG, DEFAULT)
    end = T0 + HOUR
    for late in range(3 * MINUTE):
        if late % (10 * SECOND) == 0:
            status = judge.status(ledger, MINUTELY, end + late)
            assert (status.end_ms, status.coverage) == (end, 1)
    assert judge.status(ledger, MINUTELY, end + 4 * MINUTE).end_ms == end + MINUTE


def test_events_are_covered_while_their_input_was_read():
    status = verdict(EVENTS, (360, "none"), timing=STEADY)
    assert (status.verdict, status.coverage) == (OK, 1)
    assert status.windows["5m"].total == 0


def test_an_input_of_ours_without_a_mark_is_our_fault_and_unknown():
    fault = "our own ingest gave no mark of cloudwatch[0] for 7s"
    for stretches in ([], [(1, "bad")], [(30, "good")]):
        status = verdict(LAG, *stretches, stale=fault)
        assert (status.verdict, status.tier, status.reason) == (UNKNOWN, "", fault)


def test_what_is_bad_enough_by_itself_pages_though_an_input_of_ours_is_silent():
    fault = "our own ingest gave no mark of orders.t[0] for 7s"
    assert verdict(LAG, (30, "bad"), stale=fault).verdict is PAGE


def test_bad_enough_though_all_that_is_missing_were_good_pages_all_the_same():
    for missing, expected in ((3, PAGE), (4, PAGE), (5, UNKNOWN)):
        status = verdict(LAG, (10, "bad"), (missing, "none"))
        assert status.verdict is expected, missing


def test_bad_in_the_hour_but_too_little_in_the_minutes_that_are_left_is_unknown():
    """7.2 % of an hour are 4.32 minutes: 4 bad of those seen could be the last."""
    status = verdict(LAG, (4, "bad"), (3, "none"))
    assert status.verdict is UNKNOWN


def test_a_gap_lowers_the_coverage_and_is_not_taken_for_the_time_before():
    status = verdict(LAG, (12, "none"), (5, "good"))
    hour = status.windows["1h"]
    assert (hour.prior_ms, hour.coverage) == (0, pytest.approx(48 / 60))
    assert status.verdict is OK


# -- what wins -----------------------------------------------------------------------------


def burning(urgency, *stretches):
    """Three days that burn above 1 with a bad stretch hours ago, then something else."""
    series = series_of(target="0.99", urgency=urgency)
    before = [(4_020, "good"), (100, "bad"), (200, "good")]
    ledger = SeriesLedger()
    end = fill(ledger, series, T0, *before, *stretches)
    return status_at(series, ledger, end)


@pytest.mark.parametrize(
    ("urgency", "calm", "silent", "outage"),
    [
        (Urgency.PAGE, TICKET, UNKNOWN, PAGE),
        (Urgency.TICKET, TICKET, TICKET, TICKET),
        (Urgency.BOARD, WATCH, WATCH, WATCH),
    ],
)
def test_the_gravest_level_wins_and_unknown_where_it_might_hide_one(
    urgency, calm, silent, outage
):
    """A ticket burns; then nothing, silence of the source, or an outage comes on top."""
    assert burning(urgency, (1, "bad")).verdict is calm
    assert burning(urgency, (1, "bad"), (4, "none")).verdict is silent
    assert burning(urgency, (20, "bad")).verdict is outage


def test_an_outage_leaves_page_for_ticket_as_its_windows_let_go():
    series = series_of(target="0.99", urgency=Urgency.PAGE)
    ledger, judge = SeriesLedger(), Judge(series, DEFAULT)
    end = fill(ledger, series, T0 - DAY, (1_440, "good"))
    seen = []
    for minute in range(12 * 60):
        end = fill(ledger, series, end, (1, "bad" if minute < 60 else "good"))
        status = judge.status(ledger, MINUTELY, end)
        if not seen or seen[-1] != (status.verdict, status.tier):
            seen.append((status.verdict, status.tier))
    assert seen == [
        (WATCH, "page-fast"),
        (PAGE, "page-fast"),
        (PAGE, "page-slow"),
        (TICKET, "ticket-fast"),
        (TICKET, "ticket-slow"),
        (OK, ""),
    ]


def test_a_page_says_what_burns_over_what():
    status = verdict(LAG, (10, "bad"))
    assert status.reason == (
        "1h burns 33.3x and 5m 200.0x, over 14.4x: 10 bad of 60 slices in 1h"
    )


def test_a_watch_says_what_burns():
    status = verdict(LAG, (1, "bad"))
    assert (status.verdict, status.reason) == (WATCH, "1h burns 3.3x")


# -- windows -------------------------------------------------------------------------------


def test_a_window_ends_with_the_newest_slice_or_with_what_may_be_late():
    ledger = ledger_of(LAG, (60, "good"))
    judge = Judge(LAG, DEFAULT)
    newest = T0 + HOUR
    for now, end in (
        (newest - 20 * SECOND, newest),  # an event counts the moment it arrives
        (newest + 3 * MINUTE, newest),
        (newest + 4 * MINUTE - 1, newest),
        (newest + 4 * MINUTE, newest + MINUTE),
        (newest + HOUR, newest + HOUR - 3 * MINUTE),
    ):
        assert judge.status(ledger, MINUTELY, now).end_ms == end


def test_a_window_shorter_than_a_slice_holds_the_newest_slice():
    series = series_of(slice_ms=10 * MINUTE)
    status = status_at(series, ledger_of(series, (6, "good")), T0 + HOUR)
    assert status.windows["5m"].total == 1
    assert status.windows["5m"].coverage == 1


@pytest.mark.parametrize(
    ("window_ms", "edge_ms"),
    [
        (6 * HOUR, MINUTE),
        (7 * HOUR, 10 * MINUTE),
        (DAY, 10 * MINUTE),
        (30 * HOUR, HOUR),
        (3 * DAY, HOUR),
        (7 * DAY, HOUR),
        (7 * DAY + 12 * HOUR, 6 * HOUR),
        (30 * DAY, 6 * HOUR),
    ],
)
def test_a_bucket_leaves_a_window_late_by_less_than_a_thirtieth_of_it(
    window_ms, edge_ms
):
    assert edge_ms * 30 <= window_ms
    series = series_of(period_ms=window_ms)
    begin = T0 // DAY * DAY
    for late_ms, bad in ((0, 1), (edge_ms - MINUTE, 1), (edge_ms, 0)):
        end = begin + window_ms + late_ms
        ledger = SeriesLedger()
        ledger.put(begin, Counts(0, 1))
        ledger.put(end - MINUTE, Counts(1, 1))
        found = status_at(series, ledger, end).windows[duration(window_ms)]
        assert found.total - found.good == bad, late_ms


def test_the_hour_at_the_edge_covers_no_more_than_all():
    ledger = SeriesLedger()
    end = fill(ledger, LAG, T0, (4_400, "good"), (1, "bad"))
    window = status_at(LAG, ledger, end).windows["3d"]
    assert (window.total, window.coverage) == (4_341, 1)


def test_what_was_forgotten_is_not_taken_for_the_time_before():
    ledger = SeriesLedger()
    fill(ledger, LAG, T0, (60, "good"))
    end = fill(ledger, LAG, T0 + 40 * DAY, (60, "good"))
    ledger.forget(T0 + 39 * DAY)
    month = status_at(LAG, ledger, end).windows["30d"]
    assert month.prior_ms == 0
    assert month.coverage == pytest.approx(60 / (30 * 24 * 60))


def test_two_sources_of_one_series_may_allow_different_lags():
    ledger, judge = ledger_of(LAG, (60, "good")), Judge(LAG, DEFAULT)
    now = T0 + HOUR + 4 * MINUTE
    assert judge.status(ledger, MINUTELY, now).end_ms == T0 + HOUR + MINUTE
    slower = replace(MINUTELY, arrival_lag_ms=15 * MINUTE)
    assert judge.status(ledger, slower, now).end_ms == T0 + HOUR


def test_a_budget_can_be_overspent():
    status = verdict(series_of(period_ms=DAY), (60, "bad"), before=DAY)
    assert status.budget.spent_ratio == pytest.approx(60 / 1_440 / 0.005)
    assert status.budget.remaining_ratio == 1 - status.budget.spent_ratio
    assert status.budget.remaining_ms < 0


def test_the_target_may_be_any_fraction():
    series = series_of(target="0.995", min_bad=3)
    thirds = replace(series, slo=replace(series.slo, target=Fraction(2, 3)))
    status = verdict(thirds, (30, "bad"))
    assert status.windows["1h"].burn == pytest.approx(1.5)
