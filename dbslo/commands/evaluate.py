"""`dbslo evaluate`: stage 2 on Kafka."""

from pathlib import Path

import click

from dbslo import options
from dbslo.given import given
from dbslo.serve import serve


@click.command(
    epilog=options.examples(
        "DBSLO_KAFKA=kafka:9092 DBSLO_STORE=postgresql+psycopg://... dbslo evaluate",
        "dbslo evaluate --runtime faust",
    )
)
@options.inventory
@options.specs
@options.store
@click.option(
    "--runtime",
    type=click.Choice(["native", "faust"]),
    help="What reads Kafka.  [env: DBSLO_RUNTIME; default: native]",
)
@options.log_json
def command(
    inventory: Path | None,
    specs: tuple[Path, ...],
    store: str | None,
    runtime: str | None,
    as_json: bool,
) -> None:
    """Run stage 2: observations in; ledger, verdicts and pages out.

    Run as many as the observations topic has partitions, all on one store.
    """
    have = given(inventory, specs, store, runtime=runtime)
    have.settings.require("DBSLO_KAFKA")
    serve(have, ingests=False, evaluates=True, as_json=as_json)
