"""One Kafka transaction a flush: records and input offsets, all of it or nothing."""

import time
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka import TopicPartition as Offset

from streams.kafka import (
    ANSWER_SECONDS,
    Settings,
    answered,
    log,
    reason,
    refusal,
    was_fenced,
)

FENCED_AGAIN_S: Final = 60.0
"""Fenced once, we may have stood still for too long; twice, there is another of us."""


class AbortedError(Exception):
    """The transaction was given up: read on from what is committed."""


class Outbound(NamedTuple):
    """A record to be written; partition -1 leaves the choice to the client."""

    topic: str
    partition: int
    value: bytes


class Transactions:
    """The transactional producer of one worker slot; `pace` gives seconds."""

    def __init__(
        self, settings: Settings, pace: Callable[[], float] = time.monotonic
    ) -> None:
        self._settings = settings
        self._pace = pace
        self._fenced_at = float("-inf")

    def init(self) -> None:
        """Fence whoever had our name before, and settle what it left open.

        Raises WorkerStoppedError where Kafka refuses or no broker answers for long.
        """
        self._producer = producer = Producer(self._settings)
        answered(lambda: producer.init_transactions(ANSWER_SECONDS))

    def write(
        self, records: Sequence[Outbound], offsets: list[Offset], group: Any
    ) -> None:
        """Write records and the reader's offsets together.

        `group` is the metadata of the reader's group, as it was when the offsets were.

        1. Begin.
        2. Produce the records.
        3. Send the offsets, under the reader's generation: a zombie is refused.
        4. Commit.

        A crash before 4 leaves a transaction that our successor, or the time-out,
        aborts: its input is read again. A crash after 4 has lost nothing. Where the
        outcome of 4 is unknown, beginning anew under our name settles it.
        Raises AbortedError where the reader must go back to what is committed, and
        WorkerStoppedError where another worker has our name.
        """
        try:
            self._producer.begin_transaction()
            for record in records:
                self._produce(record)
            self._producer.send_offsets_to_transaction(offsets, group, ANSWER_SECONDS)
            self._producer.commit_transaction(ANSWER_SECONDS)
        except KafkaException as error:
            self._give_up(error)
            raise AbortedError(reason(error)) from error

    def _produce(self, record: Outbound) -> None:
        while True:
            try:
                return self._producer.produce(
                    record.topic, record.value, partition=record.partition
                )
            except BufferError:  # the queue is full: let it drain
                self._producer.poll(0.05)

    def _give_up(self, error: KafkaException) -> None:
        """Abort; where the producer cannot, another one takes its name.

        A call that was not answered in time is not made again: it may never return,
        and an abort of what the broker has not heard of breaks the producer for good.
        """
        if error.args[0].txn_requires_abort():
            try:
                return self._producer.abort_transaction(ANSWER_SECONDS)
            except KafkaException as failed:
                error = failed
        cause = error.args[0]
        if was_fenced(cause):
            if self._pace() - self._fenced_at < FENCED_AGAIN_S:
                raise refusal(cause) from error
            self._fenced_at = self._pace()
        elif cause.code() == KafkaError.MSG_SIZE_TOO_LARGE:
            raise refusal(cause) from error
        log.warning("the producer is replaced: %s", reason(error))
        self.init()
        return None

    def close(self) -> None:
        """Let the producer go; nothing is in flight between two writes."""
        del self._producer
