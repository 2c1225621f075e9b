"""The ledger: good and total per bucket of one series.

A window is the difference of two running totals. Counts are set from facts, so
setting a bucket twice changes nothing.

Memory: a bucket is a start and three totals, 20 to 32 bytes (28 to 48 where slices and
the events behind them differ). `evict` folds what is saved into coarser rows, so minutes
over 30 days take 900 rows, of which the newest seven hours are fine.
"""

from collections.abc import Callable, Iterator, Sequence

from slo.columns import Whole, moments_of, since
from slo.folding import ENDLESS_MS, NEVER, PAGE_MS, Folding, LostPageError
from slo.model import HOUR, Counts
from slo.pages import HistoryPage, packed, unpacked, unpacked_history
from slo.totals import BadSlot, Row, RunningTotals, Sums, Window

__all__ = ["FINE_MS", "PAGE_MS", "LostPageError", "Row", "SeriesLedger", "Window"]

FINE_MS = 7 * HOUR
"""What `evict` should leave fine: the longest window whose edge is that of a bucket (6 h),
and what its sources may be late."""


class SeriesLedger:
    """The buckets of one series, oldest first.

    `first` is the start of the oldest bucket ever observed, held or not. `known_good`
    and `known_bad` hold what each bucket said when it was first set; corrections
    never change them. `dirty` are the pages that changed since they were saved; the
    caller clears it. `fetch` reads a saved page back; without it nothing is folded.
    """

    __slots__ = (
        "_append_from",
        "_folding",
        "_gone",
        "_history_page",
        "_totals",
        "dirty",
        "first",
        "history_dirty",
        "known_bad",
        "known_good",
        "revisions",
    )

    def __init__(self, fetch: Callable[[int], bytes | None] | None = None) -> None:
        self._totals = RunningTotals()
        self._folding = Folding(self._totals, fetch)
        self._gone: set[int] = set()  # starts of buckets that were taken out again
        self._history_page = NEVER
        self._append_from = NEVER * PAGE_MS  # later buckets are neither folded nor told
        self.history_dirty = False
        self.dirty: set[int] = set()
        self.first: int | None = None
        self.known_good = 0
        self.known_bad = 0
        self.revisions = 0

    def __len__(self) -> int:
        return len(self._totals.starts)

    @property
    def last(self) -> int | None:
        """Start of the newest bucket, None while nothing is held."""
        starts = self._totals.starts
        if starts and starts[-1] < self._append_from:
            self._folding.unfold(starts[-1] // PAGE_MS)
        return starts[-1] if starts else None

    @property
    def now_known(self) -> Counts:
        """Everything that was ever counted, corrections included, forgotten or not."""
        bad, total = (column[-1] for column in self._totals.columns[:2])
        return Counts(total - bad, total)

    @property
    def last_bad(self) -> int:
        """Start of the newest bucket with anything bad, -1 where there is none."""
        totals = self._totals
        at = totals.last_bad()
        if at >= 0 and self._folding.unfold(totals.starts[at] // PAGE_MS):
            at = totals.last_bad()
        return totals.starts[at] if at >= 0 else -1

    # -- setting buckets ---------------------------------------------------------

    def put(self, start_ms: int, counts: Counts, events: Counts | None = None) -> bool:
        """Set a bucket; whether the ledger changed. One without total is taken out.

        `events` are what a slice was made of, where that is not the counts.
        """
        good, total = counts.good, counts.total
        totals = self._totals
        starts = totals.starts
        if (
            not total
            or (starts and start_ms <= starts[-1])
            or start_ms < self._append_from
            or start_ms in self._gone
        ):
            return self._set(start_ms, counts, events or counts)
        if events is not None and events != counts:
            totals.split()
        totals.append(start_ms, total - good, total)
        if len(totals.columns) == 5:
            totals.append_events(events or counts)
        self.known_good += good
        self.known_bad += total - good
        self.dirty.add(start_ms // PAGE_MS)
        if self.first is None:
            self.first = start_ms
        return True

    def _set(self, start_ms: int, counts: Counts, events: Counts) -> bool:
        """Set any bucket, wherever it belongs."""
        if not counts.total:
            return self.remove(start_ms)
        held, at = self._find(start_ms)
        totals = self._totals
        row = (counts.bad, counts.total, 1, events.bad, events.total)
        if held and totals.between(at, at + 1) == row:
            return False
        wide = 5 if events != counts else 3
        totals.splice(at, at + held, (start_ms,), [(value,) for value in row[:wide]])
        self._know(start_ms, counts, known=held)
        self._touch(start_ms)
        if self.first is None or start_ms < self.first:
            self.first = start_ms
        return True

    def _know(self, start_ms: int, counts: Counts, *, known: bool) -> None:
        """Count a bucket when it is first set; one that comes back is a revision."""
        if known or start_ms in self._gone:
            self._gone.discard(start_ms)
            self.revisions += 1
        else:
            self.known_good += counts.good
            self.known_bad += counts.bad

    def remove(self, start_ms: int) -> bool:
        """Take a bucket out again, where its facts no longer say anything."""
        held, at = self._find(start_ms)
        if not held:
            return False
        self._totals.splice(at, at + 1, (), ((), (), ()))
        self._gone.add(start_ms)
        self.revisions += 1
        self._touch(start_ms)
        if start_ms == self.first:
            self.first = self._folding.oldest()
        return True

    def _find(self, start_ms: int) -> tuple[bool, int]:
        """Whether a bucket is held, and its place."""
        self._folding.unfold(start_ms // PAGE_MS)
        at = self._totals.place(start_ms)
        starts = self._totals.starts
        return at < len(starts) and starts[at] == start_ms, at

    def _touch(self, start_ms: int) -> None:
        page = start_ms // PAGE_MS
        self.dirty.add(page)
        if page < self._history_page:
            self.history_dirty = True

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
        return totals.starts[at:], [column[at:] for column in totals.columns[:2]]

    @property
    def sums(self) -> tuple[int, int, int]:
        """Running totals of bad, total and buckets: a change is their difference."""
        columns = self._totals.columns
        return columns[0][-1], columns[1][-1], columns[2][-1]

    def profile(self, grids: Sequence[range]) -> Whole:
        """Bad, total and buckets from each moment of some grids on, as columns."""
        for grid in grids:
            if not self._folding.answers(grid):
                for moment in grid:
                    self._folding.cut(moment)
        totals = self._totals
        return since(totals.starts, totals.columns[:3], moments_of(grids))

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
        return packed(totals.starts[at:upto], totals.values(at, upto), gone)

    def restore(self, data: bytes) -> None:
        """Put a packed hour back, in place of what memory holds of it.

        The first-known counters, revisions and `dirty` are kept elsewhere.
        """
        page = unpacked(data)
        self._gone.update(page.gone)
        if page.total:
            self._folding.spread(page)
            first = page.held.first_ms
            self.first = first if self.first is None else min(self.first, first)

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
            (totals.columns[0][0], totals.columns[1][0]),
            packed(totals.starts[:upto], totals.values(0, upto), gone),
            folding.fine_page,
            {one for one in folding.open if one < page},
        ).packed()

    def restore_history(self, data: bytes) -> int:
        """Put the rows of old hours back into an empty ledger; the first fine page.

        Pages from that hour number on are to be restored beside it.
        """
        history = unpacked_history(data)
        held = unpacked(history.rows)
        self.first = history.first_ms
        self._totals.begin(*history.forgotten)
        self._totals.splice(0, 0, held.starts, held.columns)
        self._gone.update(held.gone)
        self._folding.trust(history.fine_page, history.open)
        self._tell(history.page)
        return history.page

    def _tell(self, page: int) -> None:
        """What is set before an hour number from now on has been told already."""
        self._history_page = page
        self._append_from = max(self._append_from, page * PAGE_MS)
