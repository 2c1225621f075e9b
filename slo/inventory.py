"""The fleet as `inventory.yaml` describes it: trees to Inventory."""

import re
from collections.abc import Sequence

from slo.faults import Node
from slo.model import (
    Place,
)
from slo.names import CLOUDWATCH_TOPIC, DATADOG_TOPIC
from slo.reading import Fields, Findings
from slo.resources import (
    Cluster,
    Engine,
    Inventory,
)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}")
_LABEL = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")

PSEUDO_LABELS = ("cluster", "engine", "resource")
"""What a selector may ask for besides labels; no label may bear such a name."""


def read_inventory(documents: Sequence[Node], findings: Findings) -> Inventory:
    """The fleet of one or more inventory documents; faults go to `findings`."""
    clusters: list[Cluster] = []
    claims = _Claims(findings)
    for document in documents:
        top = Fields(document, "", findings)
        if isinstance(document.value, dict):
            top.required("clusters", "List the clusters: `clusters: [{name, engine}]`")
        for path, node in top.items("clusters"):
            cluster = _cluster(Fields(node, path, findings))
            if cluster is not None:
                claims.take(cluster, node.place, path)
                clusters.append(cluster)
        top.close()
    return Inventory(tuple(clusters))


def _cluster(fields: Fields) -> Cluster | None:
    """A cluster, None where it is too broken to be spoken of."""
    name = fields.required_text("name", "Give the cluster a name")
    if name and not _NAME.fullmatch(name):
        _refuse_name(fields, "name", name)
        name = ""
    engine = fields.required_choice("engine", Engine, None)
    cluster = Cluster(
        name=name,
        engine=engine or Engine.MYSQL,
        labels=_labels(fields),
        instances=_resource_names(fields, "instances"),
        proxies=_resource_names(fields, "proxies"),
        cdc_prefixes=_prefixes(fields),
        connect=fields.text("connect") or None,
        datadog_tags=_tags(fields),
    )
    fields.close()
    if name and not cluster.resources:
        reason = "has no instance, proxy or connector, so nothing can be measured on it"
        fields.fault("name", reason, "List its instances, proxies or cdc_prefixes")
    if name and not cluster.env:
        reason = "has no env label; its incidents and series will have an empty one"
        fields.warn("labels", reason, "Add `labels: {env: ...}`")
    return cluster if name and engine is not None else None


def _resource_names(fields: Fields, key: str) -> tuple[str, ...]:
    names = fields.texts(key)
    for name in names:
        if not _NAME.fullmatch(name):
            _refuse_name(fields, key, name)
    return tuple(name for name in names if _NAME.fullmatch(name))


def _prefixes(fields: Fields) -> tuple[str, ...]:
    prefixes = _resource_names(fields, "cdc_prefixes")
    for prefix in prefixes:
        if prefix in (CLOUDWATCH_TOPIC, DATADOG_TOPIC):
            reason = f"{prefix} is the topic of another source"
            remedy = "Write the connector's topic.prefix, and choose another there"
            fields.fault("cdc_prefixes", reason, remedy)
    return prefixes


def _refuse_name(fields: Fields, key: str, name: str) -> None:
    reason = f"{name[:60]!r} is not a name"
    remedy = "Use letters, digits, dots, underscores and hyphens, at most 255"
    fields.fault(key, reason, remedy)


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
    """Who holds which name; a second claim is a fault."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._held: dict[str, tuple[str, Place]] = {}

    def take(self, cluster: Cluster, place: Place, path: str) -> None:
        """Take the names of a cluster and its resources."""
        self._claim(f"cluster:{cluster.name}", cluster.name, place, path)
        for resource in cluster.resources:
            self._claim(resource.key, cluster.name, place, path)

    def _claim(self, key: str, owner: str, place: Place, path: str) -> None:
        if key in self._held:
            other, where = self._held[key]
            kind, _, name = key.partition(":")
            reason = (
                f"the {kind} name {name} is taken by cluster {other},"
                f" {where.file}:{where.line}"
            )
            self._findings.fault(place, path, reason, f"Give each {kind} one name")
        self._held.setdefault(key, (owner, place))
