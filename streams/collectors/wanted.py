"""Which CloudWatch metrics the plan wants, in batches, and what polling them costs."""

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

import msgspec

from slo.model import (
    DAY,
)
from slo.plan import Plan
from slo.resources import (
    Cluster,
)
from streams.table import DEFAULT_DIMENSIONS, DEFAULT_NAMESPACE

SOURCE: Final = "cloudwatch"
STATISTICS: Final = {
    "c": ("SampleCount", "count"),
    "s": ("Sum", "sum"),
    "n": ("Minimum", "min"),
    "x": ("Maximum", "max"),
}
"""What is asked for, by a letter of ours, and what a metric stream calls it."""

MAX_QUERIES: Final = 500
"""GetMetricData takes no more at a time; a metric is as many as it has statistics."""

MONTH_MS: Final = 30 * DAY
USD_PER_THOUSAND: Final = 0.01
"""The public price of GetMetricData: a metric with up to five statistics is one."""


class Metric(NamedTuple):
    """One metric of one resource that the plan wants, `period_ms` a cell."""

    period_ms: int
    namespace: str
    name: str
    dimension: str
    resource: str
    unit: str

    def __str__(self) -> str:
        return f"{self.namespace} {self.name} of {self.resource}"


class Estimate(msgspec.Struct, frozen=True):
    """What a month of 30 days costs, USD, at AWS's public price.

    `left_out` are metrics of several dimensions, which GetMetricData finds by exact
    values alone: they need a metric stream.
    """

    metrics: int
    metrics_per_month: int
    requests_per_month: int
    usd_per_month: float
    left_out: tuple[str, ...] = ()


def wanted(plan: Plan, region: str) -> list[Metric]:
    """The metrics that the plan's CloudWatch feeds want, each once, in fixed order.

    A cluster whose label `region` names another region is left to that region's
    collector. Where two feeds differ in cadence, the shorter holds.
    """
    found: dict[tuple[str, ...], Metric] = {}
    for metric, dimensions in _read_by(plan, region):
        if len(dimensions) == 1:
            known = found.get(metric[1:], metric)
            found[metric[1:]] = min(known, metric)
    return sorted(found.values())


def _read_by(plan: Plan, region: str) -> Iterator[tuple[Metric, tuple[str, ...]]]:
    """Every metric that a series reads, with the names of its dimensions."""
    for series in (part for whole in plan.series for part in whole.counted):
        kind, resource = series.resource.kind, series.resource.name
        for feed in series.feeds:
            if feed.source != SOURCE or not _is_in(series.cluster, region):
                continue
            for part in feed.inputs:
                names = part.dimensions or DEFAULT_DIMENSIONS[kind]
                space = part.namespace or DEFAULT_NAMESPACE
                own = (names[0], resource, part.unit)
                for name in part.metrics:
                    yield Metric(feed.cadence_ms, space, name, *own), names


def _is_in(cluster: Cluster, region: str) -> bool:
    return cluster.labels.get("region", region) == region


def estimate(plan: Plan, region: str) -> Estimate:
    """What it costs to poll all that is wanted, once a period."""
    metrics = wanted(plan, region)
    billed = requests = 0
    for batch in batches(metrics):
        polls = MONTH_MS // batch[0].period_ms
        billed += len(batch) * polls
        requests += polls
    usd = billed / 1_000 * USD_PER_THOUSAND
    others = {f"{m} by {', '.join(n)}" for m, n in _read_by(plan, region) if len(n) > 1}
    return Estimate(len(metrics), billed, requests, usd, tuple(sorted(others)))


def batches(metrics: Iterable[Metric]) -> Iterator[list[Metric]]:
    """As many metrics of one period as a request takes, all their statistics in it."""
    size = MAX_QUERIES // len(STATISTICS)
    batch: list[Metric] = []
    for metric in metrics:
        if batch and (len(batch) == size or metric.period_ms != batch[0].period_ms):
            yield batch
            batch = []
        batch.append(metric)
    if batch:
        yield batch
