"""Moving history to other partitions: the rows of the store, all of them or none.

Who calls this has seen to it that nobody ingests or evaluates, and that the journals
are empty. A note says that a move is under way: while it stands nobody may evaluate.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, Protocol

import msgspec
from sqlalchemy import Column, Connection, Table, delete, func, select, update

from slo.verdict import VerdictChange
from streams.batch import Route
from streams.store import schema
from streams.store.core import Store
from streams.store.engine import upsert
from streams.store.placing import MOVE

Moves = list[tuple[Any, int]]
"""The key of a row, and the partition that it is to have."""


class Destination(Protocol):
    """Where things live after a move; None: unknown, it stays where it is."""

    @property
    def partitions(self) -> int:
        """How many partitions there are."""

    def of_cluster(self, name: str) -> int:
        """The partition of a cluster."""

    def of_resource(self, key: str) -> int | None:
        """The partition of a resource."""

    def of_series(self, key: str) -> int | None:
        """The partition of a series."""

    def placed(self, name: str, now: int) -> int:
        """The partition of a row of the placement."""


class Note(msgspec.Struct, frozen=True):
    """A move that is under way, and the topic that it began with."""

    partitions_from: int
    partitions_to: int
    topic_id: str


class Head(NamedTuple):
    """Where a partition goes on after the move."""

    partition: int
    next: int
    frontier: bytes


class UnsettledError(Exception):
    """Somebody wrote to the store while it was moved: nothing was changed."""


# -- the note ---------------------------------------------------------------------


def noted(store: Store) -> Note | None:
    """The move that is under way, None where none is."""
    meta = schema.meta
    with store.reading() as connection:
        found = connection.scalar(select(meta.c.value).where(meta.c.key == MOVE))
    return None if found is None else msgspec.json.decode(found, type=Note)


def note(store: Store, move: Note) -> None:
    """Say that a move is under way: from now on nobody may evaluate."""
    row = {"key": MOVE, "value": msgspec.json.encode(move).decode()}
    with store.writing() as connection:
        upsert(connection, schema.meta, [row])


# -- looking ----------------------------------------------------------------------


def journals(store: Store) -> dict[int, int]:
    """How many entries the journal of each partition holds, where there are any."""
    own = schema.journal.c.partition
    with store.reading() as connection:
        rows = connection.execute(select(own, func.count()).group_by(own)).all()
    return {row[0]: row[1] for row in rows}


def filled_from(store: Store) -> set[tuple[str, str]]:
    """The Kafka clusters and topics that the store's offsets are of."""
    table = schema.progress
    with store.reading() as connection:
        query = select(table.c.cluster_id, table.c.topic_id).distinct()
        return {(row.cluster_id, row.topic_id) for row in connection.execute(query)}


def moving(store: Store, to: Destination) -> dict[str, tuple[int, int]]:
    """What stands in the placement and would move: name to (from, to)."""
    return {
        name: (was, to.placed(name, was))
        for name, was in sorted(store.placed().items())
        if to.placed(name, was) != was
    }


# -- moving -----------------------------------------------------------------------


def rewrite(
    store: Store, to: Destination, heads: Iterable[Head], ids: tuple[str, str]
) -> dict[str, int]:
    """Give every row its new partition, forget the note, in one transaction.

    `heads` are the partitions as they go on, `ids` the Kafka cluster and topic that
    their offsets are of. Every epoch grows, so that whoever still has a partition is
    fenced. Returns how many rows moved, by table. Raises UnsettledError where a
    journal is not empty.
    """
    with store.writing() as connection:
        if connection.scalar(select(func.count()).select_from(schema.journal)):
            raise UnsettledError(
                "the journal is not empty: a worker evaluated while the store was moved"
            )
        moved = {
            table.name: _move(connection, table, column, moves(connection, to))
            for table, column, moves in STEPS
        }
        for table in (step.table for step in STEPS):
            _gather(connection, table, to.partitions)
        moved[schema.placement.name] = _replace(connection, to)
        _begin(connection, list(heads), ids)
        connection.execute(delete(schema.meta).where(schema.meta.c.key == MOVE))
    return {name: count for name, count in moved.items() if count}


