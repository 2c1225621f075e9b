"""Evaluation: what a series' ledger says at one moment, and why.

All comparisons are between integers; nothing is rounded before one. `now` is an
argument, so the same ledger and the same now give the same verdict for ever.
"""

from fractions import Fraction

import msgspec

from slo.ledger import SeriesLedger, Window
from slo.model import (
    BUCKET_MS,
    DAY,
    HOUR,
    MILLIONTHS,
    MINUTE,
    SECOND,
    SLO,
    Budgeting,
    BudgetStatus,
    Counts,
    Series,
    Status,
    TierStatus,
    Urgency,
    Verdict,
    WindowStatus,
)
from slo.names import duration
from slo.policy import Policy, Tier, reachable

NEVER_OBSERVED = "never observed: no source has sent data yet"


class Timing(msgspec.Struct, frozen=True, gc=False):
    """What the series' sources allow: cell distance and arrival lag, ms."""

    cadence_ms: int
    arrival_lag_ms: int


class Stretch(msgspec.Struct, frozen=True, gc=False):
    """A window that was looked up: what it holds and how much of it can be known.

    `prior_ms` is the part before the first observation. `covered_ms` is the part
    that was observed, prior included. `unit` is what a full bucket or slice adds
    to total (0 for events, whose number is not known beforehand).
    """

    length_ms: int
    held: Window
    prior_ms: int
    covered_ms: int
    step_ms: int
    unit: int

    @property
    def counts(self) -> Counts:
        """Good and total as seen."""
        return self.held.counts

    @property
    def coverage(self) -> float:
        """The covered share of the window, 0 to 1."""
        return min(1.0, self.covered_ms / self.length_ms)

    def bad_share(self) -> Fraction:
        """Bad of total; 0 where there is nothing.

        The time before the first observation counts as good at the rate seen since.
        """
        seen_ms = self.length_ms - self.prior_ms
        if not self.counts.total or seen_ms <= 0:
            return Fraction(0)
        return Fraction(self.counts.bad * seen_ms, self.counts.total * self.length_ms)

    def bad_share_if_rest_good(self) -> Fraction:
        """Bad of total, if all that is missing were good; what was seen for events."""
        if not self.unit:
            return self.bad_share()
        return Fraction(self.counts.bad * self.step_ms, self.unit * self.length_ms)

    def expected_events(self) -> Fraction:
        """Events of the window, the time before the first observation included."""
        seen_ms = self.length_ms - self.prior_ms
        if seen_ms <= 0:
            return Fraction(0)
        return Fraction(self.held.events.total * self.length_ms, seen_ms)


def step_ms(slo: SLO) -> int:
    """The width of the ledger's buckets for an SLO."""
    return slo.slice_ms if slo.sliced else BUCKET_MS


def window_end(slo: SLO, ledger: SeriesLedger, timing: Timing, now_ms: int) -> int:
    """Where windows end, ms.

    The newest judged bucket's end, or now less what the sources are allowed to be
    late, whichever is later.
    """
    step = step_ms(slo)
    allowed = (now_ms - timing.arrival_lag_ms) // step * step
    newest = ledger.last
    return allowed if newest is None else max(newest + step, allowed)


def stretch(slo: SLO, ledger: SeriesLedger, end_ms: int, length_ms: int) -> Stretch:
    """Look a window up, with its prior and coverage."""
    step = step_ms(slo)
    start_ms = end_ms - length_ms
    held = ledger.window(start_ms, end_ms)
    first = ledger.first
    prior_ms = min(max((end_ms if first is None else first) - start_ms, 0), length_ms)
    observed_ms = held.buckets * step if slo.sliced else length_ms - prior_ms
    unit = {
        Budgeting.OCCURRENCES: 0,
        Budgeting.TIMESLICES: 1,
        Budgeting.RATIO_TIMESLICES: MILLIONTHS,
    }[slo.budgeting]
    return Stretch(length_ms, held, prior_ms, prior_ms + observed_ms, step, unit)


