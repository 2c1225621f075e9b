"""The partitions of a stage 2 worker: which message is due, and where to begin."""

import pytest

from slo.model import MINUTE
from streams.evaluate import Evaluator
from streams.kafka import TopicIdentity, WorkerStoppedError
from streams.runtimes.partitions import Due, Partitions, ReloadedError
from streams.store import WrongTopicError
from tests.fleet import PLAN
from tests.streams.bench import LAG, T0, TOPICS, batch, cell
from tests.streams.flaky import Flaky

IDENTITY = TopicIdentity("a-cluster", "a-topic", 1)


def told(minute: int):
    return batch(T0 + (minute + 1) * MINUTE, [cell(LAG, T0 + minute * MINUTE, 0.2)])


@pytest.fixture
def store(tmp_path):
    made = Flaky(f"sqlite:///{tmp_path}/store.db")
    yield made
    made.close()


def held(store, identity: TopicIdentity = IDENTITY) -> Partitions:
    def evaluator(partition: int, partitions: int) -> Evaluator:
        return Evaluator(
            PLAN, store, TOPICS, partition=partition, partitions=partitions
        )

    return Partitions(identity, evaluator, lambda: T0, lambda _: None)


@pytest.fixture
def partitions(store) -> Partitions:
    """Partition 0 is held and was read to 10."""
    made = held(store)
    made.assigned(0)
    made.apply(0, [(9, told(0))], 10)
    return made


@pytest.mark.parametrize(
    ("offset", "after", "due"),
    [
        (10, 10, Due.APPLY),
        (13, 10, Due.APPLY),  # markers and aborted records lie between
        (13, 7, Due.APPLY),  # read from further back
        (9, 8, Due.SKIP),
        (12, 11, Due.MISSED),
    ],
)
def test_a_message_is_applied_only_where_nothing_before_it_is_missing(
    partitions, offset, after, due
):
    assert partitions.due(0, offset, after) is due


def test_a_message_of_a_partition_that_went_away_is_passed_over(partitions):
    partitions.revoked(0)
    assert partitions.due(0, 10, 10) is Due.SKIP
    assert (0 in partitions, partitions.checkpoints_ms) == (False, {})


def test_a_store_that_is_new_begins_where_the_log_does(store):
    assert held(store).begin(0, 400) == 400


def test_a_store_with_history_begins_where_it_stopped(store, partitions):
    assert held(store).begin(0, 3) == 10


def test_what_expired_before_it_was_read_stops_the_worker(store, partitions):
    with pytest.raises(WorkerStoppedError, match="no longer holds offset 10"):
        held(store).begin(0, 11)


def test_a_store_of_another_topic_is_refused(store, partitions):
    with pytest.raises(WrongTopicError, match="its offsets mean nothing there"):
        held(store, TopicIdentity("a-cluster", "another", 1)).assigned(0)


@pytest.mark.parametrize(("fate", "next_offset"), [("before", 10), ("after", 20)])
def test_an_unknown_outcome_is_read_back_from_the_store(
    store, partitions, fate, next_offset
):
    store.fails = {1: fate}
    with pytest.raises(ReloadedError):
        partitions.apply(0, [(19, told(1))], 20)
    assert partitions.next(0) == next_offset


def test_a_worker_whose_partition_was_taken_takes_it_back_at_the_stores_offset(
    store, partitions
):
    held(store).assigned(0)
    with pytest.raises(ReloadedError):
        partitions.apply(0, [(19, told(1))], 20)
    assert partitions.next(0) == 10
    partitions.apply(0, [(19, told(1))], 20)
    assert partitions.next(0) == 20
