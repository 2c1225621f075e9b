"""`dbslo ingest`: stage 1 on Kafka."""

from pathlib import Path

import click

from dbslo import options
from dbslo.given import given
from dbslo.serve import serve


@click.command(
    epilog=options.examples("DBSLO_KAFKA=kafka:9092 DBSLO_SLOT=0 dbslo ingest")
)
@options.inventory
@options.specs
@options.log_json
def command(inventory: Path | None, specs: tuple[Path, ...], as_json: bool) -> None:
    """Run stage 1: raw topics in, batches of observations out.

    Run as many as there are cores or partitions, each with a DBSLO_SLOT of its own.
    """
    have = given(inventory, specs)
    have.settings.require("DBSLO_KAFKA")
    serve(have, ingests=True, evaluates=False, as_json=as_json)
