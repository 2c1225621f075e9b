"""Watching the series of a partition: verdicts, alerts, incidents, what to tell."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from slo.alert import Step, stays, step
from slo.evaluation import Judge
from slo.incident import groups, join
from slo.model import Series
from slo.notice import Burning, Notice
from slo.policy import Policy
from slo.tell import burning, page_notice, ticket_notice, withdrawn
from slo.verdict import Alert, Incident, Status, Verdict, VerdictChange
from streams.screened import Screened
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


FEW = 64
"""As many series are judged at once, without asking the screen."""


class Moment(NamedTuple):
    """When the series of a cluster were last evaluated.

    `at_ms` lies on the grid of the cluster's now. `stale` names an input of ours that
    gave no mark, "" where all did. Not `whole`: the last time was the same moment, so
    only what changed since can have moved.
    """

    at_ms: int
    stale: str = ""
    whole: bool = True


class Watch:
    """The alerts and open incidents of a partition.

    A tick asks the screen which series may have moved, and their judges what they say.
    """

    def __init__(
        self, series: Iterable[Series], policy: Policy, *, few: int = FEW
    ) -> None:
        self.incidents: dict[str, Incident] = {}
        self._few = few  # so many are judged without asking the screen
        everything = list(series)
        self._judges = _judges(everything, policy)
        self._groups = groups(everything)
        self._keys: dict[str, list[str]] = {}  # cluster -> its dedup keys
        for key, members in self._groups.items():
            self._keys.setdefault(members[0].cluster.name, []).append(key)
        self._by_cluster: Mapping[str, Sequence[SeriesState]] = {}
        self._fresh: dict[str, set[SeriesState]] = {}  # changed since the last moment
        self._moments: dict[str, Moment] = {}
        self._made: dict[str, Status] = {}  # of the cluster that is being judged
        self._screened: Screened | None = None

    def begin(
        self,
        by_cluster: Mapping[str, Sequence[SeriesState]],
        incidents: Iterable[Incident],
    ) -> None:
        """Watch the series of another image, by cluster, with its open incidents."""
        self.incidents = {one.key: one for one in incidents}
        self._by_cluster = by_cluster
        self._fresh = {cluster: set() for cluster in by_cluster}
        for cluster, states in by_cluster.items():
            for state in states:
                state.fresh = self._fresh[cluster]
        self._moments, self._screened = {}, None
        states = [state for several in by_cluster.values() for state in several]
        if len(states) > self._few and all(s.ledger.first is None for s in states):
            # To take data in as it comes costs less than to look for it afterwards.
            self._screened = Screened(by_cluster, self._judges)

    def evaluate(self, moments: Mapping[str, Moment], told: Told) -> None:
        """Judge the series of some clusters, each at a moment of its now."""
        self._moments.update(moments)
        for cluster, states in self._due(moments):
            moment = moments[cluster]
            turned = {
                state.series.key for state in states if self._judge(state, moment, told)
            }
            if turned:
                self._join(cluster, turned, moment.at_ms, told)
            self._made.clear()

    def _due(
        self, moments: Mapping[str, Moment]
    ) -> Iterable[tuple[str, Sequence[SeriesState]]]:
        """The series that have to be judged, by cluster in their order."""
        due = {cluster: self._asked(cluster, moments) for cluster in sorted(moments)}
        if self._screened is None:
            if sum(map(len, due.values())) <= self._few:
                return due.items()
            self._screened = Screened(self._by_cluster, self._judges)
        if sum(map(len, due.values())) <= self._few:
            self._screened.catch_up()
            return due.items()
        return self._screened.unsettled(moments, due).items()

    def _asked(
        self, cluster: str, moments: Mapping[str, Moment]
    ) -> Sequence[SeriesState]:
        """The series of a cluster that a moment asks about."""
        states, fresh = self._by_cluster.get(cluster, ()), self._fresh.get(cluster)
        if fresh is None or moments[cluster].whole:
            found = states
        else:
            found = [state for state in states if state in fresh]
        if fresh:
            fresh.clear()
        return found

    def _judge(self, state: SeriesState, moment: Moment, told: Told) -> bool:
        """Judge one series; whether an incident may have to follow."""
        judge, ledger, (at_ms, stale, _) = self.judge(state), state.ledger, moment
        weighed = judge.weigh(ledger, state.timing, at_ms, stale=bool(stale))
        outcome, follows = weighed.outcome, False
        if outcome.verdict is not state.verdict or not stays(state.alert, outcome):
            status = judge.told(ledger, weighed, at_ms, stale)
            follows = _judged(state, status, told)
            self._made[state.series.key] = status
        if self._screened is not None:
            self._screened.judged(state, judge, outcome)
        return follows

    # -- looking -------------------------------------------------------------------

    def judge(self, state: SeriesState) -> Judge:
        """Who judges a series."""
        return self._judges[state.series.key]

    def status(self, state: SeriesState, now_ms: int) -> Status:
        """What a series looked like when it was last evaluated; at `now_ms` before.

        Data without anything bad that came since counts in its figures, and turns its
        verdict at the next evaluation.
        """
        moment = self._moments.get(state.series.home)
        at_ms, stale, _ = moment or Moment(now_ms)
        status = self.judge(state).status(state.ledger, state.timing, at_ms, stale)
        if moment is None or status.verdict is state.verdict:
            return status
        then = f"{status.verdict} from the next evaluation on: {status.reason}"
        return msgspec.structs.replace(status, verdict=state.verdict, reason=then)

    def _burning(
        self, incident: Incident, members: Iterable[SeriesState]
    ) -> list[Burning]:
        return [
            burning(
                state.series,
                self._made.get(state.series.key) or self.status(state, 0),
                state.seen,
            )
            for state in members
            if state.series.key in incident.members
            and state.series.home in self._moments
        ]

    # -- incidents -----------------------------------------------------------------

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
                told.notices[key] = page_notice(
                    found, self._burning(found, members), at_ms
                )
        self.incidents.update(told.incidents)
        for alert in orphans.alerts:
            told.alerts[alert.series] = Claimed(Alert(alert.series), Verdict.OK)
        for notice in orphans.tickets:
            told.notices[notice.key] = withdrawn(notice, at_ms)

    def _join(self, cluster: str, turned: set[str], at_ms: int, told: Told) -> None:
        """Let the incidents of a cluster follow the alerts that turned."""
        by_key = {state.series.key: state for state in self._by_cluster[cluster]}
        for key in self._keys[cluster]:
            members = [by_key[series.key] for series in self._groups[key]]
            if turned.isdisjoint(state.series.key for state in members):
                continue
            known = self.incidents.get(key)
            found = join(known, [(s.series, s.alert) for s in members], at_ms)
            if found is not None and found != known:
                self.incidents[key] = told.incidents[key] = found
                told.notices[key] = page_notice(
                    found, self._burning(found, members), at_ms
                )


def _judges(series: Iterable[Series], policy: Policy) -> dict[str, Judge]:
    """The judge of each series, by its key; those of one SLO share their thresholds."""
    of_slo: dict[int, Judge] = {}
    found: dict[str, Judge] = {}
    for one in series:
        known = of_slo.get(id(one.slo))
        if known is None:
            known = of_slo[id(one.slo)] = Judge(one, policy)
        found[one.key] = known.beside(one)
    return found


def _judged(state: SeriesState, status: Status, told: Told) -> bool:
    """Take a new status in; whether an incident may have to follow."""
    before, was = state.verdict, state.alert
    alert, what = step(was, status)
    state.alert, state.verdict = alert, status.verdict
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
