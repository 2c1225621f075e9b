"""The steps of a commit, in their order."""

from typing import Any

import msgspec
from sqlalchemy import Connection, delete, func, select, update

from streams.store import schema
from streams.store.engine import Rows, keep, upsert
from streams.store.records import Change, Checkpoint, Extras, Progress

DEAD_LETTERS_KEPT = 10_000
"""Dead letters of embedded runs; Kafka's retention bounds those of real ones."""


class FencedError(Exception):
    """Somebody else was here: discard the image, take the fence again, seek."""


class RehearsedError(Exception):
    """All of it could be written, and nothing was: it was a rehearsal."""


class WrongTopicError(Exception):
    """The store belongs to another Kafka cluster or topic."""


def same_topic(found: Any, cluster_id: str, topic_id: str) -> None:
    """Raise WrongTopicError where the stored ids are not the given ones."""
    for what, stored, given in (
        ("Kafka cluster", found.cluster_id, cluster_id),
        ("topic", found.topic_id, topic_id),
    ):
        if stored and given and stored != given:
            raise WrongTopicError(
                f"partition {found.partition} was filled from {what} {stored}, this is"
                f" {given}: its offsets mean nothing there. Use a store of its own"
            )


def fence(connection: Connection, mine: Progress, change: Change) -> None:
    """Step 1: progress moves from where this worker left it, or FencedError."""
    table = schema.progress
    values: dict[str, Any] = {"next": change.after, "saved_ms": change.clock_ms}
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


def write_history(connection: Connection, partition: int, change: Change) -> None:
    """Step 2: a journal entry, or at a checkpoint the pages that replace the journal."""
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
    upsert(
        connection,
        schema.ledger_history,
        [{"series_id": s, "page": p, "data": d, **here} for s, p, d in point.histories],
    )
    rows = [{**msgspec.structs.asdict(row), **here} for row in point.series]
    upsert(connection, schema.series, rows)


def write_alerts(connection: Connection, partition: int, change: Change) -> None:
    """Step 3: alerts, incidents and changes of verdict."""
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


def write_extras(connection: Connection, extras: Extras | None) -> None:
    """Step 4: what an embedded run saves along."""
    if extras is None:
        return
    sources = [{"run": extras.run, **msgspec.structs.asdict(s)} for s in extras.sources]
    upsert(connection, schema.source_offset, sources)
    if sources:
        table = schema.source_offset
        connection.execute(delete(table).where(table.c.run != extras.run))
    letters = [msgspec.structs.asdict(letter) for letter in extras.dead_letters]
    if letters:
        table = schema.dead_letter
        connection.execute(table.insert(), letters)
        newest = connection.scalar(select(func.max(table.c.id)))
        oldest = (newest or 0) - DEAD_LETTERS_KEPT
        connection.execute(delete(table).where(table.c.id <= oldest))
