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
  worker waits, and records wait in Kafka.
- A crash leaves one transaction at most, as ever; the fold in the making was nowhere.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import msgspec
from confluent_kafka import TopicPartition as Offset

from streams.ingest import Flush, Ingest
from streams.kafka import log
from streams.positions import MarksError
from streams.runtimes.marks import Positions
from streams.runtimes.polled import Place
from streams.runtimes.settings import IngestSettings
from streams.runtimes.transactions import AbortedError, Outbound, Transactions


class Handover:
    """At most one transaction under way, in a thread of its own.

    `pace` gives seconds of any origin; all methods belong to the consumer's thread.
    """

    def __init__(self, transactions: Transactions, pace: Callable[[], float]) -> None:
        self._transactions = transactions
        self._pace = pace
        self._thread = ThreadPoolExecutor(1, "dbslo-transactions")
        self._underway: Future[float] | None = None

    @property
    def over(self) -> bool:
        """Whether a transaction has ended and was not settled yet."""
        return self._underway is not None and self._underway.done()

    def begin(
        self, records: Sequence[Outbound], offsets: list[Offset], group: Any
    ) -> None:
        """Let a transaction begin; `settle` must have returned before."""
        begun = self._pace()

        def write() -> float:
            self._transactions.write(records, offsets, group)
            return self._pace() - begun

        self._underway = self._thread.submit(write)

    def settle(self) -> float | None:
        """Wait for what is under way; the seconds it took, None where nothing was.

        Raises what `Transactions.write` raises.
        """
        underway, self._underway = self._underway, None
        return underway.result() if underway else None

    def drop(self) -> None:
        """Wait for what is under way, whatever becomes of it but the worker's end."""
        try:
            self.settle()
        except AbortedError as error:
            log.warning("a transaction was aborted: %s", error)

    def close(self) -> None:
        """End the thread, and let the producer go."""
        self._thread.shutdown()
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
