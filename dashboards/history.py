"""How one series got here: its budget, its SLI and its events over time."""

from dashboards import trust
from dashboards.layout import CHART, Size
from dashboards.looks import About, Link, Look, Override, Query, dashed
from dashboards.panels import Lines, ModernPanel, chart
from dashboards.policy_lines import BUDGET_STEPS, GREEN, RED, YELLOW, Step
from dashboards.scope import Scope, leads_to, one, windows
from slo import names
from slo.names import RESULT, duration

LEFT_TITLE = "Budget left over the period"
TIME_TITLE = "Budget left, in outage time"
SLI_TITLE = "SLI against its objective"
EVENTS_TITLE = "Good and bad events"

EVENTS = Size(12, 8)


def spent_title(scope: Scope) -> str:
    """The title of the panel of budget spent lately."""
    return f"Budget spent per {scope.fastest}"


def _to(title: str) -> tuple[Link]:
    return leads_to(names.BOARD_SLO_DETAIL, title)


def panels(scope: Scope) -> list[tuple[Size, ModernPanel]]:
    """The row's panels with their sizes."""
    return [
        (CHART, _burn_down(scope)),
        (CHART, _budget_as_time(scope)),
        (CHART, _sli(scope)),
        (CHART, _spent_lately(scope)),
        (EVENTS, _events()),
        (EVENTS, trust.restated()),
    ]


def _burn_down(scope: Scope) -> ModernPanel:
    about = About(
        "error budget left over a whole period. The window rolls: old bad hours"
        " leave it and the line rises again.",
        "above the upper dashed line (25 %).",
        "a cliff is an incident; a slope is slow burn, worth a ticket.",
    )
    look = Look(
        unit="percentunit", steps=BUDGET_STEPS, high=1.0, links=_to(spent_title(scope))
    )
    lines = _over_a_period(scope, marks=True)
    queries = [Query(one(names.BUDGET_REMAINING_RATIO), "left")]
    return chart(LEFT_TITLE, about, queries, look, lines)


def _over_a_period(scope: Scope, *, marks: bool) -> Lines:
    """From 0, so that a small loss looks small."""
    period = duration(scope.period_ms)
    return Lines(fill=15, marks=marks, from_zero=True, time_from=period)


def _budget_as_time(scope: Scope) -> ModernPanel:
    about = About(
        "the same, as time of total outage; dashed: the whole budget of a period.",
        "far above zero.",
        "compare with what a failover or a migration of yours costs.",
    )
    whole = f"{one(names.WINDOW_SECONDS)} * (1 - {one(names.OBJECTIVE_RATIO)})"
    queries = [
        Query(one(names.BUDGET_REMAINING_SECONDS), "left"),
        Query(whole, "whole budget"),
    ]
    look = Look(
        unit="s",
        steps=(Step(None, RED), Step(0.0, GREEN)),
        overrides=(Override("whole budget", dashed(GREEN)),),
    )
    lines = _over_a_period(scope, marks=False)
    return chart(TIME_TITLE, about, queries, look, lines)


def _sli(scope: Scope) -> ModernPanel:
    about = About(
        "the good share of the windows; dashed: the objective.",
        "on or above the objective.",
        "the depth of a dip is how bad it was, its width how long.",
    )
    shortest, fastest = min(scope.policy.windows_ms), scope.fastest_ms
    queries = [
        Query(one(names.SLI_RATIO, windows((shortest, fastest))), "{{window}}"),
        Query(one(names.OBJECTIVE_RATIO), "objective"),
    ]
    look = Look(
        unit="percentunit",
        high=1.0,
        overrides=(Override("objective", dashed(YELLOW)),),
        links=_to(EVENTS_TITLE),
    )
    return chart(SLI_TITLE, about, queries, look)


def _spent_lately(scope: Scope) -> ModernPanel:
    about = About(
        f"how much of the whole budget each {scope.fastest} spent; below zero: old"
        " bad hours left the period.",
        "no bars, or small ones.",
        "the tallest bars are where a post-mortem should look.",
    )
    spent = one(names.BUDGET_SPENT_RATIO)
    queries = [Query(f"delta({spent}[{scope.fastest}])", "spent")]
    look = Look(unit="percentunit", decimals=1, links=_to(SLI_TITLE))
    return chart(spent_title(scope), about, queries, look, Lines(bars=True))


def _events() -> ModernPanel:
    about = About(
        "good and bad events (or slices) per second, as they were first known.",
        "good ones alone; a gap is missing data, not health.",
        "bad ones without fewer good ones: errors; both gone: traffic or the"
        " source is gone.",
    )
    expr = f"rate({one(names.EVENTS_TOTAL)}[$__rate_interval])"
    queries = [Query(f"sum by ({RESULT}) ({expr})", "{{result}}")]
    look = Look(
        unit="ops", overrides=trust.GOOD_AND_BAD, links=_to(trust.RESTATED_TITLE)
    )
    return chart(EVENTS_TITLE, about, queries, look, trust.BARS)
