"""What is forgotten changes nothing that is still asked for, and nothing stays for ever."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from slo.ledger import PAGE_MS
from slo.model import DAY, HOUR, MINUTE
from slo.verdict import Incident
from streams.batch import Route
from streams.deadletter import DeadLetter
from streams.evaluate import Evaluator
from streams.pages import LEDGER_MARGIN_MS
from streams.store import Change, Checkpoint, Extras, Progress, Store, schema
from streams.store.pruning import INCIDENTS_KEPT_MS, LETTERS_KEPT_MS, ROWS_AT_ONCE
from tests.fleet import INSTANCE, PLAN
from tests.streams.bench import LAG, ROWS, T0, TOPICS, Bench, batch, broken, cell


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.real)])
def bench(request, tmp_path) -> Iterator[Bench]:
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'store.db'}"
    else:
        server = request.getfixturevalue("postgres")
        url = server.url(server.database())
    made = Bench(url)
    yield made
    made.store.close()


class Miser(Store):
    """A store that forgets nothing."""

    def commit(self, mine: Progress, change: Change) -> Progress:
        point = change.checkpoint
        if point is not None:
            replace = msgspec.structs.replace
            never = -(10**9)
            point = replace(point, facts_from=never, ledgers_from=never, residue=None)
            change = replace(change, checkpoint=point)
        return super().commit(mine, change)


def bench_on(store: Store) -> Bench:
    made = Bench.__new__(Bench)
    made.store = store
    made.restart()
    return made


PERIOD_MS = max(one.slo.period_ms for one in PLAN.series)

STEPS = st.lists(
    st.tuples(
        st.sampled_from([MINUTE, HOUR, 7 * HOUR, 2 * DAY, 9 * DAY]),  # time passes
        st.lists(
            st.tuples(st.integers(0, 70), st.booleans()), max_size=4
        ),  # (minutes ago, good)
        st.booleans(),  # a restart
    ),
    min_size=4,
    max_size=14,
)


def served(bench: Bench, now_ms: int) -> tuple[list[str], list]:
    """The lines that a window still reads, and what is said of every series."""
    from_ms = (now_ms - PERIOD_MS) // PAGE_MS * PAGE_MS
    lines = [line for line in bench.dump(now_ms) if int(line.split("\t")[1]) >= from_ms]
    seen = [
        (v.series.key, v.status.verdict, v.status.windows, v.status.budget, v.alert)
        for v in bench.evaluator.views()
    ]
    return lines, sorted(seen, key=lambda one: one[0])


@settings(max_examples=12)
@given(steps=STEPS)
def test_what_is_forgotten_changes_no_window_that_is_served(steps):
    with TemporaryDirectory() as folder:
        stores = [
            kind(f"sqlite:///{Path(folder) / kind.__name__}.db")
            for kind in (Store, Miser)
        ]
        both = [bench_on(store) for store in stores]
        now = T0
        for passed, told, restart in steps:
            now += passed
            cells = [
                cell(LAG, (now // MINUTE - ago) * MINUTE, 0.2 if good else 5.0, 1)
                for ago, good in told
            ]
            rows = [(ROWS, now - ago * MINUTE, int(good), 1) for ago, good in told]
            for one in both:
                if restart:
                    one.restart()
                one.apply(batch(now, cells, rows), clock_ms=now)
            assert served(both[0], now) == served(both[1], now)
        for store in stores:
            store.close()


def count(store: Store, table) -> int:
    with store.reading() as connection:
        return connection.scalar(select(func.count()).select_from(table))


def checkpoints(bench: Bench, at_ms: int, times: int = 1) -> None:
    """Something to save, and a checkpoint of it, some times."""
    for n in range(times):
        at = at_ms + n * 2 * MINUTE
        bench.apply(batch(at, [cell(LAG, at - MINUTE, 0.2)]), clock_ms=at)


def test_old_pages_are_forgotten(bench):
    bench.restart()
    for day in range(0, 40, 4):
        checkpoints(bench, T0 + day * DAY, 2)
    oldest = T0 + 36 * DAY - PERIOD_MS - LEDGER_MARGIN_MS
    with bench.store.reading() as connection:
        page = connection.scalar(select(func.min(schema.ledger_page.c.page)))
        hour = connection.scalar(select(func.min(schema.fact_page.c.hour)))
    assert page >= oldest // PAGE_MS
    assert hour >= (T0 + 32 * DAY - HOUR) // HOUR


def without(bench: Bench, name: str) -> Bench:
    """The same store under a plan that one SLO was taken from."""
    kept = tuple(s for s in PLAN.series if s.slo.name != name)
    plan = msgspec.structs.replace(PLAN, series=kept)
    bench.evaluator = Evaluator(plan, bench.store, TOPICS)
    bench.next = bench.evaluator.assigned()
    return bench


def of_lag(store: Store) -> list[int]:
    """How many rows of series, histories and alerts there are about the SLO."""
    with store.reading() as connection:
        series = connection.execute(select(schema.series.c.id, schema.series.c.key))
        ids = [number for number, key in series if key.startswith("lag/")]
        sums = schema.ledger_history.c.series_id
        summed = [n for n in connection.scalars(select(sums)) if n in ids]
        alerts = connection.scalars(select(schema.alert.c.series)).all()
        return [len(ids), len(summed), sum(a.startswith("lag/") for a in alerts)]


def test_a_withdrawn_series_goes_once_its_last_page_does(bench):
    broken(bench, 5, 3, 10)
    checkpoints(bench, T0 + 40 * HOUR, 3)
    assert of_lag(bench.store) == [1, 1, 1]
    without(bench, "lag")
    other = [(ROWS, T0 + 41 * HOUR, 1, 1)]
    bench.apply(batch(T0 + 41 * HOUR, [], other), clock_ms=T0 + 41 * HOUR)
    bench.restart()  # somebody took it back in time: all of it is still there
    (lag,) = [v for v in bench.evaluator.views() if v.series.slo.name == "lag"]
    assert lag.now_known.total == 13
    for at in (T0 + 40 * DAY, T0 + 40 * DAY + HOUR):  # pages first, then their series
        without(bench, "lag")
        bench.apply(batch(at, [], [(ROWS, at, 1, 1)]), clock_ms=at)
        bench.apply(batch(at, [], [(ROWS, at, 1, 1)]), clock_ms=at + 2 * MINUTE)
    assert of_lag(bench.store) == [0, 0, 0]


def test_routes_without_facts_go_and_come_back_with_their_facts(bench):
    old = Route(INSTANCE.key, "cloudwatch:Lag", "az=1", MINUTE)
    first = batch(T0 + MINUTE, [cell(0, T0, 0.2)])
    bench.apply(msgspec.structs.replace(first, routes=[old]))
    for at in (T0 + 9 * DAY, T0 + 9 * DAY + 2 * MINUTE):  # its facts are forgotten
        checkpoints(bench, at)
    before = count(bench.store, schema.route)
    bench.restart()
    checkpoints(bench, T0 + 10 * DAY, 2)
    assert count(bench.store, schema.route) == before - 1
    bench.restart()
    late = T0 + 11 * DAY
    again = batch(late + MINUTE, [cell(0, late, 5.0)])
    bench.apply(msgspec.structs.replace(again, routes=[old]), clock_ms=late)
    checkpoints(bench, late + HOUR, 2)
    bench.restart()
    restated = batch(late + 2 * HOUR, [cell(LAG, late, 0.1, 9)])
    bench.apply(restated)
    line = f"lag/orders-a\t{late}\t0\t1"
    assert line in bench.dump(late + 3 * HOUR), "its fact still counts beside others"


def test_a_route_that_is_named_again_before_it_is_forgotten_keeps_its_facts(bench):
    """A batch names routes that it states nothing of: they are known from then on."""
    old = Route(INSTANCE.key, "cloudwatch:Lag", "az=1", MINUTE)
    first = batch(T0 + MINUTE, [cell(0, T0, 0.2)])
    bench.apply(msgspec.structs.replace(first, routes=[old]))
    for at in (T0 + 9 * DAY, T0 + 9 * DAY + 2 * MINUTE):
        checkpoints(bench, at)
    bench.restart()
    late = T0 + 10 * DAY
    named = msgspec.structs.replace(batch(late, []), routes=[old])
    bench.apply(named, batch(late, [cell(LAG, late - MINUTE, 0.2)]), clock_ms=late)
    again = batch(late + HOUR, [cell(0, late, 5.0)])
    at = late + 2 * HOUR
    bench.apply(msgspec.structs.replace(again, routes=[old]), clock_ms=at)
    checkpoints(bench, at)
    bench.restart()
    bench.apply(batch(late + 2 * HOUR, [cell(LAG, late, 0.1, 9)]))
    assert f"lag/orders-a\t{late}\t0\t1" in bench.dump(late + 3 * HOUR)


def test_incidents_and_dead_letters_go_after_their_time_a_bounded_number_at_once(bench):
    def incident(n: int, resolved_ms: int | None) -> Incident:
        key = f"dbslo/prod/x/{n}"
        return Incident(key, "prod", "x", str(n), (), T0 + n, "critical", resolved_ms)

    many = ROWS_AT_ONCE + 10
    incidents = [incident(n, T0 + n) for n in range(many)]
    incidents.append(incident(many, None))
    letters = [DeadLetter("t", 0, n, T0, "x", "y", "z", "") for n in range(many)]
    bench.evaluator.revoked()
    mine = bench.store.take(0)
    extras = Extras("run", (), letters)
    mine = bench.store.commit(mine, Change(1, T0, incidents=incidents, extras=extras))
    left = []
    for n, ago in enumerate((LETTERS_KEPT_MS, INCIDENTS_KEPT_MS, INCIDENTS_KEPT_MS)):
        empty = Checkpoint([], [], [], [], [], 0, 0)
        change = Change(2 + n, T0 + many + ago, checkpoint=empty)
        mine = bench.store.commit(mine, change)
        tables = (schema.dead_letter, schema.incident)
        left.append([count(bench.store, table) for table in tables])
    assert left == [[10, many + 1], [0, 11], [0, 1]], "what is open stays"
