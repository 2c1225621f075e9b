"""Dead letters in Kafka, and the records that they are about, read again.

Nothing here joins a group or commits: looking at dead letters moves nobody's offsets.
"""

import time
from collections.abc import Iterator
from typing import NamedTuple

import msgspec
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from slo.names import DEAD_LETTER_TOPIC
from streams.deadletter import DeadLetter
from streams.kafka import (
    ANSWER_SECONDS,
    END_OF_PARTITION,
    Connection,
    WorkerStoppedError,
    reason,
)

POLL_SECONDS = 0.2


class Found(NamedTuple):
    """A dead letter under the number by which commands name it: `partition:offset`."""

    number: str
    letter: DeadLetter


class Record(NamedTuple):
    """The record that a dead letter is about, as it stands in its topic."""

    key: bytes | None
    value: bytes | None
    time_ms: int


def dead_letters(
    connection: Connection, topic: str = DEAD_LETTER_TOPIC
) -> Iterator[Found]:
    """Every dead letter that Kafka still holds, by partition and offset.

    Raises WorkerStoppedError where the broker does not answer.
    """
    consumer = _consumer(connection)
    try:
        for number in _partitions(consumer, topic):
            for offset, value in _values(consumer, topic, number):
                letter = msgspec.json.decode(value, type=DeadLetter)
                yield Found(f"{number}:{offset}", letter)
    finally:
        consumer.close()


def source_of(connection: Connection, letter: DeadLetter) -> Record | None:
    """The record of a dead letter; None where it has expired.

    Raises WorkerStoppedError where the broker does not answer.
    """
    consumer = _consumer(connection)
    place = TopicPartition(letter.topic, letter.partition, letter.offset)
    try:
        low, high = _bounds(consumer, place)
        if not low <= letter.offset < high:
            return None
        consumer.assign([place])
        message = consumer.poll(ANSWER_SECONDS)
        if message is None or message.error() or message.offset() != letter.offset:
            return None
        return Record(message.key(), message.value(), message.timestamp()[1])
    finally:
        consumer.close()


def send_again(connection: Connection, letter: DeadLetter, record: Record) -> None:
    """Write the record to its topic once more, with its own key and timestamp.

    Whatever it holds that was counted before is a duplicate and changes nothing.
    Raises WorkerStoppedError where the broker does not take it.
    """
    producer = Producer(connection.settings(enable_idempotence=True))
    producer.produce(
        letter.topic,
        record.value,
        record.key,
        letter.partition,
        timestamp=record.time_ms,
    )
    if producer.flush(ANSWER_SECONDS):
        raise WorkerStoppedError(f"{connection.bootstrap} did not take the record")


def _consumer(connection: Connection) -> Consumer:
    return Consumer(
        connection.settings(
            group_id="dbslo-deadletter",
            enable_auto_commit=False,
            enable_partition_eof=True,
            auto_offset_reset="error",
            isolation_level="read_committed",
            allow_auto_create_topics=False,
        )
    )


def _partitions(consumer: Consumer, topic: str) -> list[int]:
    try:
        found = consumer.list_topics(topic, timeout=ANSWER_SECONDS).topics[topic]
    except KafkaException as error:
        raise WorkerStoppedError(f"Kafka does not answer: {reason(error)}") from error
    return sorted(found.partitions) if found.error is None else []


def _bounds(consumer: Consumer, place: TopicPartition) -> tuple[int, int]:
    try:
        low, high = consumer.get_watermark_offsets(place, timeout=ANSWER_SECONDS)
    except KafkaException as error:
        raise WorkerStoppedError(f"Kafka does not answer: {reason(error)}") from error
    return low, high


def _values(consumer: Consumer, topic: str, number: int) -> Iterator[tuple[int, bytes]]:
    """(offset, value) of a partition from its start to its end, aborted ones left out."""
    low, high = _bounds(consumer, TopicPartition(topic, number))
    if low == high:
        return
    consumer.assign([TopicPartition(topic, number, low)])
    give_up_at = time.monotonic() + ANSWER_SECONDS
    while time.monotonic() < give_up_at:
        message = consumer.poll(POLL_SECONDS)
        if message is None:
            continue
        error = message.error()
        if error is not None and error.code() == END_OF_PARTITION:
            return
        if error is None and message.value() is not None:
            give_up_at = time.monotonic() + ANSWER_SECONDS
            yield message.offset() or 0, message.value() or b""
    raise WorkerStoppedError(f"{topic}[{number}] was not read to its end")
