"""Watching the series of a partition: verdicts, alerts, incidents, what to tell."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from slo.alert import Step, step
from slo.evaluation import Judge
from slo.incident import groups, join
from slo.model import Series
from slo.notice import Burning, Notice
from slo.policy import Policy
from slo.tell import burning, page_notice, ticket_notice, withdrawn
from slo.verdict import Alert, Incident, Status, Verdict, VerdictChange
from streams.series import SeriesState
from streams.store import Claimed
from streams.verdicts import change_line


class Told:
    """What one transaction writes besides facts and counts."""

    __slots__ = ("alerts", "changes", "incidents", "notices")

    def __init__(self) -> None:
        self.alerts: dict[str, Claimed] = {}
        self.changes: list[tuple[int, VerdictChange]] = []
        self.incidents: dict[str, Incident] = {}
        self.notices: dict[str, Notice] = {}

    def __bool__(self) -> bool:
        return bool(self.alerts or self.notices)


class Orphans(NamedTuple):
    """Alerts of series that the plan no longer has, and their open tickets."""

    alerts: Sequence[Alert]
    tickets: Sequence[Notice]


class Watch:
    """The alerts and open incidents of a partition."""

    def __init__(self, series: Iterable[Series], policy: Policy) -> None:
        self.incidents: dict[str, Incident] = {}
        everything = list(series)
        self._judges = {one.key: Judge(one, policy) for one in everything}
        self._groups = groups(everything)
        self._keys: dict[str, list[str]] = {}  # cluster -> its dedup keys
        for key, members in self._groups.items():
            self._keys.setdefault(members[0].cluster.name, []).append(key)

    def evaluate(
        self, states: Sequence[SeriesState], at_ms: int, stale: str, told: Told
    ) -> None:
        """Judge the series of one cluster at a moment of its now.

        `stale` names an input of ours that gave no mark, "" where all did.
        """
        turned: set[str] = set()
        for state in states:
            judge = self._judges[state.series.key]
            status = judge.status(state.ledger, state.timing, at_ms, stale)
            if _judged(state, status, told):
                turned.add(state.series.key)
        if turned:
            self._join(states, turned, at_ms, told)

    def reconcile(
        self, states: Iterable[SeriesState], at_ms: int, orphans: Orphans, told: Told
    ) -> None:
        """After a start: close what the plan no longer has.

        An incident whose members are gone, or no longer at page, resolves; so do the
        tickets of series that are gone.
        """
        by_key = {state.series.key: state for state in states}
        for key, known in self.incidents.items():
            members = [
                by_key[series.key]
                for series in self._groups.get(key, ())
                if series.key in by_key
            ]
            found = join(known, [(s.series, s.alert) for s in members], at_ms)
            if found is not None and found != known:
                told.incidents[key] = found
                told.notices[key] = page_notice(found, _burning(found, members), at_ms)
        self.incidents.update(told.incidents)
        for alert in orphans.alerts:
            told.alerts[alert.series] = Claimed(Alert(alert.series), Verdict.OK)
        for notice in orphans.tickets:
            told.notices[notice.key] = withdrawn(notice, at_ms)

    def _join(
        self, states: Sequence[SeriesState], turned: set[str], at_ms: int, told: Told
    ) -> None:
        """Let the incidents of a cluster follow the alerts that turned."""
        by_key = {state.series.key: state for state in states}
        for key in self._keys[states[0].series.cluster.name]:
            members = [by_key[series.key] for series in self._groups[key]]
            if turned.isdisjoint(state.series.key for state in members):
                continue
            known = self.incidents.get(key)
            found = join(known, [(s.series, s.alert) for s in members], at_ms)
            if found is not None and found != known:
                self.incidents[key] = told.incidents[key] = found
                told.notices[key] = page_notice(found, _burning(found, members), at_ms)


def _burning(incident: Incident, members: Iterable[SeriesState]) -> list[Burning]:
    return [
        burning(state.series, state.status, state.seen)
        for state in members
        if state.status is not None and state.series.key in incident.members
    ]


def _judged(state: SeriesState, status: Status, told: Told) -> bool:
    """Take a new status in; whether an incident may have to follow."""
    before, was = state.verdict, state.alert
    alert, what = step(was, status)
    state.status, state.alert, state.verdict = status, alert, status.verdict
    if before is not status.verdict:
        line = change_line(state.series, before, status)
        told.changes.append((status.at_ms, line))
    if before is not status.verdict or what is not Step.NONE:
        told.alerts[state.series.key] = Claimed(alert, status.verdict)
    if was.level is not alert.level and Verdict.TICKET in (was.level, alert.level):
        what_burns = burning(state.series, status, state.seen)
        notice = ticket_notice(state.series, alert, what_burns, status.at_ms)
        told.notices[notice.key] = notice
    return what is not Step.NONE and Verdict.PAGE in (was.level, alert.level)
