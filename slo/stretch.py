"""A window of a series as it was looked up, and the comparisons made with it.

Every comparison is between integers, none is rounded before.
"""

from typing import NamedTuple

import msgspec

from slo.ledger import SeriesLedger, Window
from slo.model import BUCKET_MS, HOUR, MILLIONTHS, MINUTE, SLO, Budgeting, SliKind
from slo.verdict import BudgetStatus, WindowStatus

Ratio = tuple[int, int]
"""(numerator, denominator) of a share of bad, for comparisons without rounding."""

_UNITS = {
    Budgeting.OCCURRENCES: 0,  # nobody knows beforehand how many events there will be
    Budgeting.TIMESLICES: 1,
    Budgeting.RATIO_TIMESLICES: MILLIONTHS,
}


def step_ms(slo: SLO) -> int:
    """The width of the ledger's buckets for an SLO."""
    return slo.slice_ms if slo.sliced else BUCKET_MS


_EDGES = (
    (6 * HOUR, 0),  # hot time is counted slice by slice in the longest of these
    (30 * HOUR - 1, 10 * MINUTE),
    (180 * HOUR - 1, HOUR),
)
"""(windows up to this length, the resolution of their edge), in ms."""


def grain_ms(slo: SLO, window_ms: int) -> int:
    """The resolution of a window's edge: it holds what began since a multiple of this.

    A bucket or slice for windows up to 6 h, ten minutes below 30 h, an hour below
    7.5 d, six hours beyond: never more than 1/30 of the window, so that older buckets
    can be kept as one row each. Of what is older than the window, at most that counts.
    """
    step = step_ms(slo)
    for longest, grain in _EDGES:
        if window_ms <= longest:
            return max(step, grain)
    return max(step, 6 * HOUR)


class Stretch(msgspec.Struct, frozen=True, gc=False):
    """A window: what it holds and how much of it can be known.

    `span_ms` is its length in whole buckets. `prior_ms` is the part before the first
    observation, `covered_ms` the part that was observed, prior included. The guards
    count `guard_bad` and `guard_total`.
    """

    window_ms: int
    span_ms: int
    bad: int = 0
    total: int = 0
    guard_bad: int = 0
    guard_total: int = 0
    prior_ms: int = 0
    covered_ms: int = 0

    @property
    def seen_ms(self) -> int:
        """The part since the first observation."""
        return self.span_ms - self.prior_ms

    @property
    def coverage(self) -> float:
        """The covered share of the window, 0 to 1."""
        return min(1.0, self.covered_ms / self.span_ms)

    @property
    def half_covered(self) -> bool:
        """Whether at least half of the window was observed."""
        return self.covered_ms * 2 >= self.span_ms

    def exceeds(self, limit: Ratio) -> bool:
        """Whether bad of total is above a limit.

        The time before the first observation counts as good at the rate seen since.
        """
        above, below = limit
        return self.bad * self.seen_ms * below > above * self.total * self.span_ms

    def burn(self, budget: Ratio) -> float:
        """Bad of total, in budgets; for text and boards, never to compare."""
        if not self.bad:
            return 0.0
        above, below = budget
        return (self.bad * self.seen_ms * below) / (self.total * self.span_ms * above)

    @property
    def expected(self) -> float:
        """What the guards count in all, with the prior at the rate seen since."""
        if not self.guard_total:
            return 0.0
        return self.guard_total * self.span_ms / self.seen_ms

    def status(self, budget: Ratio) -> WindowStatus:
        """The window for people and boards."""
        if not (self.bad or self.prior_ms) and self.covered_ms >= self.span_ms:
            total, bad, expected = self.total, self.guard_bad, float(self.guard_total)
            return WindowStatus(
                self.window_ms, total, total, 1.0, 0.0, 0, bad, expected
            )
        covered = 1.0 if self.covered_ms >= self.span_ms else self.coverage
        return WindowStatus(
            self.window_ms,
            self.total - self.bad,
            self.total,
            covered,
            self.burn(budget) if self.bad else 0.0,
            self.prior_ms,
            self.guard_bad,
            self.expected if self.prior_ms else float(self.guard_total),
        )

    def spent(self, budget: Ratio, period_ms: int) -> BudgetStatus:
        """What a budget's period, which this window is, has left of it."""
        spent = self.burn(budget)
        above, below = budget
        left_ms = (1 - spent) * (above / below) * period_ms
        good = self.total - self.bad
        return BudgetStatus(good, self.total, spent, 1 - spent, left_ms)


class Sized(NamedTuple):
    """A window as one SLO's buckets fill it: length, whole buckets, its edge's grain."""

    window_ms: int
    span_ms: int
    grain_ms: int


class Lookup:
    """Looks the windows of one SLO up.

    The guards count events where the SLI is a ratio of events, else slices.
    """

    __slots__ = ("guards_count_slices", "step_ms", "unit", "windows")

    def __init__(self, slo: SLO, windows_ms: tuple[int, ...]) -> None:
        step = step_ms(slo)
        self.step_ms = step
        self.unit = _UNITS[slo.budgeting]
        self.windows = tuple(
            Sized(window, -(-window // step) * step, grain_ms(slo, window))
            for window in windows_ms
        )
        self.guards_count_slices = (
            slo.sliced and slo.indicator.kind is not SliKind.RATIO
        )

    def find(self, ledger: SeriesLedger, end_ms: int) -> list[Stretch]:
        """Every window, in order; the newest bucket starts before `end_ms`."""
        first, step, unit = ledger.first, self.step_ms, self.unit
        if first is None:
            return [Stretch(window, span) for window, span, _ in self.windows]
        starts = [(end_ms - span) // grain * grain for _, span, grain in self.windows]
        as_slices = self.guards_count_slices
        found = []
        for (window, span, _), sums in zip(
            self.windows, ledger.since(starts), strict=True
        ):
            bad, total, buckets, guard_bad, guard_total = sums
            begin = end_ms - span
            prior = 0 if first <= begin else min(first - begin, span)
            covered = prior + buckets * step if unit else span
            if as_slices:
                guard_bad, guard_total = bad // unit, total // unit
            found.append(
                Stretch(
                    window, span, bad, total, guard_bad, guard_total, prior, covered
                )
            )
        return found

    def guards(self, window: Window) -> tuple[int, int]:
        """What the guards count of a stretch: bad, and in all."""
        if self.guards_count_slices:
            return window.counts.bad // self.unit, window.counts.total // self.unit
        return window.events.bad, window.events.total

    def exceeds_if_rest_good(self, found: Stretch, limit: Ratio) -> bool:
        """Whether bad is above a limit even if all that is missing were good.

        Of events none is known to be missing.
        """
        if not self.unit:
            return found.exceeds(limit)
        above, below = limit
        full = self.unit * found.span_ms
        return found.bad * self.step_ms * below > above * full


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
