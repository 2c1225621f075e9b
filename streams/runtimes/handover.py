"""Handing a fold over while the next one is read: one transaction at a time.

Most of a transaction is waiting for brokers. A thread waits, so that the worker goes
on consuming. Two folds exist then: one *under way*, whose transaction is being
written, and the one *in the making*. What holds them together:

- Only one is under way. The next begins after its outcome is known, so that batches
  reach the topic in the order in which they were read.
- What is under way fails: the fold in the making was read behind it, and goes with it.
  Both are dropped, and every held partition goes back to what is committed.
- Its outcome is unknown: `Transactions.write` settles that before it returns, so that
  nothing is written or read again before.
- Partitions are revoked: the callback waits for what is under way, and hands over the
  fold in the making as well, before anybody else may read on.
- Partitions are lost, or the worker leaves: it waits too. The offsets went out under
  the generation in which the partitions were ours, and whoever has them now waits for
  a transaction that holds their offsets.
- A commit hangs: the fold in the making grows until its own hand-over is due. Then the
  worker waits, and records wait in Kafka. librdkafka may never return from a call whose
  coordinator went away for a moment, whatever time it was given: where brokers answer
  all the while, the worker ends, and its successor settles what it left open.
- A crash leaves one transaction at most, as ever; the fold in the making was nowhere.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from threading import Thread
from typing import Any, Final

import msgspec
from confluent_kafka import TopicPartition as Offset

from streams.ingest import Flush, Ingest
from streams.kafka import Connection, WorkerStoppedError, answers, log
from streams.positions import MarksError
from streams.runtimes.marks import Positions
from streams.runtimes.polled import Place
from streams.runtimes.settings import IngestSettings
from streams.runtimes.transactions import AbortedError, Outbound, Transactions

HANGS_S: Final = 15.0
"""A call has a time-out of 10 s. After twice this, with brokers that answer, it hangs."""


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
        self._hangs_s = hangs_s
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

        def write() -> None:
            try:
                self._transactions.write(records, offsets, group)
            except BaseException as error:  # noqa: BLE001 - raised where it is settled
                underway.set_exception(error)
            else:
                underway.set_result(self._pace() - begun)

        self._underway = underway
        Thread(target=write, name="dbslo-transactions", daemon=True).start()

    def settle(self) -> float | None:
        """Wait for what is under way; the seconds it took, None where nothing was.

        Raises what `Transactions.write` raises, and WorkerStoppedError where it hangs.
        """
        underway, self._underway = self._underway, None
        answered = 0
        while underway is not None:
            done, _ = wait([underway], self._hangs_s)
            if done:
                return underway.result()
            answered = answered + 1 if answers(self._connection) else 0
            if answered > 1:
                raise WorkerStoppedError(
                    "a transaction hangs while brokers answer: the process ends, so"
                    " that its successor in the slot settles it. Start it again"
                )
        return None

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


def outbound(flush: Flush, own: IngestSettings) -> list[Outbound]:
    """The records of a flush: batches to their partitions, dead letters to theirs."""
    letters = (msgspec.json.encode(letter) for letter in flush.dead_letters)
    return [
        *(Outbound(own.observations, n, data) for n, data in flush.payloads),
        *(Outbound(own.dead_letters, -1, data) for data in letters),
    ]
