"""Metrics that a specification spells out: an SLI of a team's own."""

from decimal import Decimal
from typing import Final

import msgspec

from slo.entries import (
    ARRIVAL_LAG_MS,
    CADENCE_MS,
    length,
    read_engines,
    read_input,
    read_source,
    threshold,
)
from slo.model import (
    Budgeting,
    Entry,
    Feed,
    Input,
    Part,
    SliKind,
    Urgency,
)
from slo.reading import Fields
from slo.resources import (
    ResourceKind,
)

EVENT_MIN_TOTAL: Final = 1_000
EVENT_MIN_BAD: Final = 10
SLICE_MIN_BAD: Final = 3
"""The guards of SLIs without a catalogue entry, as of the catalogue's own."""

DEFAULT_NAMESPACE: Final = "AWS/RDS"

UNIT_SCALES: Final = {
    "Seconds": 1.0,
    "Milliseconds": 0.001,
    "Microseconds": 0.000_001,
    "Nanoseconds": 0.000_000_001,
    "Percent": 0.01,
    "Count": 1.0,
}
"""What `unit` makes of `scale` where that is not written."""

_TIMES: Final = ("Seconds", "Milliseconds", "Microseconds", "Nanoseconds")


def own_threshold(spec: Fields, name: str) -> Entry:
    """One metric against a threshold: slices are good where it is at most that."""
    written = spec.required("threshold", "Write the highest good value")
    worded = written is not None and isinstance(written.value, str)
    unit = "s" if worded or spec.text("unit") in _TIMES else ""
    feed = _feed(spec, (_input(spec, Part.VALUE),))
    return Entry(
        id=f"custom/{name}",
        code="custom",
        title=name,
        kind=SliKind.THRESHOLD,
        unit=unit,
        feeds=(feed,),
        objective=Decimal(0),
        budgeting=Budgeting.TIMESLICES,
        urgency=Urgency.TICKET,
        threshold=threshold(spec, unit),
        min_bad=SLICE_MIN_BAD,
    )


def own_ratio(metric: Fields, specs: dict[Part, Fields], name: str) -> Entry:
    """Two metrics, good or bad events and all of them, from one source."""
    inputs = tuple(_input(spec, part) for part, spec in specs.items())
    feeds = [_feed(spec, inputs) for spec in specs.values()]
    if any(feed != feeds[0] for feed in feeds):
        reason = "differs from good or bad in source, engines, resource or cadence"
        metric.fault("total", reason, "Take both from one source")
    return Entry(
        id=f"custom/{name}",
        code="custom",
        title=name,
        kind=SliKind.RATIO,
        unit="ratio",
        feeds=(feeds[0],),
        objective=Decimal(0),
        budgeting=Budgeting.OCCURRENCES,
        urgency=Urgency.TICKET,
        min_total=EVENT_MIN_TOTAL,
        min_bad=EVENT_MIN_BAD,
    )


def _feed(spec: Fields, inputs: tuple[Input, ...]) -> Feed:
    source = read_source(spec)
    if source == "cdc":
        reason = "cdc speaks of rows, not of metrics"
        remedy = "Use an SLI of the catalogue, such as cdc.liveness"
        spec.fault("source", reason, remedy)
    proxied = "ProxyName" in spec.texts("dimensions")
    default = ResourceKind.PROXY if proxied else ResourceKind.INSTANCE
    return Feed(
        source=source,
        engines=read_engines(spec),
        resource=spec.choice("resource", ResourceKind, default),
        inputs=inputs,
        cadence_ms=length(spec, "cadence", CADENCE_MS[source]),
        arrival_lag_ms=length(spec, "arrivalLag", ARRIVAL_LAG_MS[source]),
    )


def _input(spec: Fields, part: Part) -> Input:
    spec.required("metric", "Name the metric")
    found = read_input(spec, part, spec.texts("metric"))
    if not spec.has("scale"):
        scale = UNIT_SCALES.get(found.unit.removesuffix("/Second"), 1.0)
        found = msgspec.structs.replace(found, scale=scale)
    if spec.text("source") != "cloudwatch":
        return found
    if not found.dimensions:
        reason = "is missing; a metric is published under many, and would count twice"
        remedy = "Write [DBInstanceIdentifier] or [ProxyName]"
        spec.fault("dimensions", reason, remedy)
    return msgspec.structs.replace(
        found, namespace=found.namespace or DEFAULT_NAMESPACE
    )
