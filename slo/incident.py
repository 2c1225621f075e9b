"""One incident per cause: all series at page of one service on one cluster."""

from collections.abc import Iterable, Mapping

import msgspec

from slo.model import Series
from slo.verdict import Alert, Incident, Verdict

SEVERITY_OF_TIER = {"page-fast": "critical", "page-slow": "error"}
"""PagerDuty severity by the tier that fires; the gravest of the members holds."""

_GRAVITY = ("info", "warning", "error", "critical")


def dedup_key(series: Series) -> str:
    """`dbslo/<env>/<service>/<cluster>`: never a state, a severity, a value, a time.

    A slash inside a part is written %2F, so that no two groups share a key.
    """
    parts = (series.cluster.env or "-", series.slo.service, series.cluster.name)
    plain = (part.replace("%", "%25").replace("/", "%2F") for part in parts)
    return "/".join(("dbslo", *plain))


def join(
    open_incident: Incident | None,
    members: Iterable[tuple[Series, Alert]],
    now_ms: int,
) -> Incident | None:
    """The incident of one group after its alerts changed; None where none is due.

    `members` are the group's series with their alerts. An incident opens with the
    first at *page*, follows its members, and resolves when none is at *page*.
    """
    paging = {s.key: (s, a) for s, a in members if a.level is Verdict.PAGE}
    if not paging:
        if open_incident is None or open_incident.resolved_ms is not None:
            return None
        return msgspec.structs.replace(open_incident, resolved_ms=now_ms)
    severity = max(
        (SEVERITY_OF_TIER.get(a.tier, "error") for _, a in paging.values()),
        key=_GRAVITY.index,
    )
    if open_incident is None or open_incident.resolved_ms is not None:
        series = next(iter(paging.values()))[0]
        return Incident(
            key=dedup_key(series),
            env=series.cluster.env,
            service=series.slo.service,
            cluster=series.cluster.name,
            members=tuple(sorted(paging)),
            opened_ms=now_ms,
            severity=severity,
        )
    return msgspec.structs.replace(
        open_incident, members=tuple(sorted(paging)), severity=severity
    )


def groups(series: Iterable[Series]) -> Mapping[str, list[Series]]:
    """The series of each dedup key."""
    found: dict[str, list[Series]] = {}
    for one in series:
        found.setdefault(dedup_key(one), []).append(one)
    return found
