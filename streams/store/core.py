"""The store: one transaction a flush, whose first statement is the fence."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
from sqlalchemy import Connection, delete, func, select, update

from slo.model import Alert, Incident, Verdict, VerdictChange
from slo.notice import Notice
from streams.batch import Route
from streams.deadletter import DeadLetter
from streams.store import schema
from streams.store.engine import Rows, keep, open_engine, upsert
from streams.store.outbox import SqlOutbox, put_notices


class FencedError(Exception):
    """Somebody else was here: discard the image, take the fence again, seek."""


class WrongTopicError(Exception):
    """The store belongs to another Kafka cluster or topic."""


class PlacementError(Exception):
    """A cluster with history would move to another partition."""


class Progress(msgspec.Struct, frozen=True):
    """What this worker last read or wrote of a partition's progress."""

    partition: int
    next: int
    epoch: int
    frontier: bytes = b""


class Claimed(msgspec.Struct, frozen=True):
    """A series' alert with its last verdict, as stored."""

    alert: Alert
    verdict: Verdict


class SeriesRow(msgspec.Struct, frozen=True):
    """The counters of a series that its pages do not tell."""

    id: int
    key: str
    known_good: int
    known_bad: int
    revisions: int
    first_ms: int | None


class Checkpoint(msgspec.Struct, frozen=True):
    """The pages that changed since the last one; they replace the journal.

    `facts` and `ledgers` are (owner id, page number, data); pages of facts before
    `facts_from` (hours) and of ledgers before `ledgers_from` are dropped.
    """

    routes: list[tuple[int, bytes]]
    facts: list[tuple[int, int, bytes]]
    ledgers: list[tuple[int, int, bytes]]
    series: list[SeriesRow]
    facts_from: int
    ledgers_from: int


class SourceOffset(msgspec.Struct, frozen=True):
    """How far a source partition was read in an embedded run, with its CDC marks."""

    topic: str
    partition: int
    next: int
    metadata: str


class Extras(msgspec.Struct, frozen=True):
    """What an embedded run saves along: its source offsets and dead letters."""

    run: str
    sources: Sequence[SourceOffset] = ()
    dead_letters: Sequence[DeadLetter] = ()


class Change(msgspec.Struct, frozen=True):
    """All that one commit writes. `after` is the next offset to read."""

    after: int
    clock_ms: int
    facts: bytes = b""
    counts: bytes = b""
    frontier: bytes | None = None
    alerts: Sequence[Claimed] = ()
    changes: Sequence[tuple[int, VerdictChange]] = ()
    incidents: Sequence[Incident] = ()
    notices: Sequence[Notice] = ()
    checkpoint: Checkpoint | None = None
    extras: Extras | None = None


