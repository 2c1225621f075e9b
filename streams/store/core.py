"""The store: one transaction a flush, whose first statement is the fence."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import msgspec
from sqlalchemy import Connection, delete, func, select, update

from slo.verdict import Incident, VerdictChange
from streams.deadletter import DeadLetter
from streams.store import schema
from streams.store.engine import keep, open_engine
from streams.store.history import incident_of, read_history
from streams.store.outbox import SqlOutbox, put_notices
from streams.store.placing import place
from streams.store.postgresql import LIMITS, Limits, unhurried
from streams.store.pruning import ROWS_AT_ONCE, prune, residue
from streams.store.records import Change, History, Progress, Residue, SourceOffset
from streams.store.steps import (
    RehearsedError,
    fence,
    same_topic,
    write_alerts,
    write_extras,
    write_history,
)


def id_of(text: bytes) -> int:
    """A stable 64-bit id, signed as SQL integers are."""
    digest = hashlib.blake2b(text, digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


class Store(SqlOutbox):
    """The database behind stage 2. Safe to share between threads.

    `url`: `sqlite:///path` or `postgresql+psycopg://...`. Raises SchemaError where a
    later version wrote it. `lazy`: it is first asked where it is first used.
    `noticed` is called after each commit that leaves somebody to be told; it must not
    wait.
    """

    def __init__(
        self, url: str, *, lazy: bool = False, limits: Limits = LIMITS
    ) -> None:
        super().__init__(open_engine(url, limits))
        # SQLite's transactions are snapshots by themselves.
        postgresql = self._engine.dialect.name == "postgresql"
        level = {"isolation_level": "REPEATABLE READ"} if postgresql else {}
        self.noticed: Callable[[], None] = lambda: None
        self._snapshots = self._engine.execution_options(**level)
        if not lazy:
            self.prepare()

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()

    # -- the fence ---------------------------------------------------------------

    def take(
        self, partition: int, cluster_id: str = "", topic_id: str = ""
    ) -> Progress:
        """Become the partition's owner: whoever was it before is fenced from now on.

        Raises WrongTopicError where the store knows the partition of another topic.
        """
        table = schema.progress
        row = {
            "partition": partition,
            "next": 0,
            "epoch": 0,
            "cluster_id": cluster_id,
            "topic_id": topic_id,
            "frontier": b"",
        }
        with self.writing() as connection:
            keep(connection, table, [row])
            mine = table.c.partition == partition
            connection.execute(
                update(table).where(mine).values(epoch=table.c.epoch + 1)
            )
            found = connection.execute(select(table).where(mine)).one()
            same_topic(found, cluster_id, topic_id)
        return Progress(
            partition, found.next, found.epoch, found.frontier, found.saved_ms
        )

    def commit(self, mine: Progress, change: Change) -> Progress:
        """Save a change, or raise FencedError and save nothing.

        Raises RehearsedError, and saves nothing either, after a rehearsal.

        1. The fence: progress moves only from where this worker left it.
        2. Facts and counts, as a journal entry or, at a checkpoint, as pages.
        3. Alerts, verdicts, incidents and what people are to be told.
        """
        with self.writing() as connection:
            fence(connection, mine, change)
            write_history(connection, mine.partition, change)
            write_alerts(connection, mine.partition, change)
            put_notices(connection, change.notices, change.clock_ms)
            write_extras(connection, change.extras)
            if change.checkpoint is not None:
                prune(connection, mine.partition, change.checkpoint, change.clock_ms)
            if change.rehearsal:
                raise RehearsedError
        if change.notices:
            self.noticed()
        return msgspec.structs.replace(mine, next=change.after)

    # -- reading back --------------------------------------------------------------

    def progress(self, partition: int) -> Progress | None:
        """Where a partition stands, without taking it; None where nobody ever did."""
        table = schema.progress
        with self.reading() as connection:
            row = connection.execute(
                select(table).where(table.c.partition == partition)
            ).one_or_none()
        if row is None:
            return None
        return Progress(partition, row.next, row.epoch, row.frontier, row.saved_ms)

    def partitions(self) -> list[int]:
        """The partitions that have history."""
        with self.reading() as connection:
            return sorted(connection.scalars(select(schema.progress.c.partition)))

    def history(self, partition: int, resident_hours: int) -> History:
        """All that an image of a partition is loaded from, read in one snapshot.

        Of the facts only the newest hours; `fact_page` reads the others.
        """
        with self.reading() as connection:
            unhurried(connection)
            in_bytes = connection.execution_options(in_bytes=True)
            return read_history(in_bytes, partition, resident_hours)

    def residue(self, partition: int, known: dict[int, str]) -> Residue:
        """What is kept for a partition that its plan, `known` keys by id, has not.

        At most as much as one commit forgets.
        """
        with self.reading() as connection:
            return residue(connection, partition, known, ROWS_AT_ONCE)

    def fact_page(self, route_id: int, hour: int) -> bytes | None:
        """A page of facts that is no longer in memory."""
        table = schema.fact_page
        wanted = (table.c.route_id == route_id) & (table.c.hour == hour)
        with self.reading() as connection:
            return connection.scalar(select(table.c.data).where(wanted))

    def ledger_page(self, series_id: int, page: int) -> bytes | None:
        """A page of a ledger that is folded in memory."""
        table = schema.ledger_page
        wanted = (table.c.series_id == series_id) & (table.c.page == page)
        with self.reading() as connection:
            return connection.scalar(select(table.c.data).where(wanted))

    def changes(self, after_id: int = 0) -> list[tuple[int, VerdictChange]]:
        """The changes of verdict with an id above one, oldest first."""
        table = schema.verdict_change
        query = select(table.c.id, table.c.line).where(table.c.id > after_id)
        with self.reading() as connection:
            rows = connection.execute(query.order_by(table.c.id)).all()
        return [(r.id, msgspec.json.decode(r.line, type=VerdictChange)) for r in rows]

    def incidents(self) -> list[Incident]:
        """Every incident, oldest first."""
        table = schema.incident
        with self.reading() as connection:
            rows = connection.execute(select(table).order_by(table.c.opened_ms)).all()
        return [incident_of(row) for row in rows]

    # -- embedded runs -----------------------------------------------------------------

    def source_offsets(self, run: str) -> list[SourceOffset]:
        """How far an embedded run has read its sources."""
        table = schema.source_offset
        with self.reading() as connection:
            rows = connection.execute(select(table).where(table.c.run == run)).all()
        return [SourceOffset(r.topic, r.partition, r.next, r.metadata) for r in rows]

    def dead_letters(self) -> list[tuple[int, DeadLetter]]:
        """The dead letters of embedded runs with their ids, oldest first."""
        table = schema.dead_letter
        with self.reading() as connection:
            rows = connection.execute(select(table).order_by(table.c.id)).all()
        return [(row.id, DeadLetter(*row[1:])) for row in rows]

    def put_aside(self, format_name: str) -> int:
        """How many dead letters there are of a format."""
        table = schema.dead_letter
        query = select(func.count()).where(table.c.format == format_name)
        with self.reading() as connection:
            return connection.scalar(query) or 0

    def forget_dead_letter(self, number: int) -> None:
        """Drop a dead letter that was retried."""
        table = schema.dead_letter
        with self.writing() as connection:
            connection.execute(delete(table).where(table.c.id == number))

    # -- placement ---------------------------------------------------------------------

    def place(self, partition_of: Mapping[str, int]) -> None:
        """Record where clusters and resources live, or refuse to move any.

        Raises PlacementError, naming what would move, or while a move is under way.
        """
        with self.writing() as connection:
            place(connection, partition_of)

    def placed(self) -> dict[str, int]:
        """The partition of every cluster and resource that has one."""
        with self.reading() as connection:
            rows = connection.execute(select(schema.placement)).all()
        return {row.cluster: row.partition for row in rows}

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A snapshot to read from: no commit shows in its midst."""
        with self.begun(self._snapshots) as connection:
            yield connection
