"""Handing a fold over while the next one is read: one transaction at a time.

Most of a transaction is waiting for brokers. A thread waits, so that the worker goes
on consuming. Two folds exist then: one *under way*, whose transaction is being
written, and the one *in the making*. What holds them together:

- Only one is under way. The next begins after its outcome is known, so that batches
  reach the topic in the order in which they were read.
- What is under way fails: the fold in the making was read behind it, and goes with it.
  Both are dropped, and every held partition goes back to what is committed.
- Its outcome is unknown: another producer takes the name, which settles it, before
  anything is written or read again.
- Partitions are revoked: the callback waits for what is under way, and hands over the
  fold in the making as well, before anybody else may read on.
- Partitions are lost, or the worker leaves: it waits too. The offsets went out under
  the generation in which the partitions were ours, and whoever has them now waits for
  a transaction that holds their offsets.
- A commit hangs: the fold in the making grows until its own hand-over is due. Then the
  worker waits, and records wait in Kafka.
- It hangs for ever: librdkafka may never return from a call whose coordinator went
  away, whatever time it was given. Where brokers answer all the while, its thread and
  its producer are left behind, and another producer takes the name. That is what the
  worker's successor would do, and it is as safe: from then on brokers refuse the one
  that was left, whose thread knows nothing of ours.
- A crash leaves one transaction at most, as ever; the fold in the making was nowhere.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from threading import Thread
from typing import Any, Final, NoReturn

import msgspec
from confluent_kafka import Consumer, KafkaException
from confluent_kafka import TopicPartition as Offset

from streams.ingest import Flush, Ingest
from streams.kafka import Connection, WorkerStoppedError, answers, log
from streams.positions import MarksError
from streams.runtimes.marks import Positions
from streams.runtimes.polled import Place
from streams.runtimes.settings import IngestSettings
from streams.runtimes.transactions import AbortedError, Outbound, Transactions

HANGS_S: Final = 4.0
"""A transaction takes milliseconds. After so long, with brokers that answer, it hangs.

Where it did not, leaving it costs reading a fold again; the next one gets twice as long.
"""
LOOK_S: Final = 1.0
MOST_LEFT: Final = 5
"""What hangs keeps its producer's threads: where more do at once, the process ends."""


class Handover:
    """At most one transaction under way, in a thread that keeps no process alive.

    `pace` gives seconds of any origin. All methods belong to the consumer's thread.
    """

    def __init__(
        self,
        transactions: Transactions,
        pace: Callable[[], float],
        connection: Connection,
        hangs_s: float = HANGS_S,
    ) -> None:
        self._transactions = transactions
        self._pace = pace
        self._connection = connection
        self._hangs_s = self._patience_s = hangs_s
        self._left: list[Future[float]] = []  # those that hang, as far as we know
        self._underway: Future[float] | None = None

    @property
    def over(self) -> bool:
        """Whether a transaction has ended and was not settled yet."""
        return self._underway is not None and self._underway.done()

    def begin(
        self, records: Sequence[Outbound], offsets: list[Offset], group: Any
    ) -> None:
        """Let a transaction begin; `settle` must have returned before."""
        begun, underway = self._pace(), Future[float]()
        transact = self._transactions.transaction(records, offsets, group)

        def write() -> None:
            try:
                transact()
            except BaseException as error:  # noqa: BLE001 - raised where it is settled
                underway.set_exception(error)
            else:
                underway.set_result(self._pace() - begun)

        self._underway = underway
        Thread(target=write, name="dbslo-transactions", daemon=True).start()

    def settle(self) -> float | None:
        """Wait for what is under way; the seconds it took, None where nothing was.

        Raises AbortedError where the fold in the making must go with it, and
        WorkerStoppedError where another worker has our name, or Kafka refuses.
        """
        underway, self._underway = self._underway, None
        if underway is None:
            return None
        if not self._returns(underway):
            self._leave(underway)
        try:
            seconds = underway.result()
        except KafkaException as error:
            self._transactions.replace(error)
        self._patience_s = max(self._hangs_s, 2 * seconds)
        return seconds

    def _returns(self, underway: Future[float]) -> bool:
        """Wait; False where it does not return, and brokers answer all the while."""
        answer_since: float | None = None
        look_s = min(LOOK_S, self._hangs_s)
        while not wait([underway], look_s).done:
            now = self._pace()
            if not answers(self._connection):
                answer_since = None
            elif answer_since is None:
                answer_since = now
            elif now - answer_since >= self._patience_s:
                return underway.done()
        return True

    def _leave(self, hanging: Future[float]) -> NoReturn:
        """Leave what hangs behind, in its thread: another producer fences it."""
        self._left = [hanging, *(one for one in self._left if not one.done())]
        self._patience_s *= 2
        if len(self._left) > MOST_LEFT:
            raise WorkerStoppedError(
                "transactions hang again and again while brokers answer: the process"
                " ends, and its successor in the slot settles what is open. Start it"
                " again; if it goes on, look at the coordinators of its transactions"
            )
        log.warning("a transaction hangs while brokers answer: it is left behind")
        self._transactions.replace()

    def drop(self) -> None:
        """Wait for what is under way, whatever becomes of it but the worker's end."""
        try:
            self.settle()
        except AbortedError as error:
            log.warning("a transaction was aborted: %s", error)

    def close(self) -> None:
        """Wait for what is under way, and let the producer go."""
        self.drop()
        self._transactions.close()


class RefusedError(Exception):
    """The CDC marks of one partition cannot be kept."""

    def __init__(self, place: Place, why: str) -> None:
        super().__init__(why)
        self.place = place


def with_notes(positions: Positions, ingest: Ingest) -> list[Offset]:
    """The next offset of every held partition, with its CDC marks as its note.

    Raises RefusedError for a partition whose marks do not fit.
    """
    found = []
    for place in positions.places():
        try:
            note = ingest.metadata(*place)
        except MarksError as error:
            raise RefusedError(place, str(error)) from error
        found.append(Offset(*place, positions.next(place), note))
    return found


def group_of(consumer: Consumer) -> Any:
    """Under which generation a consumer's offsets go out.

    Raises AbortedError where it is in no group any more: others read on, from what is
    committed.
    """
    try:
        return consumer.consumer_group_metadata()
    except RuntimeError as error:
        raise AbortedError(str(error)) from error


def standing(
    positions: Positions, ingest: Ingest, consumer: Consumer
) -> tuple[list[Offset], Any]:
    """How far a fold was read, with its notes, and as which member of the group.

    Raises RefusedError for a partition, or AbortedError.
    """
    return with_notes(positions, ingest), group_of(consumer)


def outbound(flush: Flush, own: IngestSettings) -> list[Outbound]:
    """The records of a flush: batches to their partitions, dead letters to theirs."""
    letters = (msgspec.json.encode(letter) for letter in flush.dead_letters)
    return [
        *(Outbound(own.observations, n, data) for n, data in flush.payloads),
        *(Outbound(own.dead_letters, -1, data) for data in letters),
    ]
