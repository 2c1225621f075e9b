"""Records of one topic partition as columns: what every runtime hands to stage 1."""

from collections.abc import Sequence
from itertools import compress
from typing import NamedTuple


class Slab(NamedTuple):
    """Records in offset order; all columns have the same length.

    `arrivals` are the record timestamps in epoch ms, `keys` and `values` raw bytes
    (None for a null key or a tombstone). `within` is `span`, where it is known: three
    ask for it, and to look costs stage 1 a percent each time.
    """

    topic: str
    partition: int
    offsets: Sequence[int]
    arrivals: list[int]
    keys: Sequence[bytes | None]
    values: list[bytes | None]
    within: tuple[int, int] | None = None

    @property
    def span(self) -> tuple[int, int]:
        """The earliest and the latest arrival of what is not empty."""
        return self.within or (min(self.arrivals), max(self.arrivals))

    def where(self, kept: list[bool]) -> "Slab":
        """The records at whose place there is True."""
        return Slab(
            self.topic,
            self.partition,
            list(compress(self.offsets, kept)),
            list(compress(self.arrivals, kept)),
            list(compress(self.keys, kept)),
            list(compress(self.values, kept)),
        )

    def since(self, place: int, until: int | None = None) -> "Slab":
        """The records from a place on, up to another."""
        return Slab(
            self.topic,
            self.partition,
            self.offsets[place:until],
            self.arrivals[place:until],
            self.keys[place:until],
            self.values[place:until],
        )

    def only(self, index: int) -> "Slab":
        """One record."""
        return self.since(index, index + 1)

    def copies(self, values: list[bytes]) -> "Slab":
        """The documents of the one record that this is, each as a record."""
        size = len(values)
        return Slab(
            self.topic,
            self.partition,
            [*self.offsets] * size,
            self.arrivals * size,
            [*self.keys] * size,
            list(values),
        )
