"""A transaction under way while the next fold is read: what fails, fails together."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from threading import Event, Thread

import pytest
from confluent_kafka import Producer

from streams.kafka import producer_settings
from tests.real.rows import rows
from tests.real.stage1 import Stage1, now
from tests.real.walk import until

pytestmark = pytest.mark.real


@pytest.fixture
def stage(kafka, tmp_path):
    made = Stage1(kafka, tmp_path)
    yield made
    made.close()


@contextmanager
def standing_still(pid: int) -> Iterator[None]:
    """A process is stopped, as a host that hangs, and goes on afterwards."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


class Feed:
    """Rows that keep coming, a few at a time."""

    def __init__(self, stage: Stage1) -> None:
        self._stage = stage
        self._rows = rows(now() - 60_000)
        self.sent = 0

    def more(self, count: int) -> None:
        self._stage.walk.send(islice(self._rows, count))
        self.sent += count


def exact(stage: Stage1, feed: Feed) -> None:
    """Everything is counted once, and the group stands behind all of it."""
    stage.read()
    assert stage.counted() == feed.sent
    assert sum(stage.committed(n).offset for n in range(4)) == feed.sent


def test_rows_are_read_while_a_transaction_is_under_way(stage):
    """A second of batches, each read while the one before it is written."""
    feed = Feed(stage)
    with stage.running() as worker:
        seen = []

        def held() -> bool:
            feed.more(10)
            underway = worker._handover._underway is not None
            read = worker.step()
            seen.append(underway and read > 0)
            return worker.flushes >= 10

        until("ten hand-overs", held)
        assert any(seen)
        stage.step_until(worker, "all", lambda: stage.counted() == feed.sent)
    exact(stage, feed)


def test_what_is_under_way_fails_and_takes_the_fold_behind_it_along(stage):
    """Fenced in between by its own name: both are read again, and counted once."""
    feed = Feed(stage)
    name = f"{stage.group}-0"
    with stage.running() as worker:
        feed.more(40)
        stage.step_until(worker, "the first", lambda: stage.counted() == 40)
        Producer(producer_settings(stage.walk.connection, name)).init_transactions(30)

        def read_again() -> bool:
            feed.more(10)
            worker.step()
            return worker.records > feed.sent

        until("rows are read again", read_again)
        stage.step_until(worker, "all", lambda: stage.counted() >= feed.sent)
        flushes = worker.flushes
        stage.step_until(worker, "two more", lambda: worker.flushes > flushes + 2)
    exact(stage, feed)


def test_a_worker_that_leaves_hands_over_what_it_has_read(stage):
    feed = Feed(stage)
    with stage.running() as worker:

        def read_behind() -> bool:
            """Rows are folded that no transaction holds yet."""
            feed.more(10)
            worker.step()
            return worker.flushes > 3 and worker._unflushed > 0

        until("rows are in the making", read_behind)
        read = worker.records
    stage.read()
    until("all of it is there", lambda: stage.read() or stage.counted() >= read)
    assert stage.counted() == read
    with stage.running() as worker:  # the rest is its successor's
        stage.step_until(worker, "all", lambda: stage.counted() >= feed.sent)
    exact(stage, feed)


def test_a_worker_that_leaves_while_it_joins_is_gone_at_once(stage):
    """Its partitions come as it closes, and a closing consumer asks no broker."""
    with stage.running():
        until("it has partitions", lambda: stage.walk.members("ingest") == 1)
        begun = now()
    assert now() - begun < 30_000


def test_partitions_that_move_take_nothing_along_that_another_reads(stage):
    """A second worker joins and leaves again while both read."""
    feed = Feed(stage)
    with stage.running() as first:
        stage.step_until(first, "it reads", lambda: len(first.lag) == 5)
        second = stage.worker("1")
        second.start()

        def stepped(shared: bool) -> bool:
            feed.more(20)
            first.step()
            second.step()
            return bool(second.lag) is shared and bool(first.lag)

        until("they share", lambda: stepped(shared=True))
        for _ in range(20):
            stepped(shared=True)
        second.close()
        stage.step_until(first, "all", lambda: stage.counted() >= feed.sent)
    exact(stage, feed)


def test_a_commit_that_hangs_holds_the_next_fold_up_and_is_settled(stage, caplog):
    """Longer than its time-out: whether it was committed is asked before going on."""
    feed = Feed(stage)
    with stage.running() as worker:
        feed.more(40)
        stage.step_until(worker, "the first", lambda: stage.counted() == 40)
        stop, steps = Event(), [0]

        def work() -> None:
            while not stop.is_set():
                worker.step()
                steps[0] += 1

        thread = Thread(target=work)
        feed.more(4_000)
        with standing_still(stage.kafka.pid):
            thread.start()
            until("the outcome is unknown", lambda: "is replaced" in caplog.text, 40)
            stood = steps[0]
        until("all is read", lambda: stage.read() or stage.counted() >= feed.sent, 90)
        stop.set()
        thread.join()
    assert stood < 200  # two hand-overs of 100 ms, and no poll until the outcome
    exact(stage, feed)
