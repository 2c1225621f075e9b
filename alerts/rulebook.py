"""Which alerts the rules hold, and what each asks: values, before any YAML. Pure."""

from collections.abc import Iterator, Sequence

import msgspec

from alerts.promql import (
    SERIES,
    Scope,
    any_of,
    burning,
    decimal,
    equal,
    one_of,
    selector,
)
from slo import names
from slo.contract import period
from slo.model import MINUTE, SECOND, SLO, Feed, Series, Urgency
from slo.names import duration
from slo.plan import Plan
from slo.policy import Policy, Tier, reachable
from slo.verdict import Verdict

BUDGET_LOW = "0.1"
COVERAGE_LOW = "0.9"
SILENT_CADENCES = 3
"""A source is silent when it owes this many cells beyond its arrival lag."""

FOLLOWS_A_ROLE = frozenset({"aurora.replica_lag", "rds.replica_lag"})
"""SLIs that only replicas publish: one that is promoted falls silent by design, so a
cluster's silence is that of all of them."""

STALE_SECONDS = 120
UNSENT_SECONDS = 300
UNASSIGNED = "unassigned"
ENGINE = {"service": "dbslo", "slo": "dbslo", "team": "dbslo"}


class Rule(msgspec.Struct, frozen=True):
    """One alerting rule. It fires after `wait_ms` and goes on for `keep_ms`.

    `summary` and `description` are Prometheus templates; label values are plain.
    `runbook` is the URL that the SLO names, "" for the alert's own page.
    """

    alert: str
    expression: str
    labels: dict[str, str]
    summary: str
    description: str
    wait_ms: int = 0
    keep_ms: int = 0
    runbook: str = ""


class Subject(msgspec.Struct, frozen=True):
    """An SLO on the clusters of one team, with the matchers that select them."""

    slo: SLO
    series: tuple[Series, ...]
    team: str
    scope: Scope

    def labels(self, severity: Verdict) -> dict[str, str]:
        """The labels of a rule; the most urgent severity is what urgency allows."""
        pages = self.slo.urgency is Urgency.PAGE
        told = severity if pages else Verdict.TICKET
        return {
            "service": self.slo.service,
            "severity": told.value,
            "slo": self.slo.name,
            "team": self.team,
        }


def slo_rules(plan: Plan, slo: SLO) -> list[Rule]:
    """The rules of one SLO; none where it is only drawn."""
    if slo.urgency is Urgency.BOARD:
        return []
    return [
        rule
        for subject in subjects(plan, slo)
        for rule in (
            *_burn_rules(subject, plan.policy),
            *_budget_rules(subject),
            *_missing_rules(subject),
        )
    ]


def subjects(plan: Plan, slo: SLO) -> list[Subject]:
    """An SLO by the team that is told: its own, else that of each cluster."""
    series = tuple(one for one in plan.series if one.slo.name == slo.name)
    own = equal("slo", slo.name)
    by_team: dict[str, list[Series]] = {}
    for one in series:
        team = slo.labels.get("team") or one.cluster.labels.get("team") or UNASSIGNED
        by_team.setdefault(team, []).append(one)
    if len(by_team) <= 1:
        return [Subject(slo, series, team, (own,)) for team in by_team]
    return [
        Subject(slo, tuple(found), team, (own, _clusters(found)))
        for team, found in sorted(by_team.items())
    ]


def _clusters(series: Sequence[Series]) -> str:
    return one_of("cluster", {one.cluster.name for one in series})


# -- the error budget ---------------------------------------------------------------

_ON = "{{ $labels.slo }} on {{ $labels.resource }}"
_LEFT = "{{ $value | humanizePercentage }} of the error budget"


def _burn_rules(subject: Subject, policy: Policy) -> Iterator[Rule]:
    for alert, severity, how in (
        ("DbSloErrorBudgetBurn", Verdict.PAGE, "fast"),
        ("DbSloErrorBudgetBurnSlow", Verdict.TICKET, "slowly but steadily"),
    ):
        tiers = _tiers(subject.slo, policy, severity)
        if tiers:
            rule = _burn_rule(subject, alert, tiers, how)
            wait_ms, keep_ms = _hold(policy, severity)
            yield msgspec.structs.replace(rule, wait_ms=wait_ms, keep_ms=keep_ms)


def _burn_rule(subject: Subject, alert: str, tiers: Sequence[Tier], how: str) -> Rule:
    """The tiers of one severity, OR-ed: one alert for a series, whichever fires."""
    burn = 'burns {{ $value | printf "%.1f" }} times faster than it may'
    return Rule(
        alert=alert,
        expression=any_of(burning(t, subject.slo, subject.scope) for t in tiers),
        labels=subject.labels(tiers[0].severity),
        summary=f"{_ON} burns its error budget {how}",
        description=f"The error budget {burn}. {_limits(subject.slo, tiers)}",
        runbook=subject.slo.annotations.get("runbook", ""),
    )


def _tiers(slo: SLO, policy: Policy, severity: Verdict) -> list[Tier]:
    return [
        tier
        for tier in policy.tiers
        if tier.severity is severity and reachable(tier, slo.target, slo.period_ms)
    ]


