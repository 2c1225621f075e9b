"""The units of CloudWatch."""

from typing import Final

from slo.model import SECOND, Stat
from streams.judgement import divisor_of
from streams.table import Want

PER_SECOND: Final = "/Second"
SI: Final = {
    "Seconds": 1.0,
    "Milliseconds": 1e-3,
    "Microseconds": 1e-6,
    "Percent": 1e-2,
    "Count": 1.0,
    "Bytes": 1.0,
    "Kilobytes": 1e3,
    "Megabytes": 1e6,
    "Gigabytes": 1e9,
    "Terabytes": 1e12,
    "Bits": 0.125,
    "Kilobits": 125.0,
    "Megabits": 125e3,
    "Gigabits": 125e6,
    "Terabits": 125e9,
}
"""SI units per unit of the wire; `<unit>/Second` alike."""

UNSTATED: Final = ("", "None")
"""The catalogue's unit holds. Of any other nobody knows how much of it is too much."""


def is_known(unit: str) -> bool:
    """Whether it is known how much of a unit is too much."""
    return unit in UNSTATED or unit.removesuffix(PER_SECOND) in SI


def divisor(unit: str, want: Want) -> float:
    """What to divide by for SI units.

    A sum over the period becomes a rate where the plan reads a rate, unless the wire
    says that it is one.
    """
    plain = divisor_of(SI.get(unit.removesuffix(PER_SECOND), want.scale))
    if want.rate and want.bounds.stat is Stat.SUM and not unit.endswith(PER_SECOND):
        return plain * (want.period_ms / SECOND)
    return plain
