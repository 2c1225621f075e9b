"""Records of one topic partition as columns: what every runtime hands to stage 1."""

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
