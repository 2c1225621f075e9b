"""Folding: old hours as one row each, read back from the store where it matters.

Memory then grows by a row an hour. A folded hour answers every window that begins
and ends on whole hours; for anything finer, and before a late bucket changes it, its
page is read back and stays until it is folded again.
"""

from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet

from slo.model import HOUR
from slo.pages import LedgerPage, unpacked
from slo.totals import RunningTotals

PAGE_MS = HOUR
"""Buckets are saved, and folded, in pages of this width."""

ENDLESS_MS = 1 << 62

NEVER = -(ENDLESS_MS // PAGE_MS)
"""A page before all others."""


class LostPageError(Exception):
    """A folded hour cannot be read back as it was: throw the image away, load again."""


class Folding:
    """Which hours of some totals are folded: all before `fine_page`, except `open`.

    `fetch` reads the saved page of an hour; without it nothing is ever folded.
    """

    __slots__ = ("_fetch", "_totals", "fine_ms", "fine_page", "open")

    def __init__(
        self, totals: RunningTotals, fetch: Callable[[int], bytes | None] | None
    ) -> None:
        self._totals = totals
        self._fetch = fetch
        self.fine_page = NEVER
        self.fine_ms = NEVER * PAGE_MS
        self.open: set[int] = set()

    def pages(self, begin: int, end: int) -> Iterator[int]:
        """The hour numbers in [begin, end) that hold anything."""
        totals = self._totals
        at = totals.place(begin * PAGE_MS)
        while at < len(totals.starts):
            page = totals.starts[at] // PAGE_MS
            if page >= end:
                return
            yield page
            at = totals.place((page + 1) * PAGE_MS)

    def span(self, page: int) -> tuple[int, int]:
        """The rows of an hour, as places."""
        place = self._totals.place
        return place(page * PAGE_MS), place((page + 1) * PAGE_MS)

    def sums(self, page: int) -> tuple[list[int], list[list[int]]]:
        """Starts and columns of the hours before an hour number, one row each."""
        hours = list(self.pages(NEVER, page))
        rows = [self._totals.between(*self.span(one)) for one in hours]
        return [one * PAGE_MS for one in hours], [
            [r[c] for r in rows] for c in range(5)
        ]

    # -- there -------------------------------------------------------------------

    def fold(self, page: int, dirty: AbstractSet[int]) -> None:
        """Fold the hours before an hour number, but what is not saved yet."""
        if self._fetch is None:
            return
        old = {one for one in self.open if one < page}
        old.update(self.pages(self.fine_page, page))
        for one in old - dirty:
            at, upto = self.span(one)
            if upto > at:
                self._totals.fold(at, upto, one * PAGE_MS)
        self.open = (self.open - old) | {one for one in dirty if one < page}
        self.trust(max(self.fine_page, page))

    def trust(self, page: int) -> None:
        """The hours before an hour number are folded."""
        self.fine_page, self.fine_ms = page, page * PAGE_MS

    def forget(self, page: int) -> None:
        """Drop the hours before an hour number."""
        count = self._totals.place(page * PAGE_MS)
        if count:
            self._totals.drop(count)
        self.open = {one for one in self.open if one >= page}

    # -- and back ----------------------------------------------------------------

    def spread(self, page: LedgerPage) -> None:
        """Put the buckets of an hour in place of what is held of it."""
        number = page.held.first_ms // PAGE_MS
        at, upto = self.span(number)
        self._totals.splice(at, upto, page.starts, page.columns)
        if number < self.fine_page:
            self.open.add(number)

    def unfold(self, page: int) -> bool:
        """Read an hour back if it is folded; whether it was.

        Raises LostPageError where the store's page is not what was folded.
        """
        if page >= self.fine_page or page in self.open:
            return False
        data = self._fetch(page) if self._fetch else None
        found = unpacked(data) if data else LedgerPage()
        self._check(page, found)
        if found.total:
            self.spread(found)
        self.open.add(page)
        return True

    def unfold_from(self, start_ms: int, end_ms: int = ENDLESS_MS) -> None:
        """Read back every folded hour that [start, end) touches."""
        begin = start_ms // PAGE_MS
        if begin < self.fine_page:
            for page in list(self.pages(begin, -(-end_ms // PAGE_MS))):
                self.unfold(page)

    def oldest(self) -> int | None:
        """The start of the oldest bucket held, in ms."""
        starts = self._totals.starts
        if starts:
            self.unfold(starts[0] // PAGE_MS)
        return starts[0] if starts else None

    def cut(self, moment_ms: int) -> None:
        """Read a folded hour back where a moment lies inside it."""
        if moment_ms % PAGE_MS:
            self.unfold(moment_ms // PAGE_MS)

    def _check(self, page: int, found: LedgerPage) -> None:
        at, upto = self.span(page)
        held = self._totals.between(at, upto)
        stored = tuple(sum(column) for column in found.columns)
        if held[: len(stored)] != stored:
            raise LostPageError(
                f"hour {page} of a series was folded as bad, total, buckets {held[:3]},"
                f" but its page in the store holds {stored[:3]}: discard the image and"
                " load it again"
            )
