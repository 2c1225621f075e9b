"""Screening: which of very many series surely keep their verdict and their alert.

Who cannot be proved to be where it was told to be, because a limit lies within the
bounds, a guard may hold it back or half of a window is missing, goes to its `Judge`,
whose integers decide. So a verdict never rests on a float: only not asking does.
"""

from collections.abc import Mapping, Sequence

import msgspec

from slo.assurance import Assured
from slo.certain import (
    CODES,
    OK,
    PAGE,
    UNKNOWN,
    Column,
    Limit,
    Scope,
    Told,
    fires_still,
    quiet_still,
    said,
    unknown_still,
)
from slo.columns import (
    NEVER,
    Bounds,
    Flags,
    Pick,
    Rings,
    Share,
    Whole,
    chosen,
    constant,
    fraction,
    later,
    moments_of,
    places,
    seen_share,
    stacked,
    truths,
    whole,
)
from slo.ledger import SeriesLedger
from slo.moves import Moves
from slo.stretch import Ratio, Sized
from slo.tiers import Rule
from slo.verdict import Verdict

FILLED = 1_024
"""So many ledgers are taken in at once."""

PENDING = 50_000
"""So many changes may wait for a question."""


class Terms(msgspec.Struct, frozen=True):
    """What screening needs to know of a series: the terms of its SLO.

    `unit` is the total of a full slice, 0 where events are counted. `min_bad` is that
    guard in what the ledger counts, 0 where its counts do not tell.
    """

    step_ms: int
    unit: int
    windows: tuple[Sized, ...]
    rules: tuple[Rule, ...]
    budget: Ratio
    min_bad: int

    @property
    def kind(self) -> tuple[object, ...]:
        """Series of one kind are screened together."""
        pairs = tuple((rule.level, rule.long, rule.short) for rule in self.rules)
        return self.step_ms, self.unit, self.windows, pairs


class Block:
    """All series of one kind, by place."""

    def __init__(self, terms: Sequence[Terms], clusters: Sequence[int]) -> None:
        size, self._terms = len(terms), terms[0]
        self.clusters = whole(clusters)
        self._all = whole(range(size))
        shorts = {rule.short for rule in terms[0].rules}
        self._rings = [
            Rings(
                size,
                sized.span_ms,
                sized.grain_ms,
                counted=bool(terms[0].unit) and n in shorts,
            )
            for n, sized in enumerate(terms[0].windows)
        ]
        self._rules = [
            Column(place, [one.rules[place] for one in terms])
            for place in range(len(terms[0].rules))
        ]
        self._ranked = sorted(self._rules, key=lambda rule: -rule.level)
        self._budget = Limit([one.budget for one in terms])
        self._min_bad = whole(one.min_bad for one in terms)
        self._first, self._last = constant(size, NEVER), constant(size, NEVER)
        self._lag = constant(size, 0)
        self._told = Told(
            constant(size, UNKNOWN), constant(size, OK), constant(size, -1)
        )
        self._steady = constant(size, NEVER)  # guards rest on what began before it

    # -- what changes ------------------------------------------------------------

    def know(self, at: Whole, spans: Whole) -> None:
        """Where the data of series begins and ends, and how late it may be, in ms."""
        self._first[at], self._last[at], self._lag[at] = spans

    def tell(self, place: int, verdict: Verdict, level: Verdict, tier: int) -> None:
        """What was told of a series: its verdict, its alert's level and tier."""
        self._told.verdict[place] = CODES[verdict]
        self._told.level[place] = CODES[level]
        self._told.tier[place] = tier

    def fill(self, numbers: Whole, ledgers: Sequence[SeriesLedger]) -> None:
        """Take in what ledgers hold; `know` where they end before."""
        alike: dict[int, list[int]] = {}
        for place, last in enumerate(self._last.tolist()):
            alike.setdefault(last, []).append(place)
        alike.pop(NEVER, None)
        for last, group in alike.items():
            grids = [ring.moments(last + self._terms.step_ms) for ring in self._rings]
            moments = moments_of(grids)
            for begin in range(0, len(group), FILLED):
                at = whole(group[begin : begin + FILLED])
                mine = (ledgers[n] for n in numbers[at].tolist())
                found = [ledger.profile(grids, moments) for ledger in mine]
                self._take_in(at, grids, stacked(found))

    def _take_in(self, at: Whole, grids: Sequence[range], profiles: Whole) -> None:
        upto = 0
        for ring, grid in zip(self._rings, grids, strict=True):
            begin, upto = upto, upto + len(grid)
            ring.fill(at, grid.start, profiles[:, :, begin:upto])

    def move(self, at: Whole, starts: Whole, by: Whole) -> None:
        """Buckets changed; `know` where their series end before."""
        who, last = chosen(at, self._last)
        for ring in self._rings:
            ring.slide(who, ring.edge(last + self._terms.step_ms))
            ring.add(at, starts, by)
        doubted = at[starts < self._steady[at]]
        self._steady[doubted] = NEVER
        for rule in self._rules:
            rule.holds[doubted] = NEVER

    def guard(self, place: int, rule: int, found: Assured) -> None:
        """For how long the guards of a rule pass."""
        self._steady[place] = max(int(self._steady[place]), found.steady_ms)
        self._rules[rule].holds[place] = found.until_ms

    def guarded(self, place: int, rule: int) -> int:
        """Up to which window start, ms, the guards of a rule are known to pass."""
        return int(self._rules[rule].holds[place])

    # -- what is certain ---------------------------------------------------------

    def settled(self, at: Pick, now_ms: Whole, stale: Flags) -> Flags:
        """Which of the series picked surely keep verdict and alert as they are.

        `now_ms` and `stale`, one for each: the moment, and whether an input of ours
        gave no mark.
        """
        scope, intact = self._scope(at, now_ms)
        told = Told(*(column[at] for column in msgspec.structs.astuple(self._told)))
        rules = [said(rule, scope) for rule in self._ranked]
        fine = fires_still(told, rules) | unknown_still(told, rules, stale)
        fine |= quiet_still(told, rules, scope, self._budget) & ~stale
        unseen = self._first[at] == NEVER
        fine &= ~unseen
        fine |= unseen & (told.verdict == UNKNOWN) & (told.level != PAGE)
        return fine & intact

    def _scope(self, at: Pick, now_ms: Whole) -> tuple[Scope, Flags]:
        """The bounds of every window, and where all of them hold what they should."""
        step, unit = self._terms.step_ms, self._terms.unit
        end = (now_ms - self._lag[at]) // step * step
        end = later(end, self._last[at] + step)
        who, intact = self._all[at], truths(end.size)
        found: list[Bounds] = []
        priors: list[Whole] = []
        for ring in self._rings:
            edge = ring.edge(end)
            ring.slide(who, edge)
            intact &= ring.holds(at, edge)
            prior, seen = seen_share(self._first[at], end, ring.span_ms)
            priors.append(prior)
            found.append(ring.bounds(at, edge, seen))
        spans = [ring.span_ms for ring in self._rings]
        pairs = zip(found, spans, strict=True)
        mild: list[Share] | None = None
        if unit:
            mild = [fraction(one.bad * step, unit * span) for one, span in pairs]
        lengths = [sized.window_ms for sized in self._terms.windows]
        scope = Scope(
            at, end, found, mild, priors, spans, lengths, step, self._min_bad[at]
        )
        return scope, intact


