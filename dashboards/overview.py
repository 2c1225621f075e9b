"""The fleet board: who pages, what is worst, how much budget is left, is it us.

Read at the start of a shift and from the phone; every line leads to the detail
board of its series.
"""

from grafanalib import core

from dashboards import engine
from dashboards.layout import CHART, TABLE, TILE, Row, placed
from dashboards.looks import About, Link, Look, Query
from dashboards.panels import Lines, ModernPanel, bars, chart, tile, timeline
from dashboards.policy_lines import (
    BUDGET_STEPS,
    COVERAGE_STEPS,
    ORANGE,
    PURPLE,
    RED,
    TIMES,
    any_is,
    burn_steps,
    drawn_windows,
    unseen_mappings,
    verdict_mappings,
)
from dashboards.scope import (
    VERDICT,
    Scope,
    detail_url,
    fleet,
    leading,
    leads_to,
    per_series,
    seen,
    window,
)
from dashboards.tables import COLORED_CELL, GAUGE_CELL, Column, table
from slo import names
from slo.names import STATE_VALUES, duration

SHOWN = 20
"""Series that a chart of the fleet shows; the table holds more."""

TABLE_TITLE = "Series, fastest burn first"
STATES_TITLE = "States over time"
LEFT_TITLE = "Budget left, least first"
NAME = "{{slo}} · {{resource}}"
OF_SERIES = Link("The SLO in detail", detail_url("${{__field.labels.{}}}"))
OF_LINE = Link("The SLO in detail", detail_url("${{__data.fields.{}}}"))
STATE = fleet(names.ALERT_STATE, VERDICT)


def panels(scope: Scope) -> list[core.Panel]:
    """Every panel of the board, placed."""
    return placed(
        [
            Row("Verdict", [(TILE, one) for one in _verdict()]),
            Row("Worst now", [(TABLE, _worst_now(scope))]),
            Row("How did we get here?", [(TABLE, _states())]),
            Row(
                "Budget",
                [(CHART, _budget_left()), (CHART, _budget_over_time(scope))],
            ),
            Row("Can I trust this? The engine itself", engine.panels()),
        ]
    )


def _to(title: str) -> tuple[Link]:
    return leads_to(names.BOARD_OVERVIEW, title)


# -- verdict ----------------------------------------------------------------------


def _verdict() -> list[ModernPanel]:
    return [
        _series_watched(),
        _in_state(
            "Paging",
            "page",
            RED,
            ("open the table below, take the first line, follow its link", TABLE_TITLE),
        ),
        _in_state(
            "Ticketing",
            "ticket",
            ORANGE,
            ("plan the work this week; the budget will not last", LEFT_TITLE),
        ),
        _in_state(
            "Unknown",
            "unknown",
            PURPLE,
            (
                "look at the engine's row, then at the source: stream, agent, connector",
                STATES_TITLE,
            ),
        ),
        _budget_gone(),
        _incidents(),
    ]


def _series_watched() -> ModernPanel:
    about = About(
        "SLO series: every SLO on every resource that its selector matches.",
        "the number that your inventory should give.",
        "a number that falls means that an inventory or a selector changed, or"
        " that an engine process no longer exports.",
    )
    query = Query(f"count({fleet(names.SLO_INFO)})", "series")
    look = Look(unit="none", links=_to(TABLE_TITLE))
    return tile("SLO series", about, query, look)


def _in_state(
    title: str, state: str, color: str, if_bad: tuple[str, str]
) -> ModernPanel:
    """A count of one state; `if_bad` is what to do, and the panel that helps."""
    remedy, panel = if_bad
    about = About(
        f"series whose verdict is *{state}* at this moment.",
        "0. Without any series there is no value: silence is not health.",
        f"{remedy}.",
    )
    query = Query(f"sum({STATE} == bool {STATE_VALUES[state]})", state)
    look = Look(unit="none", steps=any_is(color), links=_to(panel))
    return tile(title, about, query, look)


def _budget_gone() -> ModernPanel:
    about = About(
        "series that have spent all the error budget of their period.",
        "0.",
        "hold back risky changes on these until old incidents leave the period.",
    )
    expr = f"sum({per_series(fleet(names.BUDGET_REMAINING_RATIO))} < bool 0)"
    return tile(
        "Budget exhausted",
        about,
        Query(expr, "exhausted"),
        Look(unit="none", steps=any_is(RED), links=_to(LEFT_TITLE)),
    )


def _incidents() -> ModernPanel:
    about = About(
        "incidents that the engine holds open: one for each service and cluster,"
        " whatever number of its SLOs burn. All clusters, whatever is chosen above.",
        "0.",
        "see PagerDuty; each resolves by itself when none of its SLOs pages.",
    )
    query = Query(f"sum({names.INCIDENTS_OPEN})", "open")
    look = Look(unit="none", steps=any_is(RED), links=_to(TABLE_TITLE))
    return tile("Incidents open", about, query, look)


# -- worst now --------------------------------------------------------------------


