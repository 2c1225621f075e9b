"""What people are told: the wanted state of one dedup key, ready to be sent."""

from enum import StrEnum

import msgspec


class Action(StrEnum):
    """What the receiver should do with the key."""

    TRIGGER = "trigger"
    RESOLVE = "resolve"


class Channel(StrEnum):
    """Who is told: pages wake somebody, tickets are work for the day."""

    PAGE = "page"
    TICKET = "ticket"


class Burning(msgspec.Struct, frozen=True):
    """One series that burns, with the integers that prove it.

    `promise` is what the SLO asks for, `seen` the worst that its sources said last,
    `unit` what good and total count. `runbook` is the URL that its SLO names, ""
    where it names none.
    """

    slo: str
    resource: str
    tier: str
    reason: str
    windows: dict[str, dict[str, int]]  # {"1h": {"good": ..., "total": ...}}
    budget_remaining_ratio: float
    objective_ratio: float
    coverage_ratio: float
    runbook: str = ""
    promise: str = ""
    seen: str = ""
    unit: str = ""


class Notice(msgspec.Struct, frozen=True):
    """The wanted state of a dedup key. Never a state or a time in the key itself.

    `severity` is PagerDuty's: critical, error, warning, info. Times are epoch ms
    of the engine's *now*. `summary` says what it is about where that is no SLO.
    """

    key: str
    channel: Channel
    action: Action
    severity: str
    env: str
    service: str
    cluster: str
    opened_ms: int
    changed_ms: int
    burning: tuple[Burning, ...] = ()
    summary: str = ""


class Claim(msgspec.Struct, frozen=True):
    """A wanted state taken from the outbox by one sender, until its lease ends.

    `version` counts the changes of the wanted state. `attempts` is how often this
    version has been tried before. Sent, retried and refused are compare-and-set on
    (key, version, owner).
    """

    key: str
    version: int
    notice: Notice
    attempts: int
    lease_until_ms: int
    owner: str
