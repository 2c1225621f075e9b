"""Forgetting: what no window, no restatement and no person asks for any more.

All of it happens at a checkpoint, inside the fence, and is bounded: what is left over
is forgotten at the next one.
"""

from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Table, delete, exists, select, tuple_

from slo.model import DAY
from streams.store import schema
from streams.store.records import Checkpoint, Residue

CHANGES_KEPT_MS: Final = 92 * DAY
"""Changes of verdict are kept for a quarter."""

LETTERS_KEPT_MS: Final = 31 * DAY
"""Settled states of the outbox (one that is wanted again begins anew), dead letters."""

INCIDENTS_KEPT_MS: Final = 400 * DAY
"""Resolved incidents are kept for a year and a month, for whoever reviews one."""

PAGES_AT_ONCE: Final = 10_000
ROWS_AT_ONCE: Final = 1_000
"""What is forgotten of one table at one checkpoint, at most."""


def prune(
    connection: Connection, partition: int, point: Checkpoint, clock_ms: int
) -> None:
    """Step 5, at a checkpoint: forget what is old, and what nobody has any more."""
    _drop_pages(connection, partition, point)
    _drop_told(connection, clock_ms)
    if point.residue is not None:
        _drop_residue(connection, partition, point.residue)


def residue(
    connection: Connection, partition: int, known: dict[int, str], most: int
) -> Residue:
    """What the store keeps for a partition, and its plan does not have.

    `known` are the keys of the plan's series by id. Routes are those without facts:
    an image does not load them, so that they begin anew when they are seen again.
    """
    series, alert, route = schema.series, schema.alert, schema.route
    ids = connection.scalars(select(series.c.id).where(series.c.partition == partition))
    keys = set(known.values())
    told = connection.scalars(
        select(alert.c.series).where(alert.c.partition == partition)
    )
    used = exists().where(schema.fact_page.c.route_id == route.c.id)
    dead = select(route.c.id).where(route.c.partition == partition, ~used)
    return Residue(
        series=[number for number in ids if number not in known][:most],
        alerts=[key for key in told if key not in keys][:most],
        routes=list(connection.scalars(dead.limit(most))),
    )


def _drop(
    connection: Connection, table: Table, most: int, *where: ColumnElement[bool]
) -> None:
    keys = list(table.primary_key)
    some = select(*keys).where(*where).limit(most)
    connection.execute(delete(table).where(tuple_(*keys).in_(some)))


def _drop_pages(connection: Connection, partition: int, point: Checkpoint) -> None:
    for table, column, first in (
        (schema.fact_page, schema.fact_page.c.hour, point.facts_from),
        (schema.ledger_page, schema.ledger_page.c.page, point.ledgers_from),
    ):
        here = table.c.partition == partition
        _drop(connection, table, PAGES_AT_ONCE, here, column < first)


def _drop_told(connection: Connection, clock_ms: int) -> None:
    told, letters = schema.verdict_change, schema.outbox
    dead, incident = schema.dead_letter, schema.incident
    old: list[tuple[Table, tuple[ColumnElement[bool], ...]]] = [
        (told, (told.c.at_ms < clock_ms - CHANGES_KEPT_MS,)),
        (
            letters,
            (
                letters.c.settled == letters.c.version,
                letters.c.queued_ms < clock_ms - LETTERS_KEPT_MS,
            ),
        ),
        (dead, (dead.c.time_ms < clock_ms - LETTERS_KEPT_MS,)),
        (incident, (incident.c.resolved_ms < clock_ms - INCIDENTS_KEPT_MS,)),
    ]
    for table, where in old:
        _drop(connection, table, ROWS_AT_ONCE, *where)


def _drop_residue(connection: Connection, partition: int, left: Residue) -> None:
    """Series whose last page is gone, routes without facts, alerts that are closed."""

    def drop(table: Table, *where: ColumnElement[bool]) -> None:
        mine: Any = table.c.partition == partition
        connection.execute(delete(table).where(mine, *where))

    ledger, series, route = schema.ledger_page, schema.series, schema.route
    for table, owner in (
        (schema.ledger_history, schema.ledger_history.c.series_id),
        (series, series.c.id),
    ):
        drop(
            table, owner.in_(left.series), ~exists().where(ledger.c.series_id == owner)
        )
    used = exists().where(schema.fact_page.c.route_id == route.c.id)
    drop(route, route.c.id.in_(left.routes), ~used)
    alert = schema.alert
    drop(alert, alert.c.series.in_(left.alerts), alert.c.level == "ok")
