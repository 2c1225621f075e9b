"""A column of running totals, in the narrowest type that takes them."""

from array import array
from collections.abc import Iterable, Sequence
from itertools import accumulate, chain

from slo.columns import Whole, running

KINDS = (("H", (1 << 16) - 1), ("i", (1 << 31) - 1), ("q", (1 << 63) - 1))
"""The types of a column, and what fits: a month of slices, most totals, all of them."""
FITS = dict(KINDS)

FEW = 100
"""So many steps are as soon added up one by one."""


def kind_of(last: int) -> str:
    """The narrowest type of a column whose last and greatest total is this."""
    return next(kind for kind, most in KINDS if last <= most)


def wide_enough(column: "array[int]", last: int) -> "array[int]":
    """A column that can take a last total, which is its greatest."""
    fits = FITS[column.typecode]
    return column if last <= fits else array(kind_of(last), column)


def _added_up(runs: Iterable[list[int]]) -> Whole | None:
    """What values come to, one by one; None where one takes more than 32 bits."""
    values = array("I")
    try:
        for run in runs:
            values.fromlist(run)
    except OverflowError:
        return None
    return running(values)


def extended(column: "array[int]", values: Sequence[int]) -> "array[int]":
    """A column with some values behind all others."""
    ends = list(accumulate(values, initial=column[-1]))
    del ends[0]
    column = wide_enough(column, ends[-1])
    column.fromlist(ends)
    return column


def lengthened(column: "array[int]", runs: Sequence[list[int]]) -> "array[int]":
    """A column with very many values behind all others, which come in runs."""
    totals = _added_up(runs)
    if totals is None:
        return extended(column, list(chain.from_iterable(runs)))
    first = column[-1]
    column = wide_enough(column, first + int(totals[-1]))
    totals += first
    column.frombytes(totals.astype(column.typecode).tobytes())
    return column


def climbed(first: int, steps: list[int], unit: int) -> Sequence[int]:
    """A moment, and those that follow it by steps of so many units, one by one."""
    totals = _added_up(([0], steps)) if len(steps) > FEW else None
    if totals is None or first < 0:
        return list(accumulate([step * unit for step in steps], initial=first))
    last = first + int(totals[-1]) * unit
    kind = "I" if last < 1 << 32 else "q"
    return array(kind, (totals * unit + first).astype(kind).tobytes())


def spliced(
    column: "array[int]", at: int, upto: int, values: Sequence[int]
) -> "array[int]":
    """A column with other values in [at, upto); the totals after them follow."""
    totals = list(accumulate(values, initial=column[at]))
    by = totals[-1] - column[upto]
    column = wide_enough(column, column[-1] + by)
    after = at + len(totals)
    kind = column.typecode
    column[at : upto + 1] = array(kind, totals)
    if by and after < len(column):
        column[after:] = array(kind, [total + by for total in column[after:]])
    return column