def _worst_now(scope: Scope) -> ModernPanel:
    about = About(
        "one line for each series, the fastest burn first; at most 100 lines."
        " Burn is the speed at which the budget is spent: 1 spends it exactly in"
        " its period.",
        "burn below 1, budget above 25 %, coverage above 98 %.",
        "follow the link on SLO: its board says since when, how much and whether"
        " the data can be trusted.",
    )
    sort_by = burn_name(scope.fastest_ms)
    columns = [*_identity(), *_measures(scope), *_burns(scope), *_budget(scope)]
    return table(TABLE_TITLE, about, columns, sort_by)


def _identity() -> list[Column]:
    """The labels, under their own names: the link reads them from there."""
    plain = Look(unit="none")
    linked = Look(unit="none", links=(OF_LINE,))
    first = ("slo", "resource", "cluster", "service", "env")
    return [
        Column(name, linked if name == "slo" else plain, label=name) for name in first
    ]


def _measures(scope: Scope) -> list[Column]:
    sli = per_series(fleet(names.SLI_RATIO, window(scope.fastest_ms)))
    words = Look(unit="none", mappings=verdict_mappings())
    share = Look(unit="percentunit", decimals=3)
    return [
        Column("State", words, per_series(STATE), cell=COLORED_CELL),
        Column("Objective", share, per_series(fleet(names.OBJECTIVE_RATIO))),
        Column(f"SLI {scope.fastest}", share, sli),
    ]


def burn_name(window_ms: int) -> str:
    """The heading of the column of one window's burn."""
    return f"Burn {duration(window_ms)} ({TIMES})"


def _burns(scope: Scope) -> list[Column]:
    return [
        Column(
            burn_name(length),
            Look(
                unit="none",
                decimals=1,
                steps=burn_steps(scope.policy, length, scope.period_ms),
                mappings=unseen_mappings(),
            ),
            per_series(seen(fleet, names.BURN_RATE, length)),
            cell=COLORED_CELL,
        )
        for length in drawn_windows(scope.policy)
    ]


def _budget(scope: Scope) -> list[Column]:
    left = Look(unit="percentunit", decimals=1, low=-0.25, high=1.0, steps=BUDGET_STEPS)
    gone = Look(unit="dtdurations", no_value="not at this rate")
    seen = Look(unit="percentunit", decimals=1, steps=COVERAGE_STEPS)
    return [
        Column(
            "Budget left",
            left,
            per_series(fleet(names.BUDGET_REMAINING_RATIO)),
            cell=GAUGE_CELL,
        ),
        Column(
            "Gone in",
            gone,
            per_series(fleet(names.EXHAUSTION_SECONDS, window(scope.fastest_ms))),
        ),
        Column(
            "Coverage",
            seen,
            per_series(fleet(names.COVERAGE_RATIO)),
            cell=COLORED_CELL,
        ),
    ]


# -- history ----------------------------------------------------------------------


def _states() -> ModernPanel:
    about = About(
        f"the verdict of the {SHOWN} series that were worst in this time range"
        " (unknown, then page, ticket, watch).",
        "green throughout.",
        "a lone red block is an incident that ended; several that begin together"
        " have one cause; purple across a cluster is its source, not its databases.",
    )
    rank = f"topk({SHOWN}, max_over_time({STATE}[$__range] @ end()))"
    look = Look(unit="none", mappings=verdict_mappings(), links=(OF_SERIES,))
    query = Query(leading(STATE, rank), NAME)
    return timeline(STATES_TITLE, about, [query], look)


def _budget_left() -> ModernPanel:
    about = About(
        f"error budget left of the {SHOWN} series that have least; 100 % is an"
        " untouched period, below 0 is overspent.",
        "above 25 %.",
        "below 10 % the next small incident breaks the objective: hold back risky"
        " changes on that cluster.",
    )
    left = per_series(fleet(names.BUDGET_REMAINING_RATIO))
    look = Look(
        unit="percentunit",
        decimals=1,
        low=-0.25,
        high=1.0,
        steps=BUDGET_STEPS,
        links=(OF_SERIES,),
    )
    query = Query(f"sort(bottomk({SHOWN}, {left}))", NAME, instant=True)
    return bars(LEFT_TITLE, about, [query], look)


def _budget_over_time(scope: Scope) -> ModernPanel:
    about = About(
        f"error budget left of the same {SHOWN} series over a whole period.",
        "lines that rise again as old incidents leave the period.",
        "a steady slope is slow burn that no page reports: see the ticket tiers.",
    )
    left = fleet(names.BUDGET_REMAINING_RATIO)
    rank = f"bottomk({SHOWN}, {left} @ end())"
    look = Look(unit="percentunit", steps=BUDGET_STEPS, links=(OF_SERIES,))
    lines = Lines(marks=True, from_zero=True, time_from=duration(scope.period_ms))
    queries = [Query(leading(left, rank), NAME)]
    return chart("Budget left over the period", about, queries, look, lines)
