"""Stage 2: laws over batches, restarts and the fence, on the store of every laptop."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slo.model import BUCKET_MS, HOUR, MINUTE, SECOND, Verdict
from slo.notice import Action, Channel
from streams import pages
from streams.batch import SCHEMA_VERSION, Batch, Cell, Delta, Mark, Route
from streams.evaluate import Evaluator
from streams.reading import dump, views
from streams.store import FencedError, Store
from streams.topics import topics_of
from tests.fleet import CDC, INSTANCE, PLAN, PROXY

T0 = 1_794_000_000_000 // HOUR * HOUR
TOPICS = topics_of(PLAN.inventory)
INPUTS = {"cloudwatch": 1, "orders.public.t": 1}

ROUTES = [
    Route(INSTANCE.key, "cloudwatch:Lag", "", MINUTE),
    Route(PROXY.key, "cloudwatch:Succeeded", "", MINUTE),
    Route(PROXY.key, "cloudwatch:Received", "", MINUTE),
    Route(CDC.key, "cdc:event", "", BUCKET_MS),
    Route(CDC.key, "cdc:rows/30000", "", BUCKET_MS),
    Route("instance:nobody", "cloudwatch:Lag", "", MINUTE),
]
LAG, GOOD, TOTAL, EVENT, ROWS, NOBODY = range(6)


def marks(now_ms: int) -> list[Mark]:
    return [Mark(topic, 0, 0, now_ms) for topic in INPUTS]


def batch(now_ms: int, cells: list[Cell], deltas: list[Delta] | None = None) -> Batch:
    return Batch(
        SCHEMA_VERSION, "w", now_ms, marks(now_ms), INPUTS, ROUTES, cells, deltas or []
    )


def cell(route: int, start_ms: int, value: float, count: float = 0) -> Cell:
    return (route, start_ms, start_ms, count, value, value, value)


class Bench:
    """An evaluator with a store of its own."""

    def __init__(self, folder: str) -> None:
        self.store = Store(f"sqlite:///{Path(folder) / 'store.db'}")
        self.restart()

    def restart(self) -> None:
        self.evaluator = Evaluator(PLAN, self.store, TOPICS)
        self.next = self.evaluator.assigned()

    def apply(self, *batches: Batch, clock_ms: int = 0):
        self.next += 1
        return self.evaluator.apply(batches, self.next, clock_ms)

    def dump(self, until_ms: int) -> list[str]:
        return list(dump(PLAN, self.store, TOPICS, until_ms))


@pytest.fixture
def bench() -> Iterator[Bench]:
    with TemporaryDirectory() as folder:
        made = Bench(folder)
        yield made
        made.store.close()


# -- laws ------------------------------------------------------------------------

minutes = st.integers(0, 12).map(lambda n: T0 + n * MINUTE)
buckets = st.integers(0, 60).map(lambda n: T0 + n * BUCKET_MS)
cells = st.one_of(
    st.builds(cell, st.just(LAG), minutes, st.sampled_from([-1.0, 0.2, 5.0])),
    st.builds(
        cell,
        st.sampled_from([GOOD, TOTAL]),
        minutes,
        st.integers(0, 50).map(float),
        st.integers(1, 3).map(float),
    ),
    st.builds(
        lambda start, age: cell(EVENT, start, float(start - age * SECOND)),
        buckets,
        st.integers(0, 90),
    ),
    st.builds(cell, st.just(NOBODY), minutes, st.just(1.0)),
)
deltas = st.builds(
    lambda at, good, bad: (ROWS, at, good, good + bad),
    buckets,
    st.integers(0, 5),
    st.integers(0, 5),
)


def ledger_of(parts: list[tuple[list[Cell], list[Delta]]], restarts: set[int]):
    end = T0 + 13 * MINUTE
    with TemporaryDirectory() as folder:
        made = Bench(folder)
        for number, (some_cells, some_deltas) in enumerate(parts):
            if number in restarts:
                made.restart()
            made.apply(batch(T0 + number * SECOND, some_cells, some_deltas))
        made.apply(batch(end, []))
        found = made.dump(end)
        made.store.close()
        return found


@settings(max_examples=40, deadline=None)
@given(
    st.lists(cells, max_size=25),
    st.lists(deltas, max_size=8),
    st.randoms(use_true_random=False),
    st.integers(1, 5),
    st.sets(st.integers(0, 5)),
)
def test_order_batches_duplicates_and_restarts_do_not_change_the_ledger(
    some_cells, some_deltas, random, size, restarts
):
    plain = ledger_of([(some_cells, some_deltas)], set())
    again = [*some_cells, *some_cells[: len(some_cells) // 2]]
    shuffled = list(some_deltas)
    random.shuffle(again)
    random.shuffle(shuffled)
    parts = [(again[n::size], shuffled[n::size]) for n in range(size)]
    assert ledger_of(parts, restarts) == plain


def test_a_journal_and_a_checkpoint_load_the_same_image(bench, monkeypatch):
    first = [cell(LAG, T0 + n * MINUTE, 0.2 if n % 4 else 5.0) for n in range(30)]
    bench.apply(batch(T0 + HOUR, first))
    before = bench.dump(T0 + HOUR)
    bench.restart()
    assert bench.dump(T0 + HOUR) == before
    bench.apply(batch(T0 + HOUR, [], [(ROWS, T0, 1, 2)]))  # the restart's checkpoint
    after = bench.dump(T0 + HOUR)
    bench.restart()
    assert bench.dump(T0 + HOUR) == after
    assert after == sorted([*before, f"rows/orders\t{T0}\t1\t2"])


def test_late_truth_reaches_facts_that_left_memory(bench):
    bench.apply(batch(T0 + 5 * MINUTE, [cell(LAG, T0, 0.2, count=1)]))
    later = T0 + 10 * HOUR
    bench.apply(batch(later, [cell(LAG, later, 0.2)]), clock_ms=pages.CHECKPOINT_MS)
    bench.apply(batch(later, []), clock_ms=3 * pages.CHECKPOINT_MS)
    bench.apply(batch(later, [cell(LAG, T0, 5.0, count=2)]))
    assert bench.dump(later)[0] == f"lag/orders-a\t{T0}\t0\t1"
    bench.apply(batch(later, [cell(LAG, T0, 0.2, count=1)]))
    assert bench.dump(later)[0] == f"lag/orders-a\t{T0}\t0\t1", (
        "the greater count stays"
    )


# -- stories ----------------------------------------------------------------------


def broken(bench: Bench, from_minute: int, minutes_bad: int, total: int):
    """A replica that breaks; CloudWatch tells 150 s after the end of each minute."""
    changes = []
    for n in range(total):
        start = T0 + n * MINUTE
        bad = from_minute <= n < from_minute + minutes_bad
        now = start + MINUTE + 150 * SECOND
        beats = [
            cell(EVENT, at, float(at))
            for at in range(now // BUCKET_MS * BUCKET_MS - MINUTE, now + 1, BUCKET_MS)
        ]
        lag = cell(LAG, start, -1.0 if bad else 0.2)
        changes += bench.apply(batch(now, [lag, *beats]))
    return changes


def test_a_broken_replica_pages_once_and_resolves_by_itself(bench):
    changes = broken(bench, 60, 10, 180)
    mine = [(c.from_, c.to) for c in changes if c.slo == "lag"]
    assert mine[0] == ("unknown", "ok")
    assert mine.count(("watch", "page")) == 1
    told = bench.store.letters()
    assert [
        (t.key, t.notice.action) for t in told if t.notice.channel is Channel.PAGE
    ] == [("dbslo/prod/databases/orders", Action.RESOLVE)]
    (incident,) = bench.store.incidents()
    assert incident.members == ("lag/orders-a",)
    assert incident.resolved_ms is not None


def test_an_incident_in_the_store_survives_a_restart(bench):
    broken(bench, 60, 30, 80)
    (letter,) = [t for t in bench.store.letters() if t.notice.channel is Channel.PAGE]
    assert letter.notice.action is Action.TRIGGER
    bench.restart()
    assert [i.key for i in bench.evaluator.open_incidents] == [letter.key]
    (lag,) = [v for v in views(PLAN, bench.store, TOPICS) if v.series.slo.name == "lag"]
    assert lag.status.verdict is Verdict.PAGE
    assert lag.alert.level is Verdict.PAGE


def test_an_input_of_ours_that_gives_no_mark_is_unknown_not_bad(bench):
    bench.apply(batch(T0 + 5 * MINUTE, [cell(LAG, T0, 0.2)]), clock_ms=1_000)
    assert bench.evaluator.tick(5_000) == []
    changes = bench.evaluator.tick(7_000)
    assert {(c.to, c.reason) for c in changes} == {
        ("unknown", "our own ingest gave no mark of cloudwatch[0] for 6s")
    }
    back = bench.apply(batch(T0 + 6 * MINUTE, []), clock_ms=8_000)
    assert ("lag", "unknown", "ok") in {(c.slo, c.from_, c.to) for c in back}


# -- the fence --------------------------------------------------------------------


def test_a_zombie_changes_no_row_neither_by_batch_nor_by_tick(bench):
    zombie = bench.evaluator
    bench.apply(batch(T0 + MINUTE, [cell(LAG, T0, 0.2)]), clock_ms=1_000)
    bench.restart()
    before = bench.dump(T0 + HOUR)
    with pytest.raises(FencedError):
        zombie.apply([batch(T0 + MINUTE, [cell(LAG, T0, 9.0)])], 2, 1_000)
    assert bench.dump(T0 + HOUR) == before
    zombie.assigned()
    bench.next = 1
    with pytest.raises(FencedError):
        bench.apply(batch(T0 + MINUTE, [cell(LAG, T0, 9.0)]))


def test_a_tick_of_a_zombie_is_fenced_too(bench):
    bench.apply(batch(T0 + 5 * MINUTE, [cell(LAG, T0, 0.2)]), clock_ms=1_000)
    zombie = bench.evaluator
    bench.restart()
    with pytest.raises(FencedError):
        zombie.tick(60_000)


def test_offsets_with_holes_are_no_reason_to_stop(bench):
    evaluator = bench.evaluator
    for after in (1, 3, 7, 12):
        evaluator.apply([batch(T0 + after * MINUTE, [cell(LAG, T0, 0.2)])], after, 0)
    assert bench.evaluator.store.progress(0).next == 12
