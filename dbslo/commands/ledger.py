"""`dbslo ledger`: what was counted, as a table or as the lines that equality is about."""

from pathlib import Path

import click

from dbslo import options, output
from dbslo.given import given
from dbslo.look import look
from dbslo.output import Column, rfc3339
from streams import reading
from streams.view import SeriesView

COLUMNS = (
    Column("series"),
    Column("first data"),
    Column("now"),
    Column("good", right=True),
    Column("total", right=True),
    Column("restated", right=True),
)


@click.command(
    epilog=options.examples(
        "dbslo ledger",
        "dbslo ledger --dump --until 2026-11-24T20:00:00Z > ledger.tsv",
    )
)
@options.inventory
@options.specs
@options.store
@click.option("--dump", is_flag=True, help="Print every bucket, sorted.")
@click.option(
    "--until",
    type=options.TIME,
    help="With --dump: only buckets that end by then.  [default: all]",
)
@options.as_json
def command(
    inventory: Path | None,
    specs: tuple[Path, ...],
    store: str | None,
    dump: bool,
    until: int | None,
    as_json: bool,
) -> None:
    """Show the ledger: good and total per series or bucket.

    A dumped line is series, bucket start in epoch ms, good, total, with tabs between.
    Two runs over the same records give the same lines.
    """
    if until is not None and not dump:
        raise click.UsageError("--until belongs to --dump")
    have = given(inventory, specs, store)
    with look(have) as at:
        if dump:
            end = 1 << 62 if until is None else until
            for bucket in reading.dump(at.plan, at.store, at.topics, end):
                print(as_object(bucket) if as_json else bucket)
            return
        views = at.views()
    if as_json:
        output.emit([line(view) for view in views])
    else:
        output.table(COLUMNS, map(row, views))


def as_object(bucket: str) -> str:
    """A dumped line as JSON."""
    series, start, good, total = bucket.split("\t")
    return f'{{"series":"{series}","start_ms":{start},"good":{good},"total":{total}}}'


def row(view: SeriesView) -> tuple[str, ...]:
    """A view as a row of the table."""
    first_ms = view.status.first_ms
    return (
        view.series.key,
        "-" if first_ms is None else rfc3339(first_ms),
        rfc3339(view.now_ms) if view.now_ms else "-",
        f"{view.now_known.good:,}",
        f"{view.now_known.total:,}",
        f"{view.revisions:,}",
    )


def line(view: SeriesView) -> dict[str, object]:
    """A view as JSON."""
    return {
        "series": view.series.key,
        "first_ms": view.status.first_ms,
        "now_ms": view.now_ms,
        "good": view.now_known.good,
        "total": view.now_known.total,
        "first_known_good": view.first_known.good,
        "first_known_total": view.first_known.total,
        "revisions": view.revisions,
    }
