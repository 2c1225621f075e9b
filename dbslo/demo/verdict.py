"""Whether the demo showed what it promises: one page that resolved, nobody else woken."""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from alerts.delivery import Delivery, Outcome
from alerts.routing import PAGERDUTY
from dbslo.demo.trace import Expect, Trace
from slo.notice import Action, Channel
from slo.verdict import Incident, VerdictChange

FAILOVER_SERIES = (
    "connections/orders-proxy",
    "aurora-readers-fresh/orders-a",
    "aurora-readers-fresh/orders-b",
    "aurora-readers-fresh/orders-c",
)
"""What the clean failover touches; none of it may page."""


class Happened(msgspec.Struct, frozen=True):
    """What is judged. `captured` are the stand-in's incidents, None without one."""

    incidents: Sequence[Incident]
    deliveries: Sequence[Delivery]
    changes: Sequence[VerdictChange]
    captured: Sequence[dict[str, Any]] | None


class Judged(msgspec.Struct, frozen=True):
    """The incidents, and every reason why they are not what was promised."""

    incidents: tuple[Incident, ...]
    wrong: tuple[str, ...]

    @property
    def holds(self) -> bool:
        """Whether all is as promised."""
        return not self.wrong


def judge(trace: Trace, happened: Happened) -> Judged:
    """Hold what happened against the trace."""
    wrong = [
        *_incidents(trace, happened.incidents),
        *_told(happened),
        *_failover(happened.changes),
    ]
    return Judged(tuple(happened.incidents), tuple(wrong))


def _incidents(trace: Trace, incidents: Sequence[Incident]) -> Iterator[str]:
    """One incident of the right cluster, resolved; none for a quiet trace."""
    wanted = 1 if trace.expect is Expect.PAGE else 0
    if len(incidents) != wanted:
        yield f"{len(incidents)} incidents instead of {wanted}"
    for one in incidents:
        if one.cluster != trace.cluster:
            yield f"{one.key} paged, and only {trace.cluster} was to"
        if one.resolved_ms is None:
            yield f"{one.key} did not resolve"


def accepted(deliveries: Sequence[Delivery]) -> list[tuple[Action, str]]:
    """Pages that PagerDuty took, in order, as (action, key)."""
    return [
        (one.notice.action, one.notice.key)
        for one in deliveries
        if one.notice.channel is Channel.PAGE
        and any(
            told.target == PAGERDUTY and told.outcome is Outcome.SENT
            for told in one.told
        )
    ]


def _told(happened: Happened) -> Iterator[str]:
    """PagerDuty heard of every incident: first a trigger, in the end a resolve."""
    heard: dict[str, list[Action]] = {}
    for action, key in accepted(happened.deliveries):
        heard.setdefault(key, []).append(action)
    keys = {one.key for one in happened.incidents}
    for key in sorted(keys):
        actions = heard.get(key, [])
        if not actions or actions[0] is not Action.TRIGGER:
            yield f"PagerDuty was not triggered for {key}{_why(happened, key)}"
        elif actions[-1] is not Action.RESOLVE:
            yield f"PagerDuty was not told that {key} has ended{_why(happened, key)}"
    for key in sorted(heard.keys() - keys):
        yield f"PagerDuty was told of {key}, which is no incident"
    yield from _captured(happened, keys)


def _why(happened: Happened, key: str) -> str:
    errors = [d.error for d in happened.deliveries if d.notice.key == key and d.error]
    return f": {errors[-1]}" if errors else ""


def _captured(happened: Happened, keys: set[str]) -> Iterator[str]:
    """What the stand-in for PagerDuty says itself."""
    if happened.captured is None:
        return
    seen = [str(one["dedup_key"]) for one in happened.captured]
    if sorted(seen) != sorted(keys):
        yield f"the PagerDuty stand-in opened {seen or 'nothing'}"
    for one in happened.captured:
        if one["status"] != "resolved":
            yield f"the PagerDuty stand-in still shows {one['dedup_key']} open"


def _failover(changes: Sequence[VerdictChange]) -> Iterator[str]:
    """The clean failover spent budget and paged nobody."""
    for change in changes:
        series = f"{change.slo}/{change.resource}"
        if change.to == "page" and series in FAILOVER_SERIES:
            yield f"the failover paged: {series}, {change.reason}"
