"""A call that librdkafka does not return from: what it wrote is settled, and we go on."""

import threading
import time
from collections.abc import Iterator
from itertools import islice

import pytest
from confluent_kafka import TopicPartition

from streams.kafka import Connection, WorkerStoppedError
from streams.runtimes import handover
from streams.runtimes.handover import MOST_LEFT, Handover
from streams.runtimes.transactions import AbortedError, Transactions
from tests.ground.cache import Missing
from tests.real.rows import rows
from tests.real.servers.kafka import WiredKafka
from tests.real.stage1 import Stage1, now
from tests.real.walk import until
from tests.real.wire import END_TXN, TXN_OFFSET_COMMIT, Wire

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def broker() -> Iterator[WiredKafka]:
    try:
        with WiredKafka.running() as made:
            yield made
    except Missing as missing:
        pytest.skip(str(missing))


@pytest.fixture
def wire(broker) -> Iterator[Wire]:
    with Wire.to(broker.wire_port, broker.inner) as made:
        yield made


class Flow:
    """Rows that go through a stage 1 worker behind the wire."""

    def __init__(self, broker, wire, tmp_path) -> None:
        self.stage = Stage1(broker, tmp_path)
        self.stage.walk.connection = Connection(f"127.0.0.1:{wire.port}")
        self.rows = rows(now() - 60_000)
        self.sent = 0

    def more(self, count: int) -> None:
        self.stage.walk.send(islice(self.rows, count))
        self.sent += count

    def all_of(self, worker) -> None:
        self.stage.step_until(
            worker, "all is counted", lambda: self.stage.counted() >= self.sent
        )

    def arrived(self) -> bool:
        self.stage.read()
        return self.stage.counted() >= self.sent

    def exact(self) -> None:
        """Everything is counted once, and the group stands behind all of it."""
        self.stage.read()
        assert self.stage.counted() == self.sent
        committed = [self.stage.committed(n).offset for n in range(4)]
        assert sum(committed) == self.sent


@pytest.fixture
def flow(broker, wire, tmp_path) -> Iterator[Flow]:
    made = Flow(broker, wire, tmp_path)
    yield made
    made.stage.close()


def stepped(worker, seconds: float, ended) -> float:
    """Step a worker until a condition holds; the seconds that took."""
    begun = time.monotonic()
    while not ended():
        worker.step()
        assert time.monotonic() - begun < seconds
    return time.monotonic() - begun


def hung(flow, wire, worker, kept):
    """A worker that works, until the answer to a request is kept back."""
    flow.more(40)
    flow.all_of(worker)
    wire.hold(kept)
    flow.more(40)
    stepped(worker, 15, wire.sprung.is_set)


@pytest.mark.parametrize("kept", [TXN_OFFSET_COMMIT, END_TXN])
def test_what_hangs_is_left_behind_and_counts_once(flow, wire, caplog, kept):
    """Its answer is kept back: nothing was committed, or everything was."""
    with flow.stage.running() as worker:
        hung(flow, wire, worker, kept)
        flow.more(40)
        stepped(worker, 9, lambda: "left behind" in caplog.text)
        flow.all_of(worker)
        flow.exact()
        wire.mend()  # now it returns, in its thread, to a producer that is fenced
        until("it has ended", lambda: len(transacting()) <= 1)
        flushes = worker.flushes
        flow.more(40)
        stepped(worker, 5, lambda: worker.flushes > flushes + 10)
        flow.all_of(worker)
    flow.exact()
    assert caplog.text.count("the producer is replaced") == 1


def transacting() -> list[threading.Thread]:
    """The threads that are inside a transaction."""
    return [t for t in threading.enumerate() if t.name == "dbslo-transactions"]


def test_partitions_that_go_while_a_call_hangs_wait_for_its_outcome(flow, wire, caplog):
    """The revocation settles what hangs, so that its successor reads on from it."""
    with flow.stage.running() as worker:
        hung(flow, wire, worker, END_TXN)
    assert "left behind" in caplog.text
    with flow.stage.running("1") as worker:
        flow.more(40)
        flow.all_of(worker)
    flow.exact()


def test_brokers_that_are_all_away_for_a_moment_lose_and_double_nothing(flow, broker):
    """Three times: librdkafka has races there, by which a call hangs or a client is deaf.

    The worker goes in a thread: a broker ends with the thread that started it.
    """
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            worker.step()

    with flow.stage.running() as worker:
        flow.more(40)
        flow.all_of(worker)
        thread = threading.Thread(target=work)
        thread.start()
        try:
            for _ in range(3):
                broker.stop()
                broker.start()
                flow.more(40)
                until("all is counted", flow.arrived)
        finally:
            stop.set()
            thread.join()
    flow.exact()