def _move(connection: Connection, table: Table, key: Column[Any], moves: Moves) -> int:
    """Set the partitions of rows by a key; those that have it already count nothing."""
    count = 0
    by_partition: dict[int, list[Any]] = {}
    for value, partition in moves:
        by_partition.setdefault(partition, []).append(value)
    for partition, values in sorted(by_partition.items()):
        elsewhere = table.c.partition != partition
        for some in _slices(values):
            statement = update(table).where(elsewhere, key.in_(some))
            count += connection.execute(statement.values(partition=partition)).rowcount
    return count


def _slices(values: list[Any], size: int = 500) -> Iterable[list[Any]]:
    return (values[at : at + size] for at in range(0, len(values), size))


def _gather(connection: Connection, table: Table, partitions: int) -> None:
    """What nobody knows any more must not stay in a partition that is gone."""
    here = table.c.partition
    connection.execute(
        update(table).where(here >= partitions).values(partition=here % partitions)
    )


def _replace(connection: Connection, to: Destination) -> int:
    table = schema.placement
    rows = connection.execute(select(table.c.cluster, table.c.partition)).all()
    moved = [
        {"cluster": name, "partition": to.placed(name, was)}
        for name, was in rows
        if to.placed(name, was) != was
    ]
    upsert(connection, table, moved)
    return len(moved)


def _begin(connection: Connection, heads: list[Head], ids: tuple[str, str]) -> None:
    table = schema.progress
    epoch = connection.scalar(select(func.max(table.c.epoch))) or 0
    cluster_id, topic_id = ids
    rows = [
        {
            **head._asdict(),
            "epoch": epoch + 1,
            "cluster_id": cluster_id,
            "topic_id": topic_id,
        }
        for head in heads
    ]
    upsert(connection, table, rows)
    kept = [head.partition for head in heads]
    connection.execute(delete(table).where(table.c.partition.not_in(kept)))


# -- whose row is it? -----------------------------------------------------------------


def _known(pairs: Iterable[tuple[Any, int | None]]) -> Moves:
    return [(key, home) for key, home in pairs if home is not None]


def _routes(connection: Connection, to: Destination) -> Moves:
    table = schema.route
    rows = connection.execute(select(table.c.id, table.c.route)).all()
    read = msgspec.msgpack.Decoder(Route).decode
    return _known((r.id, to.of_resource(read(r.route).resource)) for r in rows)


def _series(connection: Connection, to: Destination) -> Moves:
    table = schema.series
    rows = connection.execute(select(table.c.id, table.c.key)).all()
    return _known((r.id, to.of_series(r.key)) for r in rows)


def _alerts(connection: Connection, to: Destination) -> Moves:
    keys = connection.scalars(select(schema.alert.c.series)).all()
    return _known((key, to.of_series(key)) for key in keys)


def _incidents(connection: Connection, to: Destination) -> Moves:
    names = connection.scalars(select(schema.incident.c.cluster).distinct()).all()
    return [(name, to.of_cluster(name)) for name in names]


def _changes(connection: Connection, to: Destination) -> Moves:
    table = schema.verdict_change
    rows = connection.execute(select(table.c.id, table.c.line)).all()
    read = msgspec.json.Decoder(VerdictChange).decode

    def key(line: bytes) -> str:
        change = read(line)
        return f"{change.slo}/{change.resource}"

    return _known((r.id, to.of_series(key(r.line))) for r in rows)


class Step(NamedTuple):
    """A table, the column that says whose a row is, and where each goes."""

    table: Table
    key: Column[Any]
    moves: Callable[[Connection, Destination], Moves]


STEPS = (
    Step(schema.fact_page, schema.fact_page.c.route_id, _routes),
    Step(schema.route, schema.route.c.id, _routes),
    Step(schema.ledger_page, schema.ledger_page.c.series_id, _series),
    Step(schema.ledger_history, schema.ledger_history.c.series_id, _series),
    Step(schema.series, schema.series.c.id, _series),
    Step(schema.alert, schema.alert.c.series, _alerts),
    Step(schema.incident, schema.incident.c.cluster, _incidents),
    Step(schema.verdict_change, schema.verdict_change.c.id, _changes),
)

APART: Mapping[str, str] = {
    "progress": "the partitions themselves, begun anew",
    "journal": "empty by then",
    "placement": "what says where things live",
    "source_offset": "partitions of the sources of an embedded run",
    "dead_letter": "partitions of the sources of an embedded run",
}
"""Tables with a partition that are not among the steps, and why."""
