"""Whether the figures of one series can be trusted: seen, fresh, not restated."""

from dashboards import engine
from dashboards.layout import CHART, THIRD, Size
from dashboards.looks import About, Link, Look, Override, Query, colored
from dashboards.panels import Lines, ModernPanel, chart
from dashboards.policy_lines import COVERAGE_STEPS, GREEN, RED, seconds_steps
from dashboards.scope import Scope, leads_to, one, opens, windows
from slo import names

COVERAGE_TITLE = "Coverage by window"
AGE_TITLE = "Age of the newest data"
RESTATED_TITLE = "Events restated since"
REVISIONS_TITLE = "Revisions"
BARS = Lines(bars=True, stacked=True)
TO_LAG = opens(names.BOARD_OVERVIEW, engine.LAG_TITLE)
"""Is it us?"""
GOOD_AND_BAD = (Override("good", colored(GREEN)), Override("bad", colored(RED)))


def panels(scope: Scope) -> list[tuple[Size, ModernPanel]]:
    """The row's panels with their sizes."""
    return [
        (THIRD, _coverage(scope)),
        (THIRD, _age()),
        (THIRD, _clock()),
        (CHART, _revisions()),
        (CHART, engine.records_by_result("Records by result")),
    ]


def _coverage(scope: Scope) -> ModernPanel:
    shorts = tuple(sorted({tier.short_ms for tier in scope.policy.tiers}))
    about = About(
        "the observed share of each tier's short window.",
        "100 %.",
        "below half that tier is unknown, unless what was seen is bad enough.",
    )
    query = Query(one(names.WINDOW_COVERAGE_RATIO, windows(shorts)), "{{window}}")
    look = Look(
        unit="percentunit",
        low=0.0,
        high=1.0,
        steps=COVERAGE_STEPS,
        links=_to(AGE_TITLE),
    )
    return chart(COVERAGE_TITLE, about, [query], look, Lines(marks=True))


def _age() -> ModernPanel:
    about = About(
        "the age of the newest data that was judged, over time.",
        "flat, at what the source usually needs.",
        "a ramp: the source is silent since its foot. A cliff back to normal: it"
        " delivered late, see the revisions.",
    )
    look = Look(unit="s", low=0.0, steps=seconds_steps(300, 900), links=TO_LAG)
    queries = [Query(one(names.SOURCE_AGE_SECONDS), "age")]
    return chart(AGE_TITLE, about, queries, look)


def _clock() -> ModernPanel:
    about = About(
        "how far the engine's *now* for this cluster is behind the wall clock.",
        "under two seconds.",
        "we are catching up or an input gives no sign: verdicts are late, not wrong.",
    )
    expr = f"time() - {one(names.WATERMARK_SECONDS)}"
    look = Look(unit="s", steps=seconds_steps(30, 120), links=TO_LAG)
    return chart("Engine's now behind", about, [Query(expr, "behind")], look)


def _revisions() -> ModernPanel:
    about = About(
        "buckets per second that late or restated data changed after they had been"
        " counted.",
        "rare.",
        "steady revisions: the source restates (CloudWatch does for minutes), or two"
        " producers disagree about one datum.",
    )
    expr = f"rate({one(names.REVISIONS_TOTAL)}[$__rate_interval])"
    queries = [Query(expr, "revised")]
    look = Look(unit="ops", links=opens(names.BOARD_OVERVIEW, engine.RESULTS_TITLE))
    return chart(REVISIONS_TITLE, about, queries, look, Lines(bars=True))


def restated() -> ModernPanel:
    """Events as known now less those first known; beside the events themselves."""
    about = About(
        "what corrections and late data added to, or took from, the events first"
        " counted.",
        "0.",
        "the budget above includes these; counters and the page of that day do not.",
    )
    queries = [Query(one(names.RESTATED_EVENTS), "{{result}}")]
    look = Look(unit="none", overrides=GOOD_AND_BAD, links=_to(REVISIONS_TITLE))
    return chart(RESTATED_TITLE, about, queries, look)


def _to(title: str) -> tuple[Link]:
    return leads_to(names.BOARD_SLO_DETAIL, title)
