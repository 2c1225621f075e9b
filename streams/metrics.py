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
from slo.contract import METRICS, Type
from slo.model import SECOND, Series
from slo.policy import Policy
from streams.samples import Layout, Row
from streams.timing import Timings
from streams.view import SeriesView

Family = CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily
Families = dict[str, Family]


class Figures(msgspec.Struct, frozen=True):
    """What the engine's parts have counted, read at scrape time.

    `records` by (topic, result), `refused` by (source, reason), `lag` messages by
    (topic, partition), `checkpoints_ms` when each partition was last committed,
    `notified` by (target, outcome), `outbox_oldest_ms` since when the oldest
    notice waits (None: none does), `adjusted` statements by reason, `lost` records by
    (topic, partition). Times are epoch ms.
    """

    records: Mapping[tuple[str, str], int] = {}
    refused: Mapping[tuple[str, str], int] = {}
    lag: Mapping[tuple[str, int], int] = {}
    checkpoints_ms: Mapping[int, int] = {}
    notified: Mapping[tuple[str, str], int] = {}
    outbox_oldest_ms: int | None = None
    incidents_open: int = 0
    unknown_resources: int = 0
    adjusted: Mapping[str, int] = {}
    lost: Mapping[tuple[str, int], int] = {}
    refused_partitions: int = 0


class EngineCollector(Collector):
    """All metrics of one process.

    `views` and `figures` are called once a scrape, from the scrape's own thread;
    `clock` gives epoch ms and ages checkpoints and the outbox.
    """

    def __init__(
        self,
        views: Callable[[], Iterable[SeriesView]],
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
        self.layout = Layout(policy)
        self._clock = clock
        self._version = version

    def collect(self) -> Iterator[Family]:
        """Every family of the contract, in its order."""
        families = {name: _family(name) for name in METRICS}
        layout = self.layout
        for series, row in self.rows():
            own = tuple(series.labels.values())
            for name, begin, end, extra in layout.groups:
                for more, value in zip(extra, row[begin:end], strict=True):
                    _add(families, name, (*own, *layout.own(series, more)), value)
        self._tell(families)
        yield from families.values()

    def rows(self) -> Iterator[tuple[Series, Row]]:
        """What every series says at this moment, in the columns of `layout`."""
        row = self.layout.row
        return ((view.series, row(view)) for view in self._views())

    def engine(self) -> list[Family]:
        """The families that are no SLO series'."""
        told = {group.name for group in self.layout.groups}
        families = {name: _family(name) for name in METRICS if name not in told}
        self._tell(families)
        return list(families.values())

    def _tell(self, families: Families) -> None:
        _engine(families, self._figures(), self._clock())
        _timed(families[names.PROCESSING_SECONDS], self._timings)
        _add(families, names.BUILD_INFO, (self._version,), 1)

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
    for name, by_place in (
        (names.CONSUMER_LAG_MESSAGES, figures.lag),
        (names.LOST_TOTAL, figures.lost),
    ):
        for (topic, partition), count in sorted(by_place.items()):
            _add(families, name, (topic, str(partition)), count)
    for reason, count in sorted(figures.adjusted.items()):
        _add(families, names.ADJUSTED_TOTAL, (reason,), count)
    for number, at_ms in sorted(figures.checkpoints_ms.items()):
        age = _seconds_since(at_ms, now_ms)
        _add(families, names.CHECKPOINT_AGE_SECONDS, (str(number),), age)
    oldest = figures.outbox_oldest_ms
    waiting = 0.0 if oldest is None else _seconds_since(oldest, now_ms)
    _add(families, names.OUTBOX_OLDEST_SECONDS, (), waiting)
    _add(families, names.INCIDENTS_OPEN, (), figures.incidents_open)
    _add(families, names.UNKNOWN_RESOURCES, (), figures.unknown_resources)
    _add(families, names.REFUSED_PARTITIONS, (), figures.refused_partitions)


def _seconds_since(at_ms: int, now_ms: int) -> float:
    return max(now_ms - at_ms, 0) / SECOND


def _timed(family: Family, timings: Timings) -> None:
    if isinstance(family, HistogramMetricFamily):
        for stage, (buckets, total) in timings.snapshot().items():
            family.add_metric([stage], buckets, total)
