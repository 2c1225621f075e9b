"""What is exported of one series: which samples there are, and their values.

A layout is worked out once for a policy. What it says of a series is a row of numbers
in the order of its columns; collector and line writer both read that.
"""

from typing import NamedTuple

from slo import names
from slo.contract import METRICS, period
from slo.model import SECOND, SLO, Series
from slo.names import SERIES_LABELS, duration
from slo.policy import Policy
from slo.verdict import Verdict
from streams.view import SeriesView

Row = list[float | None]
"""The values of a series, column by column; None: the metric says nothing here."""

PERIOD = ("", "period")
INFO = ("", "info")
"""Extra labels that each series has of its own; see `Layout.own`."""

_RESULTS = (("good",), ("bad",))
_STATES = {verdict: names.STATE_VALUES[verdict.value] for verdict in Verdict}
_UNKNOWN = _STATES[Verdict.UNKNOWN]


class _Constant(NamedTuple):
    """What every series of an SLO says: target, length of its period in s, factors."""

    target: float
    length: float
    factors: list[float]


class Group(NamedTuple):
    """The samples that a series has in one family, as columns [begin, end) of its row.

    `extra` are the values of the labels after those of the series, column by column;
    PERIOD or INFO alone where the series tells them.
    """

    name: str
    begin: int
    end: int
    extra: tuple[tuple[str, ...], ...]


class Layout:
    """The columns of a policy, grouped by family in the order of the contract."""

    def __init__(self, policy: Policy) -> None:
        self._windows = tuple(duration(window) for window in policy.windows_ms)
        self._tiers = policy.tiers
        windows = tuple((name,) for name in self._windows)
        tiers = tuple((tier.name,) for tier in policy.tiers)
        of_labels = {
            (names.RESULT,): _RESULTS,
            (names.WINDOW,): windows,
            (names.TIER,): tiers,
            (names.PERIOD,): (PERIOD,),
            (): ((),),
        }
        self._constant: dict[int, tuple[SLO, _Constant]] = {}
        self.groups: list[Group] = []
        size = len(SERIES_LABELS)
        begin = 0
        for name, metric in METRICS.items():
            if metric.labels[:size] == SERIES_LABELS:
                extra = of_labels.get(metric.labels[size:], (INFO,))
                if name == names.ALERT_STATE:
                    extra = (*tiers, ("",))  # the verdict of the series has no tier
                self.groups.append(Group(name, begin, begin + len(extra), extra))
                begin += len(extra)

    def own(self, series: Series, extra: tuple[str, ...]) -> tuple[str, ...]:
        """The values of the labels after those of the series, where it tells them."""
        if extra is PERIOD:
            return (period(series.slo.period_ms),)
        return _info(series) if extra is INFO else extra

    def _constants(self, slo: SLO) -> "_Constant":
        """What an SLO always says; worked out once, for fractions are slow."""
        known = self._constant.get(id(slo))
        if known is None or known[0] is not slo:
            period_ms = slo.period_ms
            factors = [float(tier.factor(period_ms)) for tier in self._tiers]
            target, length = float(slo.target), period_ms / SECOND
            known = self._constant[id(slo)] = slo, _Constant(target, length, factors)
        return known[1]

    def row(self, view: SeriesView) -> Row:
        """The values of a series, in the order of the groups."""
        slo, status, age = view.series.slo, view.status, view.source_age_ms
        target, length, factors = self._constants(slo)
        first, now, budget = view.first_known, view.now_known, status.budget
        found = [status.windows[name] for name in self._windows]
        seen = status.observed
        left = max(budget.remaining_ratio, 0.0) * length
        states = {one.tier: _STATES[one.verdict] for one in status.tiers}
        hot = status.hot_ms
        tiers = self._tiers
        return [
            *(first.good, first.bad),
            *(now.good - first.good, now.bad - first.bad),
            *[one.good / one.total if one.total else None for one in found],
            *[one.burn if seen else None for one in found],
            *(target, length),
            # of what was never observed no budget: it is not whole
            *((budget.remaining_ratio if seen else None),),
            *((budget.remaining_ms / SECOND if seen else None),),
            *((budget.spent_ratio if seen else None),),
            *[left / one.burn if one.burn > 0 else None for one in found],
            *factors,
            *[states.get(tier.name, _UNKNOWN) for tier in tiers],
            _STATES[status.verdict],
            # pages alone need hot time
            *[hot[t.name] / SECOND if t.name in hot else None for t in tiers],
            status.hot_floor_ms / SECOND,
            *[one.bad_events for one in found],
            *[one.expected_events for one in found],
            *(slo.min_bad, slo.min_total, status.coverage),
            *[one.coverage for one in found],
            *((None if age is None else age / SECOND), view.now_ms / SECOND),
            *(view.revisions, 1),
        ]


def _info(series: Series) -> tuple[str, ...]:
    slo, cluster = series.slo, series.cluster
    return (
        slo.labels.get("team") or cluster.labels.get("team", ""),
        slo.labels.get("owner") or slo.annotations.get("owner", ""),
        slo.indicator.kind.value,
        slo.annotations.get("runbook", ""),
        slo.revision,
    )
