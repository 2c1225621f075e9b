"""Published outages as traces: what was measured, second by second, and what must follow.

A trace is a file of `dbslo/incidents`. Times are seconds after the onset.
"""

from bisect import bisect_right
from enum import StrEnum
from importlib.resources import files

import msgspec

INCIDENTS = files("dbslo") / "incidents"


class Expect(StrEnum):
    """What the engine has to say about a trace."""

    PAGE = "page"  # exactly one incident, which resolves by itself
    QUIET = "quiet"  # nobody is paged


class Mode(StrEnum):
    """How a track reads between its points."""

    STEP = "step"
    LINEAR = "lin"


class Signal(StrEnum):
    """What a track drives. `metric` names a CloudWatch or Datadog metric."""

    CLOUDWATCH = "cloudwatch"
    DATADOG = "datadog"
    CONNECT_ERRORS = "connect-errors"  # failed share of a proxy's connection attempts
    CONNECT_ATTEMPTS = "connect-attempts"  # a minute
    ROW_AGE = "row-age"  # seconds that a change stream's rows are behind
    CONNECTOR_AGE = "connector-age"  # the same for all that the connector sends
    DELIVERY = "delivery"  # 0: CloudWatch holds data back, 1: it delivers


class Track(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One measured quantity over time on some resources; null means no data.

    Before the first point the fleet's own baseline holds, unless `mode` is step
    or lin from a point in the past. `repeat` starts the track again every so many
    seconds.
    """

    signal: Signal
    resources: tuple[str, ...]
    points: tuple[tuple[float, float | None], ...]
    metric: str = ""
    mode: Mode = Mode.STEP
    repeat: float | None = None

    def value_at(self, t_s: float) -> float | None:
        """The value at a time; None where the track says that there is no data."""
        if self.repeat is not None and t_s >= 0:
            t_s %= self.repeat
        at = bisect_right(self.points, t_s, key=lambda point: point[0]) - 1
        here = self.points[max(at, 0)]
        if self.mode is Mode.STEP or at < 0 or at + 1 == len(self.points):
            return here[1]
        there = self.points[at + 1]
        if here[1] is None or there[1] is None:
            return here[1]
        share = (t_s - here[0]) / (there[0] - here[0])
        return here[1] + share * (there[1] - here[1])

    @property
    def moments(self) -> tuple[float, ...]:
        """The times at which something changes, those of the past left out."""
        return tuple(t for t, _ in self.points if t >= 0)


class Trace(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An outage: where it is replayed, what it did, and what has to be said of it.

    `watch` and `slo` name the resource and the SLO that the terminal follows.
    `ends_s` is where the telling ends, late enough for a page to resolve.
    """

    name: str
    title: str
    origin: str
    basis: str
    cluster: str
    watch: str
    slo: str
    expect: Expect
    ends_s: int
    lesson: str
    tracks: tuple[Track, ...]
    story: tuple[tuple[float, str], ...] = ()
    must: tuple[str, ...] = ()
    must_not: tuple[str, ...] = ()

    @property
    def watched(self) -> Track:
        """The track that the terminal follows: the first of the watched resource."""
        return next(t for t in self.tracks if self.watch in t.resources)


class UnknownIncidentError(Exception):
    """No trace has this name; says which there are."""


def names() -> list[str]:
    """The traces that ship with dbslo, sorted."""
    found = (entry.name for entry in INCIDENTS.iterdir())
    return sorted(n.removesuffix(".yaml") for n in found if n.endswith(".yaml"))


def load(name: str) -> Trace:
    """The trace of this name.

    Raises UnknownIncidentError, naming those that exist.
    """
    if name not in names():
        raise UnknownIncidentError(
            f"no incident {name!r}; there are: {', '.join(names())}"
        )
    return msgspec.yaml.decode((INCIDENTS / f"{name}.yaml").read_bytes(), type=Trace)
