"""`dbslo budget`: what is left of each error budget, and how long it lasts."""

from pathlib import Path

import click

from dbslo import options, output
from dbslo.given import given
from dbslo.look import chosen, look
from dbslo.output import Column
from slo.names import duration
from streams.view import SeriesView

COLUMNS = (
    Column("slo"),
    Column("resource"),
    Column("objective", right=True),
    Column("period", right=True),
    Column("bad", right=True),
    Column("total", right=True),
    Column("spent", right=True),
    Column("left", right=True),
    Column("left as outage", right=True),
    Column("gone in, at 1h burn", right=True),
)


@click.command(
    epilog=options.examples("dbslo budget", "dbslo budget replicas-fresh --json")
)
@click.argument("slo", required=False)
@options.inventory
@options.specs
@options.store
@options.as_json
def command(
    slo: str | None,
    inventory: Path | None,
    specs: tuple[Path, ...],
    store: str | None,
    as_json: bool,
) -> None:
    """Show the error budget of every series, the least left first."""
    have = given(inventory, specs, store)
    with look(have) as at:
        views = sorted(chosen(at.views(), slo), key=left)
    if as_json:
        output.emit([line(view) for view in views])
        return
    seen = [view for view in views if view.status.observed]
    output.table(COLUMNS, map(row, seen))
    unseen = [view.series.key for view in views if not view.status.observed]
    if unseen:
        output.complain(f"never observed, no budget known: {', '.join(unseen)}")


def left(view: SeriesView) -> tuple[bool, float]:
    """Sort key: the least left first, what was never observed last."""
    return not view.status.observed, view.status.budget.remaining_ratio


def gone_ms(view: SeriesView) -> float | None:
    """Until the budget is gone at the burn of the last hour; None: never."""
    window = view.status.windows.get("1h")
    if window is None or window.burn <= 0:
        return None
    left = max(view.status.budget.remaining_ratio, 0.0)
    return left * view.series.slo.period_ms / window.burn


def row(view: SeriesView) -> tuple[str, ...]:
    """A view as a row of the table."""
    series, budget, gone = view.series, view.status.budget, gone_ms(view)
    return (
        series.slo.name,
        series.resource.name,
        objective(view),
        duration(series.slo.period_ms),
        f"{budget.total - budget.good:,}",
        f"{budget.total:,}",
        output.percent(budget.spent_ratio),
        output.percent(budget.remaining_ratio),
        output.span(budget.remaining_ms),
        "never" if gone is None else output.span(gone),
    )


def objective(view: SeriesView) -> str:
    """The objective as people say it: 99.5%."""
    return f"{float(100 * view.series.slo.target):.12g}%"


def line(view: SeriesView) -> dict[str, object]:
    """A view as JSON."""
    slo, budget = view.series.slo, view.status.budget
    seen = view.status.observed
    return {
        **view.series.labels,
        "observed": seen,
        "objective_ratio": float(slo.target),
        "period_ms": slo.period_ms,
        "budgeting": slo.budgeting.value,
        "good": budget.good,
        "total": budget.total,
        "spent_ratio": budget.spent_ratio if seen else None,
        "remaining_ratio": budget.remaining_ratio if seen else None,
        "remaining_ms": budget.remaining_ms if seen else None,
        "gone_in_ms": gone_ms(view),
    }
