"""A producer for the embedded broker, which waits where the broker would forget."""

from itertools import count
from zlib import crc32

from confluent_kafka import KafkaError, Message, Producer

from streams.kafka import ANSWER_SECONDS
from streams.runtimes.mock import QUIET
from streams.runtimes.room import RECORD_BYTES, Room

PARTITIONS = 4
"""What librdkafka's mock makes of every topic."""


WAIT_S = 0.02


class UndeliveredError(Exception):
    """Records that the embedded broker did not take."""


class BoundedProducer:
    """Writes to the embedded broker; not for several threads at once."""

    def __init__(self, bootstrap: str, room: Room) -> None:
        self._producer = Producer(
            {"bootstrap.servers": bootstrap, "linger.ms": 2, **QUIET}
        )
        self._room = room
        self._turns = count()
        self._failed: list[str] = []

    def produce(
        self,
        topic: str,
        value: bytes | None,
        *,
        key: bytes | None = None,
        timestamp_ms: int = 0,
        partition: int | None = None,
    ) -> None:
        """Write a record; waits while 4 MB of its partition are unread.

        `timestamp_ms` 0 is the moment. Without a partition the key's hash decides, as
        librdkafka's `consistent` partitioner does, or the turn. Raises
        EngineStoppedError where nobody reads any more.
        """
        number = self._partition(key) if partition is None else partition
        size = len(key or b"") + len(value or b"") + RECORD_BYTES
        place = (topic, number)
        self._producer.poll(0)
        while not self._room.take(place, size, WAIT_S):
            self._producer.poll(0)  # what was delivered meanwhile may make room

        def done(error: KafkaError | None, message: Message) -> None:
            if error is None:
                self._room.written(place, message.offset() or 0, size)
            else:
                self._room.failed(place, size)
                self._failed.append(f"{topic}[{number}]: {error.str()}")

        self._producer.produce(
            topic, value, key, number, on_delivery=done, timestamp=timestamp_ms
        )

    def _partition(self, key: bytes | None) -> int:
        return (next(self._turns) if key is None else crc32(key)) % PARTITIONS

    def flush(self) -> None:
        """Wait until the broker has everything.

        Raises UndeliveredError that names what it did not take.
        """
        self._producer.flush(ANSWER_SECONDS)
        failed, self._failed = self._failed, []
        if failed or len(self._producer):
            left = len(self._producer)
            raise UndeliveredError(f"{left} records wait, refused: {failed[:10]}")
