"""OpenSLO v1: trees to SLOs. Every fault of every document, at once."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec

from slo.entries import Catalogue
from slo.faults import Node
from slo.indicators import Indicator, read_indicator
from slo.model import SLO, Entry, Urgency
from slo.objective import Objective, read_objective
from slo.objects import (
    UNUSED,
    Objects,
    Written,
    check_name,
    close_metadata,
    service_description,
)
from slo.policy import DEFAULT, Policy
from slo.reading import Fields, Findings, exact, kind_of, nearest, shown

ANNOTATION_PREFIX: Final = "dbslo/"
URGENCY: Final = "dbslo/urgency"
MIN_BAD: Final = "dbslo/min-bad"
MIN_TOTAL: Final = "dbslo/min-total"
ANNOTATIONS: Final = (URGENCY, MIN_BAD, MIN_TOTAL)
"""The annotations that change what an SLO does."""

MAX_GUARD: Final = 1_000_000_000


class Specified(msgspec.Struct, frozen=True):
    """An SLO, with the metric source that names its SLI and selector."""

    slo: SLO
    source: Fields


class Read(msgspec.Struct, frozen=True):
    """What the documents hold: SLOs, and the services that they declare."""

    specified: tuple[Specified, ...]
    services: dict[str, str]  # name: description

    @property
    def slos(self) -> tuple[SLO, ...]:
        """The SLOs, in the order of the files."""
        return tuple(one.slo for one in self.specified)


def read_specifications(
    documents: Sequence[Node],
    catalogue: Catalogue,
    findings: Findings,
    policy: Policy = DEFAULT,
) -> Read:
    """The SLOs of OpenSLO documents; faults and warnings go to `findings`.

    Where something is wrong with an SLO a stand-in takes its place, so that its
    other faults show as well: use nothing of this if there are faults. References
    may point forwards and into other files.
    """
    objects = Objects(documents, findings)
    indicators = _Indicators(objects.of("SLI"), catalogue)
    specified = [_slo(found, indicators, policy) for found in objects.of("SLO")]
    services = {s.name: service_description(s) for s in objects.of("Service")}
    read = Read(tuple(one for one in specified if one is not None), services)
    _warn_of_services(read, findings)
    indicators.warn_of_unused()
    return read


# -- indicators, inline or by reference -------------------------------------------------


class _Indicators:
    """The SLI objects, read once, and who uses them."""

    def __init__(self, objects: list[Written], catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._objects = {found.name: found for found in reversed(objects)}
        self._used: set[str] = set()
        self._read = {found.name: self._indicator(found) for found in reversed(objects)}

    def _indicator(self, found: Written) -> Indicator | None:
        close_metadata(found.metadata)
        spec = found.fields.required_fields("spec", "Write its `ratioMetric`")
        found.fields.close()
        return read_indicator(spec, found.name, self._catalogue) if spec else None

    def of(self, spec: Fields) -> tuple[Indicator | None, Node | None]:
        """The indicator of an SLO's `spec`, and the text that it stands in."""
        inline, remedy = spec.fields("indicator"), "Write `indicator` or `indicatorRef`"
        if not spec.has("indicatorRef"):
            if inline is None:
                spec.required("indicator", remedy)
                return None, None
            return self._inline(inline), spec.node("indicator")
        reference = spec.required_text("indicatorRef", remedy)
        if inline is None:
            return (
                self._referred(spec, reference) if reference.strip() else (None, None)
            )
        spec.fault("indicatorRef", "is written beside indicator", "Keep one")
        return self._inline(inline), spec.node("indicator")

    def _inline(self, fields: Fields) -> Indicator | None:
        for name in ("apiVersion", "kind"):
            fields.text(name)
        metadata = fields.fields("metadata")
        name = metadata.text("name") if metadata else ""
        if metadata is not None:
            check_name(metadata, "name", name)
            close_metadata(metadata)
        spec = fields.required_fields("spec", "Write its `ratioMetric`")
        fields.close()
        return read_indicator(spec, name or "inline", self._catalogue) if spec else None

    def _referred(
        self, spec: Fields, name: str
    ) -> tuple[Indicator | None, Node | None]:
        self._used.add(name)
        if name in self._read:
            return self._read[name], self._objects[name].node
        remedy = (
            nearest(name, self._read) if self._read else "Write it as an SLI object"
        )
        spec.fault("indicatorRef", f"there is no SLI {shown(name)}", remedy)
        return None, None

    def warn_of_unused(self) -> None:
        """Warn of SLI objects that no SLO refers to."""
        for name, found in self._objects.items():
            if name and name not in self._used:
                reason = f"SLI {name} is used by no SLO"
                found.metadata.warn("name", reason, "Refer to it, or remove it")


