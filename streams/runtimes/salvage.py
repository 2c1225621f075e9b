"""What can be saved of batches that cannot be applied as they are."""

from collections.abc import Callable, Sequence
from typing import Final

from slo.verdict import VerdictChange
from streams.batch import Batch
from streams.deadletter import DeadLetter
from streams.evaluate import Evaluator, NotAssignedError
from streams.kafka import WorkerStoppedError
from streams.runtimes.poison import FORMAT, letter, only, poisons, statements
from streams.store import (
    UNAVAILABLE,
    Extras,
    FencedError,
    PlacementError,
    SchemaError,
    WrongTopicError,
)

STOPPING: Final = (
    *UNAVAILABLE,
    FencedError,
    NotAssignedError,
    PlacementError,
    SchemaError,
    WorkerStoppedError,
    WrongTopicError,
)
"""What says nothing about a batch."""


class Salvage:
    """Applies batches without their poison.

    `again` takes the partition anew: each rehearsal throws the image away. `barren`
    is how many times in a row nothing was left of what came.
    """

    def __init__(
        self,
        evaluator: Evaluator,
        clock: Callable[[], int],
        again: Callable[[], object],
        barren: int,
    ) -> None:
        self._evaluator = evaluator
        self._clock = clock
        self._again = again
        self._changes: list[VerdictChange] = []
        self.barren = barren

    def apply(
        self, place: tuple[str, int], read: Sequence[tuple[int, Batch]], after: int
    ) -> tuple[list[VerdictChange], list[DeadLetter]]:
        """The changes of verdict, and the dead letters that were saved with them.

        Raises WorkerStoppedError where it is no poison that the batches fail for.
        """
        batches = [batch for _, batch in read]
        if self._fails(lambda: self._tried(batches, after)) is None:
            return self._changes, []
        self._again()
        found = poisons(batches, lambda some: self._rehearsed(some, after), self.barren)
        bad = {one.row for one in found}
        good = only(batches, bad, but=True)
        self.barren = 0 if statements(good) else self.barren + 1
        letters = [letter(place, read[p.row.batch][0], batches, p) for p in found]
        extras = Extras(FORMAT, (), letters)
        changes = self._evaluator.apply(good, after, self._clock(), extras=extras)
        return changes, letters

    def _tried(self, batches: Sequence[Batch], after: int) -> None:
        self._changes = self._evaluator.apply(batches, after, self._clock())

    def _rehearsed(self, batches: Sequence[Batch], after: int) -> Exception | None:
        rehearse = self._evaluator.rehearse
        found = self._fails(lambda: rehearse(batches, after, self._clock()))
        self._again()
        return found

    def _fails(self, work: Callable[[], None]) -> Exception | None:
        try:
            work()
        except STOPPING:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what we look for
            return error
        return None
