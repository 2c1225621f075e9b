"""The fleet's telemetry as Kafka records, in order of arrival, with outages in it."""

from collections.abc import Callable, Iterable, Iterator
from heapq import merge
from typing import NamedTuple

from dbslo.demo import fleet, wire
from dbslo.demo.trace import Signal, Trace, Track
from slo.model import (
    MINUTE,
    SECOND,
)
from slo.names import CLOUDWATCH_TOPIC, DATADOG_TOPIC, DEBEZIUM_HEARTBEAT_PREFIX
from slo.resources import (
    Cluster,
    Engine,
    Inventory,
    Resource,
)

CLOUDWATCH_DELAY_MS = 100 * SECOND
"""A metric stream delivers a minute this long after its end, give or take."""

DATADOG_DELAY_MS = 8 * SECOND
CDC_DELAY_MS = 400
HEARTBEAT_MS = 10 * SECOND


class Record(NamedTuple):
    """A record to produce; `arrival_ms` is its timestamp."""

    arrival_ms: int
    topic: str
    key: bytes | None
    value: bytes


class Onset(NamedTuple):
    """A trace and when it begins, epoch ms."""

    trace: Trace
    at_ms: int


class Span(NamedTuple):
    """From when until when telemetry is made, epoch ms; both whole minutes."""

    start_ms: int
    end_ms: int


