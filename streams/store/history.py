"""Reading what an image is loaded from."""

from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, func, select

from slo.verdict import Alert, Incident, Verdict
from streams.batch import Route
from streams.store import schema
from streams.store.records import Claimed, History, SeriesRow


def read_history(
    connection: Connection, partition: int, resident_hours: int
) -> History:
    """A partition's history; of the facts only the newest `resident_hours`."""

    def rows(table: Any, *where: ColumnElement[bool]) -> list[Any]:
        query = select(table).where(table.c.partition == partition, *where)
        return list(connection.execute(query.order_by(*table.primary_key)))

    pages, routes = schema.fact_page, schema.route
    mine = pages.c.partition == partition
    newest = connection.scalar(select(func.max(pages.c.hour)).where(mine))
    first = 0 if newest is None else newest - resident_hours
    # Routes without facts are forgotten, so that names that come and go fill nothing.
    alive = routes.c.id.in_(select(pages.c.route_id).where(mine))
    return History(
        resident_hour=first,
        routes=[
            (row.id, msgspec.msgpack.decode(row.route, type=Route))
            for row in rows(routes, alive)
        ],
        facts=[
            (r.route_id, r.hour, r.data) for r in rows(pages, pages.c.hour >= first)
        ],
        histories=[(r.series_id, r.data) for r in rows(schema.ledger_history)],
        ledgers=[(r.series_id, r.page, r.data) for r in _fine(connection, partition)],
        series=[
            SeriesRow(r.id, r.key, r.known_good, r.known_bad, r.revisions, r.first_ms)
            for r in rows(schema.series)
        ],
        journal=[(row.facts, row.counts) for row in rows(schema.journal)],
        alerts=[_claimed(row) for row in rows(schema.alert)],
        incidents=[
            incident_of(row)
            for row in rows(schema.incident, schema.incident.c.resolved_ms.is_(None))
        ],
    )


def _fine(connection: Connection, partition: int) -> list[Any]:
    """The ledger pages that no history sums up."""
    ledgers, sums = schema.ledger_page, schema.ledger_history
    beside = ledgers.outerjoin(sums, ledgers.c.series_id == sums.c.series_id)
    wanted = sums.c.page.is_(None) | (ledgers.c.page >= sums.c.page)
    query = select(ledgers).select_from(beside)
    return list(
        connection.execute(query.where(ledgers.c.partition == partition, wanted))
    )


def _claimed(row: Any) -> Claimed:
    alert = Alert(row.series, Verdict(row.level), row.since_ms, row.tier, row.reason)
    return Claimed(alert, Verdict(row.verdict))


def incident_of(row: Any) -> Incident:
    """An incident from its row."""
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
