"""Numbers in expressions, whatever was calculated before."""

from decimal import Decimal, Inexact, localcontext
from fractions import Fraction

from alerts.promql import decimal


def test_a_number_is_written_the_same_whatever_was_calculated_before():
    with localcontext() as context:
        assert (decimal(Fraction(6)), decimal(Fraction(72, 5))) == ("6", "14.4")
        assert Decimal(1) / Decimal(3)
        assert context.flags[Inexact]
        assert (decimal(Fraction(6)), decimal(Fraction(72, 5))) == ("6", "14.4")
        assert decimal(Fraction(1, 3)) == repr(1 / 3)
