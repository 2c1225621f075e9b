"""`dbslo status`: every series with its verdict, the gravest first."""

from pathlib import Path

import click

from dbslo import options, output
from dbslo.given import given
from dbslo.look import chosen, look
from dbslo.output import Column
from dbslo.telling import refused_pages
from slo.verdict import Verdict
from streams.view import SeriesView

GRAVITY = (Verdict.PAGE, Verdict.TICKET, Verdict.UNKNOWN, Verdict.WATCH, Verdict.OK)
COLUMNS = (
    Column("verdict"),
    Column("slo"),
    Column("resource"),
    Column("cluster", spare=5),
    Column("burn 5m", right=True, spare=3),
    Column("burn 1h", right=True, spare=1),
    Column("budget left", right=True),
    Column("coverage", right=True, spare=4),
    Column("data age", right=True, spare=2),
    Column("why", wraps=True),
)


@click.command(
    epilog=options.examples(
        "dbslo status",
        "dbslo status replicas-fresh --json",
        "dbslo status --check    # exit 1 where something pages",
    )
)
@click.argument("slo", required=False)
@options.inventory
@options.specs
@options.store
@options.as_json
@click.option("--check", is_flag=True, help="Exit 1 where a series is at page.")
def command(
    slo: str | None,
    inventory: Path | None,
    specs: tuple[Path, ...],
    store: str | None,
    as_json: bool,
    check: bool,
) -> None:
    """Show every series: verdict, burn, budget left, coverage."""
    have = given(inventory, specs, store)
    with look(have) as at:
        views = sorted(chosen(at.views(), slo), key=gravity)
        refused = refused_pages(at.store.letters())
    if as_json:
        output.emit([line(view) for view in views])
    else:
        output.table(COLUMNS, map(row, views))
    for sentence in refused:
        output.complain(sentence)
    if check and any(view.status.verdict is Verdict.PAGE for view in views):
        raise SystemExit(1)


def gravity(view: SeriesView) -> tuple[int, float, str]:
    """Sort key: the gravest verdict first, then the least budget."""
    status = view.status
    left = status.budget.remaining_ratio
    return GRAVITY.index(status.verdict), left, view.series.key


def row(view: SeriesView) -> tuple[str, ...]:
    """A view as a row of the table."""
    series, status = view.series, view.status
    age = view.source_age_ms
    return (
        status.verdict.value,
        series.slo.name,
        series.resource.name,
        series.cluster.name,
        burn(view, "5m"),
        burn(view, "1h"),
        output.percent(status.budget.remaining_ratio) if status.observed else "-",
        output.percent(status.coverage, 0) if status.observed else "-",
        "-" if age is None else output.span(age),
        status.reason,
    )


def burn(view: SeriesView, window: str) -> str:
    """The burn of a window as text; "-" where there is none to speak of."""
    found = view.status.windows.get(window)
    if found is None or not view.status.observed:
        return "-"
    return f"{found.burn:.1f}x"


def line(view: SeriesView) -> dict[str, object]:
    """A view as JSON."""
    series, status = view.series, view.status
    seen = status.observed  # of what was never seen nothing reads as healthy
    return {
        **series.labels,
        "verdict": status.verdict.value,
        "tier": status.tier,
        "reason": status.reason,
        "observed": status.observed,
        "burn": {
            name: window.burn if seen else None
            for name, window in status.windows.items()
        },
        "budget_remaining_ratio": status.budget.remaining_ratio if seen else None,
        "coverage_ratio": status.coverage if seen else None,
        "source_age_ms": view.source_age_ms,
        "now_ms": view.now_ms,
    }
