"""Records of one topic partition as columns: what every runtime hands to stage 1."""

from itertools import compress
from typing import NamedTuple


class Slab(NamedTuple):
    """Records in offset order; all lists have the same length.

    `arrivals` are the record timestamps in epoch ms, `keys` and `values` raw bytes
    (None for a null key or a tombstone).
    """

    topic: str
    partition: int
    offsets: list[int]
    arrivals: list[int]
    keys: list[bytes | None]
    values: list[bytes | None]

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

    def only(self, index: int) -> "Slab":
        """One record."""
        return self.where([at == index for at in range(len(self.offsets))])

    def copies(self, values: list[bytes]) -> "Slab":
        """The documents of the one record that this is, each as a record."""
        size = len(values)
        return Slab(
            self.topic,
            self.partition,
            self.offsets * size,
            self.arrivals * size,
            self.keys * size,
            list(values),
        )
