"""One Kafka transaction a flush: records and input offsets, all of it or nothing."""

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer
from confluent_kafka import TopicPartition as Offset

from streams.kafka import ANSWER_SECONDS, Fate, fate, log, reason, refusal

PATIENCE_S = 60.0
"""How long one step is tried again before the process gives up."""


class AbortedError(Exception):
    """The transaction was given up: nothing of it was written, nothing committed."""


class Outbound(NamedTuple):
    """A record to be written; partition -1 leaves the choice to the client."""

    topic: str
    partition: int
    value: bytes


def insist(call: Callable[[], None]) -> None:
    """Make a call until it succeeds, as long as its errors may be retried.

    Raises AbortedError where the transaction is lost but not we, and
    WorkerStoppedError where we are, or patience is at its end.
    """
    give_up_at = time.monotonic() + PATIENCE_S
    while True:
        try:
            return call()
        except KafkaException as error:
            match fate(error):
                case Fate.ABORT:
                    raise AbortedError(reason(error)) from error
                case Fate.STOP:
                    raise refusal(error.args[0]) from error
                case Fate.RETRY:
                    if time.monotonic() > give_up_at:
                        raise refusal(error.args[0]) from error
                    log.warning("trying again: %s", reason(error))


class Transactions:
    """The transactional producer of one worker slot."""

    def __init__(self, producer: Producer) -> None:
        self._producer = producer

    def init(self) -> None:
        """Fence our predecessor, whose open transaction is aborted by it."""
        insist(lambda: self._producer.init_transactions(ANSWER_SECONDS))

    def write(
        self, records: Sequence[Outbound], offsets: list[Offset], reader: Consumer
    ) -> None:
        """Write records and the reader's offsets together.

        1. Begin.
        2. Produce the records.
        3. Send the offsets, under the reader's generation: a zombie is refused.
        4. Commit.

        A crash before 4 leaves a transaction that our successor, or the time-out,
        aborts: its input is read again. A crash after 4 has lost nothing.
        Raises AbortedError, after the abort, where the input must be read again.
        """
        try:
            insist(self._producer.begin_transaction)
            for record in records:
                self._produce(record)
            group = reader.consumer_group_metadata()
            insist(
                lambda: self._producer.send_offsets_to_transaction(
                    offsets, group, ANSWER_SECONDS
                )
            )
            insist(lambda: self._producer.commit_transaction(ANSWER_SECONDS))
        except AbortedError:
            insist(lambda: self._producer.abort_transaction(ANSWER_SECONDS))
            raise

    def _produce(self, record: Outbound) -> None:
        while True:
            try:
                self._producer.produce(
                    record.topic, record.value, partition=record.partition
                )
                break
            except BufferError:  # the queue is full: let it drain
                self._producer.poll(0.05)
            except KafkaException as error:
                if error.args[0].code() != KafkaError._STATE:  # noqa: SLF001
                    raise refusal(error.args[0]) from error
                raise AbortedError(reason(error)) from error

    def close(self) -> None:
        """Let the producer go; nothing is in flight between two writes."""
        self._producer.close()
