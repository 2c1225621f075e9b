"""Both stages in one process: everything is saved, and no record is forgotten."""

import itertools
import json
import time
from threading import Event

import pytest
from confluent_kafka import Producer

from streams.evaluate import Evaluator
from streams.ingest import Ingest
from streams.kafka import WorkerStoppedError
from streams.reading import dump
from streams.runtimes.embedded import Embedded, Pace
from streams.runtimes.room import EngineStoppedError
from streams.topics import topics_of
from tests.real.rows import counted, rows
from tests.real.walk import FAR_MS, plan_of, until
from tests.streams.flaky import Flaky

PREFIX = "shop"
TABLE = f"{PREFIX}.shop.t"


def real_clock() -> int:
    return time.time_ns() // 1_000_000


class Engine:
    """An embedded engine on a store of its own."""

    def __init__(self, folder, clock=real_clock) -> None:
        self.plan = plan_of(PREFIX)
        self.topics = topics_of(self.plan.inventory, {})
        self.store = Flaky(f"sqlite:///{folder}/store.db")
        self.ingest = Ingest(self.plan, self.topics, worker="e", partitions=1)
        self.embedded = Embedded(
            self.ingest,
            Evaluator(self.plan, self.store, self.topics),
            self.topics,
            clock,
            run="a-run",
            pace=Pace(flush_ms=20, idle_ms=50),
        )

    def send(self, made, repeat: int = 1) -> None:
        producer = self.embedded.producer()
        for row in made:
            for _ in range(repeat):
                producer.produce(
                    TABLE,
                    row.value(PREFIX),
                    key=row.key,
                    partition=row.partition,
                    timestamp_ms=row.arrival_ms,
                )
        producer.flush()

    def rows(self) -> dict[int, tuple[int, int]]:
        lines = dump(self.plan, self.store, self.topics, FAR_MS)
        return {
            int(start): (int(good), int(total))
            for series, start, good, total in (line.split("\t") for line in lines)
            if series.startswith("rows/")
        }


@pytest.fixture
def engine(tmp_path):
    made = Engine(tmp_path)
    made.embedded.start()
    yield made
    made.embedded.stop()
    made.store.close()


def some(count: int, age_ms: int = 600_000):
    return list(itertools.islice(rows(real_clock() - age_ms), count))


def test_every_row_is_counted_once_though_each_is_sent_twice(engine):
    sent = some(2_000)
    engine.send(sent, repeat=2)
    engine.embedded.drain()
    assert engine.rows() == counted(sent)


def test_the_broker_forgets_nothing_because_its_producers_wait(engine):
    """16 MB into one partition of a broker that keeps 5."""
    sent = [row for row in some(100_000) if row.partition == 0][:25_000]
    padding = json.dumps({"padding": "x" * 200}).encode()[1:]
    producer = engine.embedded.producer()
    for row in sent:
        value = row.value(PREFIX)[:-1] + b", " + padding
        producer.produce(
            TABLE, value, key=row.key, partition=0, timestamp_ms=row.arrival_ms
        )
    producer.flush()
    engine.embedded.drain()
    assert engine.rows() == counted(sent)


def test_a_producer_that_does_not_wait_is_told_that_records_are_lost(tmp_path):
    """54 MB while the engine is held up: at its clock, which it reads at each step."""
    reads = Event()
    reads.set()
    engine = Engine(tmp_path, clock=lambda: reads.wait(30) and real_clock())
    engine.embedded.start()
    engine.embedded.create(TABLE)
    reads.clear()
    outside = Producer({"bootstrap.servers": engine.embedded.bootstrap, "linger.ms": 0})
    value = some(1)[0].value(PREFIX).ljust(900_000)
    for _ in range(60):
        outside.produce(TABLE, value, partition=0)
        outside.poll(0)
    outside.flush(30)
    reads.set()
    with pytest.raises(EngineStoppedError, match="has forgotten records"):
        engine.embedded.drain()
    with pytest.raises(EngineStoppedError, match="Produce through the engine's own"):
        engine.embedded.stop()
    assert isinstance(engine.embedded.failure, WorkerStoppedError)
    engine.store.close()


@pytest.mark.parametrize("fate", ["before", "after"])
def test_a_store_that_fails_around_a_commit_changes_nothing(engine, fate):
    """Whether the commit came through nobody knows until it is read back."""
    engine.store.fails = dict.fromkeys(range(3, 60, 4), fate)
    sent = some(30_000)
    engine.send(sent)
    engine.embedded.drain()
    assert engine.store.failed >= 1
    assert engine.rows() == counted(sent)


def test_an_engine_whose_partition_was_taken_goes_on_where_the_store_is(engine):
    first, second = some(200), some(400)[200:]
    engine.send(first)
    engine.embedded.drain()
    engine.store.take(0)
    engine.send(second)
    engine.embedded.drain()
    assert sum(total for _, total in engine.rows().values()) == 400


def test_marks_reach_the_clock_that_is_given(tmp_path):
    """A trace's clock: it stands still until the trace moves it."""
    at = [real_clock() - 3_600_000]
    engine = Engine(tmp_path, clock=lambda: at[0])
    engine.embedded.start()
    engine.embedded.create(TABLE)
    engine.embedded.drain()
    at[0] += 120_000
    engine.embedded.drain()
    frontier = engine.embedded._evaluator.frontier
    assert frontier.now("orders") == at[0]
    engine.embedded.stop()
    engine.store.close()


def test_dead_letters_are_kept_in_the_store_with_the_counts_beside_them(engine):
    producer = engine.embedded.producer()
    producer.produce(TABLE, b'{"broken', partition=0)
    producer.flush()
    engine.send(some(4))
    engine.embedded.drain()
    ((_, letter),) = engine.store.dead_letters()
    assert (letter.topic, letter.partition, letter.offset) == (TABLE, 0, 0)
    assert sum(total for _, total in engine.rows().values()) == 4


def test_a_topic_that_appears_later_is_read_from_its_first_record(engine):
    engine.send(some(4))
    engine.embedded.drain()
    producer = engine.embedded.producer()
    late = some(8)[4:]
    for row in late:
        producer.produce(
            f"{PREFIX}.shop.new", row.value(PREFIX), timestamp_ms=row.arrival_ms
        )
    producer.flush()
    engine.embedded.drain()
    until("all is counted", lambda: sum(t for _, t in engine.rows().values()) == 8)
