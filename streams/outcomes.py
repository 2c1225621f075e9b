"""What became of the statements of a slab."""

from collections import Counter
from collections.abc import Callable
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
    their format: they may still be an envelope. Where order matters, `unwrap(index)`
    opens them at once.
    """

    __slots__ = ("_unwrap", "counts", "refused", "undecoded")

    def __init__(self, unwrap: Callable[[int], None] | None = None) -> None:
        self._unwrap = unwrap
        self.counts: Counter[str] = Counter()
        self.refused: list[Refusal] = []
        self.undecoded: list[tuple[int, str]] = []

    def open(self, record: int, error: str) -> None:
        """A record is not one plain document, and the next must not overtake it."""
        if self._unwrap is None:
            self.undecoded.append((record, error))
        else:
            self._unwrap(record)

    def refuse(self, record: int, reason: str, detail: str) -> None:
        """A statement was refused. `detail` says what, without values of rows."""
        self.refused.append(Refusal(record, reason, detail))
