"""A column of running totals, in the narrowest type that takes them."""

from array import array
from collections.abc import Sequence
from itertools import accumulate

KINDS = (("H", (1 << 16) - 1), ("i", (1 << 31) - 1), ("q", (1 << 63) - 1))
"""The types of a column, and what fits: a month of slices, most totals, all of them."""
FITS = dict(KINDS)


def kind_of(last: int) -> str:
    """The narrowest type of a column whose last and greatest total is this."""
    return next(kind for kind, most in KINDS if last <= most)


def wide_enough(column: "array[int]", last: int) -> "array[int]":
    """A column that can take a last total, which is its greatest."""
    fits = FITS[column.typecode]
    return column if last <= fits else array(kind_of(last), column)


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
