"""The fleet as `inventory.yaml` describes it: trees to Inventory."""

import re
from collections.abc import Sequence

from slo.faults import Node
from slo.model import (
    Place,
)
from slo.names import (
    CLOUDWATCH_TOPIC,
    DATADOG_TOPIC,
    DEAD_LETTER_TOPIC,
    OBSERVATIONS_TOPIC,
)
from slo.reading import Fields, Findings
from slo.resources import (
    Cluster,
    Doubt,
    Engine,
    Inventory,
    ResourceKind,
)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}")
_LABEL = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")

PSEUDO_LABELS = ("cluster", "engine", "resource")
"""What a selector may ask for besides labels; no label may bear such a name."""

RESOURCES = {
    "instances": ResourceKind.INSTANCE,
    "proxies": ResourceKind.PROXY,
    "cdc_prefixes": ResourceKind.CDC,
}
"""The lists of a cluster's resources, and what each holds."""


PARTS = frozenset({"cluster", "engine", "labels", "resource"})
"""What of a cluster can be in doubt, see `Doubt`."""

NOTHING_READ = Doubt(Cluster("", Engine.MYSQL), PARTS)
"""Stands for clusters of which nothing is known: they may be anything."""


def read_inventory(documents: Sequence[Node], findings: Findings) -> Inventory:
    """The fleet of one or more inventory documents; faults go to `findings`.

    A cluster with faults is kept apart, with what of it is in doubt, so that
    selectors can be judged by all that could be read.
    """
    clusters: list[Cluster] = []
    doubts: list[Doubt] = []
    claims = _Claims(findings)
    for document in documents:
        top = Fields(document, "", findings)
        known = len(findings.faults)
        if isinstance(document.value, dict):
            top.required("clusters", "List the clusters: `clusters: [{name, engine}]`")
        listed = top.items("clusters")
        if len(findings.faults) > known or not isinstance(document.value, dict):
            doubts.append(NOTHING_READ)
        for path, node in listed:
            read = _read(Fields(node, path, findings), claims)
            if read.unread:
                doubts.append(read)
            else:
                clusters.append(read.cluster)
        top.close()
    return Inventory(tuple(clusters), tuple(doubts))


def _read(fields: Fields, claims: "_Claims") -> Doubt:
    """A cluster, with a stand-in for what is broken, and what that is."""
    doubted = _Doubted(fields)
    name = _name(fields)
    engine = fields.required_choice("engine", Engine, None)
    doubted.unless(sound=bool(name), part="cluster")
    doubted.unless(sound=engine is not None, part="engine")
    doubted.since()
    labels = _labels(fields)
    doubted.since("labels")
    named = {
        "instances": _resource_names(fields, "instances"),
        "proxies": _resource_names(fields, "proxies"),
        "cdc_prefixes": _resource_names(fields, "cdc_prefixes"),
    }
    _refuse_other_topics(fields, named["cdc_prefixes"])
    doubted.since("resource")
    cluster = Cluster(
        name=name,
        engine=engine or Engine.MYSQL,
        labels=labels,
        connect=fields.text("connect") or None,
        datadog_tags=_tags(fields),
        **{key: tuple(text for text, _ in listed) for key, listed in named.items()},
    )
    doubted.since()
    fields.close()
    doubted.since("labels", "resource")
    if not cluster.resources and "resource" not in doubted.parts:
        reason = "has no instance, proxy or connector, so nothing can be measured on it"
        fields.fault("name", reason, "List its instances, proxies or cdc_prefixes")
        doubted.since("resource")
    if not cluster.env and "labels" not in doubted.parts:
        reason = "has no env label; its incidents and series will have an empty one"
        fields.warn("labels", reason, "Add `labels: {env: ...}`")
    claims.take(cluster, fields.place_of("name"), fields, named)
    return Doubt(cluster, frozenset(doubted.parts))


