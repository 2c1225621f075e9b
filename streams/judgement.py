"""What a statement must satisfy before it may count: its time and its values.

Three outcomes, never two: it holds, it is refused with a reason, or it says nothing.
"""

from collections.abc import Iterable
from functools import cache
from typing import NamedTuple

import msgspec

from slo.model import DAY, SECOND, Input, Stat

OUT_OF_RANGE = "out_of_range"
NOT_FINITE = "not_finite"
NOT_A_NUMBER = "not_a_number"
NEGATIVE_COUNT = "negative_count"
TOO_OLD = "too_old"
IN_THE_FUTURE = "in_the_future"
ARRIVAL_IN_THE_FUTURE = "arrival_in_the_future"


MAX_SUM = 1e18
"""No database adds up to more in a period, whatever is measured."""

NOT_FINITE_FROM = 1e308
"""NaN and Infinity in JSON text arrive as this (see `streams.documents`)."""


class Horizon(msgspec.Struct, frozen=True):
    """How far before and after its arrival an event may lie, in ms."""

    past_ms: int = 3 * DAY
    future_ms: int = 60 * SECOND

    def refuses(self, event_ms: int, arrival_ms: int) -> str | None:
        """Why a time cannot be believed, None where it can.

        Seconds where milliseconds are due end in 1970, microseconds in the far future.
        """
        if event_ms > arrival_ms + self.future_ms:
            return IN_THE_FUTURE
        if event_ms < arrival_ms - self.past_ms:
            return TOO_OLD
        return None


class Stats(NamedTuple):
    """The numbers of a cell; `samples` 0 where the wire does not count."""

    samples: float
    sum: float
    min: float
    max: float


class Bounds(msgspec.Struct, frozen=True):
    """What values an input may have, in SI units, and what is no measurement."""

    low: float
    high: float
    sentinels: frozenset[float]
    stat: Stat

    @property
    def careful(self) -> bool:
        """Whether a value inside the bounds may still be a sentinel."""
        return any(self.low <= value <= self.high for value in self.sentinels)

    def si(self, value: float, divisor: float) -> float:
        """The value in SI units; a sentinel survives scaling unchanged."""
        return value if value in self.sentinels else value / divisor

    def judged(self, wire: Stats, divisor: float) -> Stats | str:
        """The numbers in SI units, or why they are refused."""
        if not all(abs(value) < NOT_FINITE_FROM for value in wire):
            return NOT_FINITE
        if wire.samples < 0:
            return NEGATIVE_COUNT
        stats = Stats(
            wire.samples,
            self.si(wire.sum, divisor),
            self.si(wire.min, divisor),
            self.si(wire.max, divisor),
        )
        return stats if self._holds(stats) else OUT_OF_RANGE

    def _holds(self, stats: Stats) -> bool:
        if abs(stats.sum) > MAX_SUM:
            return False
        if stats.min in self.sentinels or stats.max in self.sentinels:
            return all(
                value in self.sentinels or self.low <= value <= self.high
                for value in stats[2:]
            )
        if not self.low <= stats.min <= stats.max <= self.high:
            return False
        if self.stat is Stat.SUM:
            return self.low <= stats.sum <= self.high
        if self.stat is Stat.AVERAGE and stats.samples:
            return self.low <= stats.sum / stats.samples <= self.high
        return True


def bounds_of(inputs: Iterable[Input]) -> Bounds:
    """The bounds of one metric that several inputs read: the narrowest of all."""
    parts = list(inputs)
    return Bounds(
        low=max(part.valid[0] for part in parts),
        high=min(part.valid[1] for part in parts),
        sentinels=frozenset(s.value for part in parts for s in part.sentinels),
        stat=Stat.SUM if any(p.stat is Stat.SUM for p in parts) else parts[0].stat,
    )


@cache
def divisor_of(scale: float) -> float:
    """What to divide a wire value by to get SI units.

    Dividing by 1,000 gives the double nearest to the true value, multiplying by 0.001
    does not: 100 ms must not become more than 0.1 s.
    """
    inverse = 1 / scale
    whole = round(inverse)
    return float(whole) if whole and abs(inverse - whole) < 1e-9 * whole else inverse
