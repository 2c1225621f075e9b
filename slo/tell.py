"""What people are to be told after a step: pure, from incidents and alerts."""

from collections.abc import Iterable

import msgspec

from slo.incident import dedup_key
from slo.model import Series
from slo.notice import Action, Burning, Channel, Notice
from slo.saying import UNITS, promise
from slo.verdict import Alert, Incident, Status, Verdict


def page_notice(incident: Incident, members: Iterable[Burning], now_ms: int) -> Notice:
    """The wanted state of an incident: trigger while it is open, then resolve."""
    resolved = incident.resolved_ms is not None
    return Notice(
        key=incident.key,
        channel=Channel.PAGE,
        action=Action.RESOLVE if resolved else Action.TRIGGER,
        severity=incident.severity,
        env=incident.env,
        service=incident.service,
        cluster=incident.cluster,
        opened_ms=incident.opened_ms,
        changed_ms=now_ms,
        burning=tuple(members),
    )


def ticket_notice(series: Series, alert: Alert, what: Burning, now_ms: int) -> Notice:
    """The wanted state of one series' ticket: open while its level is *ticket*.

    A ticket that becomes a page closes here: the incident carries it on.
    """
    is_open = alert.level is Verdict.TICKET
    return Notice(
        key=f"{dedup_key(series)}/{series.key}",
        channel=Channel.TICKET,
        action=Action.TRIGGER if is_open else Action.RESOLVE,
        severity="warning",
        env=series.cluster.env,
        service=series.slo.service,
        cluster=series.cluster.name,
        opened_ms=alert.since_ms,
        changed_ms=now_ms,
        burning=(what,),
    )


def withdrawn(notice: Notice, now_ms: int) -> Notice:
    """The notice of something that nobody measures any more: closed."""
    return msgspec.structs.replace(notice, action=Action.RESOLVE, changed_ms=now_ms)


def burning(series: Series, status: Status, seen: str = "") -> Burning:
    """One series with the integers that prove its verdict, and what was `seen` last."""
    return Burning(
        slo=series.slo.name,
        resource=series.resource.name,
        tier=status.tier,
        reason=status.reason,
        windows={
            name: {"good": window.good, "total": window.total}
            for name, window in status.windows.items()
        },
        budget_remaining_ratio=status.budget.remaining_ratio,
        objective_ratio=float(series.slo.target),
        coverage_ratio=status.coverage,
        runbook=series.slo.annotations.get("runbook", ""),
        promise=promise(series.slo),
        seen=seen,
        unit=UNITS[series.slo.budgeting],
    )