# -- SLOs -----------------------------------------------------------------------------


class _Guards(NamedTuple):
    """What annotations say, None where they leave it to the catalogue."""

    annotations: dict[str, str]
    urgency: Urgency | None
    min_total: int | None
    min_bad: int | None


def _slo(found: Written, indicators: _Indicators, policy: Policy) -> Specified | None:
    """The SLO of an object, None where it cannot be told what it measures."""
    guards = _guards(found.metadata)
    display_name, labels = close_metadata(found.metadata)
    spec = found.fields.required_fields("spec", "Write service, indicator, objectives")
    found.fields.close()
    if spec is None:
        return None
    indicator, text = indicators.of(spec)
    objective = read_objective(spec, indicator.entry if indicator else None, policy)
    service, description = _prose(spec)
    spec.close()
    if indicator is None:
        return None
    slo = _built(found, indicator.entry, objective, guards)
    slo = msgspec.structs.replace(
        slo,
        service=service,
        description=description,
        display_name=display_name,
        labels=labels,
        selector=indicator.selector,
        across=indicator.across,
        revision=_revision(found.node, text),
    )
    return Specified(slo, indicator.source)


def _prose(spec: Fields) -> tuple[str, str]:
    """Service and description; alert policies are spoken of."""
    service = spec.required_text("service", "Name the service that it belongs to")
    check_name(spec, "service", service)
    if spec.node("alertPolicies") is not None:
        reason = f"is not acted upon: {UNUSED['AlertPolicy']}"
        spec.warn("alertPolicies", reason, "Remove it, or leave it to other tools")
    return service, spec.text("description")


def _built(found: Written, entry: Entry, objective: Objective, guards: _Guards) -> SLO:
    """The SLO's numbers; what the specification leaves out is the catalogue's."""
    return SLO(
        name=found.name,
        service="",
        indicator=entry,
        target=objective.target,
        budgeting=objective.budgeting,
        urgency=guards.urgency or entry.urgency,
        slice_ms=objective.slice_ms,
        slice_target=objective.slice_target,
        period_ms=objective.period_ms,
        min_total=entry.min_total if guards.min_total is None else guards.min_total,
        min_bad=entry.min_bad if guards.min_bad is None else guards.min_bad,
        annotations=guards.annotations,
        place=found.fields.place,
    )


def _guards(metadata: Fields) -> _Guards:
    """The annotations; those of ours are checked."""
    fields = metadata.fields("annotations")
    if fields is None:
        return _Guards({}, None, None, None)
    texts = {}
    for name in fields.names():
        node = fields.node(name)
        value = node.value if node else None
        if value is None or isinstance(value, dict | list):
            fields.fault(name, f"must be text, is {kind_of(value)}", "Write text")
        elif name.startswith(ANNOTATION_PREFIX) and name not in ANNOTATIONS:
            remedy = nearest(name, ANNOTATIONS)
            fields.fault(name, "is no annotation of dbslo", remedy)
        else:
            texts[name] = str(value).lower() if isinstance(value, bool) else str(value)
    return _Guards(
        texts,
        fields.choice(URGENCY, Urgency, None),
        _guard(fields, MIN_TOTAL),
        _guard(fields, MIN_BAD),
    )


def _guard(fields: Fields, name: str) -> int | None:
    """A count in an annotation, where OpenSLO knows text only; None where absent."""
    node = fields.node(name)
    if node is None or isinstance(node.value, dict | list):
        return None
    text = str(node.value)
    if not isinstance(node.value, bool) and text.isascii() and text.isdigit():
        number = exact(int(text[:30]))
        if number is not None and number <= MAX_GUARD:
            return int(number)
    reason = f"must be a whole number up to {MAX_GUARD:,}, is {kind_of(node.value)}"
    fields.fault(name, reason, 'Write a count, such as "10"')
    return None


def _warn_of_services(read: Read, findings: Findings) -> None:
    """Where services are declared at all, an SLO should belong to one of them."""
    for slo in read.slos:
        if read.services and slo.service not in read.services:
            reason = f"there is no Service {slo.service}"
            remedy = nearest(slo.service, read.services)
            findings.warn(slo.place, "spec.service", reason, remedy)


def _revision(node: Node, indicator: Node | None) -> str:
    """A short hash of what is written; comments and layout do not count."""
    written = [_plain(node), None if indicator is None else _plain(indicator)]
    text = json.dumps(written, default=str)
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()


def _plain(node: Node) -> Any:
    match node.value:
        case dict() as fields:
            return {key: _plain(fields[key]) for key in sorted(fields)}
        case list() as items:
            return [_plain(item) for item in items]
        case value:
            return value


__all__ = ["ANNOTATIONS", "Read", "Specified", "read_specifications"]
