"""Going back to what is committed, while the group does not say what that is."""

import pytest

from streams.ingest import Ingest
from streams.kafka import Connection, WorkerStoppedError
from streams.runtimes import wayback
from streams.runtimes.handover import Handover
from streams.runtimes.ingest import IngestWorker
from streams.runtimes.offsets import SilentGroupError, Start
from streams.runtimes.settings import IngestSettings
from streams.runtimes.transactions import AbortedError
from streams.runtimes.wayback import WayBack
from tests.fleet import PLAN
from tests.streams.bench import T0, TOPICS

PLACE, OTHER = ("shop.shop.t", 0), ("shop.shop.t", 1)


class Group:
    """What `starts` asks; each ask takes as long as it is given."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.asks: list[float] = []
        self.answer: list[Start] | Exception = SilentGroupError("silent")

    def starts(self, _admin, _consumer, _places, ask_s):
        self.asks.append(ask_s)
        if isinstance(self.answer, Exception):
            self.now_s += ask_s
            raise self.answer
        return self.answer


class Reader:
    """A consumer that notes where it is told to read."""

    def __init__(self) -> None:
        self.held: dict[tuple[str, int], int] = {}

    def incremental_unassign(self, offsets) -> None:
        for one in offsets:
            self.held.pop((one.topic, one.partition), None)

    def incremental_assign(self, offsets) -> None:
        self.held |= {(one.topic, one.partition): one.offset for one in offsets}


@pytest.fixture
def group(monkeypatch):
    made = Group()
    monkeypatch.setattr(wayback, "starts", made.starts)
    return made


def test_a_silent_group_is_asked_longer_each_time_and_heard_when_it_speaks(group):
    way, reader = WayBack(None, lambda: group.now_s), Reader()
    reader.held = {PLACE: 90}
    assert [way.go(reader, [PLACE]) for _ in range(4)] == [None] * 4
    assert (group.asks, reader.held) == ([2.0, 4.0, 8.0, 10.0], {PLACE: 90})
    group.answer = [Start(PLACE, 40, None)]
    assert way.go(reader, [PLACE]) == group.answer
    assert reader.held == {PLACE: 40}
    group.answer = SilentGroupError("silent")
    assert way.go(reader, [PLACE]) is None  # the next time begins anew
    assert group.asks[-1] == 2.0


def test_a_group_that_is_silent_for_two_minutes_ends_the_worker(group):
    way = WayBack(None, lambda: group.now_s)
    while group.now_s < 110:
        assert way.go(Reader(), [PLACE]) is None
    with pytest.raises(SilentGroupError):
        _ = [way.go(Reader(), [PLACE]) for _ in range(2)]
    assert 120 <= group.now_s <= 130


def test_brokers_that_do_not_answer_end_it_as_soon_as_that_is_known(group):
    group.answer = WorkerStoppedError("nobody is there")
    with pytest.raises(WorkerStoppedError):
        WayBack(None, lambda: group.now_s).go(Reader(), [PLACE])


class Aborting(Handover):
    """The first that was under way is aborted; what begins is noted."""

    def __init__(self) -> None:
        super().__init__(None, lambda: 0.0, Connection("a:9092"))
        self.begun = 0
        self.aborted = 0

    def begin(self, records, offsets, group) -> None:
        self.begun += 1

    def settle(self) -> float | None:
        self.aborted += 1
        if self.aborted == 1:
            raise AbortedError("it never returned")
        return None


def test_nothing_is_handed_over_before_a_worker_went_back(group):
    """Two partitions expire and the fold is lost: their positions stand for nothing."""
    made = Ingest(PLAN, TOPICS, worker="0", partitions=1)
    settings = IngestSettings(Connection("a:9092"), "0")
    worker = IngestWorker(made, TOPICS, settings, lambda: T0, partitions=1)
    worker._handover, worker._consumer = handover, _ = Aborting(), Reader()
    worker._way_back = WayBack(None, lambda: group.now_s)
    for place in (PLACE, OTHER):
        worker._positions.hold(place, 90)
    worker._skip_expired([PLACE, OTHER])
    worker._skip_expired([OTHER])
    with pytest.raises(AbortedError, match="before we went back"):
        worker.flush()
    assert handover.begun == 0
    group.answer = [Start(PLACE, 40, None), Start(OTHER, 50, None)]
    worker._keep_up()
    assert [worker._positions.next(place) for place in (PLACE, OTHER)] == [40, 50]
    assert not worker._must_go_back
