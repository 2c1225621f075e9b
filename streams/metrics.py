"""/metrics, computed at scrape time from the ledger: no shadow state, no call per event.

Names, types and labels come from `slo.contract`; every metric of the contract is
yielded in every scrape, so that a name that is drawn is a name that exists.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import msgspec
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.registry import Collector

from slo import names
from slo.contract import METRICS, Type, period
from slo.model import SECOND
from slo.policy import Policy, Tier
from slo.verdict import Verdict, WindowStatus
from streams.timing import Timings
from streams.view import SeriesView

Family = CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily
Families = dict[str, Family]
Gauge = tuple[str, float]
"""(metric name, value)."""


class Figures(msgspec.Struct, frozen=True):
    """What the engine's parts have counted, read at scrape time.

    `records` by (topic, result), `refused` by (source, reason), `lag` messages by
    (topic, partition), `checkpoints_ms` when each partition was last committed,
    `notified` by (target, outcome), `outbox_oldest_ms` since when the oldest
    notice waits (None: none does). Times are epoch ms.
    """

    records: Mapping[tuple[str, str], int] = {}
    refused: Mapping[tuple[str, str], int] = {}
    lag: Mapping[tuple[str, int], int] = {}
    checkpoints_ms: Mapping[int, int] = {}
    notified: Mapping[tuple[str, str], int] = {}
    outbox_oldest_ms: int | None = None
    incidents_open: int = 0
    unknown_resources: int = 0


class EngineCollector(Collector):
    """All metrics of one process.

    `views` and `figures` are called once a scrape, from the scrape's own thread;
    `clock` gives epoch ms and ages checkpoints and the outbox.
    """

    def __init__(
        self,
        views: Callable[[], Sequence[SeriesView]],
        figures: Callable[[], Figures],
        timings: Timings,
        *,
        policy: Policy,
        clock: Callable[[], int],
        version: str,
    ) -> None:
        self._views = views
        self._figures = figures
        self._timings = timings
        self._policy = policy
        self._clock = clock
        self._version = version

    def collect(self) -> Iterator[Family]:
        """Every family of the contract, in its order."""
        families = {name: _family(name) for name in METRICS}
        for view in self._views():
            _series(families, view, self._policy)
        _engine(families, self._figures(), self._clock())
        _timed(families[names.PROCESSING_SECONDS], self._timings)
        _add(families, names.BUILD_INFO, (self._version,), 1)
        yield from families.values()

    def describe(self) -> Iterable[Family]:
        """Names without values: a registry must not read the ledger to register."""
        return [_family(name) for name in METRICS]


def _family(name: str) -> Family:
    metric = METRICS[name]
    kinds: dict[Type, type[Family]] = {
        Type.COUNTER: CounterMetricFamily,
        Type.GAUGE: GaugeMetricFamily,
        Type.HISTOGRAM: HistogramMetricFamily,
    }
    return kinds[metric.type](name, metric.help, labels=metric.labels)


def _add(
    families: Families, name: str, labels: Sequence[str], value: float | None
) -> None:
    """One sample; None: the metric says nothing here."""
    family = families[name]
    if value is not None and not isinstance(family, HistogramMetricFamily):
        family.add_metric(labels, value)


# -- one series -----------------------------------------------------------------


def _series(families: Families, view: SeriesView, policy: Policy) -> None:
    own = tuple(view.series.labels.values())
    for name, value in _plain(view):
        _add(families, name, own, value)
    _totals(families, view, own)
    _budget(families, view, own)
    for tier in policy.tiers:
        for name, value in _of_tier(view, tier):
            _add(families, name, (*own, tier.name), value)
    lengths = set(policy.windows_ms)
    for window, status in view.status.windows.items():
        if status.window_ms in lengths:
            for name, known in _of_window(view, status):
                _add(families, name, (*own, window), known)
    _add(families, names.ALERT_STATE, (*own, ""), _state(view.status.verdict))
    _add(families, names.SLO_INFO, (*own, *_info(view)), 1)


def _plain(view: SeriesView) -> list[tuple[str, float | None]]:
    slo, status, age = view.series.slo, view.status, view.source_age_ms
    return [
        (names.HOT_FLOOR_SECONDS, status.hot_floor_ms / SECOND),
        (names.MIN_BAD_EVENTS, slo.min_bad),
        (names.MIN_TOTAL_EVENTS, slo.min_total),
        (names.COVERAGE_RATIO, status.coverage),
        (names.SOURCE_AGE_SECONDS, None if age is None else age / SECOND),
        (names.WATERMARK_SECONDS, view.now_ms / SECOND),
        (names.REVISIONS_TOTAL, view.revisions),
    ]


def _totals(families: Families, view: SeriesView, own: tuple[str, ...]) -> None:
    """Both results exist from the start, so that `rate` sees the first failure."""
    first, now = view.first_known, view.now_known
    for result, known, restated in (
        ("good", first.good, now.good - first.good),
        ("bad", first.bad, now.bad - first.bad),
    ):
        _add(families, names.EVENTS_TOTAL, (*own, result), known)
        _add(families, names.RESTATED_EVENTS, (*own, result), restated)


def _budget(families: Families, view: SeriesView, own: tuple[str, ...]) -> None:
    """The objective always; of what was never observed no budget: it is not whole."""
    slo, budget = view.series.slo, view.status.budget
    gauges = [
        (names.OBJECTIVE_RATIO, float(slo.target)),
        (names.WINDOW_SECONDS, slo.period_ms / SECOND),
    ]
    if view.status.observed:
        gauges += [
            (names.BUDGET_REMAINING_RATIO, budget.remaining_ratio),
            (names.BUDGET_REMAINING_SECONDS, budget.remaining_ms / SECOND),
            (names.BUDGET_SPENT_RATIO, budget.spent_ratio),
        ]
    for name, value in gauges:
        _add(families, name, (*own, period(slo.period_ms)), value)


def _of_tier(view: SeriesView, tier: Tier) -> list[Gauge]:
    states = {status.tier: status.verdict for status in view.status.tiers}
    hot_ms = view.status.hot_ms.get(tier.name)  # pages alone need hot time
    return [
        (names.ALERT_THRESHOLD, float(tier.factor(view.series.slo.period_ms))),
        (names.ALERT_STATE, _state(states.get(tier.name, Verdict.UNKNOWN))),
        *([] if hot_ms is None else [(names.HOT_SECONDS, hot_ms / SECOND)]),
    ]


def _of_window(
    view: SeriesView, status: WindowStatus
) -> list[tuple[str, float | None]]:
    return [
        (names.SLI_RATIO, status.good / status.total if status.total else None),
        (names.BURN_RATE, status.burn if view.status.observed else None),
        (names.EXHAUSTION_SECONDS, _exhaustion(view, status)),
        (names.WINDOW_BAD_EVENTS, status.bad_events),
        (names.WINDOW_TOTAL_EVENTS, status.expected_events),
        (names.WINDOW_COVERAGE_RATIO, status.coverage),
    ]


def _exhaustion(view: SeriesView, status: WindowStatus) -> float | None:
    """Seconds until the budget is gone at the window's burn; None: never."""
    if status.burn <= 0:
        return None
    left = max(view.status.budget.remaining_ratio, 0.0)
    return left * view.series.slo.period_ms / SECOND / status.burn


