"""From facts to good and total: three outcomes, good, bad, or no data.

Functions of facts alone: called again with the same cells, whatever happened in
between, they give the same counts.
"""

from collections.abc import Iterable, Sequence
from fractions import Fraction

import msgspec

from slo.facts import Cell
from slo.model import (
    BUCKET_MS,
    MILLIONTHS,
    SECOND,
    SLO,
    Budgeting,
    Counts,
    Input,
    Outcome,
    Part,
    Stat,
)


class Measured(msgspec.Struct, frozen=True, gc=False):
    """Good and total of one bucket or slice, before budgeting.

    `clamped`: good was above total, or below zero, and was cut.
    """

    good: int
    total: int
    clamped: bool = False


def value_of(cell: Cell, stat: Stat) -> float:
    """The statistic of a cell; without a count, sum, min and max are all the value."""
    _, count, total, low, high = cell
    if stat is Stat.MAX:
        return high
    if stat is Stat.MIN:
        return low
    if stat is Stat.AVERAGE and count > 0:
        return total / count
    return total


def sentinel_of(cell: Cell, part: Input) -> Outcome | None:
    """What the cell means where it holds a sentinel; the worse of two."""
    outcomes = {s.outcome for s in part.sentinels if s.value in cell[3:5]}
    if Outcome.BAD in outcomes:
        return Outcome.BAD
    return Outcome.NO_DATA if outcomes else None


def amount_of(cell: Cell, part: Input, period_ms: int) -> int:
    """How many things a cell counts: a rate times its period, rounded half-even once."""
    value = value_of(cell, part.stat)
    if part.rate:
        value = value * period_ms / SECOND
    return round(value)


def threshold(cells: Iterable[Cell], part: Input, limit: float) -> Measured | None:
    """Cells within the limit, of cells that say anything. A sentinel may be bad."""
    good = total = 0
    for cell in cells:
        outcome = sentinel_of(cell, part) if part.sentinels else None
        if outcome is Outcome.NO_DATA:
            continue
        total += 1
        good += outcome is None and value_of(cell, part.stat) <= limit
    return Measured(good, total) if total else None


def total_amount(cells: Sequence[tuple[Cell, int]], part: Input) -> int | None:
    """The sum over (cell, period_ms) pairs, None where nothing was stated."""
    stated = [
        amount_of(cell, part, period_ms)
        for cell, period_ms in cells
        if not (part.sentinels and sentinel_of(cell, part))
    ]
    if stated:
        return sum(stated)
    return 0 if part.absent == "zero" else None


def ratio(amounts: dict[Part, int | None]) -> Measured | None:
    """Good of total from two of good, bad and total; None until both are known."""
    if any(amount is None for amount in amounts.values()):
        return None
    good, bad, total = (amounts.get(p) for p in (Part.GOOD, Part.BAD, Part.TOTAL))
    if total is None:
        total = (good or 0) + (bad or 0)
    if good is None:
        good = total - (bad or 0)
    if total <= 0:
        return None
    kept = min(max(good, 0), total)
    return Measured(kept, total, clamped=kept != good)


def freshness(
    newest_by_bucket: Iterable[tuple[int, float | None]], limit_ms: float
) -> Measured | None:
    """Buckets at whose end the newest thing seen was no older than the limit.

    Takes (bucket start, newest time seen by the bucket's end) pairs; None before
    the first thing was seen.
    """
    good = total = 0
    for start_ms, newest_ms in newest_by_bucket:
        if newest_ms is None:
            continue
        total += 1
        good += start_ms + BUCKET_MS - newest_ms <= limit_ms
    return Measured(good, total) if total else None


def budgeted(measured: Measured, slo: SLO) -> Counts:
    """What one bucket or slice adds to the ledger, by OpenSLO budgetingMethod.

    Occurrences: the events themselves. Timeslices: one slice, good where its good
    share reaches `slice_target`. RatioTimeslices: the good share in millionths.
    """
    match slo.budgeting:
        case Budgeting.OCCURRENCES:
            return Counts(measured.good, measured.total)
        case Budgeting.TIMESLICES:
            target = slo.slice_target
            reached = measured.good * target.denominator >= (
                measured.total * target.numerator
            )
            return Counts(int(reached), 1)
        case Budgeting.RATIO_TIMESLICES:
            share = Fraction(measured.good * MILLIONTHS, measured.total)
            return Counts(round(share), MILLIONTHS)
