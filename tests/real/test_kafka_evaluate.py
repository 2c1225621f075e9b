"""Stage 2 on a real broker, native and Faust: the store says where to read from."""

import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import count
from threading import Event, Thread
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from slo.model import MINUTE
from streams.batch import encode
from streams.evaluate import Evaluator
from streams.kafka import Connection, WorkerStoppedError
from streams.reading import dump
from streams.runtimes.faust import FaustWorker
from streams.runtimes.native import EvaluateWorker
from streams.runtimes.settings import EvaluateSettings
from streams.store import Store, WrongTopicError
from streams.store.postgresql import Limits
from tests.fleet import PLAN
from tests.ground.cache import Missing
from tests.real.forwarder import Forwarder
from tests.real.servers.kafka import QUIET, WiredKafka
from tests.real.walk import until
from tests.real.wire import Wire
from tests.streams.bench import LAG, T0, TOPICS, batch, cell
from tests.streams.flaky import Flaky

pytestmark = pytest.mark.real

SHORT = Limits(connect_ms=1_000, idle_ms=1_000, lock_ms=1_500, answer_ms=2_000)
POLLED_MS = 9_000
"""Who does not poll for this long is no member of its group any more."""

RUNTIMES = {"native": EvaluateWorker, "faust": FaustWorker}


