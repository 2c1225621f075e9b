"""The tiers of the policy for one SLO: does one fire, what holds it back, what wins.

A tier fires where both of its windows burn strictly above its factor and no guard
holds it back. Where its shorter window is covered by less than half it is unknown,
unless what was seen is bad enough even if all that is missing were good.
"""

from collections.abc import Callable, Sequence
from enum import Enum
from fractions import Fraction
from typing import NamedTuple

import msgspec

from slo.model import SLO, Urgency
from slo.names import duration
from slo.policy import Policy, Tier, reachable
from slo.saying import counted
from slo.stretch import Lookup, Ratio, Stretch
from slo.verdict import Outcome, TierStatus, Verdict

UNREACHABLE = "unreachable at this target"


class Rule(msgspec.Struct, frozen=True):
    """A tier, worked out for one SLO.

    `level` is the verdict where it fires: its severity, under the SLO's urgency.
    `long` and `short` are the places of its windows among those looked up. `limit`
    is the bad share that both must exceed, `over` the burn rate that this is, in words.
    `quiet` is its status where nothing is bad.
    """

    tier: Tier
    level: Verdict
    long: int
    short: int
    limit: Ratio
    over: str
    reachable: bool
    quiet: TierStatus


class Scene(msgspec.Struct, frozen=True):
    """All that the tiers of one SLO are judged by at one moment.

    `hot` tells the hot time in the long window of a page tier, ms, of which `floor_ms`
    is needed.
    """

    slo: SLO
    lookup: Lookup
    found: Sequence[Stretch]
    budget: Ratio
    hot: Callable[[Rule], int]
    floor_ms: int


class Weighed(NamedTuple):
    """An outcome, and what it rests on.

    `scene` is None where nothing is bad and nothing missing. The windows end at
    `end_ms`, hot time is counted in slots of `slot_ms`.
    """

    outcome: Outcome
    found: list[Stretch]
    scene: Scene | None
    end_ms: int
    slot_ms: int


class Standing(Enum):
    """How one tier stands."""

    QUIET = "quiet"
    UNKNOWN = "unknown"
    HELD = "held back"
    FIRES = "fires"


def ratio_of(share: Fraction) -> Ratio:
    """A fraction as plain integers."""
    return share.numerator, share.denominator


def rules_of(slo: SLO, policy: Policy, windows_ms: tuple[int, ...]) -> tuple[Rule, ...]:
    """The tiers of a policy in their order."""
    return tuple(_rule(slo, tier, windows_ms) for tier in policy.tiers)


def _rule(slo: SLO, tier: Tier, windows_ms: tuple[int, ...]) -> Rule:
    can_fire = reachable(tier, slo.target, slo.period_ms)
    return Rule(
        tier=tier,
        level=capped(tier.severity, slo.urgency),
        long=windows_ms.index(tier.long_ms),
        short=windows_ms.index(tier.short_ms),
        limit=ratio_of(tier.factor(slo.period_ms) * (1 - slo.target)),
        over=f"{float(tier.factor(slo.period_ms)):g}x",
        reachable=can_fire,
        quiet=TierStatus(tier.name, Verdict.OK, "" if can_fire else UNREACHABLE),
    )


def capped(severity: Verdict, urgency: Urgency) -> Verdict:
    """What urgency lets a severity be: page, ticket, or only watch."""
    if urgency is Urgency.BOARD:
        return Verdict.WATCH
    return Verdict.TICKET if urgency is Urgency.TICKET else severity


# -- one tier ------------------------------------------------------------------


def pages(rule: Rule) -> bool:
    """Whether a tier is one of those that page, whatever the SLO lets it do."""
    return rule.tier.severity is Verdict.PAGE


