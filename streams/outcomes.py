"""What became of the statements of a slab."""

from collections import Counter
from typing import Final, NamedTuple

OK: Final = "ok"
IRRELEVANT: Final = "irrelevant"
UNKNOWN_RESOURCE: Final = "unknown_resource"
DUPLICATE: Final = "dup"
TOMBSTONE: Final = "tombstone"
SNAPSHOT: Final = "snapshot"
NO_VALUE: Final = "no_value"
LATE: Final = "late"
REFUSED: Final = "refused"
MALFORMED: Final = "malformed"


class Refusal(NamedTuple):
    """A statement that was understood and not believed. `index` is its record's."""

    index: int
    reason: str
    detail: str


class Outcomes:
    """Counts by result, and what cannot be counted: refusals and undecoded records.

    `undecoded` holds (index, error) of records that were not one plain document of
    their format: they may still be an envelope.
    """

    __slots__ = ("counts", "refused", "undecoded")

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.refused: list[Refusal] = []
        self.undecoded: list[tuple[int, str]] = []

    def refuse(self, index: int, reason: str, detail: str) -> None:
        """A statement was refused; the detail says what was stated, without values
        that could be secret.
        """
        self.refused.append(Refusal(index, reason, detail))
