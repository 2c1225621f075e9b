"""What changes in the ledgers, as it comes, for the screen to take in at once."""

from array import array
from collections.abc import Iterable, Sequence

from slo.columns import Whole, table


class Moves:
    """What changed of any series since it was asked for last, as it comes.

    Flat arrays of 64 bits, for there may be a hundred thousand between two questions.
    """

    __slots__ = ("_known", "_rows")

    def __init__(self) -> None:
        self._rows = array("q")
        self._known = array("q")

    def bucket(self, number: int, start_ms: int, by: tuple[int, int, int]) -> None:
        """A bucket of a series changed by so much bad, total and buckets."""
        self._rows.extend((number, start_ms, *by))

    def fresh(self, number: int, rows: Iterable[Sequence[int]]) -> None:
        """Buckets of a series, rows of a ledger, are there that were not."""
        self._rows.fromlist(
            [
                value
                for start, good, total, _, _ in rows
                for value in (number, start, total - good, total, 1)
            ]
        )

    def span(self, number: int, first_ms: int, last_ms: int, lag_ms: int) -> None:
        """The data of a series begins and ends here, and may be so late."""
        self._known.extend((number, first_ms, last_ms, lag_ms))

    @property
    def size(self) -> int:
        """How many changes of buckets wait."""
        return len(self._rows) // 5

    def take(self) -> tuple[Whole, Whole]:
        """Buckets and spans since the last call, a column each of what was told."""
        rows, known = table(self._rows, 5), table(self._known, 4)
        self._rows, self._known = array("q"), array("q")
        return rows, known
