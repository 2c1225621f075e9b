"""What a poll gave becomes columns by partition; errors come as messages."""

import pytest
from confluent_kafka import KafkaError, Message

from streams.kafka import WorkerStoppedError
from streams.runtimes.polled import Polled, beyond, polled
from streams.slab import Slab


def record(topic: str, partition: int, offset: int, value: bytes | None = b"v"):
    return Message(
        topic=topic,
        partition=partition,
        offset=offset,
        key=b"k",
        value=value,
        timestamp=(1, 1_000 + offset),
    )


def event(code: int, offset: int = 0):
    return Message(topic="t", partition=0, offset=offset, error=KafkaError(code))


def test_records_of_one_poll_are_grouped_by_partition_in_their_order():
    messages = [
        record("t", 0, 5),
        record("u", 1, 7),
        record("t", 0, 6, value=None),
        record("t", 1, 9),
    ]
    assert [written(slab) for slab in polled(messages).slabs] == [
        Slab("t", 0, [5, 6], [1_005, 1_006], [b"k", b"k"], [b"v", None]),
        Slab("u", 1, [7], [1_007], [b"k"], [b"v"]),
        Slab("t", 1, [9], [1_009], [b"k"], [b"v"]),
    ]


def written(slab: Slab) -> Slab:
    """A slab of lists, whose span is not known."""
    assert slab.within == (min(slab.arrivals), max(slab.arrivals))
    return slab.since(0)


def test_records_from_a_place_on_are_those_of_their_columns():
    (slab,) = polled([record("t", 0, offset) for offset in range(5, 12)]).slabs
    assert [beyond(slab, offset) for offset in (0, 5)] == [slab, slab]
    assert written(slab).since(3) == beyond(slab, 8) == slab.since(3)
    assert beyond(slab, 12) is None
    (one,) = {slab.keys[2], *slab.since(2, 4).keys}
    assert (one, slab.offsets[-1], len(slab.offsets)) == (b"k", 11, 7)


def test_an_empty_poll_gives_nothing():
    assert polled([]) == Polled([], [], [])


def test_ends_and_expired_partitions_stand_beside_the_records():
    messages = [
        record("t", 0, 5),
        event(KafkaError._PARTITION_EOF, 8),
        event(KafkaError._AUTO_OFFSET_RESET, 3),
        record("t", 0, 6),
    ]
    found = polled(messages)
    assert [[*slab.offsets] for slab in found.slabs] == [[5, 6]]
    assert (found.ends, found.expired) == ([(("t", 0), 8)], [("t", 0)])


@pytest.mark.parametrize("code", [KafkaError._TRANSPORT, KafkaError._MAX_POLL_EXCEEDED])
def test_an_error_that_the_client_mends_itself_loses_no_record(code):
    messages = [event(code), record("t", 0, 5)]
    assert [[*slab.offsets] for slab in polled(messages).slabs] == [[5]]


def test_an_error_that_nobody_mends_is_raised():
    with pytest.raises(WorkerStoppedError, match="TOPIC_AUTHORIZATION_FAILED"):
        polled([event(KafkaError.TOPIC_AUTHORIZATION_FAILED)])
