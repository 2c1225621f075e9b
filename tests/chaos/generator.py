"""Records with a known answer: the same seed and start give the same ones.

Change streams of three databases with the runs that a restarted connector sends again,
rows that come late and rows out of order; CloudWatch with restatements and Firehose's
duplicates; Datadog; payloads that are none. Arrivals never go back within a partition,
and drive everything: what a record is worth is settled before it is sent.
"""

import base64
import gzip
import json
import random
from collections.abc import Iterator
from heapq import merge
from itertools import count, islice
from typing import Any, NamedTuple
from zlib import crc32

from tests.chaos.fleet import FLEET, MINUTE, RAW_PARTITIONS, cdc_topics

SECOND = 1_000
LATE_MS = 9 * SECOND
"""How far a change stream is behind in an outage."""

AGAIN_EVERY = 4_000
"""Rows between two restarts of a connector."""

BROKEN_EVERY = 900
METRICS_SHARE = 0.06
SHARES = {"shop": 0.42, "ledger": 0.40, "orders": 0.12}
POINT_MS = 10 * SECOND
BEAT_MS = 5 * SECOND


class Made(NamedTuple):
    """A record to produce; `arrival_ms` is its timestamp."""

    arrival_ms: int
    topic: str
    partition: int
    key: bytes | None
    value: bytes | None


class Outage(NamedTuple):
    """What goes wrong in the data, epoch ms."""

    cluster: str
    start_ms: int
    end_ms: int

    def holds(self, at_ms: int) -> bool:
        """Whether it is on at a moment."""
        return self.start_ms <= at_ms < self.end_ms


class Script(NamedTuple):
    """Everything that decides what is sent."""

    seed: int
    events: int
    start_ms: int
    seconds: float
    outages: tuple[Outage, ...]

    @property
    def per_second(self) -> float:
        """Events in a second."""
        return self.events / self.seconds

    def chosen(self, name: str) -> random.Random:
        """The dice of one flow."""
        return random.Random(f"{self.seed}-{name}")

    def outage(self, cluster: str, at_ms: int) -> bool:
        """Whether a cluster has one at a moment."""
        return any(o.cluster == cluster and o.holds(at_ms) for o in self.outages)


def records(script: Script) -> Iterator[Made]:
    """All records by arrival, exactly as many as the script says."""
    flows = [_changes(script, prefix, topic) for prefix, topic in cdc_topics().items()]
    flows += [_beats(script, prefix) for prefix in cdc_topics()]
    flows += [_cloudwatch(script), _datadog(script), _datadog_again(script)]
    everything = merge(*flows, key=lambda made: made.arrival_ms)
    return islice(everything, script.events)


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _broken(value: bytes, number: int) -> bytes:
    """Bytes that are no payload of any format."""
    kinds = (value[:-20] + b"}", b"\x80\x81 no text", b'"only text', b"[1, 2", b"{}{")
    return kinds[number % len(kinds)]


# -- change streams -------------------------------------------------------------------


