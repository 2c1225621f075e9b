"""Stage 1 on a real broker: what it hands over, and what it commits with it."""

from contextlib import suppress
from itertools import islice

import msgspec
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from streams.kafka import WorkerStoppedError
from streams.runtimes import appetite
from streams.runtimes.ingest import IngestWorker
from tests.real.rows import rows
from tests.real.servers.kafka import QUIET
from tests.real.stage1 import Stage1, now, some
from tests.real.walk import PARTITIONS, until

pytestmark = pytest.mark.real


@pytest.fixture
def stage(kafka, tmp_path):
    made = Stage1(kafka, tmp_path)
    yield made
    made.close()


def test_rows_are_handed_over_with_the_offsets_and_marks_that_they_came_from(stage):
    sent = some(400)
    stage.walk.send(sent)
    with stage.running() as worker:
        stage.step_until(worker, "all is read", lambda: stage.counted() == 400)
        stage.step_until(worker, "time goes on", lambda: stage.mark() > now() - 2_000)
    assert [stage.committed(n).offset for n in range(4)] == [100] * 4
    for partition in range(4):
        last = max(r.position for r in sent if r.partition == partition)
        assert str(last) in stage.committed(partition).metadata


def test_a_commit_without_new_records_keeps_the_marks(stage):
    sent = some(8)
    stage.walk.send(sent)
    with stage.running() as worker:
        stage.step_until(worker, "all is read", lambda: stage.counted() == 8)
        flushed = worker.flushes
        stage.step_until(worker, "idle flushes", lambda: worker.flushes > flushed + 2)
    assert stage.committed(0).metadata
    with stage.running() as worker:
        stage.walk.send(sent)  # re-sent by a connector that was restarted
        stage.step_until(
            worker,
            "all is read again",
            lambda: all(stage.committed(number).offset == 4 for number in range(4)),
        )
        opened = now()
        stage.step_until(worker, "it is told of", lambda: stage.mark() > opened)
    assert stage.counted() == 8


def test_every_output_partition_hears_of_every_input(stage):
    stage.walk.send(some(4))
    heartbeats = f"__debezium-heartbeat.{stage.walk.prefix}"
    inputs = {stage.walk.table: 4, heartbeats: 1}
    wanted = {(topic, n) for topic, count in inputs.items() for n in range(count)}

    def heard() -> bool:
        return all(
            any(
                {(m.topic, m.partition) for m in b.marks} == wanted
                for number, b in stage.batches
                if number == output
            )
            for output in range(PARTITIONS)
        )

    with stage.running() as worker:
        stage.step_until(worker, "marks of all, everywhere", heard)
    assert all(batch.inputs == inputs for _, batch in stage.batches)


def test_an_open_transaction_upstream_is_no_silence(stage):
    row = some(1)[0]
    own = {
        "bootstrap.servers": stage.kafka.bootstrap,
        **QUIET,
        "transactional.id": stage.group,
    }
    upstream = Producer(own)
    upstream.init_transactions(30)
    stage.walk.send([row])
    with stage.running() as worker:
        stage.step_until(
            worker, "silence is seen", lambda: stage.mark() > now() - 2_000
        )
        upstream.begin_transaction()
        upstream.produce(stage.walk.table, row.value(stage.walk.prefix), partition=0)
        upstream.flush(30)
        opened = now()
        flushed = worker.flushes + 15
        stage.step_until(worker, "time has passed", lambda: worker.flushes > flushed)
        assert now() - opened > 1_000
        assert stage.mark() <= opened
        upstream.abort_transaction(30)
        stage.step_until(worker, "silence again", lambda: stage.mark() > opened + 1_000)


def test_what_cannot_be_decoded_is_a_dead_letter_and_its_neighbours_go_on(stage):
    good = some(4)
    stage.walk.produce(stage.walk.table, b'{"broken', partition=0)
    stage.walk.send(good)
    with stage.running() as worker:
        stage.step_until(worker, "all is read", lambda: stage.counted() == 4)
        stage.step_until(worker, "the letter is there", lambda: bool(stage.letters))
    (letter,) = stage.letters
    place = {name: letter[name] for name in ("topic", "partition", "offset", "format")}
    assert place == {
        "topic": stage.walk.table,
        "partition": 0,
        "offset": 0,
        "format": "debezium",
    }
    assert letter["reason"]


class Burst:
    """Bombs for a worker that may be silent for 8 s.

    Two of them in one poll take until it is put out; `outs` has the sizes of such polls.
    """

    BOMB, SIZE = b"a bomb", 24

    def __init__(self, stage, monkeypatch) -> None:
        self.outs: list[int] = []
        self._stage, self._monkeypatch = stage, monkeypatch
        stage.walk.connection = msgspec.structs.replace(
            stage.walk.connection, options={"max.poll.interval.ms": 8_000}
        )

    def send(self) -> None:
        for _ in range(self.SIZE):
            self._stage.walk.produce(self._stage.walk.table, self.BOMB, partition=0)

    def put_out(self) -> bool:
        return self._stage.walk.members("ingest") == 0

    def meets(self, worker) -> None:
        add = worker._ingest.add

        def add_slowly(slab, clock_ms) -> None:
            if slab.values.count(self.BOMB) > 1:
                until("it is put out", self.put_out)
                self.outs.append(len(slab.values))
            add(slab, clock_ms)

        self._monkeypatch.setattr(worker._ingest, "add", add_slowly)

    def is_read_through(self, worker, rows: int) -> None:
        """Every row is there once, and every bomb is a dead letter, once."""
        stage = self._stage

        def all_is_read() -> bool:
            for _ in range(20):  # our own look at what was written takes its time
                worker.step()
            stage.read()
            return stage.counted() >= rows and len(stage.letters) >= self.SIZE

        until("all is read", all_is_read, 120)
        stage.read()
        assert (stage.counted(), len(stage.letters)) == (rows, self.SIZE)


