"""The board of one series: where a page lands, read from top to bottom.

Am I fine? How fast is it going wrong? How did we get here? Why did it page, or
not? Can I trust this?
"""

from grafanalib import core

from dashboards import guards, history, trust
from dashboards.layout import TILE, Row, Size, placed
from dashboards.looks import (
    About,
    Link,
    Look,
    Override,
    Query,
    colored,
    dashed,
    properties,
)
from dashboards.panels import Lines, ModernPanel, bars, chart, text, tile
from dashboards.policy_lines import (
    BUDGET_STEPS,
    COVERAGE_STEPS,
    GREEN,
    ORANGE,
    RED,
    TIMES,
    Step,
    burn_steps,
    drawn_windows,
    seconds_steps,
    tier_color,
    verdict_mappings,
)
from dashboards.reading import how_to_read
from dashboards.scope import VERDICT, Scope, leads_to, one, seen, window
from slo import names
from slo.model import DAY, SECOND
from slo.names import duration

BURN_TITLE = f"Burn rate by window ({TIMES})"
"""The panel that an alert points to."""

SHADES = tuple(
    f"{depth}blue" for depth in ("super-light-", "light-", "", "semi-dark-", "dark-")
)

READING = Size(8, 8)
BURN = Size(16, 9)
BURN_NOW = Size(8, 9)


def panels(scope: Scope) -> list[core.Panel]:
    """Every panel of the board, placed."""
    return placed(
        [
            Row("Am I fine?", _fine(scope)),
            Row(
                "How fast is it going wrong?",
                [(BURN, _burn(scope)), (BURN_NOW, _burn_now(scope))],
            ),
            Row("How did we get here?", history.panels(scope)),
            Row("Why does it alert, or not?", guards.panels(scope)),
            Row("Can I trust this?", trust.panels(scope)),
        ]
    )


def _to(title: str) -> tuple[Link]:
    return leads_to(names.BOARD_SLO_DETAIL, title)


# -- am I fine? -------------------------------------------------------------------


def _fine(scope: Scope) -> list[tuple[Size, ModernPanel]]:
    tiles = [
        _state(),
        _objective(),
        _attained(),
        _left(),
        _left_as_time(),
        _gone_in(scope),
        _coverage(scope),
        _age(),
    ]
    return [(READING, _reading(scope)), *((TILE, one) for one in tiles)]


def _reading(scope: Scope) -> ModernPanel:
    about = About(
        "the policy behind this board's lines, and the objectives it knows.",
        "it matches the specification in your repository.",
        "regenerate the boards with `dbslo dashboards`.",
    )
    return text("How to read this", about, how_to_read(scope))


def _state() -> ModernPanel:
    about = About(
        "the verdict of this series, as the engine alerts on it.",
        "OK. WATCH burns above 1 without a tier's firing.",
        "PAGE and TICKET name their tier in the timeline below; UNKNOWN means that"
        " data is missing, see the last row.",
    )
    query = Query(one(names.ALERT_STATE, VERDICT), "state")
    look = Look(unit="none", mappings=verdict_mappings(), links=_to(guards.TIERS_TITLE))
    return tile("State", about, query, look)


def _objective() -> ModernPanel:
    about = About(
        "the share of events or slices that must be good over the period.",
        "the figure that the team agreed on.",
        "change it in the SLO's YAML, never here.",
    )
    query = Query(one(names.OBJECTIVE_RATIO), "objective")
    look = Look(unit="percentunit", decimals=3, links=_to(history.SLI_TITLE))
    return tile("Objective", about, query, look)


def _attained() -> ModernPanel:
    about = About(
        "the good share over the whole period; the time before the first data"
        " counts as good.",
        "at or above the objective.",
        "below it, the period is lost: it recovers only as bad hours leave it.",
    )
    budget = f"(1 - {one(names.OBJECTIVE_RATIO)})"
    expr = f"1 - {one(names.BUDGET_SPENT_RATIO)} * {budget}"
    look = Look(unit="percentunit", decimals=3, links=_to(history.SLI_TITLE))
    return tile("SLI over the period", about, Query(expr, "attained"), look)


def _left() -> ModernPanel:
    about = About(
        "error budget left: 100 % untouched, below 0 overspent.",
        "above 25 %.",
        "below 10 % hold back risky changes on this cluster.",
    )
    look = Look(
        unit="percentunit",
        decimals=1,
        steps=BUDGET_STEPS,
        links=_to(history.LEFT_TITLE),
    )
    query = Query(one(names.BUDGET_REMAINING_RATIO), "left")
    return tile("Budget left", about, query, look)


