"""Durations and thresholds as specifications write them: 30d, 1m, 500ms, 0.1."""

import re
from decimal import Decimal
from fractions import Fraction

from slo.model import DAY, HOUR, MINUTE, SECOND

_DURATION = re.compile(r"([0-9]{1,9})(ms|[a-zA-Z])")
_UNITS_MS = {"s": SECOND, "m": MINUTE, "h": HOUR, "d": DAY, "w": 7 * DAY}
_NO_FIXED_LENGTH = {
    "M": ("a month has 28 to 31 days", "30d"),
    "Q": ("a quarter has 90 to 92 days", "90d"),
    "Y": ("a year has 365 or 366 days", "365d"),
}

_QUANTITY = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,15})?)\s*([a-zA-Zµ%]*)")
_SCALES = {
    "s": {
        "us": Fraction(1, 1_000_000),
        "µs": Fraction(1, 1_000_000),
        "ms": Fraction(1, 1_000),
        "s": Fraction(1),
        "m": Fraction(60),
        "h": Fraction(3_600),
    },
    "ratio": {"%": Fraction(1, 100)},
}
"""What may follow a number, by the SI unit it is turned into."""


class DurationError(ValueError):
    """A duration or a threshold that cannot be read; carries the remedy."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.remedy = remedy


def duration_ms(text: str) -> int:
    """A duration such as 10s, 1m, 6h, 30d or 4w, in milliseconds; above zero.

    M, Q and Y (month, quarter, year) have no fixed length and are refused: a
    rolling window must not change its length with the calendar. Raises
    DurationError.
    """
    match = _DURATION.fullmatch(text.strip())
    unit = match[2] if match else ""
    if unit in _NO_FIXED_LENGTH:
        why, instead = _NO_FIXED_LENGTH[unit]
        raise DurationError(
            f"{text} has no fixed length, {why}", f"Write {instead}, or another length"
        )
    if match is None or unit not in _UNITS_MS:
        raise DurationError(
            f"{text[:40]!r} is not a duration", "Write 10s, 1m, 6h, 30d or 4w"
        )
    length = int(match[1]) * _UNITS_MS[unit]
    if length == 0:
        raise DurationError(f"{text} is no time at all", "Write a length above zero")
    return length


def quantity(text: str, unit: str) -> float:
    """A threshold in the unit of its SLI: `500ms` of s is 0.5, `5%` of ratio 0.05.

    A bare number is already in that unit. Raises DurationError.
    """
    match = _QUANTITY.fullmatch(text.strip())
    suffixes = _SCALES.get(unit, {})
    example = {"s": "1s, 500ms or 0.5", "ratio": "5% or 0.05"}.get(unit, "5 or 0.5")
    if match is None:
        raise DurationError(
            f"{text[:40]!r} is not a quantity of {unit}", f"Write {example}"
        )
    number, suffix = Fraction(Decimal(match[1])), match[2]
    if suffix and suffix not in suffixes and suffix != unit:
        raise DurationError(
            f"{suffix} is no unit of a threshold in {unit}", f"Write {example}"
        )
    return float(number * suffixes.get(suffix, Fraction(1)))