def _hold(policy: Policy, severity: Verdict) -> tuple[int, int]:
    """How long to wait and to keep firing, ms, from the severity's shortest window.

    2m and 10m for pages, 15m and 1h for tickets of the default policy.
    """
    short_ms = min(t.short_ms for t in policy.tiers if t.severity is severity)
    if severity is Verdict.PAGE:
        return short_ms * 2 // 5, short_ms * 2
    return short_ms // 8, short_ms // 2


def _limits(slo: SLO, tiers: Sequence[Tier]) -> str:
    """What the tiers compare, in words; duration and factor from the policy."""
    limits = (
        f"{decimal(tier.factor(slo.period_ms))} over {duration(tier.long_ms)}"
        f" and {duration(tier.short_ms)}"
        for tier in tiers
    )
    return f"The limit is {', or '.join(limits)}."


def _budget_rules(subject: Subject) -> Iterator[Rule]:
    length = period(subject.slo.period_ms)
    left = selector(names.BUDGET_REMAINING_RATIO, subject.scope, period=length)
    for alert, condition, how in (
        ("DbSloBudgetLow", f"{left} > 0 < {BUDGET_LOW}", "has little left of"),
        ("DbSloBudgetExhausted", f"{left} <= 0", "has spent"),
    ):
        yield Rule(
            alert=alert,
            expression=f"max by ({SERIES}) ({condition})",
            labels=subject.labels(Verdict.TICKET),
            summary=f"{_ON} {how} its error budget",
            description=f"{_LEFT} of {duration(subject.slo.period_ms)} is left.",
            wait_ms=30 * MINUTE,
        )


# -- silence --------------------------------------------------------------------------


def _missing_rules(subject: Subject) -> Iterator[Rule]:
    """Data that stopped. A late engine ages no source: age is told at its *now*.

    What was never seen is unconfigured, neither good nor bad: no alert.
    """
    if not _owes_data(subject):
        return
    age = selector(names.SOURCE_AGE_SECONDS, subject.scope)
    limit = _silent_seconds(subject)
    condition = f"{age} > {limit}"
    if subject.slo.sliced:
        covered = selector(names.COVERAGE_RATIO, subject.scope)
        condition += f"\nand {covered} < {COVERAGE_LOW}"
    if subject.slo.indicator.id in FOLLOWS_A_ROLE:
        condition += f"\nunless on (env, cluster, service, slo) {age} <= {limit}"
    yield Rule(
        alert="DbSloDataMissing",
        expression=any_of([condition]),
        labels=subject.labels(Verdict.TICKET),
        summary=f"{_ON} has no data",
        description="Its source is silent: nobody knows whether the objective is met.",
        wait_ms=10 * MINUTE,
    )


def _owes_data(subject: Subject) -> bool:
    """Whether silence means something: not where every event is one of a client's."""
    feeds = _feeds(subject)
    idle = any(feed.absence == "good" for feed in feeds)
    events = not subject.slo.sliced and any(feed.source == "cdc" for feed in feeds)
    return bool(feeds) and not idle and not events


def _silent_seconds(subject: Subject) -> int:
    """The age beyond which the slowest of the sources owes data, s."""
    ages = (f.arrival_lag_ms + SILENT_CADENCES * f.cadence_ms for f in _feeds(subject))
    return max(ages) // SECOND


def _feeds(subject: Subject) -> list[Feed]:
    return [feed for one in subject.series for feed in one.feeds]


# -- dbslo itself -----------------------------------------------------------------------

_STALE = f"""max by (env, cluster) (time() - {names.WATERMARK_SECONDS}) > {STALE_SECONDS}
or max by (partition) ({names.CHECKPOINT_AGE_SECONDS}) > {STALE_SECONDS}
or absent({names.BUILD_INFO})"""

_UNSENT = f"""max({names.OUTBOX_OLDEST_SECONDS}) > {UNSENT_SECONDS}
or sum by (target) (increase({names.NOTIFY_TOTAL}{{outcome="dead"}}[1h])) > 0"""


def engine_rules(plan: Plan) -> list[Rule]:
    """The rules about dbslo: late, speechless, and the proof that alerts arrive.

    They page where any SLO may, and are tickets elsewhere.
    """
    pages = any(slo.urgency is Urgency.PAGE for slo in plan.slos)
    urgent = ENGINE | {"severity": "page" if pages else "ticket"}
    return [
        Rule(
            alert="DbSloPipelineStale",
            expression=_STALE,
            labels=urgent,
            summary="dbslo is late: its verdicts are old",
            description="dbslo lags behind its sources, does not commit, or is gone.",
            wait_ms=5 * MINUTE,
        ),
        Rule(
            alert="DbSloNotifyFailing",
            expression=_UNSENT,
            labels=urgent,
            summary="dbslo cannot tell people",
            description="Notices wait unsent or were refused. Route this past dbslo.",
            wait_ms=5 * MINUTE,
        ),
        Rule(
            alert="Watchdog",
            expression="vector(1)",
            labels=ENGINE | {"severity": "none"},
            summary="The alert path works",
            description="Always firing: who stops receiving it must raise the alarm.",
        ),
    ]
