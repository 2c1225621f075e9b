"""The words of the house: fleet, catalogue, SLO, counts, status, alert.

Times are epoch milliseconds, durations milliseconds, ratios 0 to 1, values SI
units. Everything here is immutable and holds no behaviour beyond its own
arithmetic.
"""

from decimal import Decimal
from enum import StrEnum
from fractions import Fraction

import msgspec

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


# -- the fleet -----------------------------------------------------------------


class Engine(StrEnum):
    """Engine names as `inventory.yaml` spells them."""

    AURORA_MYSQL = "aurora-mysql"
    AURORA_POSTGRESQL = "aurora-postgresql"
    MYSQL = "mysql"
    MARIADB = "mariadb"
    POSTGRES = "postgres"


class ResourceKind(StrEnum):
    """What an SLI is measured on."""

    INSTANCE = "instance"
    PROXY = "proxy"
    CDC = "cdc"  # a connector, named by its topic prefix


class Cluster(msgspec.Struct, frozen=True):
    """A database cluster with its instances, proxies and connectors."""

    name: str
    engine: Engine
    labels: dict[str, str] = {}
    instances: tuple[str, ...] = ()
    proxies: tuple[str, ...] = ()
    cdc_prefixes: tuple[str, ...] = ()
    connect: str | None = None
    datadog_tags: tuple[str, ...] = ()

    @property
    def env(self) -> str:
        """The `env` label, "" where the inventory gives none."""
        return self.labels.get("env", "")

    @property
    def resources(self) -> tuple["Resource", ...]:
        """Instances, proxies and connectors, in the order of the inventory."""
        kinds = (
            (ResourceKind.INSTANCE, self.instances),
            (ResourceKind.PROXY, self.proxies),
            (ResourceKind.CDC, self.cdc_prefixes),
        )
        return tuple(
            Resource(name, kind, self.name) for kind, names in kinds for name in names
        )


class Resource(msgspec.Struct, frozen=True):
    """One thing that an SLO series is about."""

    name: str
    kind: ResourceKind
    cluster: str

    @property
    def key(self) -> str:
        """`<kind>:<name>`, unique in the fleet; how routes and facts name it."""
        return f"{self.kind.value}:{self.name}"


class Inventory(msgspec.Struct, frozen=True):
    """The fleet. Names of clusters, and of resources of one kind, are unique."""

    clusters: tuple[Cluster, ...] = ()


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
    """One SLO on one resource: what the ledger counts and the alert is about."""

    slo: SLO
    resource: Resource
    cluster: Cluster
    feeds: tuple[Feed, ...]  # those of the indicator that fit engine and resource

    @property
    def key(self) -> str:
        """`<slo>/<resource>`, the name of the series in ledger, dump and alert."""
        return f"{self.slo.name}/{self.resource.name}"

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


# -- verdicts ------------------------------------------------------------------


class Verdict(StrEnum):
    """The state of a series at one moment."""

    OK = "ok"
    WATCH = "watch"
    TICKET = "ticket"
    PAGE = "page"
    UNKNOWN = "unknown"


class WindowStatus(msgspec.Struct, frozen=True):
    """One window of one series.

    `good` and `total` are what was seen. `prior_ms` is the part of the window
    before the first observation (cold start). `burn` counts that part as good.
    `coverage` is the share of the window that was observed, prior included.
    `bad_events` and `expected_events` are what the guards compare, the latter with
    the prior at the rate seen since: events where the SLI is a ratio of events, else
    slices.
    """

    window_ms: int
    good: int
    total: int
    coverage: float
    burn: float
    prior_ms: int = 0
    bad_events: int = 0
    expected_events: float = 0.0


class TierStatus(msgspec.Struct, frozen=True):
    """Whether one tier of the policy fires, and why or why not."""

    tier: str
    verdict: Verdict  # page or ticket where it fires, else ok or unknown
    reason: str


class BudgetStatus(msgspec.Struct, frozen=True):
    """The error budget over the rolling period.

    `remaining_ratio` is 1 at the start and below 0 when overspent. `bad` counts
    events or slices (millionths for RatioTimeslices).
    """

    good: int
    total: int
    spent_ratio: float
    remaining_ratio: float
    remaining_ms: float


class Status(msgspec.Struct, frozen=True):
    """The verdict on one series at one moment, with what led to it."""

    series: str
    at_ms: int
    verdict: Verdict
    tier: str  # the tier that decided, "" where none
    reason: str
    windows: dict[str, WindowStatus]
    tiers: tuple[TierStatus, ...]
    budget: BudgetStatus
    coverage: float
    observed: bool  # False: nothing was ever seen, the series is unconfigured
    first_ms: int | None = None
    end_ms: int = 0  # where the windows end
    hot_ms: dict[str, int] = {}  # hot time in the long window, per page tier
    hot_floor_ms: int = 0  # the hot time that a page needs


class Alert(msgspec.Struct, frozen=True):
    """The alert of one series: its level, since when, and why it got there."""

    series: str
    level: Verdict = Verdict.OK  # ok, ticket or page
    since_ms: int = 0
    tier: str = ""
    reason: str = ""


class Incident(msgspec.Struct, frozen=True):
    """All series at *page* of one service on one cluster.

    `key` is the dedup key: never a state, a severity, a value or a time in it.
    """

    key: str
    env: str
    service: str
    cluster: str
    members: tuple[str, ...]
    opened_ms: int
    severity: str  # PagerDuty: critical, error, warning, info
    resolved_ms: int | None = None


class VerdictChange(msgspec.Struct, frozen=True, rename={"from_": "from"}):
    """One line of `replay --json`, the log and the webhook."""

    time: str  # RFC 3339, UTC, milliseconds
    slo: str
    resource: str
    from_: str
    to: str
    tier: str
    windows: dict[str, dict[str, int]]
    coverage: float
    reason: str
