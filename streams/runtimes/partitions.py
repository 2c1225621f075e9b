"""The evaluators of the partitions that a stage 2 worker holds.

Native and Faust runtime share all of it: only how records come in differs.
"""

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from enum import StrEnum
from functools import partial

from slo.verdict import VerdictChange
from streams.batch import Batch
from streams.evaluate import Evaluator, NotAssignedError
from streams.kafka import TopicIdentity, WorkerStoppedError, log
from streams.runtimes.patience import Patience, StoreAwayError
from streams.runtimes.poison import statements
from streams.runtimes.salvage import STOPPING, Salvage
from streams.store import UNAVAILABLE, FencedError
from streams.timing import Timings
from streams.view import SeriesView

STAGE = "evaluate"

EvaluatorOf = Callable[[int, int], Evaluator]
"""(partition, number of partitions) to a fresh evaluator."""


class Due(StrEnum):
    """What is to be done with a message."""

    APPLY = "apply"
    SKIP = "skip"  # it was applied, or its partition is no longer ours
    MISSED = "missed"  # its predecessor never came: back to the store's offset


class ReloadedError(Exception):
    """The image was thrown away and loaded again: seek to `next` of the partition."""


class Partitions:
    """Evaluators by partition, each with the next offset that its store expects.

    `told` gets the changes of verdict after they are saved. Not for several threads,
    but for `views` and the figures, which may be read from any: `checkpoints_ms`, when
    each partition was last committed, or given to us; `gap_ms`, for how long at most
    nobody had committed one when it came to us; `patience`, whether the store answers;
    `put_aside`, how many statements could not be applied.
    """

    def __init__(
        self,
        identity: TopicIdentity,
        evaluator_of: EvaluatorOf,
        clock: Callable[[], int],
        told: Callable[[Sequence[VerdictChange]], None],
        timings: Timings | None = None,
    ) -> None:
        self.checkpoints_ms: dict[int, int] = {}
        self.gap_ms = 0
        self.put_aside = 0
        self.topic = ""
        self.patience = Patience()
        self._barren = 0
        self._identity = identity
        self._evaluator_of = evaluator_of
        self._clock = clock
        self._told = told
        self._timings = timings or Timings()
        self._held: dict[int, Evaluator] = {}
        self._next: dict[int, int] = {}

    def __contains__(self, partition: int) -> bool:
        return partition in self._held

    def next(self, partition: int) -> int:
        """The next offset to read of a held partition, by its store."""
        return self._next[partition]

    def due(self, partition: int, offset: int, after: int) -> Due:
        """Whether a message is the one that the store waits for.

        `after` is the offset that it was read after: where the reader stood, or one
        past the record before it. Holes in the offsets lie between the two.
        """
        if self.lost(partition) or offset < self._next[partition]:
            return Due.SKIP
        return Due.APPLY if after <= self._next[partition] else Due.MISSED

    def assigned(self, partition: int) -> int:
        """Take a partition over, or back; the next offset to read.

        Raises StoreAwayError where the store does not answer. A store of another
        topic, or a cluster that would move, raises the store's own errors.
        """
        own = self._identity
        evaluator = self._held.get(partition)
        if evaluator is None:
            evaluator = self._evaluator_of(partition, own.partitions)
            self._held[partition] = evaluator
            self.checkpoints_ms = {**self.checkpoints_ms, partition: self._clock()}
        self._next.pop(partition, None)
        clock_ms = self._clock()
        try:
            found = evaluator.assigned(own.cluster_id, own.topic_id, clock_ms=clock_ms)
        except UNAVAILABLE as error:
            self.patience.failed(error)
            raise StoreAwayError(str(error)) from error
        self.patience.answered()
        if evaluator.saved_ms:
            self.gap_ms = max(self.gap_ms, clock_ms - evaluator.saved_ms)
        self._next[partition] = found
        return found

    def back(self, partition: int) -> int:
        """The next offset of a partition, which is taken again if it was lost.

        Raises StoreAwayError where it still is.
        """
        found = self._next.get(partition)
        return self.assigned(partition) if found is None else found

    def lost(self, partition: int) -> bool:
        """Whether the store did not answer when the partition was last taken."""
        return partition not in self._next

    def begin(self, partition: int, earliest: int) -> int:
        """Where to read a partition from, whose log begins at `earliest`.

        It is taken over unless it is held: its image may take its time to load. A store
        that is new begins where the log does. Raises WorkerStoppedError where records
        that the store waits for have expired.
        """
        start = self.back(partition)
        if 0 < start < earliest:
            raise WorkerStoppedError(expired(partition, start))
        self._next[partition] = start or earliest
        return self._next[partition]

    def revoked(self, partition: int) -> None:
        """Let a partition go; the store has all of it."""
        evaluator = self._held.pop(partition, None)
        self._next.pop(partition, None)
        ages = self.checkpoints_ms
        self.checkpoints_ms = {n: at for n, at in ages.items() if n != partition}
        if evaluator:
            evaluator.revoked()

    def keep(self, ours: Collection[int]) -> None:
        """Let every partition go that is not among these."""
        for partition in [held for held in self._held if held not in ours]:
            self.revoked(partition)

    def apply(
        self, partition: int, batches: Sequence[tuple[int, Batch]], after: int
    ) -> None:
        """Evaluate and save batches with their offsets; `after` follows them all.

        A statement that cannot be applied is put aside. Raises ReloadedError where the store was lost or is somebody else's by now, and
        StoreAwayError where it does not answer.
        """
        begun = time.monotonic()
        changes = self._saved(
            partition, partial(self._applied, partition, batches, after)
        )
        self._next[partition] = after
        self.checkpoints_ms = {**self.checkpoints_ms, partition: self._clock()}
        self._timings.observe(STAGE, time.monotonic() - begun)
        self._tell(changes)

    def _applied(
        self, partition: int, read: Sequence[tuple[int, Batch]], after: int
    ) -> list[VerdictChange]:
        evaluator, batches = self._held[partition], [batch for _, batch in read]
        try:
            changes = evaluator.apply(batches, after, self._clock())
        except STOPPING:
            raise
        except Exception:  # noqa: BLE001 - whatever it is: the smallest part that raises it is found
            log.exception("batches of partition %d cannot be applied", partition)
            return self._salvaged(partition, read, after)
        if statements(batches):
            self._barren = 0
        return changes

    def _salvaged(
        self, partition: int, read: Sequence[tuple[int, Batch]], after: int
    ) -> list[VerdictChange]:
        evaluator, again = self._held[partition], partial(self.assigned, partition)
        again()
        salvage = Salvage(evaluator, self._clock, again, self._barren)
        changes, letters = salvage.apply((self.topic, partition), read, after)
        self._barren = salvage.barren
        for one in letters:
            log.error("put aside: %s at offset %d", one.excerpt, one.offset)
        self.put_aside += len(letters)
        return changes

    def tick(self) -> list[int]:
        """Time has passed; the partitions that were reloaded and must be sought.

        Where the store does not answer, `patience` says so: nothing is asked of it.
        """
        reloaded = []
        for partition, evaluator in list(self._held.items()):
            if self.patience.away_ms:
                break
            try:
                changes = self._saved(partition, partial(evaluator.tick, self._clock()))
            except ReloadedError:
                reloaded.append(partition)
            except StoreAwayError:
                break
            else:
                self._tell(changes)
        return reloaded

    def views(self) -> Iterator[SeriesView]:
        """Every series of the held partitions; safe from other threads."""
        for evaluator in list(self._held.values()):
            yield from evaluator.look()

    def _saved(
        self, partition: int, save: Callable[[], list[VerdictChange]]
    ) -> list[VerdictChange]:
        try:
            return save()
        except (FencedError, NotAssignedError, *UNAVAILABLE) as error:
            log.warning("partition %d is loaded again: %s", partition, error)
            self.assigned(partition)
            raise ReloadedError(str(error)) from error

    def _tell(self, changes: Sequence[VerdictChange]) -> None:
        if changes:
            self._told(changes)


def expired(partition: int, offset: int) -> str:
    """What to say, and to do, where batches expired before they were evaluated."""
    return (
        f"the observations topic no longer holds offset {offset} of partition"
        f" {partition}, where the store stopped: what lies between was never counted."
        " Keep the topic longer; to go on without it, start with an empty store"
    )