def _left_as_time() -> ModernPanel:
    about = About(
        "the same budget as time of total outage.",
        "more than your longest planned failover.",
        "less than one failover: postpone maintenance.",
    )
    look = Look(
        unit="dtdurations",
        steps=(Step(None, RED), Step(0.0, GREEN)),
        links=_to(history.TIME_TITLE),
    )
    query = Query(one(names.BUDGET_REMAINING_SECONDS), "left")
    return tile("Budget left, as outage", about, query, look)


def _gone_in(scope: Scope) -> ModernPanel:
    about = About(
        f"time until the budget is gone at the burn of the last {scope.fastest}.",
        "*not at this rate*, or more than a week.",
        "hours: act now; days: act this week.",
    )
    day = DAY / SECOND
    steps = (Step(None, RED), Step(day, ORANGE), Step(7 * day, GREEN))
    query = Query(one(names.EXHAUSTION_SECONDS, window(scope.fastest_ms)), "gone in")
    look = Look(
        unit="dtdurations",
        steps=steps,
        no_value="not at this rate",
        links=_to(BURN_TITLE),
    )
    return tile("Budget gone in", about, query, look)


def _coverage(scope: Scope) -> ModernPanel:
    about = About(
        f"the share of the last {scope.fastest} that was observed at all.",
        "above 98 %.",
        "missing data is neither good nor bad: below half, a tier is unknown.",
    )
    look = Look(
        unit="percentunit",
        decimals=1,
        steps=COVERAGE_STEPS,
        links=_to(trust.COVERAGE_TITLE),
    )
    return tile("Coverage", about, Query(one(names.COVERAGE_RATIO), "seen"), look)


def _age() -> ModernPanel:
    about = About(
        "the age of the newest data that was judged, by the engine's clock.",
        "seconds for CDC and Datadog, two to four minutes for CloudWatch.",
        "the source is late or silent: see the last row.",
    )
    look = Look(
        unit="s", decimals=0, steps=seconds_steps(300, 900), links=_to(trust.AGE_TITLE)
    )
    query = Query(one(names.SOURCE_AGE_SECONDS), "age")
    return tile("Newest data", about, query, look)


# -- how fast? --------------------------------------------------------------------


def _burn(scope: Scope) -> ModernPanel:
    about = About(
        "the speed at which each window spends the budget: 1 spends it exactly in"
        " its period. Dashed: where each tier begins to fire.",
        "every line below 1.",
        "a tier fires while both its windows are above its line: the short one says"
        " that it still burns, the long one that it matters.",
    )
    queries = [
        *_burns(scope),
        Query(one(names.ALERT_THRESHOLD), "{{tier}} fires"),
    ]
    lines = (
        *_shades(scope),
        *(
            Override(f"{tier.name} fires", dashed(tier_color(tier)))
            for tier in scope.policy.tiers
        ),
    )
    steps = burn_steps(scope.policy, scope.fastest_ms, scope.period_ms)
    look = Look(
        unit="none",
        decimals=1,
        low=0.0,
        steps=steps,
        overrides=lines,
        links=_to(guards.TIERS_TITLE),
    )
    return chart(BURN_TITLE, about, queries, look, Lines(symlog=True))


def _burns(scope: Scope) -> list[Query]:
    """The burn of each window, the shortest first: labels would sort 1d before 5m.

    A window of which nothing was observed has none: 0 would look like health.
    """
    return [
        Query(seen(one, names.BURN_RATE, length), "{{window}}")
        for length in drawn_windows(scope.policy)
    ]


def _shades(scope: Scope) -> list[Override]:
    """Windows in blue, darker with their length: red and orange belong to tiers."""
    drawn = drawn_windows(scope.policy)
    last = len(SHADES) - 1
    return [
        Override(duration(length), colored(SHADES[min(i, last)]))
        for i, length in enumerate(drawn)
    ]


def _burn_now(scope: Scope) -> ModernPanel:
    about = About(
        "the same burn at this moment, each window coloured by its own tier.",
        "green bars.",
        "short windows high and long ones low: it has just begun. Short ones low"
        " and long ones high: it is over and the alert will end.",
    )
    drawn = drawn_windows(scope.policy)
    each = tuple(
        Override(
            duration(length),
            properties(
                Look(
                    unit="none",
                    decimals=1,
                    steps=burn_steps(scope.policy, length, scope.period_ms),
                )
            ),
        )
        for length in drawn
    )
    highest = float(scope.policy.tiers[0].factor(scope.period_ms))
    look = Look(
        unit="none",
        decimals=1,
        low=0.0,
        high=highest,
        steps=burn_steps(scope.policy, scope.fastest_ms, scope.period_ms),
        overrides=each,
        links=_to(BURN_TITLE),
    )
    return bars(f"Burn rate now ({TIMES})", about, _burns(scope), look)
