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
WRONG_UNIT = "wrong_time_unit"
ARRIVAL_IN_THE_FUTURE = "arrival_in_the_future"
ARRIVAL_IMPLAUSIBLE = "arrival_implausible"

SECONDS, MILLISECONDS = 0, 3
UNITS = {
    SECONDS: "seconds",
    MILLISECONDS: "milliseconds",
    6: "microseconds",
    9: "nanoseconds",
}
"""Units of time by the places that they have behind the second."""

MOST_DIGITS = 24
"""As many are shown of a time: it may be any number."""

PLAUSIBLE_MS = 10**12
"""In 2001: no record that is read today was written before."""

ABOUT_NOW_MS = 3_650 * DAY
"""A time of now in another unit is centuries off, so ten years tell them apart."""


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

        A time that would be of about now in another unit is not called late or early:
        its unit is wrong.
        """
        if event_ms > arrival_ms + self.future_ms:
            if arrival_ms < PLAUSIBLE_MS <= event_ms:
                return ARRIVAL_IMPLAUSIBLE
            return WRONG_UNIT if _shift(event_ms, arrival_ms) else IN_THE_FUTURE
        if event_ms < arrival_ms - self.past_ms:
            return WRONG_UNIT if _shift(event_ms, arrival_ms) else TOO_OLD
        return None


def _shift(event_ms: int, arrival_ms: int) -> int:
    """By how many places a time must be shifted to be of about now; 0 where by none.

    Seconds where milliseconds are due lack three places.
    """
    for places, shifted in (
        (3, event_ms * 10**3),
        (-3, event_ms // 10**3),
        (-6, event_ms // 10**6),
        (-9, event_ms // 10**9),
    ):
        if abs(shifted - arrival_ms) < ABOUT_NOW_MS:
            return places
    return 0


def told_time(
    refused: str, event_ms: int, arrival_ms: int, due: int = MILLISECONDS
) -> str:
    """What to say of a time that was refused, as the wire has it, in units of `due`."""
    whole, rest = divmod(event_ms, 10 ** (MILLISECONDS - due))
    sent = f"{whole}.{rest:03d}" if rest else str(whole)
    sent, unit = sent[:MOST_DIGITS], UNITS[due]
    if refused == ARRIVAL_IMPLAUSIBLE:
        return f"{sent} {unit}, but {told_arrival(arrival_ms)}"
    if refused != WRONG_UNIT:
        return f"{sent} {unit}"
    looks = UNITS.get(due - _shift(event_ms, arrival_ms), "another unit")
    return f"{sent} looks like {looks}, {unit} are due"


def told_arrival(arrival_ms: int) -> str:
    """What to say of a record's own timestamp that cannot be believed."""
    return (
        f"the record itself is stamped {arrival_ms} ms: check the clock of its producer,"
        " and the topic's message.timestamp.type"
    )


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
    def plain(self) -> bool:
        """Whether a sum inside always holds: so does its average, and no sentinel is."""
        return -MAX_SUM <= self.low <= 0 <= self.high <= MAX_SUM and not any(
            self.low <= value <= self.high for value in self.sentinels
        )

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
        if abs(stats.sum) > MAX_SUM or 0 < stats.samples < 1:
            return False
        if stats.min in self.sentinels or stats.max in self.sentinels:
            return all(
                value in self.sentinels or self.low <= value <= self.high
                for value in stats[2:]
            )
        inside = self.low <= stats.min <= stats.max <= self.high
        # What is never negative does not add up to less than nothing.
        if not inside or self.low >= 0 > stats.sum:
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
