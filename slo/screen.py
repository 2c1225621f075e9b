"""Screening: which of very many series surely keep their verdict and their alert.

Who cannot be proved to be where it was told to be, because a limit lies within the
bounds, a guard may hold it back or half of a window is missing, goes to its `Judge`,
whose integers decide. So a verdict never rests on a float: only not asking does.
"""

from collections.abc import Callable, Mapping, Sequence

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
    Move,
    Pick,
    Rings,
    Rows,
    Share,
    Whole,
    chosen,
    constant,
    fraction,
    later,
    places,
    seen_share,
    truths,
    whole,
)
from slo.stretch import Ratio, Sized
from slo.tiers import Rule
from slo.totals import Sums
from slo.verdict import Verdict


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


class Known(msgspec.Struct, frozen=True):
    """Where the data of a series begins and ends, ms, and what was told of it.

    `tier` is the place of the alert's tier among the rules, -1 for none.
    """

    first_ms: int | None
    last_ms: int | None
    lag_ms: int
    verdict: Verdict
    level: Verdict
    tier: int


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

    def know(self, place: int, known: Known) -> None:
        """Where the data of a series stands, and what was told of it."""
        self._first[place] = NEVER if known.first_ms is None else known.first_ms
        self._last[place] = NEVER if known.last_ms is None else known.last_ms
        self._lag[place] = known.lag_ms
        self._told.verdict[place] = CODES[known.verdict]
        self._told.level[place] = CODES[known.level]
        self._told.tier[place] = known.tier

    def fill(self, place: int, since: Callable[[Sequence[int]], list[Sums]]) -> None:
        """Take in what a ledger holds; `know` where it ends before."""
        end = int(self._last[place]) + self._terms.step_ms
        for ring in self._rings:
            moments = ring.moments(end)
            ring.fill(place, moments, since(moments))

    def move(self, at: Whole, starts: Whole, moves: Whole) -> None:
        """Buckets changed; `know` where their series end before."""
        who, last = chosen(at, self._last)
        for ring in self._rings:
            ring.slide(who, ring.edge(last + self._terms.step_ms))
            ring.add(at, starts, moves)
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

    `clusters` are the numbers of their clusters, which share a *now*.
    """

    def __init__(self, terms: Sequence[Terms], clusters: Sequence[int]) -> None:
        kinds: dict[tuple[object, ...], list[int]] = {}
        for number, one in enumerate(terms):
            kinds.setdefault(one.kind, []).append(number)
        self._size = max(clusters, default=-1) + 1
        self._homes: dict[int, tuple[Block, int]] = {}
        self._blocks: list[tuple[Block, Whole]] = []
        self._moved: dict[Block, Rows] = {}
        for numbers in kinds.values():
            block = Block([terms[n] for n in numbers], [clusters[n] for n in numbers])
            self._blocks.append((block, whole(numbers)))
            self._moved[block] = Rows()
            for place, number in enumerate(numbers):
                self._homes[number] = block, place

    def know(self, number: int, known: Known) -> None:
        """Where the data of a series stands now, and what was told of it."""
        block, place = self._homes[number]
        block.know(place, known)

    def fill(self, number: int, since: Callable[[Sequence[int]], list[Sums]]) -> None:
        """Take in what the ledger of a series holds; once, after `know`."""
        block, place = self._homes[number]
        block.fill(place, since)

    def move(self, number: int, moves: Sequence[Move]) -> None:
        """Buckets of a series changed; `know` its end before the next question."""
        block, place = self._homes[number]
        self._moved[block].note(place, moves)

    def guard(self, number: int, rule: int, found: Assured) -> None:
        """For how long the guards of a rule of a series pass."""
        block, place = self._homes[number]
        block.guard(place, rule, found)

    def guarded(self, number: int, rule: int) -> int:
        """Up to which window start, ms, the guards of a rule are known to pass."""
        block, place = self._homes[number]
        return block.guarded(place, rule)

    def unsettled(self, moments: Mapping[int, tuple[int, bool]]) -> list[int]:
        """The series of some clusters that have to be judged, in their order.

        `moments`, by cluster: its now in ms, and whether an input gave no mark.
        """
        nows, stale = constant(self._size, NEVER), constant(self._size, 0)
        for cluster, (now_ms, is_stale) in moments.items():
            nows[cluster], stale[cluster] = now_ms, is_stale
        found: list[int] = []
        for block, numbers in self._blocks:
            moved = self._moved[block].take()
            if moved is not None:
                block.move(*moved)
            due = places(nows[block.clusters] != NEVER)
            at: Pick = slice(None) if due.size == numbers.size else due
            clusters = block.clusters[at]
            fine = block.settled(at, nows[clusters], stale[clusters] != 0)
            found += numbers[at][~fine].tolist()
        return sorted(found)