class _Doubted:
    """Which parts of a cluster have had faults while they were read."""

    def __init__(self, fields: Fields) -> None:
        self._faults = fields.findings.faults
        self._known = len(self._faults)
        self.parts: set[str] = set() if fields.is_mapping else set(PARTS)

    def since(self, *parts: str) -> None:
        """These parts are in doubt if there was a fault since the last call."""
        if len(self._faults) > self._known:
            self.parts.update(parts)
        self._known = len(self._faults)

    def unless(self, *, sound: bool, part: str) -> None:
        """The part is in doubt unless it is sound."""
        if not sound:
            self.parts.add(part)


def _name(fields: Fields) -> str:
    """The name of a cluster, "" where there is none."""
    name = fields.required_text("name", "Give the cluster a name")
    if not name.strip() or _NAME.fullmatch(name):
        return name.strip()
    _refuse_name(fields.findings, fields.place_of("name"), fields.key("name"), name)
    return ""


def _resource_names(fields: Fields, key: str) -> list[tuple[str, Place]]:
    """The names of a list that are names, each with where it is written."""
    found = []
    for name, place in fields.placed_texts(key):
        if _NAME.fullmatch(name):
            found.append((name, place))
        else:
            _refuse_name(fields.findings, place, fields.key(key), name)
    return found


def _refuse_other_topics(fields: Fields, prefixes: list[tuple[str, Place]]) -> None:
    for prefix, place in prefixes:
        reason = ""
        if prefix in (CLOUDWATCH_TOPIC, DATADOG_TOPIC):
            reason = f"{prefix} is the topic of another source"
        for own in (OBSERVATIONS_TOPIC, DEAD_LETTER_TOPIC):
            if f"{own}.".startswith(f"{prefix}."):
                reason = f"{own}, which dbslo itself writes, would be read as its rows"
        if reason:
            remedy = "Write the connector's topic.prefix, and choose another there"
            fields.findings.fault(place, fields.key("cdc_prefixes"), reason, remedy)


def _refuse_name(findings: Findings, place: Place, key: str, name: str) -> None:
    reason = f"{name[:60]!r} is not a name"
    remedy = "Use letters, digits, dots, underscores and hyphens, at most 255"
    findings.fault(place, key, reason, remedy)


def _labels(fields: Fields) -> dict[str, str]:
    labels: dict[str, str] = {}
    for key, value, place in fields.pairs("labels"):
        path = f"{fields.path}.labels.{key}"
        if key in PSEUDO_LABELS:
            reason = "is reserved: a selector reads it from the inventory itself"
            fields.findings.fault(place, path, reason, "Name the label otherwise")
        elif not _LABEL.fullmatch(key):
            remedy = "Use letters, digits and underscores, not a digit first"
            fields.findings.fault(place, path, "is not a label name", remedy)
        else:
            labels[key] = value
    return labels


def _tags(fields: Fields) -> tuple[str, ...]:
    tags = fields.texts("datadog_tags")
    for tag in tags:
        if ":" not in tag.strip(":"):
            reason = f"{tag[:60]!r} is not a tag"
            fields.fault("datadog_tags", reason, "Write `key:value`")
    return tags


class _Claims:
    """Who holds which name; a second claim is a fault, told where it is written."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._held: dict[tuple[str, str], tuple[Cluster, Place]] = {}

    def take(
        self,
        cluster: Cluster,
        place: Place,
        fields: Fields,
        named: dict[str, list[tuple[str, Place]]],
    ) -> None:
        """Take the names of a cluster and its resources."""
        if cluster.name:
            self._claim(("cluster", cluster.name), cluster, place, fields.key("name"))
        for key, kind in RESOURCES.items():
            for name, where in named[key]:
                self._claim((kind.value, name), cluster, where, fields.key(key))

    def _claim(
        self, claim: tuple[str, str], cluster: Cluster, place: Place, key: str
    ) -> None:
        if claim not in self._held:
            self._held[claim] = (cluster, place)
            return
        kind, name = claim
        other, where = self._held[claim]
        reason = f"the {kind} name {name} is taken by cluster {_called(other)}"
        remedy = f"Give each {kind} one name"
        if other is cluster:
            reason = f"{name} is listed twice in cluster {_called(cluster)}"
            remedy = "List it once"
        reason += f", {where.file}:{where.line}"
        self._findings.fault(place, key, reason, remedy)


def _called(cluster: Cluster) -> str:
    return cluster.name or "(without a name)"
