"""`dbslo explain SLO [RESOURCE]`: how a verdict came about, with every integer."""

from pathlib import Path
from typing import Any

import click
import msgspec

from dbslo import options, output
from dbslo.commands.budget import objective
from dbslo.commands.status import gravity
from dbslo.given import given
from dbslo.look import chosen, look
from dbslo.output import Column, percent, rfc3339, span
from slo.model import MILLIONTHS, SECOND, Budgeting
from slo.names import duration
from slo.policy import Policy, Tier
from slo.verdict import Status
from streams.view import SeriesView

NEVER = "never observed, so none is known"
WINDOWS = (
    Column("window"),
    Column("good", right=True),
    Column("bad", right=True),
    Column("total", right=True),
    Column("burn", right=True),
    Column("coverage", right=True),
    Column("before first data", right=True),
)
TIERS = (
    Column("tier"),
    Column("fires above", right=True),
    Column("long", right=True),
    Column("short", right=True),
    Column("hot", right=True),
    Column("verdict"),
    Column("why"),
)


@click.command(
    epilog=options.examples(
        "dbslo explain replicas-fresh",
        "dbslo explain replicas-fresh payments-1-r1 --json",
    )
)
@click.argument("slo")
@click.argument("resource", required=False)
@options.inventory
@options.specs
@options.store
@options.as_json
def command(
    slo: str,
    resource: str | None,
    inventory: Path | None,
    specs: tuple[Path, ...],
    store: str | None,
    as_json: bool,
) -> None:
    """Explain a verdict: windows, tiers, guards, coverage, sources.

    The gravest comes first. Resources that were never observed stand together on one
    line; name one to see it whole.
    """
    have = given(inventory, specs, store)
    with look(have) as at:
        views = sorted(chosen(at.views(), slo, resource), key=gravity)
    if as_json:
        output.emit([line(view) for view in views])
        return
    shown = [view for view in views if view.status.observed or resource]
    for number, view in enumerate(shown):
        if number:
            output.say()
        tell(view, have.plan.policy)
    unseen = [view.series.resource.name for view in views if view not in shown]
    if unseen:
        output.say(f"{slo} was never observed on {', '.join(unseen)}")


def tell(view: SeriesView, policy: Policy) -> None:
    """One series, for people."""
    series, status = view.series, view.status
    where = " ".join(part for part in (series.cluster.env, series.cluster.name) if part)
    verdict = status.verdict.value
    title = f"{series.slo.name} on {series.resource.name} ({where}): {verdict}"
    output.say(title, style=output.STYLES[verdict])
    output.say(f"  {status.reason}")
    for name, text in facts(view, policy):
        output.say(f"  {name:<11}{text}")
    output.say()
    shown = sorted(status.windows.values(), key=lambda window: window.window_ms)
    output.table(
        WINDOWS,
        [
            (
                duration(window.window_ms),
                amount(view, window.good),
                amount(view, window.total - window.good),
                amount(view, window.total),
                burn(view, duration(window.window_ms)),
                percent(window.coverage, 0),
                span(window.prior_ms) if window.prior_ms else "-",
            )
            for window in shown
        ],
    )
    output.say()
    output.table(TIERS, [tier_row(view, tier, policy) for tier in policy.tiers])


def facts(view: SeriesView, policy: Policy) -> list[tuple[str, str]]:
    """What a person asks after the verdict itself, as (name, text)."""
    slo, status, budget = view.series.slo, view.status, view.status.budget
    slices = f" of {duration(slo.slice_ms)}" if slo.sliced else ""
    alert = view.alert
    since = f" since {rfc3339(alert.since_ms)}" if alert.since_ms else ""
    budgeted = NEVER
    if status.observed:
        left = f"{percent(budget.remaining_ratio)} left, {span(budget.remaining_ms)}"
        if budget.remaining_ratio < 0:
            left = f"overspent by {percent(-budget.remaining_ratio)}"
            left += f", {span(-budget.remaining_ms)}"
        budgeted = f"{left} as outage; {percent(budget.spent_ratio)} spent"
    return [
        ("objective", f"{objective(view)} in {duration(slo.period_ms)}"),
        ("indicator", f"{slo.indicator.id}, counted as {slo.budgeting.value}{slices}"),
        ("now", f"{rfc3339(view.now_ms)}, windows end {rfc3339(status.end_ms)}"),
        ("first data", _first(view, policy)),
        ("sources", _sources(view)),
        ("guards", _guards(view)),
        ("coverage", f"{percent(status.coverage)} of the fastest tier's long window"),
        ("budget", budgeted),
        ("alert", f"{alert.level.value}{since}"),
        ("restated", f"{view.revisions} buckets changed after they were counted"),
    ]


