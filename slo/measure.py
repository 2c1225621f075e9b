"""From facts to good and total: three outcomes, good, bad, or no data.

Functions of facts alone: called again with the same cells, whatever happened in
between, they give the same counts.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress

import msgspec

from slo.facts import Cell
from slo.model import (
    MILLIONTHS,
    SECOND,
    SLO,
    Budgeting,
    Counts,
    Input,
    Outcome,
    Stat,
)

ABSURD_AMOUNT = 10**12
"""No bucket holds this many events; a sum of 30 days of less fits in 63 bits."""


class Measured(msgspec.Struct, frozen=True, gc=False):
    """Good and total of one bucket or slice, before budgeting; total is above 0.

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
    found: Outcome | None = None
    for sentinel in part.sentinels:
        if sentinel.value == cell[3] or sentinel.value == cell[4]:
            if sentinel.outcome is Outcome.BAD:
                return Outcome.BAD
            found = Outcome.NO_DATA
    return found


def amount_of(cell: Cell, part: Input, period_ms: int) -> int:
    """How many things a cell counts: a rate times its period, rounded half-even once.

    Raises OverflowError or ValueError where that is no number.
    """
    value = cell[2] if part.stat is Stat.SUM else value_of(cell, part.stat)
    return round(value * period_ms / SECOND) if part.rate else round(value)


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


def total_amount(cells: Sequence[Cell], part: Input, period_ms: int) -> int | None:
    """The sum over cells of one period.

    None where a statement is a sentinel, for nobody knows what it stands for, and
    where one is no number or the sum is absurd.
    """
    if part.sentinels and any(sentinel_of(cell, part) for cell in cells):
        return None
    try:
        if len(cells) == 1:
            amount = amount_of(cells[0], part, period_ms)
        else:
            amount = sum([amount_of(cell, part, period_ms) for cell in cells])
    except (OverflowError, ValueError):
        return None
    return amount if -ABSURD_AMOUNT < amount < ABSURD_AMOUNT else None


# -- many slots at once, which hold one cell or none ----------------------------

Single = Sequence[Cell] | None
"""What a slot holds: one cell, or None."""


def _single_values(slots: Sequence[Single], stat: Stat) -> list[float | None]:
    """`value_of` each slot's cell."""
    match stat:
        case Stat.MAX:
            return [cells[0][4] if cells else None for cells in slots]
        case Stat.MIN:
            return [cells[0][3] if cells else None for cells in slots]
        case Stat.SUM:
            return [cells[0][2] if cells else None for cells in slots]
        case Stat.AVERAGE:
            return [value_of(cells[0], stat) if cells else None for cells in slots]


def singles_within(
    slots: Sequence[Single], part: Input, limit: float
) -> list[bool | None]:
    """Whether each slot is good, as `threshold` judges its cell; None without data."""
    if part.sentinels:
        judged = [threshold(cells or (), part, limit) for cells in slots]
        return [None if found is None else found.good > 0 for found in judged]
    values = _single_values(slots, part.stat)
    return [None if value is None else value <= limit for value in values]


def _rounded(
    values: list[float | None], part: Input, period_ms: int, absent: int | None
) -> list[int | None]:
    """`amount_of` each value."""
    if part.rate:
        return [
            absent if value is None else round(value * period_ms / SECOND)
            for value in values
        ]
    return [absent if value is None else round(value) for value in values]


def single_amounts(
    slots: Sequence[Single], part: Input, period_ms: int, absent: int | None
) -> list[int | None]:
    """`total_amount` of each slot's cell, `absent` where there is none."""
    amounts: list[int | None] | None = None
    if not part.sentinels:
        with suppress(OverflowError, ValueError):  # one is no number
            amounts = _rounded(
                _single_values(slots, part.stat), part, period_ms, absent
            )
    if amounts is None:
        return [
            total_amount(cells, part, period_ms) if cells else absent for cells in slots
        ]
    stated = list(filter(None, amounts))
    if stated and not -ABSURD_AMOUNT < min(stated) <= max(stated) < ABSURD_AMOUNT:
        return [
            amount if amount is None or abs(amount) < ABSURD_AMOUNT else None
            for amount in amounts
        ]
    return amounts


def ratio(good: int | None, bad: int | None, total: int | None) -> Measured | None:
    """Good of total from two of good, bad and total; None where there is no total."""
    if total is None:
        total = (good or 0) + (bad or 0)
    if good is None:
        good = total - (bad or 0)
    if total <= 0:
        return None
    kept = min(max(good, 0), total)
    return Measured(kept, total, clamped=kept != good)


def budgeted(measured: Measured, slo: SLO) -> Counts:
    """What one bucket or slice adds to the ledger, by OpenSLO budgetingMethod.

    Occurrences: the events themselves. Timeslices: one slice, good where its good
    share reaches `slice_target`. RatioTimeslices: the good share in millionths,
    rounded half-even.
    """
    good, total = measured.good, measured.total
    if slo.budgeting is Budgeting.OCCURRENCES:
        return Counts(good, total)
    if slo.budgeting is Budgeting.TIMESLICES:
        above, below = slo.slice_target.as_integer_ratio()
        return Counts(int(good * below >= total * above), 1)
    return Counts(_millionths(good, total), MILLIONTHS)


def _millionths(good: int, total: int) -> int:
    """The good share in millionths, rounded half-even."""
    whole, rest = divmod(good * MILLIONTHS, total)
    if rest * 2 == total:
        return whole + whole % 2
    return whole + (rest * 2 > total)