def standing(rule: Rule, scene: Scene) -> Standing:
    """How a tier stands, without words."""
    if not rule.reachable:
        return Standing.QUIET
    long, short = scene.found[rule.long], scene.found[rule.short]
    if not short.half_covered:
        bad_enough = scene.lookup.exceeds_if_rest_good
        if not (bad_enough(long, rule.limit) and bad_enough(short, rule.limit)):
            return Standing.UNKNOWN
    elif not (
        long.bad
        and short.bad
        and long.exceeds(rule.limit)
        and short.exceeds(rule.limit)
    ):
        return Standing.QUIET
    slo = scene.slo
    passed = (
        long.guard_bad >= slo.min_bad
        and long.guard_total * long.span_ms >= slo.min_total * long.seen_ms
        and (not pages(rule) or scene.hot(rule) >= scene.floor_ms)
    )
    return Standing.FIRES if passed else Standing.HELD


def stated(rule: Rule, how: Standing) -> Verdict:
    """The verdict of a tier that stands so."""
    if how is Standing.FIRES:
        return rule.tier.severity
    return Verdict.UNKNOWN if how is Standing.UNKNOWN else Verdict.OK


def weighed_up(rules: Sequence[Rule], scene: Scene) -> list[Verdict]:
    """The verdict of every tier, as far as `decide` asks for it.

    Once one pages, those behind it are not looked at, and stand as if they were ok.
    """
    found = [Verdict.OK] * len(rules)
    for place, rule in enumerate(rules):
        found[place] = stated(rule, standing(rule, scene))
        if found[place] is rule.level is Verdict.PAGE:
            break
    return found


def judge(rule: Rule, scene: Scene) -> TierStatus:
    """Whether a tier fires, and why or why not."""
    tier, how = rule.tier, standing(rule, scene)
    long, short = scene.found[rule.long], scene.found[rule.short]
    match how:
        case Standing.QUIET:
            return rule.quiet
        case Standing.UNKNOWN:
            return TierStatus(tier.name, Verdict.UNKNOWN, _missing(short))
        case Standing.HELD:
            why = f"burning, held back: {_held_back(rule, scene, long)}"
            return TierStatus(tier.name, Verdict.OK, why)
        case Standing.FIRES:
            why = _burning(rule, scene, long, short)
            return TierStatus(tier.name, tier.severity, why)


def _missing(short: Stretch) -> str:
    missing = f"{1 - short.coverage:.0%}"
    return f"no data for {missing} of the last {duration(short.window_ms)}"


def _held_back(rule: Rule, scene: Scene, long: Stretch) -> str:
    """The first guard that keeps a tier that burns from firing."""
    slo = scene.slo
    if long.guard_bad < slo.min_bad:
        return f"{long.guard_bad} bad of at least {slo.min_bad}"
    if long.guard_total * long.span_ms < slo.min_total * long.seen_ms:
        return f"{long.guard_total} in all of at least {slo.min_total}"
    hot = duration(scene.hot(rule))
    return f"hot for {hot} of at least {duration(scene.floor_ms)}"


def _burning(rule: Rule, scene: Scene, long: Stretch, short: Stretch) -> str:
    name = duration(long.window_ms)
    return (
        f"{name} burns {long.burn(scene.budget):.1f}x and"
        f" {duration(short.window_ms)} {short.burn(scene.budget):.1f}x,"
        f" over {rule.over}:"
        f" {long.guard_bad:,} bad of {long.guard_total:,} {counted(scene.slo)} in {name}"
        f"{_young(long)}"
    )


def _young(long: Stretch) -> str:
    """The integers alone do not give the burn of a window that began before the data."""
    if not long.prior_ms:
        return ""
    return f"; no data before the last {duration(long.seen_ms)}, which counts as good"


# -- all tiers -----------------------------------------------------------------


def decide(
    rules: Sequence[Rule], verdicts: Sequence[Verdict]
) -> tuple[Verdict, int] | None:
    """The verdict, and the place of the tier behind it; None where nothing is amiss.

    `verdicts` are those of the tiers. The gravest level first; at one level what
    fires, then what is unknown, for that might hide it.
    """
    for level in (Verdict.PAGE, Verdict.TICKET, Verdict.WATCH):
        mine = [place for place, rule in enumerate(rules) if rule.level is level]
        for place in mine:
            if verdicts[place] is rules[place].tier.severity:
                return level, place
        for place in mine:
            if verdicts[place] is Verdict.UNKNOWN:
                return Verdict.UNKNOWN, place
    return None
