"""The words of judging: verdict, status, alert, incident.

Times are epoch milliseconds, durations milliseconds, ratios 0 to 1.
"""

from enum import StrEnum

import msgspec


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
    might_page: bool = True  # unknown, and may hide a page, not just a ticket


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """What a status decides, without its figures and words.

    `place` is that of the deciding tier in the policy, -1 for none; `start_ms` where
    its long window begins.
    """

    verdict: Verdict
    tier: str = ""
    might_page: bool = False
    place: int = -1
    start_ms: int = 0


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