def id_of(text: bytes) -> int:
    """A stable 64-bit id, signed as SQL integers are."""
    digest = hashlib.blake2b(text, digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


class Store(SqlOutbox):
    """The database behind stage 2. Safe to share between threads.

    `url`: `sqlite:///path` or `postgresql+psycopg://...`. Raises SchemaError where
    another version wrote it.
    """

    def __init__(self, url: str) -> None:
        super().__init__(open_engine(url))

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
            _same_topic(found, cluster_id, topic_id)
        return Progress(partition, found.next, found.epoch, found.frontier)

    def commit(self, mine: Progress, change: Change) -> Progress:
        """Save a change, or raise FencedError and save nothing.

        1. The fence: progress moves only from where this worker left it.
        2. Facts and counts, as a journal entry or, at a checkpoint, as pages.
        3. Alerts, verdicts, incidents and what people are to be told.
        """
        with self.writing() as connection:
            _fence(connection, mine, change)
            _write_history(connection, mine.partition, change)
            _write_alerts(connection, mine.partition, change)
            put_notices(connection, change.notices, change.clock_ms)
            _write_extras(connection, change.extras)
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
        return Progress(partition, row.next, row.epoch, row.frontier)

    def partitions(self) -> list[int]:
        """The partitions that have history."""
        with self.reading() as connection:
            return sorted(connection.scalars(select(schema.progress.c.partition)))

    def history(self, partition: int, resident_hours: int) -> "History":
        """All that an image of a partition is loaded from, read in one snapshot.

        Of the facts only the newest hours; `fact_page` reads the others.
        """
        with self.reading() as connection:
            return _read_history(connection, partition, resident_hours)

    def fact_page(self, route_id: int, hour: int) -> bytes | None:
        """A page of facts that is no longer in memory."""
        table = schema.fact_page
        wanted = (table.c.route_id == route_id) & (table.c.hour == hour)
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
        return [_incident(row) for row in rows]

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

    def forget_dead_letter(self, number: int) -> None:
        """Drop a dead letter that was retried."""
        table = schema.dead_letter
        with self.writing() as connection:
            connection.execute(delete(table).where(table.c.id == number))

    # -- placement ---------------------------------------------------------------------

    def place(self, partition_of: Mapping[str, int]) -> None:
        """Record which partition each cluster has, or refuse to move one.

        Raises PlacementError, naming every cluster that would move.
        """
        table = schema.placement
        rows = [{"cluster": c, "partition": p} for c, p in partition_of.items()]
        with self.writing() as connection:
            keep(connection, table, rows)
            found = {r.cluster: r.partition for r in connection.execute(select(table))}
        moved = [
            f"{cluster} from {found[cluster]} to {wanted}"
            for cluster, wanted in sorted(partition_of.items())
            if found[cluster] != wanted
        ]
        if moved:
            raise PlacementError(
                f"clusters with history would change partition: {', '.join(moved)}."
                " Keep the number of partitions, or start with an empty store"
            )

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A snapshot to read from."""
        with self._engine.begin() as connection:
            yield connection


class History(msgspec.Struct, frozen=True):
    """What an image is loaded from: pages first, then the journal in order."""

    resident_hour: int  # older pages of facts were left in the store
    routes: list[tuple[int, Route]]
    facts: list[tuple[int, int, bytes]]
    ledgers: list[tuple[int, int, bytes]]
    series: list[SeriesRow]
    journal: list[tuple[bytes, bytes]]
    alerts: list[Claimed]
    incidents: list[Incident]


# -- the steps of a commit ----------------------------------------------------------


def _same_topic(found: Any, cluster_id: str, topic_id: str) -> None:
    for what, stored, given in (
        ("Kafka cluster", found.cluster_id, cluster_id),
        ("topic", found.topic_id, topic_id),
    ):
        if stored and given and stored != given:
            raise WrongTopicError(
                f"partition {found.partition} was filled from {what} {stored}, this is"
                f" {given}: its offsets mean nothing there. Use a store of its own"
            )


def _fence(connection: Connection, mine: Progress, change: Change) -> None:
    table = schema.progress
    values: dict[str, Any] = {"next": change.after}
    if change.frontier is not None:
        values["frontier"] = change.frontier
    held = connection.execute(
        update(table)
        .where(
            table.c.partition == mine.partition,
            table.c.next == mine.next,
            table.c.epoch == mine.epoch,
        )
        .values(**values)
    )
    if held.rowcount != 1:
        raise FencedError(
            f"partition {mine.partition} is no longer at {mine.next}"
            f" in epoch {mine.epoch}: another worker has taken it"
        )


def _write_history(connection: Connection, partition: int, change: Change) -> None:
    if change.checkpoint is not None:
        _write_pages(connection, partition, change.checkpoint)
        table = schema.journal
        connection.execute(delete(table).where(table.c.partition == partition))
    elif change.facts or change.counts:
        row = {
            "partition": partition,
            "next": change.after,
            "facts": change.facts,
            "counts": change.counts,
        }
        upsert(connection, schema.journal, [row])


def _write_pages(connection: Connection, partition: int, point: Checkpoint) -> None:
    here: dict[str, Any] = {"partition": partition}
    keep(
        connection,
        schema.route,
        [{"id": number, "route": data, **here} for number, data in point.routes],
    )
    upsert(
        connection,
        schema.fact_page,
        [{"route_id": r, "hour": h, "data": d, **here} for r, h, d in point.facts],
    )
    upsert(
        connection,
        schema.ledger_page,
        [{"series_id": s, "page": p, "data": d, **here} for s, p, d in point.ledgers],
    )
    rows = [{**msgspec.structs.asdict(row), **here} for row in point.series]
    upsert(connection, schema.series, rows)
    _drop_old(connection, partition, point)


def _drop_old(connection: Connection, partition: int, point: Checkpoint) -> None:
    for table, column, first in (
        (schema.fact_page, schema.fact_page.c.hour, point.facts_from),
        (schema.ledger_page, schema.ledger_page.c.page, point.ledgers_from),
    ):
        connection.execute(
            delete(table).where(table.c.partition == partition, column < first)
        )


def _write_alerts(connection: Connection, partition: int, change: Change) -> None:
    here: dict[str, Any] = {"partition": partition}
    alerts: Rows = [
        {**msgspec.structs.asdict(c.alert), "verdict": c.verdict, **here}
        for c in change.alerts
    ]
    upsert(connection, schema.alert, alerts)
    incidents: Rows = [
        {
            **msgspec.structs.asdict(one),
            "members": msgspec.json.encode(one.members).decode(),
            **here,
        }
        for one in change.incidents
    ]
    upsert(connection, schema.incident, incidents)
    lines: Rows = [
        {"at_ms": at, "line": msgspec.json.encode(line), **here}
        for at, line in change.changes
    ]
    if lines:
        connection.execute(schema.verdict_change.insert(), lines)


def _write_extras(connection: Connection, extras: Extras | None) -> None:
    if extras is None:
        return
    sources = [{"run": extras.run, **msgspec.structs.asdict(s)} for s in extras.sources]
    upsert(connection, schema.source_offset, sources)
    letters = [msgspec.structs.asdict(letter) for letter in extras.dead_letters]
    if letters:
        connection.execute(schema.dead_letter.insert(), letters)


# -- reading a history ----------------------------------------------------------------


def _read_history(
    connection: Connection, partition: int, resident_hours: int
) -> History:
    def rows(table: Any) -> list[Any]:
        query = select(table).where(table.c.partition == partition)
        return list(connection.execute(query.order_by(*table.primary_key)))

    pages = schema.fact_page
    newest = connection.scalar(
        select(func.max(pages.c.hour)).where(pages.c.partition == partition)
    )
    first = 0 if newest is None else newest - resident_hours
    recent = select(pages).where(pages.c.partition == partition, pages.c.hour >= first)
    return History(
        resident_hour=first,
        routes=[
            (row.id, msgspec.msgpack.decode(row.route, type=Route))
            for row in rows(schema.route)
        ],
        facts=[(r.route_id, r.hour, r.data) for r in connection.execute(recent)],
        ledgers=[(r.series_id, r.page, r.data) for r in rows(schema.ledger_page)],
        series=[
            SeriesRow(r.id, r.key, r.known_good, r.known_bad, r.revisions, r.first_ms)
            for r in rows(schema.series)
        ],
        journal=[(row.facts, row.counts) for row in rows(schema.journal)],
        alerts=[_claimed(row) for row in rows(schema.alert)],
        incidents=[_incident(row) for row in rows(schema.incident)],
    )


def _claimed(row: Any) -> Claimed:
    alert = Alert(row.series, Verdict(row.level), row.since_ms, row.tier, row.reason)
    return Claimed(alert, Verdict(row.verdict))


def _incident(row: Any) -> Incident:
    return Incident(
        key=row.key,
        env=row.env,
        service=row.service,
        cluster=row.cluster,
        members=tuple(msgspec.json.decode(row.members, type=list[str])),
        opened_ms=row.opened_ms,
        severity=row.severity,
        resolved_ms=row.resolved_ms,
    )