def _state(verdict: Verdict) -> int:
    return names.STATE_VALUES[verdict.value]


def _info(view: SeriesView) -> tuple[str, ...]:
    slo, cluster = view.series.slo, view.series.cluster
    return (
        slo.labels.get("team") or cluster.labels.get("team", ""),
        slo.labels.get("owner") or slo.annotations.get("owner", ""),
        slo.indicator.kind.value,
        slo.annotations.get("runbook", ""),
        slo.revision,
    )


# -- the engine -----------------------------------------------------------------


def _engine(families: Families, figures: Figures, now_ms: int) -> None:
    counted: dict[str, Mapping[tuple[str, str], int]] = {
        names.RECORDS_TOTAL: figures.records,
        names.REFUSED_TOTAL: figures.refused,
        names.NOTIFY_TOTAL: figures.notified,
    }
    for name, counts in counted.items():
        for labels, count in sorted(counts.items()):
            _add(families, name, labels, count)
    for (topic, partition), lag in sorted(figures.lag.items()):
        _add(families, names.CONSUMER_LAG_MESSAGES, (topic, str(partition)), lag)
    for number, at_ms in sorted(figures.checkpoints_ms.items()):
        age = _seconds_since(at_ms, now_ms)
        _add(families, names.CHECKPOINT_AGE_SECONDS, (str(number),), age)
    oldest = figures.outbox_oldest_ms
    waiting = 0.0 if oldest is None else _seconds_since(oldest, now_ms)
    _add(families, names.OUTBOX_OLDEST_SECONDS, (), waiting)
    _add(families, names.INCIDENTS_OPEN, (), figures.incidents_open)
    _add(families, names.UNKNOWN_RESOURCES, (), figures.unknown_resources)


def _seconds_since(at_ms: int, now_ms: int) -> float:
    return max(now_ms - at_ms, 0) / SECOND


def _timed(family: Family, timings: Timings) -> None:
    if isinstance(family, HistogramMetricFamily):
        for stage, (buckets, total) in timings.snapshot().items():
            family.add_metric([stage], buckets, total)
