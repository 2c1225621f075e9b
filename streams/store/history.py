"""Reading what an image is loaded from."""

from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, Select, exists, func, select

from slo.verdict import Alert, Incident, Verdict
from streams.batch import Route
from streams.store import schema
from streams.store.records import Claimed, History, SeriesRow

Page = tuple[int, int, bytes]
"""(id of a route or series, hour, data)."""

TOGETHER_PAGES = 24
"""What begins more hours before the newest history is not read together with it."""

SOME = 500

_route = msgspec.msgpack.Decoder(Route).decode


def read_history(
    connection: Connection, partition: int, resident_hours: int
) -> History:
    """A partition's history; of the facts only the newest `resident_hours`."""

    def rows(table: Any, *where: ColumnElement[bool]) -> Sequence[Any]:
        query = select(table).where(table.c.partition == partition, *where)
        return _all(connection, query.order_by(*table.primary_key))

    sums = schema.ledger_history
    histories = _all(
        connection,
        select(sums.c.series_id, sums.c.page, sums.c.data).where(
            sums.c.partition == partition
        ),
    )
    series = rows(schema.series)
    read_from = {number: page for number, page, _ in histories}
    known = {row.id: read_from.get(row.id, 0) for row in series} | read_from
    resident_hour, routes, facts = _facts(connection, partition, resident_hours)
    return History(
        resident_hour=resident_hour,
        routes=routes,
        facts=facts,
        histories=[(number, data) for number, _, data in histories],
        ledgers=_fine(connection, partition, known),
        series=[
            SeriesRow(r.id, r.key, r.known_good, r.known_bad, r.revisions, r.first_ms)
            for r in series
        ],
        journal=[(row.facts, row.counts) for row in rows(schema.journal)],
        alerts=[_claimed(row) for row in rows(schema.alert)],
        incidents=[
            incident_of(row)
            for row in rows(schema.incident, schema.incident.c.resolved_ms.is_(None))
        ],
    )


def _all(connection: Connection, query: Select[Any]) -> Sequence[Any]:
    """Its rows, at once: one by one each takes a call of the driver."""
    return connection.execute(query).all()


def _facts(
    connection: Connection, partition: int, resident_hours: int
) -> tuple[int, list[tuple[int, Route]], Sequence[Page]]:
    """The first hour of facts that is read, every route, and the pages."""
    pages, routes = schema.fact_page, schema.route
    mine = pages.c.partition == partition
    newest = connection.scalar(select(func.max(pages.c.hour)).where(mine))
    first = 0 if newest is None else newest - resident_hours
    # Routes without facts are forgotten, so that names that come and go fill nothing.
    alive = exists().where(pages.c.route_id == routes.c.id)
    found = _all(
        connection,
        select(routes.c.id, routes.c.route).where(
            routes.c.partition == partition, alive
        ),
    )
    held = _all(
        connection,
        select(pages.c.route_id, pages.c.hour, pages.c.data).where(
            mine, pages.c.hour >= first
        ),
    )
    return first, [(n, _route(data)) for n, data in found], held


def _fine(
    connection: Connection, partition: int, read_from: Mapping[int, int]
) -> list[Page]:
    """The ledger pages beside the histories: of each series those from a page on.

    Almost all begin within the same hours, and are read by one range of pages; what
    lags, or has no history, is read by its own.
    """
    table = schema.ledger_page
    newest = max(read_from.values(), default=0)
    near = (one for one in read_from.values() if one > newest - TOGETHER_PAGES)
    together = min(near, default=newest)
    columns = select(table.c.series_id, table.c.page, table.c.data)
    held = _all(
        connection,
        columns.where(table.c.partition == partition, table.c.page >= together),
    )
    pages = [row for row in held if row[1] >= read_from.get(row[0], 0)]
    behind = [number for number, page in read_from.items() if page < together]
    for at in range(0, len(behind), SOME):
        theirs = table.c.series_id.in_(behind[at : at + SOME])
        older = _all(connection, columns.where(theirs, table.c.page < together))
        pages += [row for row in older if row[1] >= read_from[row[0]]]
    return sorted(pages, key=itemgetter(1))


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
