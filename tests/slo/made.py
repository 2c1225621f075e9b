"""Series and ledgers for the tests of the core, said in few words."""

from fractions import Fraction

from slo.evaluation import Judge, Timing
from slo.ledger import SeriesLedger
from slo.model import (
    HOUR,
    MILLIONTHS,
    MINUTE,
    SECOND,
    Budgeting,
    Counts,
    Series,
    SliKind,
)
from slo.policy import DEFAULT, Policy
from slo.stretch import step_ms
from slo.verdict import Status
from tests.fleet import CLOUDWATCH_LAG, CLUSTER, INSTANCE, entry, slo

T0 = 1_794_000_000_000 // HOUR * HOUR
"""A whole hour of November 2026."""

MINUTELY = Timing(MINUTE, 3 * MINUTE)
"""CloudWatch."""

STEADY = Timing(10 * SECOND, 30 * SECOND)
"""Change data capture."""

EAGER = Policy(DEFAULT.tiers, hot_floor_ms=0, hot_cadences=0)
"""The default policy without hot time: the Workbook's own."""


def series_of(
    budgeting: Budgeting = Budgeting.TIMESLICES,
    target: str = "0.995",
    kind: SliKind = SliKind.THRESHOLD,
    **more,
) -> Series:
    """One SLO on one instance, without guards unless given."""
    indicator = entry("X", kind, CLOUDWATCH_LAG, budgeting, threshold=1.0)
    objective = slo("x", indicator, target=Fraction(target), **more)
    return Series(objective, INSTANCE, CLUSTER, (CLOUDWATCH_LAG,))


def fill(
    ledger: SeriesLedger, series: Series, start_ms: int, *stretches: tuple[int, str]
) -> int:
    """Put stretches of slices, such as `(60, "good"), (3, "bad")`; where they end.

    "none" leaves slices without data. Buckets of events get 1,000 events each, of
    which a bad one loses all and "15%" loses 150.
    """
    bads = {"good": Fraction(0), "bad": Fraction(1), "15%": Fraction(15, 100)}
    step, whole = step_ms(series.slo), whole_of(series)
    for count, word in stretches:
        for _ in range(count if word != "none" else 0):
            bad = int(whole * bads[word])
            ledger.put(start_ms, Counts(whole - bad, whole))
            start_ms += step
        start_ms += count * step if word == "none" else 0
    return start_ms


def whole_of(series: Series) -> int:
    """The total of one full bucket or slice."""
    return {
        Budgeting.OCCURRENCES: 1_000,
        Budgeting.TIMESLICES: 1,
        Budgeting.RATIO_TIMESLICES: MILLIONTHS,
    }[series.slo.budgeting]


def status_at(
    series: Series,
    ledger: SeriesLedger,
    end_ms: int,
    *,
    policy: Policy = DEFAULT,
    timing: Timing = MINUTELY,
    stale: str = "",
) -> Status:
    """The status when windows end at `end_ms`."""
    now_ms = end_ms + timing.arrival_lag_ms
    return Judge(series, policy).status(ledger, timing, now_ms, stale)
