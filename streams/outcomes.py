"""What became of the statements of a slab."""

from collections import Counter
from typing import Final, NamedTuple

OK: Final = "ok"
IRRELEVANT: Final = "irrelevant"
UNKNOWN_RESOURCE: Final = "unknown_resource"
DUPLICATE: Final = "dup"
TOMBSTONE: Final = "tombstone"
EMPTY: Final = "empty"
SNAPSHOT: Final = "snapshot"
NO_VALUE: Final = "no_value"
LATE: Final = "late"
REFUSED: Final = "refused"
MALFORMED: Final = "malformed"


class Refusal(NamedTuple):
    """A statement of a record that was understood and not believed."""

    record: int
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

    def refuse(self, record: int, reason: str, detail: str) -> None:
        """A statement was refused. `detail` says what, without values of rows."""
        self.refused.append(Refusal(record, reason, detail))
