"""`dbslo run`: both stages in one process."""

from pathlib import Path

import click

from dbslo import options
from dbslo.given import given
from dbslo.serve import serve, serve_embedded


@click.command(
    epilog=options.examples(
        "dbslo run    # the embedded broker; its address is printed",
        "DBSLO_KAFKA=kafka:9092 DBSLO_STORE=postgresql+psycopg://... dbslo run",
    )
)
@options.inventory
@options.specs
@options.store
@options.log_json
def command(
    inventory: Path | None, specs: tuple[Path, ...], store: str | None, as_json: bool
) -> None:
    """Run both stages, delivery and /metrics in one process.

    Without DBSLO_KAFKA a broker is embedded, for one machine: produce the raw topics
    into the address that is printed. It ends cleanly on SIGTERM and SIGINT.
    """
    have = given(inventory, specs, store)
    if have.settings.kafka:
        serve(have, ingests=True, evaluates=True, as_json=as_json)
    else:
        serve_embedded(have, as_json=as_json)