def burn(view: SeriesView, window: str) -> str:
    """The burn of a window; that of a series that was never observed is not 0."""
    if not view.status.observed:
        return "-"
    return f"{view.status.windows[window].burn:.2f}x"


def _first(view: SeriesView, policy: Policy) -> str:
    first_ms = view.status.first_ms
    if first_ms is None:
        return "none yet"
    age_ms = view.status.end_ms - first_ms
    longest_ms = max(policy.windows_ms)
    young = age_ms < longest_ms
    note = f"; young: {duration(longest_ms)} counts the time before it as good"
    return rfc3339(first_ms) + (note if young else "")


def _guards(view: SeriesView) -> str:
    slo = view.series.slo
    of = f" of at least {slo.min_total}" if slo.min_total else ""
    return f"at least {slo.min_bad} bad{of} in a tier's long window"


def _sources(view: SeriesView) -> str:
    feeds = [
        f"{feed.source} every {duration(feed.cadence_ms)},"
        f" up to {duration(feed.arrival_lag_ms)} late"
        for feed in view.series.feeds
    ]
    age = view.source_age_ms
    newest = "no data yet" if age is None else f"newest judged data {span(age)} old"
    return f"{'; else '.join(feeds)}; {newest}"


def amount(view: SeriesView, count: int) -> str:
    """Counts as people count them: millionths of a slice become slices."""
    if view.series.slo.budgeting is Budgeting.RATIO_TIMESLICES:
        return f"{count / MILLIONTHS:,.2f}"
    return f"{count:,}"


def tier_row(view: SeriesView, tier: Tier, policy: Policy) -> tuple[str, ...]:
    """A tier of the policy as a row of the table."""
    status = view.status
    judged = next(one for one in status.tiers if one.tier == tier.name)
    hot_ms = status.hot_ms.get(tier.name)
    floor_ms = status.hot_floor_ms or policy.hot_floor_ms
    return (
        tier.name,
        f"{float(tier.factor(view.series.slo.period_ms)):g}x",
        *(
            f"{duration(ms)} {burn(view, duration(ms))}"
            for ms in (tier.long_ms, tier.short_ms)
        ),
        "-" if hot_ms is None else f"{span(hot_ms)} of {floor_ms // SECOND}s",
        judged.verdict.value,
        judged.reason or "-",
    )


def line(view: SeriesView) -> dict[str, object]:
    """A view as JSON, whole."""
    slo, status = view.series.slo, view.status
    return {
        **view.series.labels,
        "indicator": slo.indicator.id,
        "objective_ratio": float(slo.target),
        "budgeting": slo.budgeting.value,
        "min_bad": slo.min_bad,
        "min_total": slo.min_total,
        "now_ms": view.now_ms,
        "source_age_ms": view.source_age_ms,
        "revisions": view.revisions,
        "sources": [
            {
                "source": feed.source,
                "cadence_ms": feed.cadence_ms,
                "arrival_lag_ms": feed.arrival_lag_ms,
            }
            for feed in view.series.feeds
        ],
        "status": judged(status),
        "alert": msgspec.to_builtins(view.alert),
    }


def judged(status: Status) -> dict[str, Any]:
    """A status as JSON; of what was never observed no burn and no budget is known."""
    found: dict[str, Any] = msgspec.to_builtins(status)
    if not status.observed:
        found["budget"] = None
        for window in found["windows"].values():
            window["burn"] = None
    return found
