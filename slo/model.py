"""The words of the house: counts, catalogue, SLO, series.

Times are epoch milliseconds, durations milliseconds, ratios 0 to 1, values SI
units. Everything here is immutable and holds no behaviour beyond its own
arithmetic.
"""

from decimal import Decimal
from enum import StrEnum
from fractions import Fraction

import msgspec

from slo.resources import Cluster, Engine, Resource, ResourceKind

SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

BUCKET_MS = 10 * SECOND
"""Event time is kept in buckets of this width; slices are multiples of it."""

MILLIONTHS = 1_000_000
"""A RatioTimeslices slice is kept as an integer share of this total."""


class Counts(msgspec.Struct, frozen=True, gc=False):
    """Good and total events (or slices) of one bucket or window; 0 <= good <= total."""

    good: int = 0
    total: int = 0

    @property
    def bad(self) -> int:
        """Total less good."""
        return self.total - self.good

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(self.good + other.good, self.total + other.total)

    def __sub__(self, other: "Counts") -> "Counts":
        return Counts(self.good - other.good, self.total - other.total)


# -- the catalogue -------------------------------------------------------------


class SliKind(StrEnum):
    """How an SLI's facts become good and total."""

    RATIO = "ratio"  # good events of total events, or bad of total
    THRESHOLD = "threshold"  # a measured value against a limit
    FRESHNESS = "freshness"  # age of the newest thing seen, per slice of arrival


class Budgeting(StrEnum):
    """OpenSLO budgetingMethod."""

    OCCURRENCES = "Occurrences"
    TIMESLICES = "Timeslices"
    RATIO_TIMESLICES = "RatioTimeslices"


class Urgency(StrEnum):
    """The most that an SLO may do: wake somebody, file work, or only be drawn."""

    PAGE = "page"
    TICKET = "ticket"
    BOARD = "board"


class Outcome(StrEnum):
    """What a sentinel value means."""

    BAD = "bad"
    NO_DATA = "no_data"


class Sentinel(msgspec.Struct, frozen=True):
    """A wire value that is not a measurement, such as ReplicaLag = -1."""

    value: float
    outcome: Outcome
    meaning: str = ""


class Part(StrEnum):
    """The part that an input plays. `value` for threshold and freshness SLIs.

    `alive` guards a freshness SLI: a bucket is judged only where this input was
    itself seen within its cadence allowance, so that a dead connector makes the
    database's own SLIs unknown, not bad.
    """

    GOOD = "good"
    BAD = "bad"
    TOTAL = "total"
    VALUE = "value"
    ALIVE = "alive"


class Stat(StrEnum):
    """Which statistic of a cell is the value."""

    MAX = "max"
    MIN = "min"
    SUM = "sum"
    AVERAGE = "average"


class Input(msgspec.Struct, frozen=True):
    """One metric of one source that plays a part in an SLI.

    `metrics` are wire names in order of preference (the first with data in a
    bucket is read). `scale` turns the wire's unit into SI. `rate`: the value is
    per second and is multiplied by the period, in seconds, to give an amount.
    `valid` are the inclusive bounds, in SI units after `scale`, outside which a
    value is refused. `absent` = zero: where the other inputs of the feed have
    data and this one has none, it counts as zero.
    """

    part: Part
    metrics: tuple[str, ...]
    namespace: str = ""
    dimensions: tuple[str, ...] = ()
    unit: str = ""
    stat: Stat = Stat.MAX
    scale: float = 1.0
    rate: bool = False
    absent: str = "no_data"  # or "zero"
    sentinels: tuple[Sentinel, ...] = ()
    valid: tuple[float, float] = (0.0, 1e15)


class Feed(msgspec.Struct, frozen=True):
    """All that one source needs to feed an SLI on some engines.

    `source` is cloudwatch, datadog or cdc. `cadence_ms` is the usual distance of
    two cells, `arrival_lag_ms` how late a cell may be before it is missed.
    `idle` says what an idle database looks like in it, `idle_value` the value (SI)
    that idleness alone reaches: a lower threshold would burn on quiet nights.
    """

    source: str
    engines: tuple[Engine, ...]
    resource: ResourceKind
    inputs: tuple[Input, ...]
    cadence_ms: int
    arrival_lag_ms: int
    absence: str = "unknown"  # what silence means: unknown, or good (idle)
    idle: str = ""
    idle_value: float | None = None


class Entry(msgspec.Struct, frozen=True):
    """An SLI of the catalogue, with its shipped defaults.

    `threshold` is in SI units (seconds, sessions, ...), None for ratio SLIs.
    `feeds` stand in order of preference: in each slice the first that has data
    is read, so two sources of one datum never count twice.
    """

    id: str
    code: str
    title: str
    kind: SliKind
    unit: str
    feeds: tuple[Feed, ...]
    objective: Decimal
    budgeting: Budgeting
    urgency: Urgency
    slice_ms: int = MINUTE
    threshold: float | None = None
    min_total: int = 0
    min_bad: int = 0
    description: str = ""
    pitfalls: tuple[str, ...] = ()


# -- the objective -------------------------------------------------------------


class Place(msgspec.Struct, frozen=True):
    """Where in a file something was written; line counts from 1, 0 where there is none."""

    file: str
    line: int


class SLO(msgspec.Struct, frozen=True):
    """One objective over every resource that its selector matches.

    `indicator` is the catalogue entry with the specification's overrides
    applied. `slice_target` is OpenSLO's timeSliceTarget: the good share a slice
    must reach. `period_ms` is the rolling window of the budget.
    """

    name: str
    service: str
    indicator: Entry
    target: Fraction
    budgeting: Budgeting
    urgency: Urgency
    selector: dict[str, str] = {}
    across: bool = False  # one series over all that the selector matches
    slice_ms: int = MINUTE
    slice_target: Fraction = Fraction(1)
    period_ms: int = 30 * DAY
    min_total: int = 0
    min_bad: int = 0
    display_name: str = ""
    description: str = ""
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    revision: str = ""  # short hash of the specification's text
    place: Place = Place("", 0)

    @property
    def sliced(self) -> bool:
        """Whether the budget is counted in time slices."""
        return self.budgeting is not Budgeting.OCCURRENCES


class Series(msgspec.Struct, frozen=True):
    """One SLO on one resource: what the ledger counts and the alert is about.

    Where an SLO spans clusters, its one series has `members`, whose counts it adds
    up. They are counted on its behalf and never judged: `part_of` is its cluster.
    """

    slo: SLO
    resource: Resource
    cluster: Cluster
    feeds: tuple[Feed, ...]  # those of the indicator that fit engine and resource
    members: tuple["Series", ...] = ()
    part_of: str = ""

    @property
    def key(self) -> str:
        """`<slo>/<resource>`, the name of the series in ledger, dump and alert."""
        within = f"{self.part_of}/" if self.part_of else ""
        return f"{within}{self.slo.name}/{self.resource.name}"

    @property
    def home(self) -> str:
        """The cluster in whose partition it is counted."""
        return self.part_of or self.cluster.name

    @property
    def facts_key(self) -> str:
        """How routes and facts name the resource; members have facts of their own."""
        key = self.resource.key
        return f"{self.part_of}/{key}" if self.part_of else key

    @property
    def counted(self) -> tuple["Series", ...]:
        """The series whose facts are counted: itself, or its members."""
        return self.members or (self,)

    @property
    def labels(self) -> dict[str, str]:
        """The identity labels of every exported series, in their order."""
        return {
            "env": self.cluster.env,
            "cluster": self.cluster.name,
            "resource": self.resource.name,
            "service": self.slo.service,
            "slo": self.slo.name,
        }