def _changes(script: Script, prefix: str, topic: str) -> Iterator[Made]:
    """Rows for ever; each partition's positions rise, and its arrivals never fall."""
    chosen = script.chosen(prefix)
    step_ms = SECOND / (script.per_second * SHARES[prefix])
    arrivals = [0] * RAW_PARTITIONS
    recent: list[Made] = []
    for number in count():
        commit_ms = script.start_ms + int(number * step_ms)
        late_ms = LATE_MS if script.outage(prefix, commit_ms) else chosen.randrange(9)
        arrival_ms = max(commit_ms + 12 + late_ms, arrivals[number % RAW_PARTITIONS])
        if chosen.random() < 0.002:
            commit_ms -= 7 * SECOND  # a transaction that was long under way
        made = _row(prefix, topic, number, commit_ms, arrival_ms)
        arrivals[made.partition] = arrival_ms
        recent.append(made)
        yield made
        if number % BROKEN_EVERY == BROKEN_EVERY - 1:
            value = _broken(made.value or b"", number // BROKEN_EVERY)
            yield made._replace(value=value)
            yield made._replace(value=None)  # a tombstone
        if number % AGAIN_EVERY == AGAIN_EVERY - 1:
            latest_ms = arrivals = [max(arrivals)] * RAW_PARTITIONS
            for one in recent[-chosen.randrange(50, 1_000) :]:
                yield one._replace(arrival_ms=latest_ms[0])
            recent = []


def _row(prefix: str, topic: str, number: int, commit_ms: int, seen_ms: int) -> Made:
    source = _postgres if prefix == "ledger" else _mysql
    change = {
        "before": None,
        "after": {"id": number, "state": "paid"},
        "source": source(prefix, number, commit_ms),
        "transaction": None,
        "op": "c",
        "ts_ms": seen_ms - 1,
    }
    key = b'{"id":%d}' % number
    return Made(seen_ms, topic, number % RAW_PARTITIONS, key, _json(change))


def _mysql(prefix: str, number: int, commit_ms: int) -> dict[str, Any]:
    return {
        "version": "3.4.0.Final",
        "connector": "mysql",
        "name": prefix,
        "ts_ms": commit_ms // SECOND * SECOND,
        "snapshot": "false",
        "db": "app",
        "table": "rows",
        "server_id": 7,
        "gtid": None,
        "file": "binlog.000003",
        "pos": 4 + number * 310,
        "row": 0,
    }


def _postgres(prefix: str, number: int, commit_ms: int) -> dict[str, Any]:
    lsn = 34_131_200 + number * 96
    return {
        "version": "3.4.0.Final",
        "connector": "postgresql",
        "name": prefix,
        "ts_ms": commit_ms,
        "snapshot": "false",
        "db": "app",
        "sequence": f'["{lsn - 96}","{lsn}"]',
        "schema": "public",
        "table": "rows",
        "txId": 7_740 + number,
        "lsn": lsn,
    }


def _beats(script: Script, prefix: str) -> Iterator[Made]:
    topic = f"__debezium-heartbeat.{prefix}"
    for at_ms in count(script.start_ms, BEAT_MS):
        key = _json({"serverName": prefix})
        yield Made(at_ms + 20, topic, 0, key, _json({"ts_ms": at_ms}))


# -- CloudWatch -----------------------------------------------------------------------


class _Metric(NamedTuple):
    name: str
    unit: str
    usual: int
    bad: float


METRICS = {
    "mysql": [_Metric("ReplicaLag", "Seconds", 2, 400.0)],
    "aurora-mysql": [
        _Metric("AuroraReplicaLag", "Milliseconds", 20, 4_000.0),
        _Metric("RowLockTime", "Milliseconds", 100, 90_000.0),
        _Metric("BlockedTransactions", "Count", 1, 30.0),
        _Metric("Deadlocks", "Count/Second", 0, 0.5),
        _Metric("CommitThroughput", "Count/Second", 40, 12.0),
    ],
}
MINUTES_BACK = 45


def _cloudwatch(script: Script) -> Iterator[Made]:
    """Data of the last minutes, stated early with half their samples and then whole."""
    chosen = script.chosen("cloudwatch")
    step_ms = SECOND / (script.per_second * METRICS_SHARE)
    instances = [
        (cluster["engine"], name)
        for cluster in FLEET
        if cluster["engine"] in METRICS
        for name in cluster["instances"]
    ]
    for number in count():
        at_ms = script.start_ms + int(number * step_ms)
        minute_ms = (at_ms // MINUTE - chosen.randrange(1, MINUTES_BACK)) * MINUTE
        if number % 7 == 0:
            data = _proxy(minute_ms)
        else:
            engine, name = chosen.choice(instances)
            data = [_datum(name, chosen.choice(METRICS[engine]), minute_ms, chosen)]
        made = Made(
            at_ms + 3,
            "cloudwatch",
            chosen.randrange(RAW_PARTITIONS),
            None,
            _framed(data, chosen),
        )
        yield made
        if chosen.random() < 0.05:  # Firehose delivers at least once
            yield made._replace(partition=chosen.randrange(RAW_PARTITIONS))
        if number % BROKEN_EVERY == BROKEN_EVERY - 1:
            yield made._replace(value=_broken(_json(data[0]), number // BROKEN_EVERY))


def _framed(data: list[dict[str, Any]], chosen: random.Random) -> bytes:
    lines = b"\n".join(map(_json, data)) + b"\n"
    match chosen.randrange(8):
        case 0:
            return gzip.compress(lines, 1, mtime=0)
        case 1:
            inside = [{"data": base64.b64encode(lines).decode()}]
            return _json({"requestId": "1", "timestamp": 1, "records": inside})
        case _:
            return lines


def _datum(
    name: str, metric: _Metric, minute_ms: int, chosen: random.Random
) -> dict[str, Any]:
    """What a metric was in a minute, of 30 of its 60 samples or of all."""
    luck = crc32(f"{name}/{metric.name}/{minute_ms}".encode())
    value = metric.bad if luck % 11 == 0 else float(metric.usual + luck % 2)
    count_ = chosen.choice((30.0, 60.0, 60.0))
    if count_ < 60 and luck % 5:
        value = float(metric.usual)  # the bad half of the minute is not known yet
    if metric.name == "ReplicaLag" and luck % 33 == 0:
        value, count_ = -1.0, 1.0  # it does not run, says the one sample
    return {
        "metric_stream_name": "chaos",
        "account_id": "210987654321",
        "region": "eu-west-1",
        "namespace": "AWS/RDS",
        "metric_name": metric.name,
        "dimensions": {"DBInstanceIdentifier": name},
        "timestamp": minute_ms,
        "value": {"max": value, "min": value, "sum": value * count_, "count": count_},
        "unit": metric.unit,
    }


def _proxy(minute_ms: int) -> list[dict[str, Any]]:
    luck = crc32(f"proxy/{minute_ms}".encode())
    total = 600.0 + luck % 50
    failed = 40.0 if luck % 7 == 0 else 0.0
    return [
        {
            "account_id": "210987654321",
            "region": "eu-west-1",
            "namespace": "AWS/RDS",
            "metric_name": metric,
            "dimensions": {"ProxyName": "orders-proxy"},
            "timestamp": minute_ms,
            "value": {"max": value, "min": value, "sum": value, "count": 1.0},
            "unit": "Count",
        }
        for metric, value in (
            ("ClientConnectionsReceived", total),
            ("ClientConnectionsSetupSucceeded", total - failed),
        )
    ]


# -- Datadog --------------------------------------------------------------------------


def _datadog(script: Script) -> Iterator[Made]:
    """A body for each instance every 10 s."""
    names = [
        (cluster["name"], name)
        for cluster in FLEET
        if cluster["engine"] == "postgres"
        for name in cluster["instances"]
    ]
    for at_ms in count(script.start_ms // POINT_MS * POINT_MS + POINT_MS, POINT_MS):
        for cluster, name in names:
            partition = crc32(name.encode()) % RAW_PARTITIONS
            value = _body(script, cluster, name, at_ms - POINT_MS)
            yield Made(at_ms + 300, "datadog", partition, None, value)


def _datadog_again(script: Script) -> Iterator[Made]:
    """The same bodies half a minute later, in another partition."""
    for made in _datadog(script):
        partition = (made.partition + 1) % RAW_PARTITIONS
        yield made._replace(
            arrival_ms=made.arrival_ms + 30 * SECOND, partition=partition
        )


def _body(script: Script, cluster: str, name: str, at_ms: int) -> bytes:
    usual = 40 + crc32(f"{name}/{at_ms}".encode()) % 20
    failing = 0.3 if script.outage(cluster, at_ms) else 0.0
    if not failing and crc32(f"{at_ms}-{name}".encode()) % 19 == 0:
        failing = 0.01
    rates = (
        ("postgresql.commits", usual * (1 - failing)),
        ("postgresql.rollbacks", usual * failing),
        ("postgresql.deadlocks", 0.1 if at_ms // POINT_MS % 13 == 0 else 0.0),
    )
    series = [
        {
            "metric": metric,
            "type": 2,
            "interval": POINT_MS // SECOND,
            "points": [{"timestamp": at_ms // SECOND, "value": value}],
            "tags": [f"database_instance:{name}", f"env:{cluster}"],
            "resources": [{"name": name, "type": "host"}],
        }
        for metric, value in rates
    ]
    return _json({"series": series})
