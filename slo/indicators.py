"""Indicators: which SLI a specification means, and on which resources."""

from enum import StrEnum
from typing import Final

import msgspec

from slo.custom import own_ratio, own_threshold
from slo.entries import Catalogue, threshold
from slo.model import Entry, Part, SliKind
from slo.reading import Fields, kind_of, nearest, shown

OUR_TYPE: Final = "dbslo"
_FORM: Final = (
    "Write `ratioMetric: {rawType: success, raw: {metricSource:"
    " {type: dbslo, spec: {sli: ..., selector: {...}}}}}`"
)
_COUNTED: Final = (Part.GOOD, Part.BAD, Part.TOTAL)


class Across(StrEnum):
    """What one series of an SLO may span."""

    CLUSTERS = "clusters"


class Indicator(msgspec.Struct, frozen=True):
    """What is measured, and on which resources.

    `source` is the metric source that says so, for faults that show up later.
    """

    entry: Entry
    selector: dict[str, str]
    across: bool
    source: Fields


def read_indicator(spec: Fields, name: str, catalogue: Catalogue) -> Indicator | None:
    """The indicator of an SLI's `spec`, None where it cannot be made out."""
    spec.text("description")
    if spec.node("thresholdMetric") is not None:
        reason = "is not read: a threshold is a parameter of the SLI here"
        spec.fault("thresholdMetric", reason, _FORM)
        metric = spec.fields("ratioMetric")
    else:
        metric = spec.required_fields("ratioMetric", _FORM)
    spec.close()
    return _ratio_metric(metric, name, catalogue) if metric else None


def _ratio_metric(metric: Fields, name: str, catalogue: Catalogue) -> Indicator | None:
    metric.boolean("counter")
    counted = [part.value for part in _COUNTED if metric.has(part.value)]
    if metric.has("raw") or not counted:
        found = _raw(metric, name, catalogue)
        for part in counted:
            metric.node(part)
            metric.fault(part, "is written beside raw", "Keep one of the two forms")
    else:
        found = _counted(metric, name)
    metric.close()
    return found


def _raw(metric: Fields, name: str, catalogue: Catalogue) -> Indicator | None:
    """An SLI of the catalogue, or one metric against a threshold."""
    kind = metric.required_text("rawType", "Write `rawType: success`")
    if kind not in ("", "success"):
        reason = f"{shown(kind)} is not read: SLIs here are shares of good"
        metric.fault("rawType", reason, "Write `rawType: success`")
    metric.required("raw", _FORM)
    spec = _metric_source(metric, "raw")
    if spec is None:
        return None
    own = spec.has("metric") and not spec.has("sli")
    entry = own_threshold(spec, name) if own else _of_catalogue(spec, catalogue)
    selector, across = _selector(spec), _across(spec)
    spec.close()
    return Indicator(entry, selector, across, spec) if entry is not None else None


def _of_catalogue(spec: Fields, catalogue: Catalogue) -> Entry | None:
    sli = spec.required_text("sli", "Name an SLI of the catalogue")
    entry = catalogue.get(sli)
    limit = threshold(spec, entry.unit if entry else "s")
    if entry is None:
        if sli:
            reason = f"{shown(sli)} is not in the catalogue"
            spec.fault("sli", reason, nearest(sli, catalogue))
        return None
    if limit is None:
        return entry
    if entry.threshold is None:
        reason = f"{sli} counts good and bad events, it has no threshold"
        spec.fault("threshold", reason, "Remove it")
    elif limit == 0 and entry.kind is SliKind.FRESHNESS:
        spec.fault("threshold", "no age is as low as 0", "Write an age, such as 30s")
    return msgspec.structs.replace(entry, threshold=limit)


def _counted(metric: Fields, name: str) -> Indicator | None:
    """Two metrics of a team's own: good or bad events, and all of them."""
    metric.text("rawType")
    if metric.has("good") == metric.has("bad"):
        reason = "one of good and bad must be written, beside total"
        metric.fault("good" if metric.has("good") else "bad", reason, "Keep one")
    metric.required("total", "Write `total` beside good or bad")
    specs = {
        part: spec
        for part in _COUNTED
        if (spec := _metric_source(metric, part.value)) is not None
    }
    if not specs:
        return None
    entry = own_ratio(metric, specs, name)
    selectors = [_selector(spec) for spec in specs.values() if spec.has("selector")]
    if any(selector != selectors[0] for selector in selectors):
        reason = "has another selector than good or bad"
        metric.fault("total", reason, "Write the selector once")
    across = True in {_across(spec) for spec in specs.values()}
    for spec in specs.values():
        spec.node("selector")
        spec.close()
    source = next(iter(specs.values()))
    return Indicator(entry, selectors[0] if selectors else {}, across, source)


def _metric_source(metric: Fields, part: str) -> Fields | None:
    """The `spec` of a part's metricSource, if it is one of ours."""
    outer = metric.fields(part)
    source = outer.required_fields("metricSource", _FORM) if outer else None
    if outer is not None:
        outer.close()
    if source is None:
        return None
    if source.node("metricSourceRef") is not None:
        reason = "is not used: what is read stands in the settings and the inventory"
        source.warn("metricSourceRef", reason, "Remove it")
    kind = source.required_text("type", f"Write `type: {OUR_TYPE}`")
    if kind not in ("", OUR_TYPE):
        reason = f"{shown(kind)} cannot be queried: dbslo reads events from Kafka"
        source.fault("type", reason, _FORM)
        source.node("spec")
        source.close()
        return None
    spec = source.required_fields("spec", _FORM)
    source.close()
    return spec


def _across(spec: Fields) -> bool:
    """Whether all that the selector matches is one series, instead of one each."""
    return spec.choice("across", Across, None) is not None


def _selector(spec: Fields) -> dict[str, str]:
    """Labels that a resource must have; several values are joined by commas."""
    node = spec.node("selector")
    if node is not None and not isinstance(node.value, dict):
        reason = f"must be a mapping of labels, is {kind_of(node.value)}"
        spec.fault("selector", reason, "Write `selector: {env: prod}`")
        return {}
    return {key: text for key, text, _ in spec.pairs("selector")}
