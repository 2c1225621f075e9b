"""What changes in the ledgers, as it comes, for the screen to take in at once."""

from array import array

from slo.columns import Whole, table


class Moves:
    """What changed of any series since it was asked for last, as it comes.

    Flat arrays of 64 bits, for there may be a hundred thousand between two questions.
    """

    __slots__ = ("_known", "_moved")

    def __init__(self) -> None:
        self._moved = _columns()
        self._known = array("q")

    def bucket(self, number: int, start_ms: int, by: tuple[int, int, int]) -> None:
        """A bucket of a series changed by so much bad, total and buckets."""
        for column, value in zip(self._moved, (number, start_ms, *by), strict=True):
            column.append(value)

    def fresh(
        self, number: int, starts: list[int], bad: list[int], total: list[int]
    ) -> None:
        """Buckets of a series are there that were not."""
        size = len(starts)
        run = ([number] * size, starts, bad, total, [1] * size)
        for column, values in zip(self._moved, run, strict=True):
            column.fromlist(values)

    def span(self, number: int, first_ms: int, last_ms: int, lag_ms: int) -> None:
        """The data of a series begins and ends here, and may be so late."""
        self._known.extend((number, first_ms, last_ms, lag_ms))

    @property
    def size(self) -> int:
        """How many changes of buckets wait."""
        return len(self._moved[0])

    def take(self) -> tuple[list[Whole], Whole]:
        """Buckets and spans since the last call, a column each of what was told."""
        moved, known = [table(one, 1)[0] for one in self._moved], table(self._known, 4)
        self._moved, self._known = _columns(), array("q")
        return moved, known


def _columns() -> "list[array[int]]":
    """Of what changed: series, start, bad, total, buckets."""
    return [array("q") for _ in range(5)]
