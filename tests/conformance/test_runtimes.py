"""One walk, whatever runs it: the same records give the same ledger, line by line."""

import random
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from dbslo.capture import Captured
from dbslo.replay import replay
from streams.evaluate import Evaluator
from streams.ingest import Ingest
from streams.kafka import Connection
from streams.reading import dump, views
from streams.runtimes.admin import Admin
from streams.runtimes.embedded import Embedded, Pace
from streams.runtimes.faust import FaustWorker
from streams.runtimes.ingest import IngestWorker
from streams.runtimes.native import EvaluateWorker
from streams.runtimes.offsets import LATEST, bounds
from streams.runtimes.settings import EvaluateSettings, IngestSettings
from streams.store import Store
from streams.topics import topics_of
from tests.conformance.fleet_records import (
    PARTITIONS,
    Placed,
    interleaved,
    plan,
    records,
)
from tests.ground.cache import Missing
from tests.real.servers.kafka import Kafka
from tests.real.walk import until

OUTPUTS = 3
TOPICS = topics_of(plan().inventory)
SEEDS = range(5)
FLUSH_MS = (100, 5, 20, 300, 50)


def now() -> int:
    return time.time_ns() // 1_000_000


@pytest.fixture(scope="module")
def sent() -> list[Placed]:
    return records(now())


@pytest.fixture(scope="module")
def wanted(sent, tmp_path_factory) -> list[str]:
    """The ledger by replay, the plainest walk."""
    with opened(tmp_path_factory.mktemp("replay")) as store:
        offsets = count()
        captured = [
            Captured(r.arrival_ms, r.topic, r.partition, next(offsets), r.key, r.value)
            for r in sent
        ]
        replay(plan(), TOPICS, captured, store, lambda _: None)
        return lines(store, sent)


@contextmanager
def opened(folder: Path) -> Iterator[Store]:
    store = Store(f"sqlite:///{folder}/store.db")
    yield store
    store.close()


def lines(store: Store, sent: list[Placed]) -> list[str]:
    """The dump until the last record's timestamp."""
    return list(dump(plan(), store, TOPICS, max(r.arrival_ms for r in sent)))


def evaluator(store: Store):
    def made(partition: int, partitions: int) -> Evaluator:
        return Evaluator(
            plan(), store, TOPICS, partition=partition, partitions=partitions
        )

    return made


def test_the_records_tell_something(sent, wanted):
    """Good and bad of every series kind; else equality would prove little."""
    parts = [line.split("\t") for line in wanted]
    good = {series.split("/")[0] for series, _, good, _ in parts if int(good)}
    bad = {series.split("/")[0] for series, _, good, total in parts if good != total}
    assert len(sent) > 1_500
    assert len(good) >= 8
    assert len(bad) >= 4


# -- embedded ------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_embedded(seed, sent, wanted, tmp_path):
    with opened(tmp_path) as store:
        engine = Embedded(
            Ingest(plan(), TOPICS, worker="e", partitions=1),
            evaluator(store)(0, 1),
            TOPICS,
            now,
            run="a-run",
            pace=Pace(flush_ms=FLUSH_MS[seed], idle_ms=50),
        )
        engine.start()
        producer = engine.producer()
        chosen = random.Random(seed)
        for burst in interleaved(sent, seed):
            for one in burst:
                producer.produce(
                    one.topic,
                    one.value,
                    key=one.key,
                    partition=one.partition,
                    timestamp_ms=one.arrival_ms,
                )
            producer.flush()
            if chosen.random() < 0.5:
                engine.drain()
        engine.drain()
        engine.stop()
        assert lines(store, sent) == wanted


# -- on Kafka -----------------------------------------------------------------------


