"""Colours and threshold lines, all derived from the policy table.

A board that draws 14.4 because somebody typed 14.4 will one day disagree with
the alert. Here every burn line is computed from the tier that it belongs to.
"""

from typing import NamedTuple

from slo import names
from slo.policy import Policy, Tier
from slo.verdict import Verdict

GREEN, YELLOW, ORANGE, RED, PURPLE = "green", "yellow", "orange", "red", "purple"
TIMES = "\u00d7"
"""The unit of a burn rate, in words."""

QUIET = "text"
"""The colour of a number that is neither good nor bad."""


class Step(NamedTuple):
    """From `at` upwards the colour holds; None is minus infinity."""

    at: float | None
    color: str


NEUTRAL = (Step(None, QUIET),)
"""The mark of a panel whose values carry no judgement."""

VERDICT_COLORS = {
    Verdict.OK: GREEN,
    Verdict.WATCH: YELLOW,
    Verdict.TICKET: ORANGE,
    Verdict.PAGE: RED,
    Verdict.UNKNOWN: PURPLE,  # never green: silence is not health
}

BUDGET_STEPS = (
    Step(None, RED),
    Step(0.0, ORANGE),
    Step(0.1, YELLOW),
    Step(0.25, GREEN),
)
"""Budget left: overspent, under a tenth, under a quarter, enough."""

COVERAGE_STEPS = (Step(None, PURPLE), Step(0.5, YELLOW), Step(0.98, GREEN))
"""A tier whose shorter window is covered by less than half is unknown."""


def seconds_steps(warn: float, bad: float, color: str = RED) -> tuple[Step, ...]:
    """Steps for an age or a delay, s: fine, then a warning, then bad."""
    return (Step(None, GREEN), Step(warn, YELLOW), Step(bad, color))


def any_is(color: str) -> tuple[Step, ...]:
    """Steps for a count of which a single one matters."""
    return (Step(None, GREEN), Step(1.0, color))


def verdict_mappings() -> list[dict[str, object]]:
    """Value mappings that turn `dbslo_alert_state` into coloured words."""
    options = {
        str(value): {
            "color": VERDICT_COLORS[Verdict(word)],
            "index": value,
            "text": word.upper(),
        }
        for word, value in names.STATE_VALUES.items()
    }
    return [{"type": "value", "options": options}]


def unseen_mappings() -> list[dict[str, object]]:
    """A cell without a number is unknown; Grafana would give it the first colour."""
    result = {"color": PURPLE, "index": 0, "text": "no data"}
    return [{"type": "special", "options": {"match": "null", "result": result}}]


def tier_color(tier: Tier) -> str:
    """The colour of a tier: that of the verdict it leads to."""
    return VERDICT_COLORS[tier.severity]


def tier_of_window(policy: Policy, window_ms: int) -> Tier | None:
    """The tier that compares this window, as its long one in preference."""
    for tier in policy.tiers:
        if tier.long_ms == window_ms:
            return tier
    return next((tier for tier in policy.tiers if tier.short_ms == window_ms), None)


def burn_steps(policy: Policy, window_ms: int, period_ms: int) -> tuple[Step, ...]:
    """Steps of the burn rate over one window: calm, watch above 1, then its tier."""
    tier = tier_of_window(policy, window_ms)
    if tier is None:
        return (Step(None, GREEN), Step(1.0, YELLOW))
    factor = float(tier.factor(period_ms))
    line = Step(factor, tier_color(tier))
    if factor <= 1:
        return (Step(None, GREEN), line)
    return (Step(None, GREEN), Step(1.0, YELLOW), line)


def drawn_windows(policy: Policy) -> tuple[int, ...]:
    """The windows worth a column, ms: every long one, and the shortest of all."""
    longs = {tier.long_ms for tier in policy.tiers}
    return tuple(sorted(longs | {min(policy.windows_ms)}))
