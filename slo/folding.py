"""Folding: old buckets as coarser rows, read back from the store where it matters.

Behind the fine hours a row holds ten minutes for a day, then an hour to the end of the
eighth, then six hours: as coarse as the edge of a window that long (`slo.stretch`)
allows. A row answers every window that begins and ends on its edges. For anything
finer, and before a late bucket changes it, its pages are read back and stay until they
are folded again.
"""

from collections.abc import Callable, Iterable, Iterator
from collections.abc import Set as AbstractSet
from itertools import chain, pairwise

from slo.model import HOUR, MINUTE
from slo.pages import MINUTES_PAGES, NO_PAGES, LedgerPage, unpacked
from slo.totals import RunningTotals

PAGE_MS = HOUR
"""Buckets are saved, and folded, in pages of this width."""

BLOCK_PAGES = 6
"""The oldest pages are folded in blocks of this many."""

BLOCK_MS = BLOCK_PAGES * PAGE_MS

ENDLESS_MS = 1 << 62

NEVER = -2 * (ENDLESS_MS // PAGE_MS)
"""A page before all others."""

_TEN_MINUTES = 10 * MINUTE

_HOURS_PAGES = 174
"""So many pages behind the fine ones are kept as rows of an hour, or finer."""


class LostPageError(Exception):
    """A folded hour cannot be read back as it was: throw the image away, load again."""


class Folding:
    """Which hours of some totals are folded: all before `fine_page`, except `open`.

    `fetch` reads the saved page of an hour; without it nothing is ever folded.
    """

    __slots__ = (
        "_block_page",
        "_fetch",
        "_hours_page",
        "_totals",
        "fine_ms",
        "fine_page",
        "open",
    )

    def __init__(
        self, totals: RunningTotals, fetch: Callable[[int], bytes | None] | None
    ) -> None:
        self._totals = totals
        self._fetch = fetch
        self.open: AbstractSet[int] = NO_PAGES
        self.trust(NEVER)

    def trust(self, page: int, still_open: AbstractSet[int] = NO_PAGES) -> None:
        """The hours before an hour number are folded, but those that are still open."""
        self.fine_page, self.fine_ms = page, page * PAGE_MS
        self._hours_page = page - MINUTES_PAGES
        self._block_page = (page - _HOURS_PAGES) // BLOCK_PAGES * BLOCK_PAGES
        self.open = still_open or NO_PAGES

    def pages(self, begin: int, end: int) -> Iterator[int]:
        """The hour numbers in [begin, end) in which a row begins."""
        totals = self._totals
        at = totals.place(begin * PAGE_MS)
        while at < len(totals):
            page = totals.start(at) // PAGE_MS
            if page >= end:
                return
            yield page
            at = totals.place((page + 1) * PAGE_MS)

    def span(self, begin: int, end: int) -> tuple[int, int]:
        """The rows of the hours in [begin, end), as places."""
        place = self._totals.place
        return place(begin * PAGE_MS), place(end * PAGE_MS)

    def block(self, page: int) -> tuple[int, int]:
        """The hours [begin, end) that are folded together with one."""
        if page >= self._block_page:
            return page, page + 1
        begin = page // BLOCK_PAGES * BLOCK_PAGES
        return begin, begin + BLOCK_PAGES

    def _width_ms(self, page: int) -> int:
        """The width of the rows of a folded hour."""
        if page >= self._hours_page:
            return _TEN_MINUTES
        return PAGE_MS if page >= self._block_page else BLOCK_MS

    # -- there -------------------------------------------------------------------

    def fold(self, page: int, dirty: AbstractSet[int]) -> None:
        """Fold the hours before an hour number, but what is not saved yet."""
        if self._fetch is None or (page <= self.fine_page and not self.open):
            return
        latest = max(page, self._block_page)
        later = {one for one in self.open if one >= latest}
        fine = {*(self.open - later), *self.pages(self.fine_page, page)}
        fine.update(one for one in dirty if self.fine_page <= one < page)  # emptied
        hours, blocks = self._hours_page, self._block_page
        self.trust(max(self.fine_page, page), fine | later)
        due = chain(
            fine,
            self.pages(hours, self._hours_page),
            self.pages(blocks, self._block_page),
        )
        still_open = later
        for begin, end in sorted({self.block(one) for one in due}):
            together = range(begin, end)
            if dirty.isdisjoint(together):
                self._merge(begin, end)
                continue
            for one in together:
                if one not in fine:
                    self._read(one, one + 1)
            still_open.update(together)
        self.open = still_open or NO_PAGES

    def _merge(self, begin: int, end: int) -> None:
        """Make rows of the width that they should have."""
        totals, width = self._totals, self._width_ms(begin)
        edges = range(begin * PAGE_MS, end * PAGE_MS + 1, width)
        places = [totals.place(edge) for edge in edges]
        kept = [
            (at, edge)
            for (at, upto), edge in zip(pairwise(places), edges[:-1], strict=True)
            if at < upto
        ]
        if kept:
            totals.fold(places[0], places[-1], *zip(*kept, strict=True))

    def forget(self, page: int) -> int:
        """Drop the hours before an hour number, or before the block that it is in.

        Returns the first hour that is kept.
        """
        page, _ = self.block(page)
        count = self._totals.place(page * PAGE_MS)
        if count:
            self._totals.drop(count)
        self.open = {one for one in self.open if one >= page} or NO_PAGES
        return page

    # -- and back ----------------------------------------------------------------

    def spread(self, pages: Iterable[LedgerPage]) -> None:
        """Put the buckets of hours in place of what is held of them.

        What is later than all that is held is put behind it at once.
        """
        totals, later = self._totals, []
        newest = totals.newest // PAGE_MS
        hours = {page.held.first_ms // PAGE_MS: page for page in pages}
        for number, page in sorted(hours.items()):
            if number > newest:
                later.append(page)
            else:
                at, upto = self.span(number, number + 1)
                totals.splice(at, upto, page.held, page.columns)
            if number < self.fine_page:
                self.open |= {number}
        if later:
            totals.lay(later)

    def unfold(self, page: int) -> bool:
        """Read an hour back if it is folded, with its block; whether it was.

        Raises LostPageError where the store's pages are not what was folded.
        """
        if page >= self.fine_page or page in self.open:
            return False
        self._read(*self.block(page))
        return True

    def _read(self, begin: int, end: int) -> None:
        fetch = self._fetch
        found = [
            unpacked(data)
            for page in range(begin, end)
            if fetch is not None and (data := fetch(page))
        ]
        starts = [start for page in found for start in page.starts]
        columns = [
            list(chain.from_iterable(some))
            for some in zip(*(page.all_columns for page in found), strict=True)
        ] or [[]] * 5
        at, upto = self.span(begin, end)
        self._check(begin, self._totals.between(at, upto), [sum(c) for c in columns])
        if columns[3:] == columns[:2]:
            columns = columns[:3]
        self._totals.splice(at, upto, starts, columns)
        self.open |= set(range(begin, end))

    def unfold_from(self, start_ms: int, end_ms: int = ENDLESS_MS) -> None:
        """Read back every folded hour that [start, end) touches."""
        begin = start_ms // PAGE_MS
        if begin < self.fine_page:
            first, _ = self.block(begin)
            for page in list(self.pages(first, -(-end_ms // PAGE_MS))):
                self.unfold(page)

    def oldest(self) -> int | None:
        """The start of the oldest bucket held, in ms."""
        totals = self._totals
        if totals:
            self.unfold(totals.start(0) // PAGE_MS)
        return totals.start(0) if totals else None

    def answers(self, grid: range) -> bool:
        """Whether no moment of a grid lies inside a folded row."""
        page = grid.start // PAGE_MS
        if page >= self.fine_page:
            return True
        width = self._width_ms(page)  # every finer width divides it
        return not (grid.start % width or grid.step % width)

    def cut(self, moment_ms: int) -> None:
        """Read a folded row back where a moment lies inside it."""
        page = moment_ms // PAGE_MS
        if page < self.fine_page and moment_ms % self._width_ms(page):
            self.unfold(page)

    def _check(self, page: int, held: tuple[int, ...], stored: list[int]) -> None:
        if list(held) != stored:
            raise LostPageError(
                f"hour {page} of a series was folded as bad, total, buckets {held[:3]},"
                f" but its page in the store holds {tuple(stored[:3])}: discard the"
                " image and load it again"
            )
