"""What the plan wants to hear: which metric, of which source, about which resource."""

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

import msgspec

from slo.faults import Fault, SpecificationError
from slo.model import (
    BUCKET_MS,
    Feed,
    Input,
    Series,
)
from slo.plan import Plan
from slo.recount import counts_rows, rows_signal
from slo.resources import (
    Cluster,
    Inventory,
    ResourceKind,
)
from streams.judgement import Bounds, bounds_of
from streams.partition import partition_of
from streams.routes import signal

CDC: Final = "cdc"
ALIVE: Final = "alive"
EVENT: Final = "event"
HEARTBEAT_ROW: Final = "heartbeat_row"

DEFAULT_NAMESPACE: Final = "AWS/RDS"
DEFAULT_DIMENSIONS: Final = {
    ResourceKind.INSTANCE: ("DBInstanceIdentifier",),
    ResourceKind.PROXY: ("ProxyName",),
    ResourceKind.CDC: (),
}
MAX_UNKNOWN_NAMES: Final = 1_000


class Want(msgspec.Struct, frozen=True, eq=False):
    """One metric of one resource that some series reads.

    `scale` turns the wire's unit into SI where the wire names none. `rate`: values
    are per second. `period_ms` is the usual length of a cell, 0 for counted rows.
    `partition` is the observations partition of the resource's cluster. `also` are
    those of SLOs that span it: they want the same, in partitions of their own.
    """

    resource: str
    signal: str
    period_ms: int
    partition: int
    scale: float
    rate: bool
    bounds: Bounds
    also: tuple["Want", ...] = ()


class Shape(NamedTuple):
    """A dimension set of CloudWatch that is wanted, and whose value names whom."""

    names: frozenset[str]
    identity: str
    kind: ResourceKind
    wants: dict[str, Want]


class Tagged(NamedTuple):
    """A Datadog metric that is wanted of resources of one kind."""

    kind: ResourceKind
    wants: dict[str, Want]


class Connector(msgspec.Struct):
    """What is wanted of one CDC prefix. `rows`: limits in ms with their wants."""

    alive: Want | None = None
    event: Want | None = None
    heartbeat_row: Want | None = None
    rows: tuple[tuple[int, Want], ...] = ()


class _Reader(NamedTuple):
    """A series that reads a metric."""

    series: Series
    feed: Feed
    part: Input


