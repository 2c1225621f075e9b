"""What every source has in common."""

from typing import Final, Generic, NamedTuple, Protocol, TypeVar

import msgspec

from streams.fold import Fold, Track
from streams.judgement import MILLISECONDS, Bounds, Horizon, Stats, told_time
from streams.outcomes import IRRELEVANT, OK, UNKNOWN_RESOURCE, Outcomes
from streams.positions import Positions
from streams.slab import Slab
from streams.table import Table
from streams.topics import Topics

UNDECODABLE: Final = (ValueError, TypeError, RecursionError)
"""What decoding foreign bytes may raise; msgspec's errors are ValueErrors."""

MAX_KNOWN: Final = 20_000
"""Identities whose fate is remembered; a million new labels must not fill memory."""

MAX_IDENTITY: Final = 4_096
"""A longer identity, in bytes, is not remembered but looked up each time."""

MAX_KNOWN_BYTES: Final = 16 * 1024 * 1024
KEY_BYTES: Final = 400
"""What an identity takes besides its text."""

IDENTITIES: Final = 4
"""So many of each want may be remembered: of accounts, regions, units."""


def room(wants: int, least: int) -> int:
    """The bytes that identities may take, where a plan has so many wants."""
    return max(least, 2 * KEY_BYTES * IDENTITIES * wants)


class Target(msgspec.Struct):
    """What a metric of somebody came to: a track to state to, or an outcome.

    A wire value divided by `divisor` is in SI units.
    """

    outcome: str = OK
    track: Track | None = None
    bounds: Bounds | None = None
    divisor: float = 1.0
    detail: str = ""  # what to say of a refusal besides the metric


Fate = TypeVar("Fate")


class Known(Generic[Fate]):
    """Fates by identity: so many and so large at most, then it begins anew."""

    def __init__(self, intake: "Intake") -> None:
        self._fold = intake.fold
        self._most = max(MAX_KNOWN, IDENTITIES * intake.table.wants)
        self._most_bytes = room(intake.table.wants, MAX_KNOWN_BYTES)
        self._fates: dict[tuple[object, ...], Fate] = {}
        self._bytes = 0
        self._era = self._fold.era

    def __len__(self) -> int:
        return len(self._fates)

    def get(self, key: tuple[object, ...]) -> Fate | None:
        """The fate of an identity; None where it is not remembered."""
        if self._era != self._fold.era:
            self._era = self._fold.era
            self._forget()
        return self._fates.get(key)

    def keep(self, key: tuple[object, ...], size: int, fate: Fate) -> Fate:
        """Remember a fate under its identity, whose size is given, if no giant."""
        if size > MAX_IDENTITY:
            return fate
        self._bytes += size + KEY_BYTES
        if len(self._fates) >= self._most or self._bytes > self._most_bytes:
            self._forget()
            self._bytes = size + KEY_BYTES
        self._fates[key] = fate
        return fate

    def _forget(self) -> None:
        self._fates.clear()
        self._bytes = 0


class Statement(NamedTuple):
    """One statement of a cell as the wire has it, with its record's place.

    `due` is the unit of time on the wire, for what is said of a wrong one.
    """

    metric: str
    start_ms: int
    stats: Stats
    record: int
    arrival_ms: int
    due: int = MILLISECONDS


class Intake(NamedTuple):
    """What a source works with: what is wanted, and where it goes."""

    table: Table
    topics: Topics
    fold: Fold
    positions: Positions
    horizon: Horizon

    def state(self, target: Target, one: Statement, outcomes: Outcomes) -> None:
        """Judge a statement and fold it, or refuse it, or count why it says nothing."""
        track, bounds = target.track, target.bounds
        if track is None or bounds is None:
            if target.outcome in (IRRELEVANT, UNKNOWN_RESOURCE):
                outcomes.counts[target.outcome] += 1
            else:
                what = one.metric + target.detail
                outcomes.refuse(one.record, target.outcome, what)
            return
        late = self.horizon.refuses(one.start_ms, one.arrival_ms)
        judged = bounds.judged(one.stats, target.divisor)
        if late is not None:
            at = told_time(late, one.start_ms, one.arrival_ms, one.due)
            outcomes.refuse(one.record, late, f"{one.metric} at {at}")
        elif isinstance(judged, str):
            outcomes.refuse(one.record, judged, one.metric)
        else:
            track.make_room()
            track.state(one.start_ms, one.arrival_ms, *judged)
            outcomes.counts[OK] += 1


class Source(Protocol):
    """One format: bytes in, statements folded."""

    def fold(self, slab: Slab, outcomes: Outcomes) -> None:
        """Take every record in that is one document of this format.

        The others go to `outcomes.undecoded`; nothing is raised for what a record
        holds.
        """
