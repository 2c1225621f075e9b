"""What the demo tells while it plays: the outage, the burn, the budget, the page."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

from alerts.delivery import Delivery
from dbslo import output
from dbslo.demo.traffic import Onset
from dbslo.demo.verdict import Judged, accepted
from dbslo.demo.watched import burning, measured, notable_of, step_of, watched
from slo.model import SECOND
from slo.notice import Action, Channel, Notice
from slo.plan import Plan
from slo.verdict import Verdict, VerdictChange
from streams.view import SeriesView

WORDS = {Action.TRIGGER: ("opened", "triggered"), Action.RESOLVE: ("over", "resolved")}
"""What an incident does for us, and what PagerDuty does of it."""

TOLD = ("page", "ticket", "unknown")
"""Verdicts whose beginning and end are told; the others come and go."""


class Narrator:
    """Tells the terminal, or as JSON lines, what happens at each step."""

    def __init__(self, onset: Onset, others: Sequence[Onset], *, as_json: bool) -> None:
        self._onset = onset
        self._as_json = as_json
        self._story = sorted(
            (one.at_ms + round(at_s * SECOND), line)
            for one in (onset, *others)
            for at_s, line in one.trace.story
        )
        self._others = others
        self._last_watch: dict[str, tuple[object, ...]] = {}
        self._lines: list[tuple[int, str, str | None]] = []  # not yet printed
        self._untold = ""  # what PagerDuty was last not told
        self._open: set[str] = set()  # keys that PagerDuty knows to be open
        self._accepted: set[tuple[Action, str]] = set()  # what PagerDuty took
        self._grave: set[tuple[str, str]] = set()  # series that are told to be grave

    def open(self, plan: Plan, addresses: Iterable[tuple[str, str]]) -> None:
        """What is about to be played, and where to look."""
        trace = self._onset.trace
        if self._as_json:
            output.emit({"kind": "start", "incident": trace.name, **dict(addresses)})
            return
        output.say(f"{trace.name}: {trace.title}", style="bold")
        basis = trace.basis[0].upper() + trace.basis[1:]
        output.say(f"  {trace.origin}. {basis}.")
        clusters = plan.inventory.clusters
        resources = sum(len(cluster.resources) for cluster in clusters)
        output.say(
            f"  {len(clusters)} clusters, {resources} resources,"
            f" {len(plan.slos)} SLOs in {len(plan.series)} series"
        )
        for name, address in addresses:
            output.say(f"  {name:<10} {address}")
        output.say()

    def step(
        self, now_ms: int, views: Sequence[SeriesView], changes: list[VerdictChange]
    ) -> None:
        """One step of the clock: story, changes of verdict, the watched series."""
        while self._story and self._story[0][0] <= now_ms:
            at_ms, line = self._story.pop(0)
            self._line(at_ms, "story", line, "italic")
        for change, resources in grouped(changes):
            self._change(change, resources)
        if not self._as_json:
            for onset in (self._onset, *self._others):
                self._watch(onset, now_ms, views)

    def delivered(self, delivery: Delivery) -> None:
        """A notice has gone out, or has not; it is told at the moment that it is about."""
        notice = delivery.notice
        if notice.channel is not Channel.PAGE:
            return
        taken = accepted([delivery])
        self._accepted.update(taken)
        if self._as_json:
            output.emit(sent(delivery))
            return
        told = f"PagerDuty was not told of {notice.key}: {delivery.error}"
        if not taken:
            if told == self._untold:  # one line for all of its attempts
                return
            self._untold = told
        else:
            told = f"PagerDuty {self._verb(notice)} {notice.key} ({notice.severity})"
        self._line(notice.changed_ms, "page", told, output.STYLES["page"])

    def flush(self) -> None:
        """Print what was told since, in the order of its moments."""
        self._lines.sort(key=lambda line: line[0])
        for at_ms, text, style in self._lines:
            output.say(f"{clock(at_ms - self._onset.at_ms)}  {text}", style=style)
        self._lines.clear()

    def _verb(self, notice: Notice) -> str:
        if notice.action is Action.RESOLVE:
            self._open.discard(notice.key)
            return "resolves"
        again = notice.key in self._open
        self._open.add(notice.key)
        return "updates" if again else "triggers"

    def close(
        self,
        found: Judged,
        views: Sequence[SeriesView],
        addresses: Iterable[tuple[str, str]],
    ) -> None:
        """How it ended, and whether that is what was promised."""
        if self._as_json:
            output.emit(
                {
                    "kind": "end",
                    "ok": found.holds,
                    "wrong": found.wrong,
                    "incidents": found.incidents,
                    "spent": spent(views),
                    **dict(addresses),
                }
            )
            return
        output.say()
        for line in self._summary(found, views):
            output.say(line)
        for line in found.wrong:
            output.complain(f"not as promised: {line}")

    def _summary(self, found: Judged, views: Sequence[SeriesView]) -> Iterator[str]:
        for one in found.incidents:
            opened = self._told(one.key, Action.TRIGGER, one.opened_ms)
            until = "still open"
            if one.resolved_ms is not None:
                until = self._told(one.key, Action.RESOLVE, one.resolved_ms)
            yield f"one incident: {one.key}, {opened}, {until}"
        if not found.incidents:
            yield "no incident: nobody was paged"
        proxy = spent(views).get("connections/orders-proxy")
        if proxy is not None:
            cost = output.percent(proxy, 2)
            yield f"the failover of orders: {cost} of a month's budget, nobody paged"
        yield self._onset.trace.lesson

    def _told(self, key: str, action: Action, at_ms: int) -> str:
        """When something happened, and that PagerDuty does not know where it does not."""
        at = clock(at_ms - self._onset.at_ms)
        mine, theirs = WORDS[action]
        if (action, key) in self._accepted:
            return f"{theirs} {at}"
        return f"{mine} {at} (PagerDuty was not told)"

    def _change(self, change: VerdictChange, resources: list[str]) -> None:
        if self._as_json:
            for resource in resources:
                emitted = {
                    "slo": change.slo,
                    "resource": resource,
                    "from": change.from_,
                }
                output.emit(
                    {"kind": "verdict", "time": change.time, **emitted, "to": change.to}
                    | {"tier": change.tier, "reason": change.reason}
                )
            return
        resources = self._worth_telling(change, resources)
        if not resources:
            return
        where = resources[0] + (
            f" and {len(resources) - 1} more" if len(resources) > 1 else ""
        )
        text = f"{change.slo} on {where}: {change.from_} -> {change.to}"
        if change.to in TOLD:
            text += f", {change.reason}"
        self._line(moment(change), "verdict", text, output.STYLES.get(change.to))

    def _worth_telling(self, change: VerdictChange, resources: list[str]) -> list[str]:
        """Series that turn grave, or turn back after that was told."""
        keys = {(change.slo, resource) for resource in resources}
        if change.to in TOLD:
            self._grave |= keys
            return resources
        told = keys & self._grave
        self._grave -= told
        return sorted(resource for _, resource in told)

    def _watch(self, onset: Onset, now_ms: int, views: Sequence[SeriesView]) -> None:
        trace, since_s = onset.trace, (now_ms - onset.at_ms) / SECOND
        view = watched(views, trace)
        if view is None or since_s < 0:
            return
        seen = measured(trace.watched, since_s)
        notable = (step_of(trace.watched, since_s), *notable_of(view))
        if notable != self._last_watch.get(trace.name):
            text = f"{trace.watch}: {seen}; {burning(view)}"
            self._line(now_ms, "watch", text, style_of(view))
            self._last_watch[trace.name] = notable

    def _line(self, at_ms: int, kind: str, text: str, style: str | None) -> None:
        if self._as_json:
            output.emit({"kind": kind, "time": output.rfc3339(at_ms), "text": text})
        else:
            self._lines.append((at_ms, text, style))


def moment(change: VerdictChange) -> int:
    """When a verdict changed, epoch ms."""
    return round(datetime.fromisoformat(change.time).timestamp() * SECOND)


def style_of(view: SeriesView) -> str | None:
    """The colour of a verdict; none while all is well."""
    verdict = view.status.verdict
    return None if verdict is Verdict.OK else output.STYLES[verdict.value]


def clock(since_ms: int) -> str:
    """Time since the onset, such as +0:09:00 or -0:30:00."""
    sign, left = ("-" if since_ms < 0 else "+"), abs(since_ms) // SECOND
    return f"{sign}{left // 3600}:{left // 60 % 60:02}:{left % 60:02}"


def grouped(changes: list[VerdictChange]) -> list[tuple[VerdictChange, list[str]]]:
    """Changes of one SLO between the same verdicts told together, with resources."""
    found: dict[tuple[str, str, str], tuple[VerdictChange, list[str]]] = {}
    for change in changes:
        key = (change.slo, change.from_, change.to)
        found.setdefault(key, (change, []))[1].append(change.resource)
    return list(found.values())


def spent(views: Sequence[SeriesView]) -> dict[str, float]:
    """The share of its budget that each series has spent, where it has spent any."""
    return {
        view.series.key: view.status.budget.spent_ratio
        for view in views
        if view.status.budget.spent_ratio > 0
    }


def sent(delivery: Delivery) -> dict[str, Any]:
    """A delivery as JSON."""
    notice = delivery.notice
    return {
        "kind": "page",
        "time": output.rfc3339(notice.changed_ms),
        "action": notice.action.value,
        "key": notice.key,
        "severity": notice.severity,
        "outcome": delivery.outcome.value,
        "error": delivery.error,
    }