def test_a_worker_whose_client_is_told_of_no_broker_is_told_again(flow, wire, caplog):
    """As by a broker that hung for longer than its session, with records in hand."""
    with flow.stage.running() as worker:
        hung(flow, wire, worker, END_TXN)
        flow.more(4_000)
        until("they are in its hands", lambda: ahead(flow, worker) > 1_000)
        wire.names_nobody = True
        until("it was told of nobody", lambda: f"{flow.stage.group}-0" in wire.told)
        wire.names_nobody = False
        stepped(worker, 9, lambda: "left behind" in caplog.text)
        flow.all_of(worker)
        flow.exact()


def test_a_client_that_knows_no_broker_any_more_is_replaced(flow, wire, caplog):
    """`none` keeps it from beginning anew, as librdkafka's races do without it."""
    deaf = {"metadata.recovery.strategy": "none"}
    flow.stage.walk.connection = Connection(f"127.0.0.1:{wire.port}", deaf)
    with flow.stage.running() as worker:
        flow.more(40)
        flow.all_of(worker)
        wire.names_nobody = True
        stepped(worker, 9, lambda: f"{flow.stage.group}-0" in wire.told)
        wire.names_nobody = False
        flow.more(40)
        stepped(worker, 20, lambda: "another replaces it" in caplog.text)
        flow.all_of(worker)
    flow.exact()


def ahead(flow, worker) -> int:
    """As many records as wait for a worker, whose client fetches them of its own."""
    fetched = 0
    for number in range(4):
        place = (flow.stage.walk.table, number)
        at = TopicPartition(*place)
        _, end = worker._consumer.get_watermark_offsets(at, cached=True)
        fetched += end - worker._positions.next(place)
    return fetched


# -- what the hand-over does of its own ----------------------------------------------


class Hanging(Transactions):
    """No call ever returns, and another producer can be had at once."""

    def __init__(self) -> None:
        super().__init__({})
        self.goes_on = threading.Event()
        self.inits = 0

    def init(self) -> None:
        self.inits += 1

    def transaction(self, records, offsets, group):
        return lambda: self.goes_on.wait(60) or None


@pytest.fixture
def hanging() -> Iterator[Hanging]:
    made = Hanging()
    yield made
    made.goes_on.set()


def test_each_that_is_left_gives_the_next_more_time_until_the_process_ends(
    broker, hanging
):
    connection = Connection(broker.bootstrap)
    hand = Handover(hanging, time.monotonic, connection, hangs_s=0.05)
    took = []
    for number in range(1, MOST_LEFT + 1):
        hand.begin([], [], None)
        begun = time.monotonic()
        with pytest.raises(AbortedError, match="never returned"):
            hand.settle()
        took.append(time.monotonic() - begun)
        assert hanging.inits == number
        assert hand.settle() is None, "nobody waits for it again"
    assert took[-1] > 2 * took[0]
    hand.begin([], [], None)
    with pytest.raises(WorkerStoppedError, match="again and again"):
        hand.settle()
    assert all(thread.daemon for thread in transacting()), "none keeps a process alive"


def test_what_has_returned_is_not_counted_any_more(broker, hanging):
    """A worker that lives for months may see one now and then."""
    connection = Connection(broker.bootstrap)
    hand = Handover(hanging, time.monotonic, connection, hangs_s=0.05)
    for _ in range(MOST_LEFT + 2):
        hand.begin([], [], None)
        with pytest.raises(AbortedError, match="never returned"):
            hand.settle()
        hanging.goes_on.set()
        hand.begin([], [], None)
        assert hand.settle() is not None
        hanging.goes_on = threading.Event()


def test_a_hang_while_no_broker_answers_is_waited_for(hanging):
    """Nobody could take the name."""
    hand = Handover(hanging, time.monotonic, Connection("127.0.0.1:1"), hangs_s=0.1)
    hand.begin([], [], None)
    threading.Timer(4, hanging.goes_on.set).start()
    assert (hand.settle() or 0) > 3.5
    assert hanging.inits == 0


def test_a_stall_is_bounded():
    """Seconds until it is left, with looks a second apart, stay far below 12."""
    assert handover.HANGS_S + 3 * handover.LOOK_S < 8
