"""Setting the buckets of a ledger: one, or many at once.

Most come in order and are appended. What comes late, or changes, moves all that lies
after it, so the late ones of a run are put in together.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from operator import itemgetter, sub
from typing import NamedTuple

from slo.folding import NEVER, PAGE_MS, Folding
from slo.model import Counts
from slo.totals import Row, RunningTotals, Sums

Move = tuple[int, int, int]
"""By how much a bucket has changed: bad, total, and whether it is there."""

NOTHING = (0, 0, 0, 0, 0)
_start = itemgetter(0)
_total = itemgetter(2)


class Changed(NamedTuple):
    """What setting many buckets has changed: those appended, those among others.

    A bucket that was taken out has a row without total. `columns` are starts, bad and
    total of the fresh.
    """

    fresh: list[Row]
    columns: tuple[list[int], list[int], list[int]] = ([], [], [])
    revised: Sequence[tuple[Row, Move]] = ()

    @property
    def rows(self) -> list[Row]:
        """All of them, oldest first."""
        if not self.revised:
            return self.fresh
        return [row for row, _ in self.revised] + self.fresh


class Setting:
    """The half of a ledger that is written to; see `slo.ledger.SeriesLedger`."""

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

    def put(self, start_ms: int, counts: Counts, events: Counts | None = None) -> bool:
        """Set a bucket; whether the ledger changed. One without total is taken out.

        `events` are what a slice was made of, where that is not the counts.
        """
        good, total = counts.good, counts.total
        totals = self._totals
        if (
            not total
            or start_ms <= totals.newest
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
        totals = self._totals
        return at < len(totals) and totals.start(at) == start_ms, at

    def _touch(self, start_ms: int) -> None:
        page = start_ms // PAGE_MS
        self.dirty.add(page)
        if page < self._history_page:
            self.history_dirty = True

    # -- many at once ------------------------------------------------------------

    def put_rows(self, rows: list[Row]) -> Changed:
        """Set buckets as `put` does, in ascending order of start."""
        first = rows[0][0]
        if self._gone or first < self._append_from or first <= self._totals.newest:
            late = self._late(rows)
            revised = self._revise(rows[:late]) if late else ()
            return self._append(rows[late:])._replace(revised=revised)
        return self._append(rows)

    def _late(self, rows: Sequence[Row]) -> int:
        """How many of some rows cannot be appended."""
        gone = self._gone
        newest = max(self._totals.newest, self._append_from - 1)
        late = bisect_right(rows, newest, key=_start)
        return max([late, *(n for n, row in enumerate(rows, 1) if row[0] in gone)])

    def _append(self, rows: list[Row]) -> Changed:
        """Add what was never known after all others; what was added."""
        fresh = rows
        if not all(map(_total, rows)):
            fresh = [row for row in rows if row[2]]
        if not fresh:
            return Changed([])
        totals = self._totals
        starts, good, total, events_good, events_total = map(
            list, zip(*fresh, strict=True)
        )
        if len(totals.columns) == 3 and (events_good != good or events_total != total):
            totals.split()
        bad = list(map(sub, total, good))
        sums: list[Sequence[int]] = [bad, total, [1] * len(fresh)]
        if len(totals.columns) == 5:
            sums += [list(map(sub, events_total, events_good)), events_total]
        totals.extend(starts, sums)
        all_bad = sum(bad)
        self.known_bad += all_bad
        self.known_good += sum(total) - all_bad
        self._soil(starts)
        if self.first is None:
            self.first = starts[0]
        return Changed(fresh, (starts, bad, total))

    def _soil(self, starts: Sequence[int]) -> None:
        """The pages of some buckets, oldest first, have to be saved."""
        page = starts[0] // PAGE_MS
        if starts[-1] // PAGE_MS == page:
            self.dirty.add(page)
        else:
            self.dirty.update([start // PAGE_MS for start in starts])

    def _revise(self, rows: Sequence[Row]) -> list[tuple[Row, Move]]:
        """Set buckets wherever they belong, and move what lies after them once."""
        for row in rows:
            self._folding.unfold(row[0] // PAGE_MS)
        totals = self._totals
        at, upto = totals.span(rows[0][0], rows[-1][0] + 1)
        held = _held(totals, at, upto)
        revised: list[tuple[Row, Move]] = []
        for row in rows:
            move = self._revised(held, row)
            if move is not None:
                revised.append((row, move))
        if revised:
            starts = sorted(held)
            totals.splice(at, upto, starts, _columns([held[s] for s in starts], totals))
            self._begins(row for row, _ in revised)
        return revised

    def _revised(self, held: dict[int, Sums], row: Row) -> Move | None:
        """Change one bucket of those held; None where it was so before."""
        start, good, total, events_good, events_total = row
        known = held.get(start)
        bad, all_, buckets, _, _ = known or NOTHING
        if total:
            now = (total - good, total, 1, events_total - events_good, events_total)
            if known == now:
                return None
            held[start] = now
            self._know(start, Counts(good, total), known=known is not None)
        else:
            if known is None:
                return None
            now = NOTHING
            del held[start]
            self._gone.add(start)
            self.revisions += 1
        self._touch(start)
        return now[0] - bad, now[1] - all_, now[2] - buckets

    def _begins(self, rows: Iterable[Row]) -> None:
        """Let `first` follow buckets that were set or taken out, in their order."""
        lost = False
        for start, _, total, _, _ in rows:
            if not total:
                lost = lost or start == self.first
            elif self.first is None or start < self.first:
                self.first = start
        if lost:
            self.first = self._folding.oldest()


def _held(totals: RunningTotals, at: int, upto: int) -> dict[int, Sums]:
    """The rows in [at, upto), by start."""
    columns = totals.values(at, upto)
    bad, total, buckets, *events = columns
    events_bad, events_total = events or (bad, total)
    sums = zip(bad, total, buckets, events_bad, events_total, strict=True)
    return dict(zip(totals.starts(at, upto), sums, strict=True))


def _columns(rows: Sequence[Sums], totals: RunningTotals) -> list[tuple[int, ...]]:
    """The columns of some rows; three where no row has events of its own."""
    columns: list[tuple[int, ...]] = [()] * 5
    if rows:
        columns = list(zip(*rows, strict=True))
    apart = len(totals.columns) == 5 or columns[:2] != columns[3:]
    return columns if apart else columns[:3]
