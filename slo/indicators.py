"""Indicators: an SLI of the catalogue, or metrics that a specification spells out."""

from decimal import Decimal
from typing import Final

import msgspec

from slo.entries import (
    ARRIVAL_LAG_MS,
    CADENCE_MS,
    Catalogue,
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
    ResourceKind,
    SliKind,
    Urgency,
)
from slo.reading import Fields, kind_of, nearest, shown

OUR_TYPE: Final = "dbslo"
_CATALOGUE_FORM: Final = (
    "Write `ratioMetric: {rawType: success, raw: {metricSource:"
    " {type: dbslo, spec: {sli: ..., selector: {...}}}}}`"
)
_EVENT_MIN_TOTAL: Final = 1_000
_EVENT_MIN_BAD: Final = 10
_SLICE_MIN_BAD: Final = 3


class Indicator(msgspec.Struct, frozen=True):
    """What is measured, and on which resources."""

    entry: Entry
    selector: dict[str, str]


def read_indicator(spec: Fields, name: str, catalogue: Catalogue) -> Indicator | None:
    """The indicator of an SLI's `spec`, None where it cannot be made out."""
    spec.text("description")
    if spec.node("thresholdMetric") is not None:
        reason = "is not read: a threshold is a parameter of the SLI here"
        spec.fault("thresholdMetric", reason, _CATALOGUE_FORM)
        return None
    metric = spec.required_fields("ratioMetric", _CATALOGUE_FORM)
    if metric is None:
        return None
    metric.boolean("counter")
    parts = {part for part in ("good", "bad", "total") if metric.has(part)}
    if metric.has("raw") or not parts:
        found = _raw(metric, name, catalogue)
        for part in sorted(parts):
            metric.node(part)
            metric.fault(part, "is written beside raw", "Keep one of the two forms")
    else:
        found = _counted(metric, name)
    metric.close()
    spec.close()
    return found


# -- raw: an SLI of the catalogue, or one metric against a threshold ---------------


def _raw(metric: Fields, name: str, catalogue: Catalogue) -> Indicator | None:
    kind = metric.required_text("rawType", "Write `rawType: success`")
    if kind and kind != "success":
        reason = f"{shown(kind)} is not read: SLIs here are shares of good"
        metric.fault("rawType", reason, "Write `rawType: success`")
    spec = _metric_source(metric, "raw")
    if spec is None:
        return None
    own = spec.has("metric") and not spec.has("sli")
    found = _measured(spec, name) if own else _of_catalogue(spec, catalogue)
    spec.close()
    return found


def _of_catalogue(spec: Fields, catalogue: Catalogue) -> Indicator | None:
    sli = spec.required_text("sli", "Name an SLI of the catalogue")
    entry = catalogue.get(sli)
    if sli and entry is None:
        reason = f"{shown(sli)} is not in the catalogue"
        spec.fault("sli", reason, nearest(sli, catalogue))
    selector = _selector(spec)
    limit = threshold(spec, entry.unit if entry else "s")
    if entry is None:
        return None
    if limit is not None and entry.threshold is None:
        reason = f"{sli} counts good and bad events, it has no threshold"
        spec.fault("threshold", reason, "Remove it")
    elif limit == 0 and entry.kind is SliKind.FRESHNESS:
        spec.fault("threshold", "no age is as low as 0", "Write an age, such as 30s")
    elif limit is not None:
        entry = msgspec.structs.replace(entry, threshold=limit)
    return Indicator(entry, selector)


def _measured(spec: Fields, name: str) -> Indicator:
    """One metric of one's own against a threshold."""
    unit = spec.text("thresholdUnit", "s" if spec.has("threshold") else "")
    spec.required("threshold", "Write the highest good value")
    limit = threshold(spec, unit)
    feed = _own_feed(spec, (_own_input(spec, Part.VALUE),))
    entry = Entry(
        id=f"custom/{name}",
        code="custom",
        title=name,
        kind=SliKind.THRESHOLD,
        unit=unit,
        feeds=(feed,),
        objective=Decimal(0),
        budgeting=Budgeting.TIMESLICES,
        urgency=Urgency.TICKET,
        threshold=limit,
        min_bad=_SLICE_MIN_BAD,
    )
    return Indicator(entry, _selector(spec))


# -- good or bad, and total: metrics spelt out --------------------------------------


