"""The alert policy: one table, from which every factor is derived.

Source: Google SRE Workbook, chapter 5, table 5-8 and its code sample. Rules,
panel lines, colours and runbooks read this table; nobody types a factor.
"""

from fractions import Fraction

import msgspec

from slo.model import DAY, HOUR, MINUTE, SECOND
from slo.verdict import Verdict


class Tier(msgspec.Struct, frozen=True):
    """A pair of windows that share a burn-rate threshold.

    The short window makes the alert end soon after its cause has.
    `budget_share` is the part of the budget that the threshold spends in the
    long window.
    """

    name: str
    severity: Verdict  # page or ticket
    long_ms: int
    short_ms: int
    budget_share: Fraction

    def factor(self, period_ms: int) -> Fraction:
        """The burn rate that spends `budget_share` of the budget in the long window."""
        return self.budget_share * period_ms / self.long_ms


class Policy(msgspec.Struct, frozen=True):
    """The tiers, most urgent first, and the floor of hot time for pages.

    A page needs slices that are each worse than the tier's burn to add up to
    `hot_floor_ms` or `hot_cadences` cadences of the source, whichever is longer.
    """

    tiers: tuple[Tier, ...]
    hot_floor_ms: int = 90 * SECOND
    hot_cadences: int = 3

    def hot_floor(self, cadence_ms: int) -> int:
        """The hot time that a page needs, ms, for a source of this cadence."""
        return max(self.hot_floor_ms, self.hot_cadences * cadence_ms)

    @property
    def windows_ms(self) -> tuple[int, ...]:
        """Every window of the policy once, shortest first."""
        return tuple(
            sorted({w for tier in self.tiers for w in (tier.long_ms, tier.short_ms)})
        )


DEFAULT = Policy(
    tiers=(
        Tier("page-fast", Verdict.PAGE, HOUR, 5 * MINUTE, Fraction(2, 100)),
        Tier("page-slow", Verdict.PAGE, 6 * HOUR, 30 * MINUTE, Fraction(5, 100)),
        Tier("ticket-fast", Verdict.TICKET, DAY, 2 * HOUR, Fraction(10, 100)),
        Tier("ticket-slow", Verdict.TICKET, 3 * DAY, 6 * HOUR, Fraction(10, 100)),
    )
)


def reachable(tier: Tier, target: Fraction, period_ms: int) -> bool:
    """Whether a total outage would exceed the tier's threshold at all."""
    return tier.factor(period_ms) * (1 - target) < 1


def compressed(policy: Policy, divisor: int) -> Policy:
    """The same policy with every duration divided, for tests and the demo's clock.

    Factors stay as they are, whatever the division leaves over.
    """
    return Policy(
        tiers=tuple(
            msgspec.structs.replace(
                tier,
                long_ms=tier.long_ms // divisor,
                short_ms=tier.short_ms // divisor,
                budget_share=tier.budget_share
                * Fraction(tier.long_ms // divisor, tier.long_ms),
            )
            for tier in policy.tiers
        ),
        hot_floor_ms=policy.hot_floor_ms // divisor,
        hot_cadences=policy.hot_cadences,
    )