class Screen:
    """The series of a worker, numbered in the order in which they are given.

    `clusters` are the numbers of their clusters, which share a *now*. Who changes a
    ledger says so in `moves`, and who tells somebody something in `tell`.
    """

    def __init__(self, terms: Sequence[Terms], clusters: Sequence[int]) -> None:
        kinds: dict[tuple[object, ...], list[int]] = {}
        for number, one in enumerate(terms):
            kinds.setdefault(one.kind, []).append(number)
        self.moves = Moves()
        self._size = max(clusters, default=-1) + 1
        self._blocks: list[tuple[Block, Whole]] = []
        self._block, self._place = constant(len(terms), 0), constant(len(terms), 0)
        for numbers in kinds.values():
            block = Block([terms[n] for n in numbers], [clusters[n] for n in numbers])
            self._block[numbers] = len(self._blocks)
            self._place[numbers] = whole(range(len(numbers)))
            self._blocks.append((block, whole(numbers)))

    def fill(self, ledgers: Sequence[SeriesLedger]) -> None:
        """Take in what the ledgers hold, once; their spans were told to `moves`."""
        self._move()
        for block, numbers in self._blocks:
            block.fill(numbers, ledgers)

    def tell(self, number: int, verdict: Verdict, level: Verdict, tier: int) -> None:
        """What was told of a series: verdict, alert level, place of the alert's tier."""
        block, place = self._home(number)
        block.tell(place, verdict, level, tier)

    def guard(self, number: int, rule: int, found: Assured) -> None:
        """For how long the guards of a rule of a series pass."""
        block, place = self._home(number)
        block.guard(place, rule, found)

    def guarded(self, number: int, rule: int) -> int:
        """Up to which window start, ms, the guards of a rule are known to pass."""
        block, place = self._home(number)
        return block.guarded(place, rule)

    def unsettled(self, moments: Mapping[int, tuple[int, bool]]) -> list[int]:
        """The series of some clusters that have to be judged, in their order.

        `moments`, by cluster: its now in ms, and whether an input gave no mark.
        """
        self._move()
        nows, stale = constant(self._size, NEVER), constant(self._size, 0)
        for cluster, (now_ms, is_stale) in moments.items():
            nows[cluster], stale[cluster] = now_ms, is_stale
        found: list[int] = []
        for block, numbers in self._blocks:
            due = places(nows[block.clusters] != NEVER)
            at: Pick = slice(None) if due.size == numbers.size else due
            clusters = block.clusters[at]
            fine = block.settled(at, nows[clusters], stale[clusters] != 0)
            found += numbers[at][~fine].tolist()
        return sorted(found)

    def catch_up(self) -> None:
        """Take in what changed, where that is much and nobody asks."""
        if self.moves.size > PENDING:
            self._move()

    def _home(self, number: int) -> tuple[Block, int]:
        return self._blocks[self._block[number]][0], int(self._place[number])

    def _move(self) -> None:
        """Take in what was told to `moves`, the spans first."""
        (changed, start, *by), (known, *spans) = self.moves.take()
        for number, (block, _) in enumerate(self._blocks):
            mine = places(self._block[known] == number)
            if mine.size:
                block.know(
                    self._place[known[mine]], stacked([row[mine] for row in spans])
                )
            mine = places(self._block[changed] == number)
            if mine.size:
                at = self._place[changed[mine]]
                block.move(at, start[mine], stacked([row[mine] for row in by]))