def _counted(metric: Fields, name: str) -> Indicator | None:
    """Two metrics of one's own: good or bad events, and all of them."""
    metric.text("rawType")
    specs = {
        part: spec
        for part in (Part.GOOD, Part.BAD, Part.TOTAL)
        if (spec := _metric_source(metric, part.value)) is not None
    }
    if metric.has("good") == metric.has("bad"):
        metric.fault("good", "good or bad must be written, one of the two", "Keep one")
    metric.required("total", "Write `total` beside good or bad")
    if not specs:
        return None
    inputs = tuple(_own_input(spec, part) for part, spec in specs.items())
    feeds = [_own_feed(spec, inputs) for spec in specs.values()]
    selectors = [_selector(spec) for spec in specs.values() if spec.has("selector")]
    for spec in specs.values():
        spec.node("selector")
        spec.close()
    _refuse_strangers(metric, feeds, selectors)
    entry = Entry(
        id=f"custom/{name}",
        code="custom",
        title=name,
        kind=SliKind.RATIO,
        unit="ratio",
        feeds=(feeds[0],),
        objective=Decimal(0),
        budgeting=Budgeting.OCCURRENCES,
        urgency=Urgency.TICKET,
        min_total=_EVENT_MIN_TOTAL,
        min_bad=_EVENT_MIN_BAD,
    )
    return Indicator(entry, selectors[0] if selectors else {})


def _refuse_strangers(
    metric: Fields, feeds: list[Feed], selectors: list[dict[str, str]]
) -> None:
    """Good and total must be about the same things, from one source."""
    if any(feed != feeds[0] for feed in feeds):
        reason = "differs from good or bad in source, engines, resource or cadence"
        metric.fault("total", reason, "Take both from one source")
    if any(selector != selectors[0] for selector in selectors):
        reason = "has another selector than good or bad"
        metric.fault("total", reason, "Write the selector once")


def _own_feed(spec: Fields, inputs: tuple[Input, ...]) -> Feed:
    source = read_source(spec)
    if source == "cdc":
        reason = "cdc speaks of rows, not of metrics"
        spec.fault(
            "source", reason, "Use an SLI of the catalogue, such as cdc.liveness"
        )
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


def _own_input(spec: Fields, part: Part) -> Input:
    spec.required("metric", "Name the metric")
    found = read_input(spec, part, spec.texts("metric"))
    if spec.text("source") != "cloudwatch":
        return found
    dimensions = found.dimensions
    if not dimensions:
        reason = "is missing; a metric is published under many, and would count twice"
        spec.fault("dimensions", reason, "Write [DBInstanceIdentifier] or [ProxyName]")
    return msgspec.structs.replace(found, namespace=found.namespace or "AWS/RDS")


# -- what both forms share ----------------------------------------------------------


def _metric_source(metric: Fields, part: str) -> Fields | None:
    """The `spec` of a part's metricSource, if it is one of ours."""
    outer = metric.required_fields(part, _CATALOGUE_FORM) if part == "raw" else None
    outer = outer or metric.fields(part)
    if outer is None:
        return None
    source = outer.required_fields("metricSource", _CATALOGUE_FORM)
    outer.close()
    if source is None:
        return None
    if source.node("metricSourceRef") is not None:
        reason = "is not used: what is read stands in DBSLO_KAFKA and the inventory"
        source.warn("metricSourceRef", reason, "Remove it")
    kind = source.required_text("type", "Write `type: dbslo`")
    foreign = bool(kind) and kind != OUR_TYPE
    if foreign:
        reason = f"{shown(kind)} cannot be queried: dbslo reads events from Kafka"
        source.fault("type", reason, _CATALOGUE_FORM)
        source.node("spec")
    spec = None if foreign else source.required_fields("spec", _CATALOGUE_FORM)
    source.close()
    return spec


def _selector(spec: Fields) -> dict[str, str]:
    """Labels that a resource must have; several values are joined by commas."""
    node = spec.node("selector")
    if node is not None and node.value == {}:
        return {}
    if node is not None and not isinstance(node.value, dict):
        reason = f"must be a mapping of labels, is {kind_of(node.value)}"
        spec.fault("selector", reason, "Write `selector: {env: prod}`")
        return {}
    return {key: text for key, text, _ in spec.pairs("selector")}
