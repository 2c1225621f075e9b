"""Evaluation: what a series' ledger says at one moment, and why.

All comparisons are between integers; nothing is rounded before one. `now` is an
argument, so the same ledger and the same now give the same verdict for ever.
"""

import msgspec

from slo.ledger import SeriesLedger
from slo.model import DAY, HOUR, MINUTE, SECOND, Series
from slo.names import duration
from slo.policy import Policy
from slo.stretch import Lookup, Stretch, step_ms
from slo.tiers import Rule, Scene, decide, hot_ms, judge, ratio_of, rules_of
from slo.verdict import BudgetStatus, Status, TierStatus, Verdict

__all__ = ["NEVER_OBSERVED", "Judge", "Timing", "evaluate", "step_ms", "window_end"]

NEVER_OBSERVED = "never observed: no source has sent data yet"


class Timing(msgspec.Struct, frozen=True, gc=False):
    """What the series' sources allow: cell distance and arrival lag, ms."""

    cadence_ms: int
    arrival_lag_ms: int


def window_end(ledger: SeriesLedger, step: int, timing: Timing, now_ms: int) -> int:
    """Where windows end, ms; `step` is the width of a bucket.

    The newest judged bucket's end, or now less what the sources are allowed to be
    late, whichever is later.
    """
    allowed = (now_ms - timing.arrival_lag_ms) // step * step
    newest = ledger.last
    if newest is None or newest + step <= allowed:
        return allowed
    return newest + step


def evaluate(
    series: Series,
    ledger: SeriesLedger,
    *,
    policy: Policy,
    timing: Timing,
    now_ms: int,
    stale: str = "",
) -> Status:
    """The status of a series at `now_ms`, for who asks once; see `Judge`."""
    return Judge(series, policy).status(ledger, timing, now_ms, stale)


BAD_ENOUGH = (Verdict.PAGE, Verdict.TICKET)
"""What was seen says so by itself, whatever an input of ours may have missed."""


class Judge:
    """Evaluates one series again and again; its thresholds are worked out once."""

    __slots__ = (
        "_budget",
        "_cold",
        "_key",
        "_longest",
        "_lookup",
        "_names",
        "_period",
        "_policy",
        "_quiet",
        "_rules",
        "_slo",
    )

    def __init__(self, series: Series, policy: Policy) -> None:
        slo = series.slo
        windows = tuple(sorted({*policy.windows_ms, slo.period_ms}))
        self._slo = slo
        self._key = series.key
        self._policy = policy
        self._budget = ratio_of(1 - slo.target)
        self._lookup = Lookup(slo, windows)
        self._names = tuple(duration(window) for window in windows)
        self._longest = windows.index(max(policy.windows_ms))
        self._period = windows.index(slo.period_ms)
        self._rules = rules_of(slo, policy, windows)
        self._quiet = tuple(rule.quiet for rule in self._rules)
        self._cold = {rule.tier.name: 0 for rule in self._rules if _pages(rule)}

    def status(
        self, ledger: SeriesLedger, timing: Timing, now_ms: int, stale: str = ""
    ) -> Status:
        """The status at `now_ms`.

        `stale` names an input of ours that gave no mark: our fault, so unknown.
        """
        budget = self._budget
        end_ms = window_end(ledger, self._lookup.step_ms, timing, now_ms)
        slot_ms = max(self._lookup.step_ms, timing.cadence_ms)
        found = self._lookup.find(ledger, end_ms)
        hot, judged = self._judged(ledger, found, end_ms, slot_ms)
        verdict, tier, reason = self._verdict(ledger, found, judged, stale)
        windows = [stretch.status(budget) for stretch in found]
        return Status(
            self._key,
            now_ms,
            verdict,
            tier,
            reason,
            dict(zip(self._names, windows, strict=True)),
            judged,
            self._spent(found[self._period]),
            found[self._rules[0].long].coverage,
            ledger.first is not None,
            ledger.first,
            end_ms,
            hot,
            self._policy.hot_floor(slot_ms),
            self._might_page(judged, stale),
        )

    def _might_page(self, judged: tuple[TierStatus, ...], stale: str) -> bool:
        """Whether an unknown verdict may hide a page: not where only tickets are."""
        pairs = zip(self._rules, judged, strict=True)
        unknown = (s.verdict is Verdict.UNKNOWN for rule, s in pairs if _pages(rule))
        return bool(stale) or any(unknown)

    def _judged(
        self, ledger: SeriesLedger, found: list[Stretch], end_ms: int, slot_ms: int
    ) -> tuple[dict[str, int], tuple[TierStatus, ...]]:
        """Hot time and status of every tier."""
        if not found[self._longest].bad and self._half_covered(found):
            return self._cold, self._quiet
        hot = dict(self._cold)
        for rule in self._rules:
            if _pages(rule) and rule.reachable and found[rule.long].bad:
                start = end_ms - rule.tier.long_ms
                hot[rule.tier.name] = hot_ms(ledger, start, slot_ms, rule.limit)
        scene = Scene(
            self._slo,
            self._lookup,
            found,
            self._budget,
            hot,
            self._policy.hot_floor(slot_ms),
        )
        return hot, tuple(judge(rule, scene) for rule in self._rules)

    def _half_covered(self, found: list[Stretch]) -> bool:
        return all(found[rule.short].half_covered for rule in self._rules)

    def _verdict(
        self,
        ledger: SeriesLedger,
        found: list[Stretch],
        judged: tuple[TierStatus, ...],
        stale: str,
    ) -> tuple[Verdict, str, str]:
        if ledger.first is None:
            return Verdict.UNKNOWN, "", NEVER_OBSERVED
        decided = None
        if judged is not self._quiet:
            decided = decide(self._rules, judged) or self._watch(found, judged)
        if stale and (decided is None or decided[0] not in BAD_ENOUGH):
            return Verdict.UNKNOWN, "", stale
        if decided:
            return decided
        longest = found[self._longest]
        if longest.prior_ms:
            began = _roughly(longest.seen_ms)
            return Verdict.OK, "", f"young: its data began {began} ago"
        return Verdict.OK, "", "within budget"

    def _watch(
        self, found: list[Stretch], judged: tuple[TierStatus, ...]
    ) -> tuple[Verdict, str, str] | None:
        """Nothing fires: watch where a page tier's long window burns above 1."""
        for rule, status in zip(self._rules, judged, strict=True):
            long = found[rule.long]
            if _pages(rule) and long.exceeds(self._budget):
                burn = f"{long.burn(self._budget):.1f}"
                burning = f"{duration(long.window_ms)} burns {burn}x"
                return Verdict.WATCH, status.tier, status.reason or burning
        return None

    def _spent(self, found: Stretch) -> BudgetStatus:
        spent = found.burn(self._budget)
        above, below = self._budget
        return BudgetStatus(
            found.total - found.bad,
            found.total,
            spent,
            1 - spent,
            (1 - spent) * (above / below) * self._slo.period_ms,
        )


def _pages(rule: Rule) -> bool:
    return rule.tier.severity is Verdict.PAGE


def _roughly(ms: int) -> str:
    """A duration in its largest unit, rounded down."""
    for unit, size in (("d", DAY), ("h", HOUR), ("m", MINUTE)):
        if ms >= size:
            return f"{ms // size}{unit}"
    return f"{ms // SECOND}s"
