"""One Kafka transaction a flush: records and input offsets, all of it or nothing."""

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, NamedTuple, NoReturn

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

    def transaction(
        self, records: Sequence[Outbound], offsets: list[Offset], group: Any
    ) -> Callable[[], None]:
        """What writes records and the reader's offsets together, in any thread.

        `group` is the metadata of the reader's group, as it was when the offsets were.
        It raises AbortedError where nothing was written and the producer goes on, and
        KafkaException where `replace` is to have it. It knows the producer of this
        moment and nothing else of ours: one that never returns harms nobody.
        """
        return partial(_transact, self._producer, records, offsets, group)

    def replace(self, error: KafkaException | None = None) -> NoReturn:
        """Let another producer take the name: whatever is open is settled then.

        Its predecessor is fenced before that: nothing of it is committed afterwards.
        Raises AbortedError: the reader must go back to what is committed. Raises
        WorkerStoppedError where another worker has our name, or Kafka refuses.
        """
        why = "it never returned" if error is None else reason(error)
        if error is not None:
            self._heed(error)
        log.warning("the producer is replaced: %s", why)
        self.init()
        raise AbortedError(why) from error

    def _heed(self, error: KafkaException) -> None:
        """Raise WorkerStoppedError for what another producer would meet again."""
        cause = error.args[0]
        if cause.code() == KafkaError.MSG_SIZE_TOO_LARGE:
            raise refusal(cause) from error
        if was_fenced(cause):
            if self._pace() - self._fenced_at < FENCED_AGAIN_S:
                raise refusal(cause) from error
            self._fenced_at = self._pace()

    def close(self) -> None:
        """Let the producer go; nothing is in flight between two transactions."""
        del self._producer


def _transact(
    producer: Producer, records: Sequence[Outbound], offsets: list[Offset], group: Any
) -> None:
    """One transaction.

    1. Begin.
    2. Produce the records.
    3. Send the offsets, under the reader's generation: a zombie is refused.
    4. Commit.

    A crash before 4 leaves a transaction that our successor, or the time-out, aborts:
    its input is read again. A crash after 4 has lost nothing. Where the outcome of 4 is
    unknown, beginning anew under our name settles it. A call that was not answered in
    time is not made again: it may never return, and an abort of what the broker has not
    heard of breaks the producer for good.
    """
    try:
        producer.begin_transaction()
        for record in records:
            _produce(producer, record)
        producer.send_offsets_to_transaction(offsets, group, ANSWER_SECONDS)
        producer.commit_transaction(ANSWER_SECONDS)
    except KafkaException as error:
        if not error.args[0].txn_requires_abort():
            raise
        producer.abort_transaction(ANSWER_SECONDS)
        raise AbortedError(reason(error)) from error


def _produce(producer: Producer, record: Outbound) -> None:
    while True:
        try:
            return producer.produce(
                record.topic, record.value, partition=record.partition
            )
        except BufferError:  # the queue is full: let it drain
            producer.poll(0.05)