class Table:
    """The plan from the wire's side.

    Raises SpecificationError where two SLOs read one metric in different units.
    """

    def __init__(self, plan: Plan, partitions: int) -> None:
        self.cloudwatch: dict[tuple[str, str], list[Shape]] = {}
        self.datadog: dict[str, list[Tagged]] = {}
        self.connectors: dict[str, Connector] = {}
        self.fleet = Fleet(plan.inventory)
        self.unknown: set[str] = set()
        self.wants = 0
        self._partitions = partitions
        faults: list[Fault] = []
        counted = [one for series in plan.series for one in series.counted]
        for (source, metric, _), readers in _readers(counted).items():
            faults.extend(_conflicts(readers))
            self._add(source, metric, readers)
        if faults:
            raise SpecificationError(tuple(dict.fromkeys(faults)))
        for series in counted:
            self._add_rows(series)

    def _add(self, source: str, metric: str, readers: list[_Reader]) -> None:
        want = self._want(source, metric, readers)
        resource = readers[0].series.resource
        if source == CDC:
            connector = self.connectors.setdefault(resource.name, Connector())
            setattr(connector, metric, want)
        elif source == "cloudwatch":
            for reader in readers:
                shape = self._shape(metric, reader.part, resource.kind)
                shape.wants[resource.name] = want
        else:
            self._tagged(metric, resource.kind).wants[resource.name] = want

    def _want(self, source: str, metric: str, readers: list[_Reader]) -> Want:
        part = readers[0].part
        wanted = Want(
            resource="",
            signal=signal(source, metric),
            period_ms=BUCKET_MS
            if source == CDC
            else min(reader.feed.cadence_ms for reader in readers),
            partition=0,
            scale=part.scale,
            rate=part.rate,
            bounds=bounds_of(reader.part for reader in readers),
        )
        return self._for_each(wanted, [reader.series for reader in readers])

    def _for_each(self, wanted: Want, series: Iterable[Series]) -> Want:
        """A want of each who has facts of its own, the first with all the others."""
        clusters = {one.facts_key: one.home for one in series}
        self.wants += len(clusters)
        first, *others = (
            msgspec.structs.replace(
                wanted,
                resource=key,
                partition=partition_of(cluster, self._partitions),
            )
            for key, cluster in clusters.items()
        )
        return msgspec.structs.replace(first, also=tuple(others)) if others else first

    def _shape(self, metric: str, part: Input, kind: ResourceKind) -> Shape:
        names = part.dimensions or DEFAULT_DIMENSIONS[kind]
        shapes = self.cloudwatch.setdefault(
            (part.namespace or DEFAULT_NAMESPACE, metric), []
        )
        for shape in shapes:
            if shape.names == set(names) and shape.identity == names[0]:
                return shape
        shapes.append(Shape(frozenset(names), names[0], kind, {}))
        return shapes[-1]

    def _tagged(self, metric: str, kind: ResourceKind) -> Tagged:
        known = self.datadog.setdefault(metric, [])
        for tagged in known:
            if tagged.kind is kind:
                return tagged
        known.append(Tagged(kind, {}))
        return known[-1]

    def _add_rows(self, series: Series) -> None:
        if not counts_rows(series):
            return
        for feed in series.feeds:
            for part in feed.inputs:
                if feed.source == CDC and EVENT in part.metrics:
                    self._count_rows(series, part)

    def _count_rows(self, series: Series, part: Input) -> None:
        connector = self.connectors.setdefault(series.resource.name, Connector())
        name = rows_signal(series)
        wanted = Want(
            resource="",
            signal=name,
            period_ms=0,
            partition=0,
            scale=1.0,
            rate=False,
            bounds=bounds_of([part]),
        )
        mine = self._for_each(wanted, [series])
        limit_ms, rows = int(name.rpartition("/")[2]), dict(connector.rows)
        known = rows.get(limit_ms)
        if known is None:
            rows[limit_ms] = mine
        elif mine.resource not in {want.resource for want in (known, *known.also)}:
            rows[limit_ms] = msgspec.structs.replace(known, also=(*known.also, mine))
        connector.rows = tuple(rows.items())

    def unknown_resource(self, kind: ResourceKind, name: str) -> None:
        """Remember a name that the inventory does not know; the first 1,000 only."""
        if len(self.unknown) < MAX_UNKNOWN_NAMES:
            self.unknown.add(f"{kind.value}:{name[:255]}")


def _readers(
    series: Iterable[Series],
) -> Mapping[tuple[str, str, str], list[_Reader]]:
    """Who reads what: by source, metric and resource."""
    found: dict[tuple[str, str, str], list[_Reader]] = {}
    for one in series:
        for feed in one.feeds:
            for part in feed.inputs:
                for metric in part.metrics:
                    key = (feed.source, metric, one.resource.key)
                    found.setdefault(key, []).append(_Reader(one, feed, part))
    return found


def _conflicts(readers: list[_Reader]) -> list[Fault]:
    """Readers of one metric who disagree about its unit: a cell has but one value."""
    first = readers[0]
    return [
        Fault(
            series.slo.place,
            "spec.indicator",
            f"{series.slo.name} reads {', '.join(part.metrics)} with scale"
            f" {part.scale} and rate {part.rate}, {first.series.slo.name} with scale"
            f" {first.part.scale} and rate {first.part.rate}",
            "Give both the same scale and rate",
        )
        for series, _, part in readers[1:]
        if (part.scale, part.rate) != (first.part.scale, first.part.rate)
    ]


class Fleet:
    """Names of the inventory, as sources spell them."""

    def __init__(self, inventory: Inventory) -> None:
        self._clusters: dict[tuple[ResourceKind, str], Cluster] = {
            (resource.kind, resource.name): cluster
            for cluster in inventory.clusters
            for resource in cluster.resources
        }
        self._folded = {(kind, name.lower()): name for kind, name in self._clusters}

    def cluster_of(self, kind: ResourceKind, name: str) -> Cluster | None:
        """The cluster of a resource, None where the inventory does not know it."""
        return self._clusters.get((kind, name))

    def known(self, kind: ResourceKind, name: str) -> str | None:
        """The inventory's spelling of a name, None where it does not know it.

        As it is, in small letters, or the first label of
        `name.xyz.eu-west-1.rds.amazonaws.com`.
        """
        if (kind, name) in self._clusters:
            return name
        small = name.lower()
        return self._folded.get((kind, small)) or self._folded.get(
            (kind, small.partition(".")[0])
        )
