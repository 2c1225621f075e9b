"""A month of a fleet in a store: thirty days of minutes for any number of series.

Nobody waits for a month of batches: for each SLO one ledger is filled as the engine
fills it, and its pages are those of every series of that SLO. What is read back from
them cannot tell the difference.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import msgspec
from sqlalchemy import (
    BigInteger,
    Column,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    insert,
    literal,
    select,
)

from benchmarks import fleet
from slo.facts import Cells
from slo.ledger import FINE_MS, PAGE_MS, SeriesLedger
from slo.model import DAY, HOUR, MILLIONTHS, MINUTE, SECOND, SLO, Budgeting, Counts
from slo.plan import Plan
from slo.resources import Inventory
from slo.stretch import step_ms
from streams.batch import SCHEMA_VERSION, Batch, Mark, Route
from streams.frontier import Saved
from streams.image import Image
from streams.store import Change, Checkpoint, SeriesRow, Store, id_of, schema
from streams.topics import Topics, topics_of

TOPIC = "cloudwatch"
NOW = 1_794_000_000_000 // DAY * DAY + 13 * HOUR + 47 * MINUTE
"""In the midst of an hour, half-way between two renewals of what a restart reads."""

LAG_MS = 3 * MINUTE
FACT_HOURS = 96
CHUNK = 500
CACHE_KB = 500_000
"""What SQLite may hold of its index while hundreds of hours are written."""


class Fleet(NamedTuple):
    """A plan of so many series, and what its metrics are called."""

    plan: Plan
    topics: Topics
    routes: list[Route]
    series: int


def of(series: int) -> Fleet:
    """Eight SLOs over as many instances as `series` takes."""
    one = fleet.plan(1)
    like = one.inventory.clusters[0]
    count = -(-series // len(one.slos))
    clusters = tuple(
        msgspec.structs.replace(
            like, name=f"shop-{n:05d}", instances=(f"shop-{n:05d}-writer",)
        )
        for n in range(count)
    )
    fanned = tuple(
        msgspec.structs.replace(model, resource=cluster.resources[0], cluster=cluster)
        for cluster in clusters
        for model in one.series
    )
    plan = Plan(Inventory(clusters), one.slos, fanned)
    routes = [
        Route(cluster.resources[0].key, f"cloudwatch:{metric}", _TAGS, MINUTE)
        for cluster in clusters
        for metric in fleet.RELEVANT
    ]
    topics = topics_of(plan.inventory, {TOPIC: "cloudwatch"})
    return Fleet(plan, topics, routes, len(fanned))


_PLENTY = ("ConnectionAttempts", "CommitThroughput")
_TAGS = "account_id:210987654321,namespace:AWS/RDS,region:eu-west-1"


# -- what was counted ------------------------------------------------------------


class Kept(NamedTuple):
    """What the store holds of one series: its pages, its history, its counters."""

    pages: dict[int, bytes]
    history: tuple[int, bytes]
    good: int
    bad: int


def _counted(slo: SLO, minute: int) -> tuple[Counts, Counts]:
    """A minute of one SLO: some of what happens is bad, and some minutes."""
    total = 900 + minute % 211
    bad = 40 if minute % 251 == 0 else 0
    events = Counts(total - bad, total)
    match slo.budgeting:
        case Budgeting.OCCURRENCES:
            return events, events
        case Budgeting.TIMESLICES:
            return Counts(int(minute % 251 > 0), 1), Counts(int(minute % 251 > 0), 1)
        case Budgeting.RATIO_TIMESLICES:
            return Counts(MILLIONTHS * events.good // total, MILLIONTHS), events


def _month(slo: SLO) -> Kept:
    """A month of minutes, folded and saved as a worker does it."""
    pages: dict[int, bytes] = {}
    ledger = SeriesLedger(pages.get)
    end = NOW - LAG_MS
    for start in range(NOW - 31 * DAY, end, max(step_ms(slo), MINUTE)):
        ledger.put(start, *_counted(slo, start // MINUTE))
        if start % HOUR == 0:
            pages |= {page: ledger.page(page) for page in ledger.dirty}
            ledger.dirty.clear()
            ledger.evict((start - FINE_MS) // PAGE_MS)
    pages |= {page: ledger.page(page) for page in ledger.dirty}
    page = end // PAGE_MS - 3
    history = ledger.history(page)
    return Kept(pages, (page, history), ledger.known_good, ledger.known_bad)


def cell(number: int, start_ms: int) -> tuple[float, float, float, float]:
    """(count, sum, low, high) of one metric of one minute, in SI units; all is well."""
    metric = list(fleet.RELEVANT)[number]
    spread = (number * 31 + start_ms // MINUTE) % 17
    value = 900.0 + spread if metric in _PLENTY else spread / 1_000
    return 1.0, value, value, value


def _facts(number: int) -> dict[int, bytes]:
    """The pages of one metric for as long as facts are kept."""
    cells = Cells(MINUTE)
    for start in range(NOW - FACT_HOURS * HOUR, NOW - LAG_MS, MINUTE):
        cells.merge((start, *cell(number, start)))
    return {page: cells.page(page) for page in cells.dirty}


# -- into a store ----------------------------------------------------------------


def fill(store: Store, made: Fleet, *, days: int = 31) -> None:
    """Put the month into an empty store; pages of the last `days` days alone."""
    image = Image(made.plan, lambda _: True, _nothing, _nothing)
    kept = {slo.name: _month(slo) for slo in made.plan.slos}
    facts = [_facts(number) for number in range(len(fleet.RELEVANT))]
    store.place({cluster.name: 0 for cluster in made.plan.inventory.clusters})
    progress = store.take(0)
    states = list(image.series.values())
    for at in range(0, len(states), CHUNK):
        some = [
            (state.id, state.series, kept[state.series.slo.name])
            for state in states[at : at + CHUNK]
        ]
        point = Checkpoint(
            routes=[],
            facts=[],
            ledgers=[],
            histories=[(number, *one.history) for number, _, one in some],
            series=[
                SeriesRow(n, s.key, one.good, one.bad, 0, None) for n, s, one in some
            ],
            facts_from=0,
            ledgers_from=0,
        )
        saved = msgspec.msgpack.encode(
            Saved(
                [(TOPIC, 0, NOW)],
                {TOPIC: 1},
                {c.name: NOW for c in made.plan.inventory.clusters},
            )
        )
        progress = store.commit(
            progress, Change(at + 1, 0, frontier=saved, checkpoint=point)
        )
    names = [slo.name for slo in made.plan.slos]
    kinds = {name: kind for kind, name in enumerate(names)}
    mine = {state.id: kinds[state.series.slo.name] for state in states}
    first = (NOW - days * DAY) // PAGE_MS
    _pages(store, schema.ledger_page, mine, [kept[name].pages for name in names], first)
    numbered = [
        (id_of(packed), packed)
        for route in made.routes
        if (packed := msgspec.msgpack.encode(route))
    ]
    _rows(
        store,
        schema.route,
        ({"id": n, "partition": 0, "route": data} for n, data in numbered),
    )
    routes = {n: at % len(facts) for at, (n, _) in enumerate(numbered)}
    _pages(store, schema.fact_page, routes, facts, first)


_copied = MetaData()
_owners = Table(
    "bench_owner",
    _copied,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("kind", Integer),
)
_templates = Table(
    "bench_page",
    _copied,
    Column("page", Integer, primary_key=True, autoincrement=False),
    Column("kind", Integer, primary_key=True, autoincrement=False),
    Column("data", LargeBinary),
)


def _pages(
    store: Store,
    table: Table,
    owners: Mapping[int, int],
    kinds: Sequence[Mapping[int, bytes]],
    first: int,
) -> None:
    """Pages from `first` on of every owner, copied in the store from those of its kind.

    They lie in the order in which a worker writes them: hour by hour.
    """
    with store.writing() as connection:
        _copied.create_all(connection)
    _rows(store, _owners, ({"id": n, "kind": kind} for n, kind in owners.items()))
    _rows(
        store,
        _templates,
        (
            {"page": page, "kind": kind, "data": data}
            for kind, pages in enumerate(kinds)
            for page, data in pages.items()
            if page >= first
        ),
    )
    hours = sorted({page for pages in kinds for page in pages if page >= first})
    names = [column.name for column in table.columns]  # owner, page, partition, data
    for at in range(0, len(hours), 12):
        with store.writing() as connection:
            if connection.dialect.name == "sqlite":
                connection.exec_driver_sql(f"PRAGMA cache_size = -{CACHE_KB}")
            some = _templates.c.page.in_(hours[at : at + 12])
            rows = select(
                _owners.c.id, _templates.c.page, literal(0), _templates.c.data
            ).join(_templates, _templates.c.kind == _owners.c.kind)
            ordered = rows.where(some).order_by(_templates.c.page, _owners.c.id)
            connection.execute(insert(table).from_select(names, ordered))
    with store.writing() as connection:
        _copied.drop_all(connection)


def _rows(store: Store, table: Table, rows: Iterable[dict[str, object]]) -> None:
    for some in _chunks(rows, 20_000):
        with store.writing() as connection:
            connection.execute(insert(table), some)


def _chunks(
    rows: Iterable[dict[str, object]], size: int
) -> Iterator[list[dict[str, object]]]:
    some: list[dict[str, object]] = []
    for row in rows:
        some.append(row)
        if len(some) == size:
            yield some
            some = []
    if some:
        yield some


def _nothing(_number: int, _page: int) -> None:
    return None


def minute(made: Fleet, start_ms: int) -> Batch:
    """What stage 1 hands over of one minute of the whole fleet, three minutes later."""
    metrics = len(fleet.RELEVANT)
    return Batch(
        SCHEMA_VERSION,
        "bench",
        start_ms + LAG_MS,
        [Mark(TOPIC, 0, 0, start_ms + LAG_MS + 10 * SECOND)],
        {TOPIC: 1},
        made.routes,
        [
            (number, start_ms, start_ms, *cell(number % metrics, start_ms))
            for number in range(len(made.routes))
        ],
        [],
    )
