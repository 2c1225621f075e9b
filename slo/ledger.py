"""The ledger: good and total per bucket of one series.

A window is the difference of two running totals. Counts are set from facts, so
setting a bucket twice changes nothing.

Memory: a bucket is a start and three totals, 10 to 28 bytes (14 to 44 where slices and
the events behind them differ). `evict` folds what is saved into coarser rows, so minutes
over 30 days take 900 rows, of which the newest seven hours are fine.
"""

from collections.abc import Iterable, Iterator, Sequence

from slo.columns import Whole, since
from slo.folding import ENDLESS_MS, PAGE_MS, LostPageError
from slo.model import HOUR, Counts
from slo.pages import HistoryPage, LedgerPage, packed, unpacked, unpacked_history
from slo.setting import Setting
from slo.totals import BadSlot, Row, Sums, Window

__all__ = ["FINE_MS", "PAGE_MS", "LostPageError", "Row", "SeriesLedger", "Window"]

FINE_MS = 7 * HOUR
"""What `evict` should leave fine: the longest window whose edge is that of a bucket (6 h),
and what its sources may be late."""


class SeriesLedger(Setting):
    """The buckets of one series, oldest first.

    `first` is the start of the oldest bucket ever observed, held or not. `known_good`
    and `known_bad` hold what each bucket said when it was first set; corrections
    never change them. `dirty` are the pages that changed since they were saved; the
    caller clears it. `fetch` reads a saved page back; without it nothing is folded.
    """

    __slots__ = ()

    def __len__(self) -> int:
        return len(self._totals)

    @property
    def last(self) -> int | None:
        """Start of the newest bucket, None while nothing is held."""
        totals = self._totals
        newest = totals.newest
        if 0 <= newest < self._append_from:
            self._folding.unfold(newest // PAGE_MS)
            newest = totals.newest
        return newest if newest >= 0 else None

    @property
    def now_known(self) -> Counts:
        """Everything that was ever counted, corrections included, forgotten or not."""
        bad, total, *_ = self._totals.sums
        return Counts(total - bad, total)

    @property
    def last_bad(self) -> int:
        """Start of the newest bucket with anything bad, -1 where there is none."""
        totals = self._totals
        at = totals.last_bad()
        if at >= 0 and self._folding.unfold(totals.start(at) // PAGE_MS):
            at = totals.last_bad()
        return totals.start(at) if at >= 0 else -1

    # -- looking -----------------------------------------------------------------

    def window(self, start_ms: int, end_ms: int) -> Window:
        """The buckets that start in [start, end)."""
        self._folding.cut(start_ms)
        self._folding.cut(end_ms)
        return self._totals.window(*self._totals.span(start_ms, end_ms))

    def since(self, moments: Sequence[int]) -> list[Sums]:
        """The sums of the buckets from each moment on, to the newest."""
        folding = self._folding
        for moment in moments:
            if moment < folding.fine_ms:
                folding.cut(moment)
        return self._totals.since(moments)

    def bad_slots(self, start_ms: int, slot_ms: int) -> Iterator[BadSlot]:
        """The slots of `slot_ms` that begin at a moment or later and hold anything bad.

        (number, bad, total, whether no bucket lies between it and the one before).
        """
        self._folding.unfold_from(start_ms)
        return self._totals.bad_slots(start_ms, slot_ms)

    def running(
        self, start_ms: int, slot_ms: int
    ) -> tuple[Sequence[int], list[Sequence[int]]]:
        """Of the slots that begin at a moment or later: starts, and running totals.

        Totals are of bad and total, before each bucket and after the last.
        """
        self._folding.unfold_from(start_ms)
        totals = self._totals
        at = totals.place(-(-start_ms // slot_ms) * slot_ms)
        starts = totals.starts(at, len(totals))
        return starts, [column[at:] for column in totals.columns[:2]]

    @property
    def sums(self) -> tuple[int, int, int]:
        """Running totals of bad, total and buckets: a change is their difference."""
        bad, total, buckets, *_ = self._totals.sums
        return bad, total, buckets

    def profile(self, grids: Sequence[range], moments: Whole) -> Whole:
        """Bad, total and buckets from each moment of some grids on, as columns.

        `moments` are those of the grids, one after the other.
        """
        for grid in grids:
            if not self._folding.answers(grid):
                for moment in grid:
                    self._folding.cut(moment)
        totals = self._totals
        ticks = -(-moments // totals.unit_ms)
        return since(totals.ticks, totals.columns[:3], ticks)

    def rows(self, start_ms: int = 0, end_ms: int = ENDLESS_MS) -> Iterator[Row]:
        """The buckets that start in [start, end), oldest first."""
        self._folding.unfold_from(start_ms, end_ms)
        return self._totals.rows(*self._totals.span(start_ms, end_ms))

    # -- pages -------------------------------------------------------------------

    def page(self, page: int) -> bytes:
        """The buckets of an hour, packed for the store."""
        self._folding.unfold(page)
        at, upto = self._folding.span(page, page + 1)
        gone = [start for start in self._gone if start // PAGE_MS == page]
        totals = self._totals
        return packed(totals.starts(at, upto), totals.values(at, upto), gone)

    def restore(self, *pages: bytes) -> None:
        """Put packed hours back, in place of what memory holds of them.

        The first-known counters, revisions and `dirty` are kept elsewhere.
        """
        self._folding.spread(self._opened(pages))

    def _opened(self, pages: Iterable[bytes]) -> list[LedgerPage]:
        """The hours with buckets, unpacked; where they begin, and what is gone, is kept."""
        found = []
        for page in map(unpacked, pages):
            self._gone.update(page.gone)
            if page.total:
                found.append(page)
                first = page.held.first_ms
                self.first = first if self.first is None else min(self.first, first)
        return found

    def forget(self, before_ms: int) -> None:
        """Drop whole hours that no window serves any more; `first` stays.

        Of hours that are folded as one, all or none.
        """
        page = self._folding.forget(before_ms // PAGE_MS)
        self.dirty = {one for one in self.dirty if one >= page}
        self._gone = {start for start in self._gone if start // PAGE_MS >= page}

    def evict(self, page: int) -> None:
        """Fold the saved hours before an hour number, the coarser the older.

        The newest hour stays, and so does what is dirty.
        """
        last = self.last
        if last is not None:
            self._folding.fold(min(page, last // PAGE_MS), self.dirty)
            self._append_from = max(self._append_from, self._folding.fine_ms)

    def history(self, page: int) -> bytes:
        """The rows of all hours before an hour number, packed for the store.

        With it, a ledger is loaded without their pages. Save it anew when it is
        `history_dirty`, together with the pages, and clear that; and before pages are
        dropped that it does not hold. The hour is not among those folded as one.
        """
        folding, totals = self._folding, self._totals
        gone = [start for start in self._gone if start // PAGE_MS < page]
        upto = totals.place(page * PAGE_MS)
        first = self.first
        self._tell(page)
        return HistoryPage(
            page,
            first if first is not None and first < page * PAGE_MS else None,
            (totals.dropped[0], totals.dropped[1]),
            packed(totals.starts(0, upto), totals.values(0, upto), gone),
            folding.fine_page,
            {one for one in folding.open if one < page},
        ).packed()

    def restore_history(self, data: bytes, *pages: bytes) -> int:
        """Put the rows of old hours back into an empty ledger; the first fine page.

        Pages from that hour number on are to be restored beside it: the quicker if they
        come along.
        """
        history = unpacked_history(data)
        held = unpacked(history.rows)
        self.first = history.first_ms
        self._totals.begin(*history.forgotten)
        self._gone.update(held.gone)
        beside = self._opened(pages)
        self._folding.spread([held, *beside] if held.total else beside)
        fine_page = history.fine_page
        hours = {page.held.first_ms // PAGE_MS for page in beside}
        fine = {hour for hour in hours if hour < fine_page}
        self._folding.trust(fine_page, history.open | fine)
        self._tell(history.page)
        return history.page

    def _tell(self, page: int) -> None:
        """What is set before an hour number from now on has been told already."""
        self._history_page = page
        self._append_from = max(self._append_from, page * PAGE_MS)