def hot_ms(
    ledger: SeriesLedger, window: tuple[int, int], limit: Fraction, slot: int
) -> int:
    """Hot time: slots of the window whose own bad share exceeds the limit, in ms.

    Empty slots between two hot ones count as hot, so that sparse traffic does not
    hide an outage.
    """
    slots: dict[int, list[int]] = {}
    for start, good, total, _, _ in ledger.rows(*window):
        sums = slots.setdefault(start // slot, [0, 0])
        sums[0] += total - good
        sums[1] += total
    hot = 0
    last_hot: int | None = None
    for at in sorted(slots):
        bad, total = slots[at]
        if bad * limit.denominator <= limit.numerator * total:
            last_hot = None
            continue
        hot += at - last_hot if last_hot is not None else 1
        last_hot = at
    return hot * slot


def evaluate(
    series: Series,
    ledger: SeriesLedger,
    *,
    policy: Policy,
    timing: Timing,
    now_ms: int,
    stale: str = "",
) -> Status:
    """The status of a series at `now_ms`.

    `stale` names an input of ours that gave no mark: our fault, so unknown.
    """
    slo = series.slo
    scene = _scene(slo, ledger, policy, timing, now_ms)
    judged = [_judge(tier, scene) for tier in policy.tiers]
    if ledger.first is None:
        verdict, tier, reason = Verdict.UNKNOWN, "", NEVER_OBSERVED
    elif stale:
        verdict, tier, reason = Verdict.UNKNOWN, "", stale
    else:
        verdict, tier, reason = _decide(scene, judged)
    return Status(
        series=series.key,
        at_ms=now_ms,
        verdict=verdict,
        tier=tier,
        reason=reason,
        windows={duration(w): _window_status(slo, s) for w, s in scene.found.items()},
        tiers=tuple(status for status, _ in judged),
        budget=_budget(slo, scene.found[slo.period_ms]),
        coverage=scene.found[policy.tiers[0].long_ms].coverage,
        observed=ledger.first is not None,
        first_ms=ledger.first,
        end_ms=scene.end_ms,
        hot_ms={status.tier: hot for status, hot in judged},
        hot_floor_ms=policy.hot_floor(scene.slot_ms),
    )


class _Scene(msgspec.Struct, frozen=True):
    """All that a tier is judged by."""

    slo: SLO
    ledger: SeriesLedger
    policy: Policy
    slot_ms: int  # hot time is counted in slots of this width
    end_ms: int
    found: dict[int, Stretch]


def _scene(
    slo: SLO, ledger: SeriesLedger, policy: Policy, timing: Timing, now_ms: int
) -> _Scene:
    end_ms = window_end(slo, ledger, timing, now_ms)
    lengths = (*policy.windows_ms, slo.period_ms)
    return _Scene(
        slo=slo,
        ledger=ledger,
        policy=policy,
        slot_ms=max(step_ms(slo), timing.cadence_ms),
        end_ms=end_ms,
        found={length: stretch(slo, ledger, end_ms, length) for length in lengths},
    )


def _window_status(slo: SLO, found: Stretch) -> WindowStatus:
    counts = found.counts
    return WindowStatus(
        window_ms=found.length_ms,
        good=counts.good,
        total=counts.total,
        coverage=found.coverage,
        burn=float(found.bad_share() / (1 - slo.target)),
        prior_ms=found.prior_ms,
        bad_events=found.held.events.bad,
        expected_events=float(found.expected_events()),
    )


def _budget(slo: SLO, found: Stretch) -> BudgetStatus:
    spent = float(found.bad_share() / (1 - slo.target))
    budget_ms = float(1 - slo.target) * slo.period_ms
    return BudgetStatus(
        good=found.counts.good,
        total=found.counts.total,
        spent_ratio=spent,
        remaining_ratio=1 - spent,
        remaining_ms=(1 - spent) * budget_ms,
    )


def _judge(tier: Tier, scene: _Scene) -> tuple[TierStatus, int]:
    """Whether a tier fires, with its hot time in ms."""
    slo = scene.slo
    if not reachable(tier, slo.target, slo.period_ms):
        return TierStatus(tier.name, Verdict.OK, "unreachable at this target"), 0
    limit = tier.factor(slo.period_ms) * (1 - slo.target)
    long, short = scene.found[tier.long_ms], scene.found[tier.short_ms]
    hot = _hot(tier, scene, limit) if long.counts.bad else 0
    if short.coverage < 0.5:
        if min(long.bad_share_if_rest_good(), short.bad_share_if_rest_good()) <= limit:
            missing = f"no data for {1 - short.coverage:.0%} of the last"
            reason = f"{missing} {duration(tier.short_ms)}"
            return TierStatus(tier.name, Verdict.UNKNOWN, reason), hot
    elif long.bad_share() <= limit or short.bad_share() <= limit:
        return TierStatus(tier.name, Verdict.OK, ""), hot
    held = _held_back(tier, scene, long, hot)
    if held:
        return TierStatus(tier.name, Verdict.OK, held), hot
    return TierStatus(tier.name, tier.severity, _burning(tier, slo, long, short)), hot


def _hot(tier: Tier, scene: _Scene, limit: Fraction) -> int:
    window = (scene.end_ms - tier.long_ms, scene.end_ms)
    return hot_ms(scene.ledger, window, limit, scene.slot_ms)


def _held_back(tier: Tier, scene: _Scene, long: Stretch, hot: int) -> str:
    """Which guard keeps a tier that burns from firing; "" where none does."""
    slo, events = scene.slo, long.held.events
    if events.bad < slo.min_bad:
        return f"burning, held back: {events.bad} bad of at least {slo.min_bad}"
    if long.expected_events() < slo.min_total:
        return f"burning, held back: {events.total} in all of at least {slo.min_total}"
    floor = scene.policy.hot_floor(scene.slot_ms)
    if tier.severity is Verdict.PAGE and hot < floor:
        return (
            f"burning, held back: hot for {duration(hot)} of at least {duration(floor)}"
        )
    return ""


def _burning(tier: Tier, slo: SLO, long: Stretch, short: Stretch) -> str:
    budget = 1 - slo.target
    factor = tier.factor(slo.period_ms)
    return (
        f"{duration(tier.long_ms)} burns {float(long.bad_share() / budget):.1f}x and"
        f" {duration(tier.short_ms)} {float(short.bad_share() / budget):.1f}x,"
        f" over {float(factor):g}x:"
        f" {long.held.events.bad:,} bad of {long.held.events.total:,}"
        f" in {duration(tier.long_ms)}"
    )


def _decide(
    scene: _Scene, judged: list[tuple[TierStatus, int]]
) -> tuple[Verdict, str, str]:
    """The verdict of all tiers: the most urgent that fires.

    An unknown page tier outranks a ticket, for it might be hiding a page.
    """
    pairs = list(zip(scene.policy.tiers, (s for s, _ in judged), strict=True))
    for severity in (Verdict.PAGE, Verdict.TICKET):
        for wanted in (severity, Verdict.UNKNOWN):
            for tier, status in pairs:
                if tier.severity is severity and status.verdict is wanted:
                    verdict = _capped(wanted, scene.slo.urgency)
                    return verdict, tier.name, status.reason
    return _calm(scene, pairs)


def _capped(verdict: Verdict, urgency: Urgency) -> Verdict:
    """What urgency lets a verdict be."""
    if verdict is Verdict.UNKNOWN or urgency is Urgency.PAGE:
        return verdict
    return Verdict.TICKET if urgency is Urgency.TICKET else Verdict.WATCH


def _calm(
    scene: _Scene, pairs: list[tuple[Tier, TierStatus]]
) -> tuple[Verdict, str, str]:
    """Nothing fires: watch where a page tier's long window burns above 1, else ok."""
    for tier, status in pairs:
        burn = scene.found[tier.long_ms].bad_share() / (1 - scene.slo.target)
        if tier.severity is Verdict.PAGE and burn > 1:
            burning = f"{duration(tier.long_ms)} burns {float(burn):.1f}x"
            return Verdict.WATCH, tier.name, status.reason or burning
    longest = scene.found[max(scene.policy.windows_ms)]
    if longest.prior_ms:
        young = f"young: its data began {_roughly(longest.length_ms - longest.prior_ms)} ago"
        return Verdict.OK, "", young
    return Verdict.OK, "", "within budget"


def _roughly(ms: int) -> str:
    """A duration in its largest unit, rounded down."""
    for unit, size in (("d", DAY), ("h", HOUR), ("m", MINUTE)):
        if ms >= size:
            return f"{ms // size}{unit}"
    return f"{ms // SECOND}s"