class Stage2:
    """An observations topic of one partition, a store, and a runtime to try."""

    def __init__(self, kafka, tmp_path, runtime: str, url: str = "") -> None:
        self.topic = kafka.topic("observations")
        self.groups = count(1)
        self.number = 0
        self.kafka = kafka
        self.bootstrap = kafka.bootstrap
        self.options = {"max.poll.interval.ms": POLLED_MS}
        self.url = url or f"sqlite:///{tmp_path}/store.db"
        self.store = Store(self.url, limits=SHORT)
        self.made = RUNTIMES[runtime]
        own = {
            "bootstrap.servers": kafka.bootstrap,
            **QUIET,
            "transactional.id": self.topic,
        }
        self.producer = Producer(own)
        self.producer.init_transactions(30)

    def write(self, values: Sequence[bytes], commit: bool = True) -> None:
        """One transaction, as stage 1 writes them."""
        self.producer.begin_transaction()
        for value in values:
            self.producer.produce(self.topic, value, partition=0)
        self.producer.flush(30)
        if commit:
            self.producer.commit_transaction(30)
        else:
            self.producer.abort_transaction(30)

    @property
    def group(self) -> str:
        """The group of the next worker."""
        return f"evaluate-{self.topic}-{self.number}"

    def hint(self, offset: int) -> None:
        """The next worker's group has an offset of its own, which is nobody's truth."""
        self.number = next(self.groups)
        settings = {"bootstrap.servers": self.kafka.bootstrap, "group.id": self.group}
        consumer = Consumer(settings)
        offsets = [TopicPartition(self.topic, 0, offset)]
        consumer.commit(offsets=offsets, asynchronous=False)
        consumer.close()

    def worker(self, store: Store | None = None) -> Any:
        store = store or self.store

        def evaluator(partition: int, partitions: int) -> Evaluator:
            return Evaluator(
                PLAN, store, TOPICS, partition=partition, partitions=partitions
            )

        settings = EvaluateSettings(
            Connection(self.bootstrap, self.options),
            group=self.group,
            observations=self.topic,
        )
        clock = lambda: time.time_ns() // 1_000_000  # noqa: E731
        return self.made(settings, evaluator, clock, lambda _: None)

    @contextmanager
    def running(self, store: Store | None = None) -> Iterator[Any]:
        worker, stop = self.worker(store), Event()
        thread = Thread(target=worker.run, args=(stop,))
        thread.start()
        try:
            yield worker
        finally:
            stop.set()
            thread.join(30)
        assert not thread.is_alive()

    def ended_with(self) -> BaseException:
        """Run until the worker ends by itself; what ended it."""
        with pytest.raises((WorkerStoppedError, WrongTopicError)) as caught:
            self.worker().run(Event())
        return caught.value

    def member(self) -> str:
        """Who holds the partition, as the group's coordinator says."""
        admin = self.kafka.admin()
        asked = admin.describe_consumer_groups([self.group])
        found = asked[self.group].result(10).members
        (member,) = (m.member_id for m in found if m.assignment.topic_partitions)
        return member

    def read(self, offset: int) -> None:
        """Wait until the store has read to an offset."""
        until(f"the store is at {offset}", lambda: self.at() >= offset, 30)

    def at(self) -> int:
        progress = self.store.progress(0)
        return progress.next if progress else -1

    def lag(self) -> list[tuple[int, int, int]]:
        """The minutes of the lag SLO: (minute, good, total)."""
        lines = dump(PLAN, self.store, TOPICS, T0 + 100 * MINUTE)
        parts = (line.split("\t") for line in lines)
        return [
            ((int(start) - T0) // MINUTE, int(good), int(total))
            for series, start, good, total in parts
            if series.startswith("lag/")
        ]


@pytest.fixture(params=RUNTIMES)
def stage(request, kafka, tmp_path):
    made = Stage2(kafka, tmp_path, request.param)
    yield made
    made.store.close()


def told(minute: int, value: float = 0.2) -> bytes:
    start = T0 + minute * MINUTE
    return encode(batch(start + MINUTE, [cell(LAG, start, value)]))


def test_an_aborted_transaction_and_a_group_offset_that_disagrees_change_nothing(stage):
    """The store stops at 3; the group says 11, beyond a batch that nobody has read."""
    stage.write([told(0)])
    stage.write([told(1)])
    with stage.running():
        stage.read(3)
    for value, commit in ((5.0, False), (0.2, True), (5.0, False), (0.2, True)):
        stage.write([told(2 if commit else 1, value)], commit)
    stage.write([told(3)])
    stage.hint(11)
    with stage.running():
        stage.read(13)
    assert stage.lag() == [(0, 1, 1), (1, 1, 1), (2, 1, 1), (3, 1, 1)]


def test_a_batch_that_was_applied_is_not_applied_again(stage):
    """The group has forgotten everything; the store has not."""
    stage.write([told(0), told(1)])
    with stage.running():
        stage.read(2)
    stage.hint(0)
    stage.write([told(2)])
    with stage.running():
        stage.read(4)
    assert stage.lag() == [(0, 1, 1), (1, 1, 1), (2, 1, 1)]


def test_an_unknown_schema_version_stops_the_worker_before_it(stage):
    newer = b"\x98\x63" + told(1)[2:]
    stage.write([told(0)])
    stage.write([newer])
    stage.write([told(2)])
    error = stage.ended_with()
    assert "offset 2: batch has schema version 99" in str(error)
    assert "upgrade evaluate before ingest" in str(error)
    assert stage.at() <= 2


def test_a_foreign_record_is_counted_and_its_neighbours_go_on(stage):
    stage.write([told(0), b"not ours", told(1)])
    with stage.running() as worker:
        stage.read(3)
        assert worker.reader.refused == {("observations", "not_a_batch"): 1}
    assert stage.lag() == [(0, 1, 1), (1, 1, 1)]


def test_a_topic_that_was_made_anew_stops_the_worker(stage):
    stage.write([told(0)])
    with stage.running():
        stage.read(1)
    admin = stage.kafka.admin()
    admin.delete_topics([stage.topic])[stage.topic].result(30)
    until("it is gone", lambda: stage.topic not in admin.list_topics(timeout=5).topics)
    stage.kafka.create(stage.topic)
    assert "its offsets mean nothing there" in str(stage.ended_with())


def test_batches_that_expired_before_they_were_evaluated_stop_the_worker(stage):
    stage.write([told(0)])
    with stage.running():
        stage.read(1)
    stage.write([told(1)])
    stage.write([told(2)])
    admin = stage.kafka.admin()
    gone = TopicPartition(stage.topic, 0, 4)
    admin.delete_records([gone])[gone].result(30)
    assert "no longer holds offset 1" in str(stage.ended_with())


def test_a_new_store_begins_where_the_log_does(stage):
    stage.write([told(0)])
    stage.write([told(1)])
    admin = stage.kafka.admin()
    gone = TopicPartition(stage.topic, 0, 2)
    admin.delete_records([gone])[gone].result(30)
    with stage.running():
        stage.read(3)
    assert stage.lag() == [(1, 1, 1)]


def test_another_worker_that_took_the_partition_sends_us_back_to_the_store(stage):
    """The fence moves under us; what we then read is what the store waits for."""
    stage.write([told(0)])
    with stage.running():
        stage.read(1)
        stage.store.take(0)
        stage.write([told(1)])
        stage.read(3)
    assert stage.lag() == [(0, 1, 1), (1, 1, 1)]


def test_a_seek_in_the_midst_of_a_backlog_is_made_once_and_leaves_nothing_out(
    stage, caplog
):
    """What was fetched before it is passed over, not taken for a record that is lost."""
    stage.write([told(minute % 90) for minute in range(900)])
    with stage.running():
        for enough in (1, 200, 400, 600):
            stage.read(enough)
            stage.store.take(0)
        stage.read(900)
    said = [record.getMessage() for record in caplog.records]
    assert [line for line in said if "is missing" in line] == []
    assert sum("is loaded again" in line for line in said) <= 4
    assert stage.lag() == [(minute, 1, 1) for minute in range(90)]


@pytest.mark.parametrize("fate", ["before", "after"])
def test_a_store_that_fails_around_a_commit_changes_nothing(stage, fate):
    """Whether the commit came through nobody knows until it is read back."""
    flaky = Flaky(str(stage.store._engine.url))
    flaky.fails = dict.fromkeys(range(1, 40, 2), fate)
    with stage.running(flaky):
        for minute in range(6):
            stage.write([told(minute)])
            stage.read(2 * minute + 1)
    flaky.close()
    assert flaky.failed >= 3
    assert stage.lag() == [(minute, 1, 1) for minute in range(6)]


def test_what_waits_is_applied_together(stage):
    """A backlog costs a fraction of one SQL transaction for each batch."""
    stage.write([told(minute % 90) for minute in range(900)])
    counted = Flaky(str(stage.store._engine.url))
    with closing(counted), stage.running(counted):
        stage.read(900)
    assert next(counted.commits) < 100
    assert stage.lag() == [(minute, 1, 1) for minute in range(90)]


# -- the store is slow, or away -------------------------------------------------------


@pytest.fixture
def away(request, kafka, fresh_postgres, tmp_path):
    """A runtime on a PostgreSQL of its own, behind a wire that can be cut."""
    with Forwarder.to(fresh_postgres.port) as wire:
        url = fresh_postgres.url(fresh_postgres.database())
        url = url.replace(f":{fresh_postgres.port}/", f":{wire.port}/")
        made = Stage2(kafka, tmp_path, request.param, url)
        made.server, made.wire = fresh_postgres, wire
        yield made
        made.store.close()


LEAVE = {
    "it crashed": lambda stage: stage.server.kill(),
    "the wire swallows": lambda stage: stage.wire.cut(),
}
COME_BACK = {
    "it crashed": lambda stage: stage.server.start(),
    "the wire swallows": lambda stage: stage.wire.mend(),
}


FOR_MS = {"it crashed": POLLED_MS + 500, "the wire swallows": 2_500}
"""Once for longer than a session, and than a member may go without polling."""


@pytest.mark.parametrize(
    ("away", "how"),
    [
        ("native", "it crashed"),
        ("native", "the wire swallows"),
        ("faust", "it crashed"),
    ],
    indirect=["away"],
)
def test_a_store_that_is_away_pauses_the_partition_and_loses_nothing(away, how):
    stage = away
    stage.write([told(0)])
    with stage.running() as worker:
        stage.read(1)
        member = stage.member()
        LEAVE[how](stage)
        for minute in range(1, 6):
            stage.write([told(minute)])
        enough = FOR_MS[how]
        until("it waits", lambda: worker.store_away_ms > enough, 40)
        assert stage.member() == member
        age_ms = time.time_ns() // 1_000_000 - worker.checkpoints_ms[0]
        assert age_ms > enough
        COME_BACK[how](stage)
        stage.read(11)
        until("it goes on", lambda: worker.store_away_ms == 0)
        assert stage.member() == member
        stage.write([told(6)])
        stage.read(13)
    assert stage.lag() == [(minute, 1, 1) for minute in range(7)]


@pytest.mark.parametrize("away", ["native"], indirect=True)
def test_a_worker_that_starts_while_the_store_is_away_waits_for_it(away):
    stage = away
    stage.write([told(0)])
    stage.server.kill()
    waiting = Store(stage.url, lazy=True, limits=SHORT)
    with closing(waiting), stage.running(waiting) as worker:
        until("it waits", lambda: worker.store_away_ms > 1_000, 40)
        assert list(worker.checkpoints_ms) == [0], "it is seen to be late"
        stage.server.start()
        stage.read(1)
    assert stage.lag() == [(0, 1, 1)]


# -- the client loses its brokers ------------------------------------------------------


@pytest.fixture
def behind_a_wire(fresh_postgres, tmp_path) -> Iterator[tuple[Stage2, Wire]]:
    """A broker behind a wire, and clients that cannot begin anew.

    librdkafka's races keep one from it that may.
    """
    url = fresh_postgres.url(fresh_postgres.database())
    try:
        with (
            WiredKafka.running() as broker,
            Wire.to(broker.wire_port, broker.inner) as wire,
        ):
            made = Stage2(broker, tmp_path, "native", url)
            made.server, made.bootstrap = fresh_postgres, f"127.0.0.1:{wire.port}"
            made.options["metadata.recovery.strategy"] = "none"
            yield made, wire
            made.store.close()
    except Missing as missing:
        pytest.skip(str(missing))


@pytest.mark.parametrize("store", ["the store answers", "the store is away"])
def test_a_client_that_knows_no_broker_any_more_is_replaced(
    behind_a_wire, caplog, store
):
    stage, wire = behind_a_wire
    stage.write([told(0)])
    with stage.running() as worker:
        stage.read(1)
        if store == "the store is away":
            stage.server.kill()
            until("it waits", lambda: worker.store_away_ms > 0, 40)
        wire.names_nobody = True
        until("it is told", lambda: f"{stage.group}-0" in wire.told)
        wire.names_nobody = False
        stage.write([told(1)])
        until("it is replaced", lambda: "another replaces it" in caplog.text)
        if store == "the store is away":
            stage.server.start()
        stage.write([told(2)])
        stage.read(5)
        assert worker.store_away_ms == 0
    assert stage.lag() == [(0, 1, 1), (1, 1, 1), (2, 1, 1)]
