"""One policy table: factors are derived, never typed."""

from fractions import Fraction

import pytest

from slo.model import DAY, HOUR, MINUTE, SECOND
from slo.names import WINDOW_NAMES, duration
from slo.policy import DEFAULT, Tier, compressed, reachable
from slo.verdict import Verdict


def factors(policy, period_ms):
    return [tier.factor(period_ms) for tier in policy.tiers]


def test_the_factors_of_30_days_are_the_workbooks():
    expected = [Fraction("14.4"), Fraction(6), Fraction(3), Fraction(1)]
    assert factors(DEFAULT, 30 * DAY) == expected


def test_pages_come_before_tickets_and_short_windows_are_a_twelfth_of_long_ones():
    severities = [tier.severity for tier in DEFAULT.tiers]
    assert severities == [Verdict.PAGE] * 2 + [Verdict.TICKET] * 2
    assert all(tier.short_ms * 12 == tier.long_ms for tier in DEFAULT.tiers)


def test_every_window_stands_once_in_the_policy_shortest_first():
    assert tuple(duration(window) for window in DEFAULT.windows_ms) == WINDOW_NAMES


@pytest.mark.parametrize(
    ("cadence_ms", "floor_ms"),
    [
        (10 * SECOND, 90 * SECOND),
        (30 * SECOND, 90 * SECOND),
        (MINUTE, 180 * SECOND),
        (5 * MINUTE, 15 * MINUTE),
    ],
)
def test_a_page_needs_90_s_or_three_cadences_of_hot_time(cadence_ms, floor_ms):
    assert DEFAULT.hot_floor(cadence_ms) == floor_ms


@pytest.mark.parametrize("divisor", [1, 30, 7, 1_000])
def test_a_compressed_policy_keeps_its_factors(divisor):
    small = compressed(DEFAULT, divisor)
    assert factors(small, 30 * DAY) == factors(DEFAULT, 30 * DAY)
    assert [(tier.long_ms, tier.short_ms) for tier in small.tiers] == [
        (tier.long_ms // divisor, tier.short_ms // divisor) for tier in DEFAULT.tiers
    ]
    assert small.hot_floor(0) == 90 * SECOND // divisor


def test_a_total_outage_that_only_just_equals_a_tier_does_not_reach_it():
    tier = Tier("t", Verdict.PAGE, HOUR, 5 * MINUTE, Fraction(1, 72))  # 10x of 30 days
    assert not reachable(tier, Fraction("0.9"), 30 * DAY)
    assert reachable(tier, Fraction("0.9001"), 30 * DAY)


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (30 * DAY, "30d"),
        (DAY, "1d"),
        (36 * HOUR, "36h"),
        (90 * MINUTE, "90m"),
        (90 * SECOND, "90s"),
        (1_500, "1500ms"),
        (0, "0ms"),
    ],
)
def test_a_duration_as_a_label(ms, text):
    assert duration(ms) == text
