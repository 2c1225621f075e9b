"""What is certain of many series at once, by bounds: that they are where they were told.

Each function answers with a truth a series: surely so. What is not certain is not
false, it is only asked of whoever can tell.
"""

from collections.abc import Sequence

import msgspec

from slo.columns import (
    EPSILON,
    NEVER,
    Bounds,
    Flags,
    Pick,
    Share,
    Whole,
    constant,
    every,
    flags,
    nobody,
    shares,
)
from slo.stretch import Ratio
from slo.tiers import Rule
from slo.verdict import Verdict

CODES = {verdict: code for code, verdict in enumerate(Verdict)}
OK, WATCH, TICKET, PAGE, UNKNOWN = (CODES[verdict] for verdict in Verdict)


class Limit:
    """A bad share to be exceeded, one for each series."""

    __slots__ = ("_over", "_under")

    def __init__(self, limits: Sequence[Ratio]) -> None:
        exact = shares(above / below for above, below in limits)
        self._under, self._over = exact * (1 - EPSILON), exact * (1 + EPSILON)

    def exceeded(self, at: Pick, share: Share) -> Flags:
        """Where a share is surely above."""
        return share > self._over[at]

    def kept(self, at: Pick, share: Share) -> Flags:
        """Where a share is surely not above."""
        return share <= self._under[at]


class Column:
    """One rule for all series of a kind.

    `holds` are the window starts, in ms, up to which its guards are known to pass.
    """

    __slots__ = (
        "holds",
        "level",
        "limit",
        "long",
        "pages",
        "place",
        "reachable",
        "short",
    )

    def __init__(self, place: int, rules: Sequence[Rule]) -> None:
        self.place = place
        self.level = CODES[rules[0].level]
        self.long, self.short = rules[0].long, rules[0].short
        self.pages = rules[0].tier.severity is Verdict.PAGE
        self.reachable = flags(rule.reachable for rule in rules)
        self.limit = Limit([rule.limit for rule in rules])
        self.holds = constant(len(rules), NEVER)


class Told(msgspec.Struct, frozen=True):
    """What was told of the series picked: verdict, the alert's level, its tier's place."""

    verdict: Whole
    level: Whole
    tier: Whole


class Said(msgspec.Struct, frozen=True):
    """What is certain about one rule."""

    rule: Column
    fires: Flags
    fires_not: Flags
    unknown: Flags
    unknown_not: Flags


class Scope(msgspec.Struct, frozen=True):
    """The series picked at one moment: every window, and what rules ask besides.

    `mild` is, for each window, the most that could be bad if all that is missing were
    good; None where events are counted, of which none is known to be missing.
    `priors` are the parts before the first observation, `spans` the windows, in ms.
    """

    at: Pick
    end_ms: Whole
    found: Sequence[Bounds]
    mild: Sequence[Share] | None
    priors: Sequence[Whole]
    spans: Sequence[int]
    lengths: Sequence[int]
    step_ms: int
    min_bad: Whole


def said(rule: Column, scope: Scope) -> Said:
    """What the bounds say of one rule."""
    at, reachable = scope.at, rule.reachable[scope.at]
    long, short = scope.found[rule.long], scope.found[rule.short]
    cool = rule.limit.kept(at, long.high) | rule.limit.kept(at, short.high)
    burns = rule.limit.exceeded(at, long.low) & rule.limit.exceeded(at, short.low)
    held = long.bad < scope.min_bad
    guarded = scope.end_ms - scope.lengths[rule.long] <= rule.holds[at]
    fires = burns & guarded & reachable
    if scope.mild is None or short.fewest is None or short.most is None:
        nobody = held & ~held
        return Said(rule, fires, cool | held | ~reachable, nobody, ~nobody)
    mild = rule.limit.kept(at, scope.mild[rule.long])
    mild |= rule.limit.kept(at, scope.mild[rule.short])
    prior, span = scope.priors[rule.short], scope.spans[rule.short]
    known = (prior + short.fewest * scope.step_ms) * 2 >= span
    missing = (prior + short.most * scope.step_ms) * 2 < span
    fires_not = (known & cool) | (missing & mild) | (cool & mild) | held
    return Said(
        rule,
        fires & known,
        fires_not | ~reachable,
        missing & mild & reachable,
        known | ~reachable,
    )


# -- what was told, and still holds --------------------------------------------------


def quiet_still(
    told: Told, rules: Sequence[Said], scope: Scope, budget: Limit
) -> Flags:
    """Told ok or watch, and nothing else has come of it."""
    calm: Flags = told.level == OK
    calm &= every([one.unknown_not for one in rules], calm)
    calm &= every([one.fires_not for one in rules if one.rule.level > WATCH], calm)
    cool = every([one.fires_not for one in rules], calm)
    warm = calm & ~calm
    for one in rules:
        if one.rule.pages:
            long = scope.found[one.rule.long]
            cool &= budget.kept(scope.at, long.high)
            warm |= budget.exceeded(scope.at, long.low)
    cool &= told.verdict == OK
    warm &= told.verdict == WATCH
    calm &= cool | warm
    return calm


def fires_still(told: Told, rules: Sequence[Said]) -> Flags:
    """Told page or ticket by a rule that fires, and none that goes before it may.

    `rules` stand in the order in which they are decided, the gravest level first.
    """
    found = nobody(told.verdict.size)
    before = ~found
    for one in rules:
        level = one.rule.level
        if level > WATCH:
            mine = (told.verdict == level) & (told.level == level)
            mine &= (told.tier == one.rule.place) & one.fires & before
            graver = [other.unknown_not for other in rules if other.rule.level > level]
            found |= mine & every(graver, mine)
        before &= one.fires_not
    return found


def unknown_still(told: Told, rules: Sequence[Said], stale: Flags) -> Flags:
    """Told unknown: an input gives no mark, or half of a window is still missing.

    A page ends where only tickets are unknown.
    """
    loud = [one.fires_not for one in rules if one.rule.level > WATCH]
    silent = stale & every(loud, stale)
    hidden = stale & ~stale
    kept = told.level != PAGE
    for one in rules:
        grave = [o.fires_not for o in rules if o.rule.level >= one.rule.level]
        hidden |= one.unknown & every(grave, hidden)
        if one.rule.pages:
            kept |= one.unknown
    silent |= ~stale & hidden & kept
    silent &= told.verdict == UNKNOWN
    return silent