class Scene:
    """What every resource measures at every moment: the usual, unless a trace says."""

    def __init__(self, onsets: Iterable[Onset]) -> None:
        self._tracks: dict[tuple[Signal, str, str], tuple[Track, int]] = {}
        for trace, at_ms in onsets:
            for track in trace.tracks:
                for name in track.resources:
                    key = (track.signal, track.metric, name)
                    self._tracks.setdefault(key, (track, at_ms))

    def value(
        self, signal: Signal, resource: str, at_ms: int, usual: fleet.Meter
    ) -> float | None:
        """A metric's value at a moment; None where there is no data."""
        found = self._tracks.get((signal, usual.metric, resource))
        if found is None:
            return usual.at(resource, at_ms // SECOND)
        track, onset_ms = found
        return track.value_at((at_ms - onset_ms) / SECOND)

    def driven(self, signal: Signal, resource: str, at_ms: int) -> float | None:
        """A quantity that only traces drive; None where none does."""
        found = self._tracks.get((signal, "", resource))
        if found is None:
            return None
        track, onset_ms = found
        return track.value_at((at_ms - onset_ms) / SECOND)

    def metered(self, signal: Signal, metric: str, resource: str) -> bool:
        """Whether a trace drives a metric of a resource."""
        return (signal, metric, resource) in self._tracks


def traffic(inventory: Inventory, onsets: list[Onset], span: Span) -> Iterator[Record]:
    """Every record of the fleet in a span, by arrival.

    The same arguments give the same records.
    """
    scene = Scene(onsets)
    flows: list[Iterator[Record]] = []
    for cluster in inventory.clusters:
        flows.append(_cloudwatch(cluster, scene, span))
        if cluster.engine in fleet.DATADOG:
            flows.append(_datadog(cluster, scene, span))
        flows.extend(
            _cdc(cluster, prefix, scene, span) for prefix in cluster.cdc_prefixes
        )
    return merge(*flows, key=lambda record: record.arrival_ms)


# -- CloudWatch -------------------------------------------------------------------


def _cloudwatch(cluster: Cluster, scene: Scene, span: Span) -> Iterator[Record]:
    arrival_ms = 0
    for start_ms in range(span.start_ms, span.end_ms, MINUTE):
        due_ms = start_ms + MINUTE + CLOUDWATCH_DELAY_MS
        arrival_ms = _delivered(cluster, scene, max(due_ms, arrival_ms))
        data = [
            datum
            for resource in cluster.resources
            for datum in _data(cluster, resource, scene, start_ms)
        ]
        for value in FRAMINGS[cluster.engine](data, start_ms):
            yield Record(arrival_ms, CLOUDWATCH_TOPIC, None, value)


def _delivered(cluster: Cluster, scene: Scene, due_ms: int) -> int:
    """When a minute arrives: as soon as it is due and nothing holds it back."""
    first = cluster.instances[0]
    while scene.driven(Signal.DELIVERY, first, due_ms) == 0:
        due_ms += SECOND
    return due_ms


def _data(
    cluster: Cluster, resource: Resource, scene: Scene, start_ms: int
) -> Iterator[bytes]:
    if resource.name in cluster.proxies:
        yield from _proxy_data(resource.name, scene, start_ms)
        return
    own = {"DBInstanceIdentifier": resource.name}
    for meter in _meters(cluster, resource, scene):
        value = scene.value(Signal.CLOUDWATCH, resource.name, start_ms, meter)
        if value is None:
            continue
        sample = wire.single(value)
        yield wire.datum(meter.metric, own, start_ms, sample, meter.unit)
        if meter is fleet.AURORA_LAG:
            # the stream repeats a metric under every dimension set
            role = {"DBClusterIdentifier": cluster.name, "Role": "READER"}
            yield wire.datum(meter.metric, role, start_ms, sample, meter.unit)


def _meters(
    cluster: Cluster, resource: Resource, scene: Scene
) -> tuple[fleet.Meter, ...]:
    """The metrics of a resource; a writer that steps down gets a lag as well."""
    found = fleet.meters(cluster, resource)
    lag = fleet.lag_of(cluster.engine)
    if lag in found or not cluster.instances or resource.name not in cluster.instances:
        return found
    driven = scene.metered(Signal.CLOUDWATCH, lag.metric, resource.name)
    return (*found, lag) if driven else found


def _proxy_data(proxy: str, scene: Scene, start_ms: int) -> Iterator[bytes]:
    """A minute of connection attempts, and those that a database accepted."""
    own = {"ProxyName": proxy}
    received = failures = 0.0
    for at_ms in range(start_ms, start_ms + MINUTE, SECOND):
        rate = scene.driven(Signal.CONNECT_ATTEMPTS, proxy, at_ms)
        if rate is None:
            rate = fleet.CONNECT_ATTEMPTS.at(proxy, start_ms // SECOND)
        failed = scene.driven(Signal.CONNECT_ERRORS, proxy, at_ms) or 0.0
        received += rate / 60
        failures += rate / 60 * failed
    # Two sums rounded apart would invent a failure in a quiet minute now and then.
    total = round(received)
    good = total - round(failures)
    for metric, count in (
        ("ClientConnectionsReceived", total),
        ("ClientConnectionsSetupSucceeded", min(good, total)),
    ):
        sample = wire.single(0.0)  # a proxy reports that it saw none
        if count:
            sample = wire.Sample(float(count), float(count), 1.0, 1.0)
        yield wire.datum(metric, own, start_ms, sample, "Count")


def _plain(data: list[bytes], start_ms: int) -> list[bytes]:  # noqa: ARG001
    return [wire.lines(data)]


def _compressed(data: list[bytes], start_ms: int) -> list[bytes]:  # noqa: ARG001
    return [wire.gzipped(wire.lines(data))]


def _delivery_stream(data: list[bytes], start_ms: int) -> list[bytes]:
    return [wire.firehose(data, f"orders-{start_ms}", start_ms + MINUTE)]


def _one_by_one(data: list[bytes], start_ms: int) -> list[bytes]:  # noqa: ARG001
    return data


FRAMINGS: dict[Engine, Callable[[list[bytes], int], list[bytes]]] = {
    Engine.MYSQL: _plain,
    Engine.MARIADB: _plain,
    Engine.AURORA_MYSQL: _delivery_stream,
    Engine.AURORA_POSTGRESQL: _compressed,
    Engine.POSTGRES: _one_by_one,
}
"""The same datum reaches Kafka in many ways; each engine's stream uses another."""


# -- Datadog ----------------------------------------------------------------------


def _datadog(cluster: Cluster, scene: Scene, span: Span) -> Iterator[Record]:
    writer = cluster.instances[0]
    tags = [
        f"database_instance:{writer}",
        f"dbinstanceidentifier:{writer}",
        f"env:{cluster.env}",
    ]
    interval_ms = fleet.DATADOG_INTERVAL_S * SECOND
    for at_ms in range(span.start_ms, span.end_ms, interval_ms):
        points = []
        for meter, kind in fleet.DATADOG[cluster.engine]:
            value = scene.value(Signal.DATADOG, writer, at_ms, meter)
            if value is not None:
                point = wire.Point(meter.metric, value, kind, fleet.DATADOG_INTERVAL_S)
                points.append(point)
        body = wire.datadog(writer, tags, at_ms, points)
        yield Record(at_ms + interval_ms + DATADOG_DELAY_MS, DATADOG_TOPIC, None, body)


# -- CDC --------------------------------------------------------------------------


def _cdc(cluster: Cluster, prefix: str, scene: Scene, span: Span) -> Iterator[Record]:
    rows = _rows(cluster, prefix, scene, span)
    beats = _connector_beats(prefix, scene, span)
    return merge(rows, beats, key=lambda record: record.arrival_ms)


def _rows(cluster: Cluster, prefix: str, scene: Scene, span: Span) -> Iterator[Record]:
    """A heartbeat row every ten seconds, and a row of orders after each."""
    postgres = cluster.engine in (Engine.POSTGRES, Engine.AURORA_POSTGRESQL)
    encode = wire.postgres_change if postgres else wire.mysql_change
    schema = "public" if postgres else "app"
    behind = (Signal.ROW_AGE, Signal.CONNECTOR_AGE)
    for number, (at_ms, arrival_ms) in enumerate(_stream(prefix, scene, span, behind)):
        for offset, table in enumerate(("heartbeat", "orders")):
            row = {"id": 1, "ts": at_ms} if table == "heartbeat" else {"id": number}
            change = wire.Change(prefix, table, 2 * number + offset, at_ms, row)
            key = b'{"id":%d}' % row["id"]
            value = encode(change, arrival_ms - CDC_DELAY_MS // 2)
            yield Record(arrival_ms, f"{prefix}.{schema}.{table}", key, value)


def _connector_beats(prefix: str, scene: Scene, span: Span) -> Iterator[Record]:
    topic = f"{DEBEZIUM_HEARTBEAT_PREFIX}{prefix}"
    for _, arrival_ms in _stream(prefix, scene, span, (Signal.CONNECTOR_AGE,)):
        key, value = wire.connector_heartbeat(prefix, arrival_ms - CDC_DELAY_MS)
        yield Record(arrival_ms, topic, key, value)


def _stream(
    prefix: str, scene: Scene, span: Span, behind: tuple[Signal, ...]
) -> Iterator[tuple[int, int]]:
    """(committed, arrived) of each beat; what is behind arrives when the age allows."""
    now_ms = span.start_ms
    for at_ms in range(span.start_ms, span.end_ms, HEARTBEAT_MS):
        now_ms = max(now_ms, at_ms + CDC_DELAY_MS)
        while now_ms < span.end_ms and at_ms > now_ms - _age(
            prefix, scene, now_ms, behind
        ):
            now_ms += SECOND
        if now_ms >= span.end_ms:
            return
        yield at_ms, now_ms


def _age(prefix: str, scene: Scene, now_ms: int, behind: tuple[Signal, ...]) -> float:
    """How far behind the stream is, ms: the worst that any trace says."""
    ages = (scene.driven(signal, prefix, now_ms) for signal in behind)
    return max((SECOND * age for age in ages if age is not None), default=0.0)