class Walked:
    """Both stages on a broker, in threads, over topics that are made anew."""

    def __init__(self, kafka: Kafka, store: Store, seed: int, faust: bool) -> None:
        self.kafka = kafka
        self.store = store
        self.seed = seed
        self.connection = Connection(kafka.bootstrap)
        self.admin = Admin(self.connection)
        self.observations = kafka.topic("observations", OUTPUTS)
        self.dead_letters = kafka.topic("dead-letters")
        self.group = f"ingest-{self.observations}"
        self.judge = (FaustWorker if faust else EvaluateWorker)(
            EvaluateSettings(
                self.connection,
                group=f"evaluate-{self.observations}",
                observations=self.observations,
            ),
            evaluator(store),
            now,
            lambda _: None,
        )
        self.stop = Event()
        self.threads: list[Thread] = []
        self.readers: list[IngestWorker] = []

    def begin(self, run: Any) -> None:
        thread = Thread(target=run, args=(self.stop,))
        thread.start()
        self.threads.append(thread)

    def read(self, slot: str) -> None:
        """Start a stage 1 worker."""
        settings = IngestSettings(
            self.connection,
            slot,
            group=self.group,
            observations=self.observations,
            dead_letters=self.dead_letters,
            flush_ms=FLUSH_MS[self.seed],
        )
        made = Ingest(plan(), TOPICS, worker=slot, partitions=OUTPUTS)
        reader = IngestWorker(made, TOPICS, settings, now, partitions=OUTPUTS)
        self.readers.append(reader)
        self.begin(reader.run)

    def produce(self, sent: list[Placed]) -> None:
        """Write bursts; a second reader joins at the third."""
        producer = Producer({"bootstrap.servers": self.kafka.bootstrap})
        for number, burst in enumerate(interleaved(sent, self.seed)):
            for one in burst:
                producer.produce(
                    one.topic,
                    one.value,
                    one.key,
                    one.partition,
                    timestamp=one.arrival_ms,
                )
            producer.flush(30)
            if number == 2 and self.seed % 2:
                self.read("1")

    def caught_up(self, last_ms: int) -> bool:
        """All is committed by stage 1, read by stage 2, and now has gone on past it."""
        raw = [(t, n) for t in raw_topics(self.kafka) for n in range(PARTITIONS)]
        ends = bounds(self.admin, raw, LATEST)
        settings = {"bootstrap.servers": self.kafka.bootstrap, "group.id": self.group}
        asking = Consumer(settings)
        found = asking.committed([TopicPartition(*p) for p in raw], timeout=10)
        asking.close()
        if any(o.offset < ends[o.topic, o.partition] for o in found):
            return False
        outputs = [(self.observations, n) for n in range(OUTPUTS)]
        written = bounds(self.admin, outputs, LATEST)
        until("stage 2 has read it", lambda: self._read_to(written))
        return all(v.now_ms > last_ms for v in views(plan(), self.store, TOPICS))

    def _read_to(self, ends: dict[tuple[str, int], int]) -> bool:
        """A log ends in a transaction's marker, which is no batch."""
        found = {n: self.store.progress(n) for n in range(OUTPUTS)}
        return all(
            (at := found[number]) is not None and at.next >= end - 1
            for (_, number), end in ends.items()
        )


def raw_topics(kafka: Kafka) -> list[str]:
    found = kafka.admin().list_topics(timeout=10).topics
    return sorted(name for name in found if TOPICS.is_source(name))


def renew(kafka: Kafka, names: set[str]) -> None:
    """Make topics anew: empty, under the same names."""
    admin, old = kafka.admin(), raw_topics(kafka)
    for done in admin.delete_topics(old).values() if old else ():
        done.result(30)

    def made(name: str) -> bool:
        try:
            kafka.create(name, PARTITIONS)
        except KafkaException:  # the old one is not quite gone
            return False
        return True

    for name in sorted(names):
        until(f"{name} is made", lambda name=name: made(name))


@pytest.fixture(scope="module")
def fresh_kafka() -> Iterator[Kafka]:
    """A broker of this module's own: its topics bear the product's names."""
    with ExitStack() as stack:
        try:
            kafka = stack.enter_context(Kafka.running())
        except Missing as missing:
            pytest.skip(str(missing))
        yield kafka


@pytest.mark.real
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("runtime", ["native", "faust"])
def test_kafka(runtime, seed, sent, wanted, fresh_kafka, tmp_path):
    last_ms = max(r.arrival_ms for r in sent)
    renew(fresh_kafka, {r.topic for r in sent})
    with opened(tmp_path) as store:
        walked = Walked(fresh_kafka, store, seed, faust=runtime == "faust")
        walked.begin(walked.judge.run)
        walked.read("0")
        try:
            walked.produce(sent)
            until("all is saved", lambda: walked.caught_up(last_ms))
        finally:
            walked.stop.set()
            for thread in walked.threads:
                thread.join(30)
        assert lines(store, sent) == wanted
