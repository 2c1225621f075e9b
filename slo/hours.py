"""What one route stated, in pages of an hour: at hand, packed, or in the store alone."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Generic, TypeVar

from slo.model import BUCKET_MS, HOUR
from slo.pages import NO_PAGES

BUCKETS_PER_PAGE = HOUR // BUCKET_MS

Held = TypeVar("Held")


class Facts(ABC, Generic[Held]):
    """What one route stated, by 10 s bucket, in pages of an hour.

    `dirty` are the pages that changed since they were saved; the caller clears it.
    `fetch` reads a page that is no longer in memory; pages before `resident_from`
    (an hour number) are asked for once, as soon as they matter.

    Of what is in memory only the newest is held as it is read. Older buckets stay
    packed, as they were saved, and come back by pages: 60 cells take 20 KB as they are
    read, and half a kilobyte packed.
    """

    __slots__ = (
        "_fetch",
        "_hot_from",
        "_packed",
        "_present",
        "_resident_from",
        "buckets",
        "dirty",
    )

    def __init__(
        self,
        fetch: Callable[[int], bytes | None] | None = None,
        resident_from: int = 0,
    ) -> None:
        self.buckets: dict[int, Held] = {}
        self.dirty: set[int] = set()
        self._fetch = fetch
        self._resident_from = resident_from
        self._hot_from = resident_from * BUCKETS_PER_PAGE
        self._packed: dict[int, bytes] = {}
        # Of the buckets before `_hot_from`, those of these pages are all at hand.
        self._present = NO_PAGES

    def hold(self, page: int, data: bytes) -> None:
        """Take a saved page in as it is packed; nothing newer is held yet."""
        self._packed[page] = data
        self._hot_from = max(self._hot_from, (page + 1) * BUCKETS_PER_PAGE)

    def ready(self, start_ms: int, end_ms: int = 0) -> None:
        """Bring a moment, or [start, end), where it was evicted, to hand."""
        bucket = start_ms // BUCKET_MS
        if bucket < self._hot_from:
            stop = min(-(-end_ms // BUCKET_MS), self._hot_from)
            for page in _pages(bucket, max(stop, bucket + 1)):
                self._recall(page)

    def evict(self, page: int, packed_ms: int = 0) -> None:
        """Forget the saved pages before an hour number; the store keeps them.

        Of what is saved after it, the buckets before a moment stay packed.
        """
        dirty = self.dirty
        page = self._resident_from = max(page, self._resident_from)
        hot = max(packed_ms // BUCKET_MS, page * BUCKETS_PER_PAGE)
        if hot < self._hot_from:
            self._warm(hot)
        self._hot_from = hot
        cold = {one // BUCKETS_PER_PAGE for one in self.buckets if one < hot} - dirty
        for number in sorted(cold):
            if number >= page and number not in self._packed:
                self.page(number)
        if cold:  # a dict that only loses what it holds would never shrink
            self.buckets = {
                bucket: held
                for bucket, held in self.buckets.items()
                if bucket >= hot or bucket // BUCKETS_PER_PAGE in dirty
            }
        self._present = self._present & dirty or NO_PAGES
        for one in [one for one in self._packed if one < page]:
            del self._packed[one]

    def _warm(self, bucket: int) -> None:
        """Bring the buckets from one on to hand, as new ones are."""
        for page in _pages(bucket, self._hot_from):
            if page not in self._present and (data := self._saved(page)):
                self.restore(data, bucket)

    @abstractmethod
    def page(self, page: int) -> bytes:
        """What was stated of an hour, packed for the store."""

    @abstractmethod
    def restore(self, data: bytes, first: int = 0) -> None:
        """Put the buckets of a packed page back, from a number on; `dirty` stays."""

    def _saved(self, page: int) -> bytes | None:
        """A page as it was saved last, None where nothing was."""
        if page >= self._resident_from:
            return self._packed.get(page)
        return self._fetch(page) if self._fetch else None

    def _recall(self, page: int) -> None:
        if page not in self._present:
            data = self._saved(page)
            if data:
                self.restore(data)
            self._present |= {page}

    def _rest(self, page: int) -> bytes | None:
        """The saved page, where not all of it is at hand."""
        if page in self._present or page * BUCKETS_PER_PAGE >= self._hot_from:
            return None
        return self._saved(page)


def _pages(first: int, stop: int) -> range:
    """The pages of the buckets in [first, stop)."""
    return range(first // BUCKETS_PER_PAGE, -(-stop // BUCKETS_PER_PAGE))