@pytest.fixture
def burst(stage, monkeypatch) -> Burst:
    return Burst(stage, monkeypatch)


def test_a_burst_of_bombs_is_read_through(stage, burst, monkeypatch):
    """A worker at rest asks for one record, and after each that was slow."""
    monkeypatch.setattr(appetite, "SLOW_S", 0.0)
    with stage.running() as worker:
        flushed = worker.flushes
        stage.step_until(worker, "it waits", lambda: worker.flushes > flushed + 5)
        burst.meets(worker)
        burst.send()
        stage.walk.send(some(4))
        burst.is_read_through(worker, 4)
    assert burst.outs == []


def test_a_burst_that_meets_a_worker_in_full_flow_puts_it_out_once(stage, burst):
    """It asks for hundreds at a time by then; put out, it reads one by one."""
    stage.walk.send(some(4_000))
    burst.send()
    with stage.running() as worker:
        burst.meets(worker)
        burst.is_read_through(worker, 4_000)
    assert len(burst.outs) == 1


def test_records_that_expired_unread_are_told_and_the_rest_is_read(stage):
    stage.walk.send(some(40))
    with stage.running() as worker:
        stage.step_until(worker, "all is read", lambda: stage.counted() == 40)
    later = list(islice(rows(now() - 30_000), 400, 440))
    stage.walk.send(later)
    gone = TopicPartition(stage.walk.table, 0, 15)
    stage.walk.admin.delete_records([gone])[gone].result(30)
    with stage.running() as worker:
        stage.step_until(worker, "the rest is read", lambda: stage.counted() == 75)
        assert worker.lost == {(stage.walk.table, 0): 5}


def test_a_topic_that_appears_later_is_read_from_its_first_record(stage):
    stage.walk.send(some(4))
    with stage.running() as worker:
        stage.step_until(worker, "the first is read", lambda: stage.counted() == 4)
        stage.walk.table = f"{stage.walk.prefix}.shop.new"
        stage.kafka.create(stage.walk.table, 4)
        stage.walk.send(list(islice(rows(now() - 9_000), 100, 108)))
        stage.step_until(worker, "the new is read", lambda: stage.counted() == 12)


def test_of_two_workers_in_one_slot_one_is_stopped_and_one_goes_on(stage):
    """Being fenced once may be our own fault: standing still in a transaction."""
    workers = [stage.worker(), stage.worker()]
    for worker in workers:
        worker.start()
    stopped: list[tuple[IngestWorker, str]] = []

    def one_stopped() -> bool:
        for worker in workers:
            try:
                worker.step()
            except WorkerStoppedError as error:
                stopped.append((worker, str(error)))
        return bool(stopped)

    until("one has stopped", one_stopped)
    ((loser, why),) = stopped
    assert "give every ingest worker a slot of its own" in why
    (other,) = (worker for worker in workers if worker is not loser)
    with suppress(WorkerStoppedError):
        loser.close()
    flushed = other.flushes
    stage.step_until(other, "the other goes on", lambda: other.flushes > flushed + 5)
    other.close()


@pytest.mark.parametrize("partitions", [1, 3])
def test_an_observations_topic_of_another_size_is_refused(stage, partitions):
    worker = stage.worker(partitions=partitions)
    with pytest.raises(WorkerStoppedError, match="has 2 partitions, we were started"):
        worker.start()


def test_notes_of_another_consumer_refuse_their_partition_alone(stage):
    """Nothing of it is counted before somebody has looked; the others go on."""
    stage.walk.send(some(400))
    other = Consumer(
        {"bootstrap.servers": stage.kafka.bootstrap, "group.id": stage.group}
    )
    note = TopicPartition(stage.walk.table, 0, 10, "a note of somebody else")
    other.commit(offsets=[note], asynchronous=False)
    other.close()
    with stage.running() as worker:
        stage.step_until(worker, "the rest is read", lambda: stage.counted() == 300)
        flushes = worker.flushes
        stage.step_until(worker, "two more", lambda: worker.flushes > flushes + 2)
        assert set(worker.refused) == {(stage.walk.table, 0)}
    assert stage.counted() == 300
    assert stage.committed(0).offset == 10


def test_a_topic_that_is_deleted_takes_nothing_with_it(stage):
    stage.walk.send(some(8))
    with stage.running() as worker:
        stage.step_until(worker, "all is read", lambda: stage.counted() == 8)
        gone = f"{stage.walk.prefix}.shop.gone"
        stage.kafka.create(gone, 4)
        stage.step_until(worker, "it is found", lambda: (gone, 3) in worker.lag)
        stage.walk.admin.delete_topics([gone])[gone].result(30)
        stage.walk.send(list(islice(rows(now() - 9_000), 100, 108)))
        stage.step_until(worker, "the rest is read", lambda: stage.counted() == 16)
        stage.step_until(worker, "it is let go", lambda: (gone, 3) not in worker.lag)
