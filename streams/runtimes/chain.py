"""Which record was read after which offset, so that one that is left out is missed."""

from collections.abc import Iterable, Mapping
from typing import Generic, TypeVar

Key = TypeVar("Key")


class Chain(Generic[Key]):
    """Links from each fetched record back to where its partition was read to.

    Offsets have holes (transaction markers, aborted records), so two records do not
    tell by themselves whether there is one between them; the fetch does.
    """

    def __init__(self) -> None:
        self._reached: dict[Key, int] = {}
        self._links: dict[tuple[Key, int], int] = {}

    def begin(self, starts: Mapping[Key, int]) -> None:
        """Partitions are read from these offsets, and no others are read."""
        self._reached = dict(starts)

    def fetched(self, records: Mapping[Key, Iterable[int]]) -> None:
        """A fetch gave these offsets; those of the last fetch are forgotten.

        A partition that was never begun has nothing before its first record.
        """
        self._links = {}
        for key, offsets in records.items():
            for offset in offsets:
                self._links[key, offset] = self._reached.get(key, offset)
                self._reached[key] = offset + 1

    def after(self, key: Key, offset: int) -> int:
        """The offset that a record of the last fetch was read after."""
        return self._links[key, offset]
