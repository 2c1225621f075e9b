"""Evaluation: what a series' ledger says at one moment, and why.

All comparisons are between integers; nothing is rounded before one. `now` is an
argument, so the same ledger and the same now give the same verdict for ever.
"""

from collections.abc import Callable, Sequence
from copy import copy

from msgspec.structs import replace

from slo.assurance import Assured, Guards, assured
from slo.heat import hot_ms, hot_of
from slo.ledger import SeriesLedger
from slo.model import Series
from slo.names import duration
from slo.policy import Policy
from slo.saying import roughly
from slo.screen import Terms
from slo.stretch import Lookup, Stretch, Timing, step_ms, window_end
from slo.tiers import (
    Rule,
    Scene,
    Weighed,
    decide,
    judge,
    pages,
    ratio_of,
    rules_of,
    weighed_up,
)
from slo.verdict import Outcome, Status, TierStatus, Verdict

__all__ = ["NEVER_OBSERVED", "Judge", "Timing", "evaluate", "step_ms", "window_end"]

NEVER_OBSERVED = "never observed: no source has sent data yet"


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
        "_slo",
        "rules",
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
        self.rules = rules_of(slo, policy, windows)
        self._quiet = tuple(rule.quiet for rule in self.rules)
        self._cold = {rule.tier.name: 0 for rule in self.rules if pages(rule)}

    def beside(self, series: Series) -> "Judge":
        """The judge of another series of the same SLO; they share their thresholds."""
        other = copy(self)
        other._key = series.key  # noqa: SLF001 - one of us
        return other

    @property
    def terms(self) -> Terms:
        """What screening needs to know of the series."""
        lookup, slo = self._lookup, self._slo
        counted = lookup.guards_count_slices or not lookup.unit
        return Terms(
            step_ms=lookup.step_ms,
            unit=lookup.unit,
            windows=lookup.windows,
            rules=self.rules,
            budget=self._budget,
            min_bad=slo.min_bad * max(lookup.unit, 1) if counted else 0,
        )

    def status(
        self, ledger: SeriesLedger, timing: Timing, now_ms: int, stale: str = ""
    ) -> Status:
        """The status at `now_ms`.

        `stale` names an input of ours that gave no mark: our fault, so unknown.
        """
        end_ms, slot_ms, found = self._found(ledger, timing, now_ms)
        hot, judged = self._judged(ledger, found, end_ms, slot_ms)
        verdicts = [one.verdict for one in judged]
        outcome = self._outcome(ledger, found, verdicts, end_ms, bool(stale))
        said = judged[outcome.place].reason if outcome.place >= 0 else ""
        weighed = Weighed(outcome, found, None, end_ms, slot_ms)
        status = self._status(ledger, weighed, now_ms, said, stale)
        return replace(status, tiers=judged, hot_ms=hot)

    def told(
        self, ledger: SeriesLedger, weighed: Weighed, now_ms: int, stale: str
    ) -> Status:
        """The status that an outcome rests on, as far as people are told of it.

        Without hot time, and without what the tiers say that did not decide.
        """
        place, scene, said = weighed.outcome.place, weighed.scene, ""
        if place >= 0 and scene is not None:
            said = judge(self.rules[place], scene).reason
        return self._status(ledger, weighed, now_ms, said, stale)

    def _status(
        self,
        ledger: SeriesLedger,
        weighed: Weighed,
        now_ms: int,
        said: str,
        stale: str,
    ) -> Status:
        outcome, found, budget = weighed.outcome, weighed.found, self._budget
        windows = [stretch.status(budget) for stretch in found]
        return Status(
            self._key,
            now_ms,
            outcome.verdict,
            outcome.tier,
            said or self._reason(ledger, weighed, stale),
            dict(zip(self._names, windows, strict=True)),
            (),
            found[self._period].spent(budget, self._slo.period_ms),
            found[self.rules[0].long].coverage,
            ledger.first is not None,
            ledger.first,
            weighed.end_ms,
            {},
            self._policy.hot_floor(weighed.slot_ms),
            outcome.might_page,
        )

    def weigh(
        self, ledger: SeriesLedger, timing: Timing, now_ms: int, *, stale: bool
    ) -> Weighed:
        """What `status` decides at a fraction of its cost, with what `told` needs.

        `stale`: an input of ours gave no mark.
        """
        end_ms, slot_ms, found = self._found(ledger, timing, now_ms)
        verdicts, scene = [one.verdict for one in self._quiet], None
        if not self._nothing_bad(found):
            floor_ms = self._policy.hot_floor(slot_ms)

            def hot(rule: Rule) -> int:
                slots = ledger.bad_slots(end_ms - rule.tier.long_ms, slot_ms)
                return hot_of(slots, slot_ms, rule.limit, floor_ms)

            scene = self._scene(found, hot, floor_ms)
            verdicts = weighed_up(self.rules, scene)
        outcome = self._outcome(ledger, found, verdicts, end_ms, stale)
        return Weighed(outcome, found, scene, end_ms, slot_ms)

    def _found(
        self, ledger: SeriesLedger, timing: Timing, now_ms: int
    ) -> tuple[int, int, list[Stretch]]:
        """Where the windows end, how wide slots of hot time are, and the windows."""
        step = self._lookup.step_ms
        end_ms = window_end(ledger, step, timing, now_ms)
        slot_ms = max(step, timing.cadence_ms)
        return end_ms, slot_ms, self._lookup.find(ledger, end_ms)

    def _outcome(
        self,
        ledger: SeriesLedger,
        found: list[Stretch],
        verdicts: Sequence[Verdict],
        end_ms: int,
        stale: bool,
    ) -> Outcome:
        verdict, place = self._decided(ledger, found, verdicts, stale)
        hides = verdict is Verdict.UNKNOWN and self._might_page(verdicts, stale)
        tier = self.rules[place].tier if place >= 0 else None
        return Outcome(
            verdict,
            tier.name if tier else "",
            hides,
            place,
            end_ms - tier.long_ms if tier else 0,
        )

    def _might_page(self, verdicts: Sequence[Verdict], stale: bool) -> bool:
        """Whether an unknown verdict may hide a page: not where only tickets are."""
        return stale or any(
            verdict is Verdict.UNKNOWN and pages(rule)
            for rule, verdict in zip(self.rules, verdicts, strict=True)
        )

    def _judged(
        self, ledger: SeriesLedger, found: list[Stretch], end_ms: int, slot_ms: int
    ) -> tuple[dict[str, int], tuple[TierStatus, ...]]:
        """Hot time and status of every tier."""
        if self._nothing_bad(found):
            return self._cold, self._quiet
        hot = dict(self._cold)
        for rule in self.rules:
            if pages(rule) and rule.reachable and found[rule.long].bad:
                start = end_ms - rule.tier.long_ms
                hot[rule.tier.name] = hot_ms(ledger, start, slot_ms, rule.limit)
        floor_ms = self._policy.hot_floor(slot_ms)
        scene = self._scene(found, lambda rule: hot[rule.tier.name], floor_ms)
        return hot, tuple(judge(rule, scene) for rule in self.rules)

    def _scene(
        self, found: list[Stretch], hot: Callable[[Rule], int], floor_ms: int
    ) -> Scene:
        return Scene(self._slo, self._lookup, found, self._budget, hot, floor_ms)

    def _nothing_bad(self, found: list[Stretch]) -> bool:
        """Whether no tier can say anything: nothing is bad and nothing missing."""
        return not found[self._longest].bad and all(
            found[rule.short].half_covered for rule in self.rules
        )

    def _decided(
        self,
        ledger: SeriesLedger,
        found: list[Stretch],
        verdicts: Sequence[Verdict],
        stale: bool,
    ) -> tuple[Verdict, int]:
        """The verdict, and the place of the tier behind it, -1 for none."""
        if ledger.first is None:
            return Verdict.UNKNOWN, -1
        decided = decide(self.rules, verdicts) or self._watch(found)
        if stale and (decided is None or decided[0] not in BAD_ENOUGH):
            return Verdict.UNKNOWN, -1
        return decided or (Verdict.OK, -1)

    def _watch(self, found: list[Stretch]) -> tuple[Verdict, int] | None:
        """Nothing fires: watch where a page tier's long window burns above 1."""
        for place, rule in enumerate(self.rules):
            if pages(rule) and found[rule.long].exceeds(self._budget):
                return Verdict.WATCH, place
        return None

    def _reason(self, ledger: SeriesLedger, weighed: Weighed, stale: str) -> str:
        """Why it is so, where no tier says it."""
        verdict, place = weighed.outcome.verdict, weighed.outcome.place
        if place >= 0:
            long = weighed.found[self.rules[place].long]
            return f"{duration(long.window_ms)} burns {long.burn(self._budget):.1f}x"
        if verdict is Verdict.UNKNOWN:
            return NEVER_OBSERVED if ledger.first is None else stale
        longest = weighed.found[self._longest]
        if longest.prior_ms:
            return f"young: its data began {roughly(longest.seen_ms)} ago"
        return "within budget"

    def assured(
        self, ledger: SeriesLedger, timing: Timing, outcome: Outcome
    ) -> Assured:
        """For how long the guards of the tier that fired pass, whatever comes."""
        slot_ms = max(self._lookup.step_ms, timing.cadence_ms)
        rule = self.rules[outcome.place]
        floor_ms = self._policy.hot_floor(slot_ms) if pages(rule) else 0
        guards = Guards(self._slo, self._lookup, rule, slot_ms, floor_ms)
        return assured(ledger, guards, outcome.start_ms)
