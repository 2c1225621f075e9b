"""The tiers of the policy for one SLO: does one fire, what holds it back, what wins.

A tier fires where both of its windows burn strictly above its factor and no guard
holds it back. Where its shorter window is covered by less than half it is unknown,
unless what was seen is bad enough even if all that is missing were good.
"""

from collections.abc import Iterable, Sequence
from fractions import Fraction

import msgspec

from slo.ledger import SeriesLedger
from slo.model import SLO, Urgency
from slo.names import duration
from slo.policy import Policy, Tier, reachable
from slo.saying import counted
from slo.stretch import Lookup, Ratio, Stretch
from slo.verdict import TierStatus, Verdict

UNREACHABLE = "unreachable at this target"


class Rule(msgspec.Struct, frozen=True):
    """A tier, worked out for one SLO.

    `level` is the verdict where it fires: its severity, under the SLO's urgency.
    `long` and `short` are the places of its windows among those looked up. `limit`
    is the bad share that both must exceed. `quiet` is its status where nothing is bad.
    """

    tier: Tier
    level: Verdict
    long: int
    short: int
    limit: Ratio
    reachable: bool
    quiet: TierStatus


class Scene(msgspec.Struct, frozen=True):
    """All that the tiers of one SLO are judged by at one moment.

    `hot_ms` and `floor_ms` are the hot time of each page tier, and what it needs.
    """

    slo: SLO
    lookup: Lookup
    found: Sequence[Stretch]
    budget: Ratio
    hot_ms: dict[str, int]
    floor_ms: int


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
        reachable=can_fire,
        quiet=TierStatus(tier.name, Verdict.OK, "" if can_fire else UNREACHABLE),
    )


def capped(severity: Verdict, urgency: Urgency) -> Verdict:
    """What urgency lets a severity be: page, ticket, or only watch."""
    if urgency is Urgency.BOARD:
        return Verdict.WATCH
    return Verdict.TICKET if urgency is Urgency.TICKET else severity


# -- one tier ------------------------------------------------------------------


def judge(rule: Rule, scene: Scene) -> TierStatus:
    """Whether a tier fires, and why or why not."""
    if not rule.reachable:
        return rule.quiet
    tier = rule.tier
    long, short = scene.found[rule.long], scene.found[rule.short]
    if not short.half_covered:
        bad_enough = scene.lookup.exceeds_if_rest_good
        if not (bad_enough(long, rule.limit) and bad_enough(short, rule.limit)):
            return TierStatus(tier.name, Verdict.UNKNOWN, _missing(short))
    elif not (long.exceeds(rule.limit) and short.exceeds(rule.limit)):
        return rule.quiet
    held = _held_back(tier, scene, long)
    if held:
        return TierStatus(tier.name, Verdict.OK, f"burning, held back: {held}")
    return TierStatus(tier.name, tier.severity, _burning(tier, scene, long, short))


def _missing(short: Stretch) -> str:
    missing = f"{1 - short.coverage:.0%}"
    return f"no data for {missing} of the last {duration(short.window_ms)}"


def _held_back(tier: Tier, scene: Scene, long: Stretch) -> str:
    """Which guard keeps a tier that burns from firing; "" where none does."""
    slo = scene.slo
    if long.guard_bad < slo.min_bad:
        return f"{long.guard_bad} bad of at least {slo.min_bad}"
    if long.guard_total * long.span_ms < slo.min_total * long.seen_ms:
        return f"{long.guard_total} in all of at least {slo.min_total}"
    hot = scene.hot_ms.get(tier.name)
    if hot is not None and hot < scene.floor_ms:
        return f"hot for {duration(hot)} of at least {duration(scene.floor_ms)}"
    return ""


def _burning(tier: Tier, scene: Scene, long: Stretch, short: Stretch) -> str:
    name = duration(tier.long_ms)
    return (
        f"{name} burns {long.burn(scene.budget):.1f}x and"
        f" {duration(tier.short_ms)} {short.burn(scene.budget):.1f}x,"
        f" over {float(tier.factor(scene.slo.period_ms)):g}x:"
        f" {long.guard_bad:,} bad of {long.guard_total:,} {counted(scene.slo)} in {name}"
        f"{_young(long)}"
    )


def _young(long: Stretch) -> str:
    """The integers alone do not give the burn of a window that began before the data."""
    if not long.prior_ms:
        return ""
    return f"; no data before the last {duration(long.seen_ms)}, which counts as good"


def hot_ms(ledger: SeriesLedger, start_ms: int, slot_ms: int, limit: Ratio) -> int:
    """Hot time: slots from a moment on whose own bad share exceeds the limit, in ms.

    Empty slots between two hot ones count as hot, so that sparse traffic does not
    hide an outage.
    """
    above, below = limit
    hot = last = 0
    was_hot = False
    for slot, bad, total, joined in ledger.bad_slots(start_ms, slot_ms):
        is_hot = bad * below > above * total
        if is_hot:
            hot += slot - last if was_hot and joined else 1
        was_hot, last = is_hot, slot
    return hot * slot_ms


# -- all tiers -----------------------------------------------------------------


def decide(
    rules: Iterable[Rule], judged: Iterable[TierStatus]
) -> tuple[Verdict, str, str] | None:
    """Verdict, tier and reason of what fires or is unknown; None where nothing is.

    The gravest level first; at one level what fires, then what is unknown, for that
    might hide it.
    """
    pairs = list(zip(rules, judged, strict=True))
    for level in (Verdict.PAGE, Verdict.TICKET, Verdict.WATCH):
        mine = [(rule, s) for rule, s in pairs if rule.level is level]
        for rule, status in mine:
            if status.verdict is rule.tier.severity:
                return level, status.tier, status.reason
        for _, status in mine:
            if status.verdict is Verdict.UNKNOWN:
                return Verdict.UNKNOWN, status.tier, status.reason
    return None
