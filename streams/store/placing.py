"""Which partition each cluster and resource lives in, and that none moves by itself."""

from collections.abc import Mapping

from sqlalchemy import Connection, select

from streams.store import schema
from streams.store.engine import keep

MOVE = "move"
"""The key of the note that a move is under way."""

NAMED = 5
"""How many names a refusal lists before it counts the rest."""


class PlacementError(Exception):
    """Something with history would move to another partition."""


def place(connection: Connection, partition_of: Mapping[str, int]) -> None:
    """Record where clusters and resources live, or refuse to move any.

    Raises PlacementError, naming what would move, or while a move is under way.
    """
    table, meta = schema.placement, schema.meta
    if connection.scalar(select(meta.c.value).where(meta.c.key == MOVE)):
        raise PlacementError(
            "a move of the store is under way, or was interrupted: run `dbslo move"
            " --yes` again before anything evaluates"
        )
    found = _read(connection)
    missing = partition_of.keys() - found.keys()
    if missing:
        rows = [{"cluster": n, "partition": partition_of[n]} for n in sorted(missing)]
        keep(connection, table, rows)
        found = _read(connection)  # somebody else may have been first
    moved = [
        f"{name.removeprefix('@')} from {found[name]} to {wanted}"
        for name, wanted in sorted(partition_of.items(), key=_clusters_first)
        if found[name] != wanted
    ]
    if moved:
        more = f" and {len(moved) - NAMED:,} more" if len(moved) > NAMED else ""
        raise PlacementError(
            "what has history would change partition: "
            f"{', '.join(moved[:NAMED])}{more}. Keep the number of partitions and the"
            " inventory; or stop ingest and evaluate, and run `dbslo move`"
        )


def _clusters_first(row: tuple[str, int]) -> tuple[bool, str]:
    return row[0].startswith("@"), row[0]


def _read(connection: Connection) -> dict[str, int]:
    rows = connection.execute(select(schema.placement)).all()
    return {row.cluster: row.partition for row in rows}
