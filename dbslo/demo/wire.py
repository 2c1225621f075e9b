"""Payloads as the sources write them: CloudWatch, Datadog and Debezium on the wire."""

import base64
import gzip
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from slo.model import SECOND

ACCOUNT = "210987654321"
REGION = "eu-west-1"
FIREHOSE_CHUNK = 20
"""Data of one Firehose record; a body carries several records."""

_encode = msgspec.json.encode


class Sample(msgspec.Struct, frozen=True):
    """What a source measured in one period."""

    count: float
    total: float
    low: float
    high: float


def single(value: float) -> Sample:
    """A period with one sample, as RDS lag metrics have."""
    return Sample(1.0, value, value, value)


def datum(
    metric: str, dimensions: Mapping[str, str], start_ms: int, sample: Sample, unit: str
) -> bytes:
    """One datum of a CloudWatch metric stream: a JSON line, time at the period's start."""
    return _encode(
        {
            "metric_stream_name": "rds-stream",
            "account_id": ACCOUNT,
            "region": REGION,
            "namespace": "AWS/RDS",
            "metric_name": metric,
            "dimensions": dict(dimensions),
            "timestamp": start_ms,
            "value": {
                "max": sample.high,
                "min": sample.low,
                "sum": sample.total,
                "count": sample.count,
            },
            "unit": unit,
        }
    )


def lines(data: Iterable[bytes]) -> bytes:
    """Data as newline-delimited JSON."""
    return b"\n".join(data) + b"\n"


def gzipped(payload: bytes) -> bytes:
    """A payload as an S3 object or a Lambda would hand it on: one gzip member."""
    return gzip.compress(payload, compresslevel=1, mtime=0)


def firehose(data: list[bytes], request: str, at_ms: int) -> bytes:
    """A Firehose HTTP body: records of base64, each some newline-delimited data."""
    chunks = (
        data[at : at + FIREHOSE_CHUNK] for at in range(0, len(data), FIREHOSE_CHUNK)
    )
    records = [{"data": base64.b64encode(lines(chunk)).decode()} for chunk in chunks]
    return _encode({"requestId": request, "timestamp": at_ms, "records": records})


class Point(msgspec.Struct, frozen=True):
    """One Datadog point. `kind` is the wire's: 1 count, 2 rate, 3 gauge."""

    metric: str
    value: float
    kind: int
    interval_s: int


def datadog(host: str, tags: list[str], at_ms: int, points: Iterable[Point]) -> bytes:
    """A body of Datadog's `/api/v2/series`: times in seconds, rates per second."""
    series = [
        {
            "metric": point.metric,
            "type": point.kind,
            "interval": point.interval_s,
            "points": [{"timestamp": at_ms // SECOND, "value": point.value}],
            "tags": tags,
            "resources": [{"name": host, "type": "host"}],
            "source_type_name": point.metric.partition(".")[0],
        }
        for point in points
    ]
    return _encode({"series": series})


class Change(msgspec.Struct, frozen=True):
    """A row change as the database committed it; `position` grows by one a row."""

    prefix: str
    table: str
    position: int
    at_ms: int
    row: dict[str, Any]


def mysql_change(change: Change, seen_ms: int) -> bytes:
    """A Debezium MySQL row event without a schema; `seen_ms` is the connector's clock."""
    source = {
        "version": "3.4.0.Final",
        "connector": "mysql",
        "name": change.prefix,
        # MySQL's binlog keeps whole seconds
        "ts_ms": change.at_ms // SECOND * SECOND,
        "snapshot": "false",
        "db": "app",
        "sequence": None,
        "table": change.table,
        "server_id": 1784,
        "gtid": f"8f2b1c6e-7a51-11ef-9c3c-0242ac120002:{change.position}",
        "file": "mysql-bin-changelog.000417",
        "pos": 4 + change.position * 310,
        "row": 0,
        "thread": 41,
        "query": None,
    }
    return _envelope(change, source, seen_ms)


def postgres_change(change: Change, seen_ms: int) -> bytes:
    """A Debezium PostgreSQL row event without a schema."""
    lsn = 34_131_200 + change.position * 96
    source = {
        "version": "3.4.0.Final",
        "connector": "postgresql",
        "name": change.prefix,
        "ts_ms": change.at_ms,
        "snapshot": "false",
        "db": "app",
        "sequence": f'["{lsn - 96}","{lsn}"]',
        "ts_us": change.at_ms * 1000,
        "ts_ns": change.at_ms * 1_000_000,
        "schema": "public",
        "table": change.table,
        "txId": 7_740 + change.position,
        "lsn": lsn,
        "xmin": None,
    }
    return _envelope(change, source, seen_ms)


def _envelope(change: Change, source: dict[str, Any], seen_ms: int) -> bytes:
    return _encode(
        {
            "before": None,
            "after": change.row,
            "source": source,
            "transaction": None,
            "op": "u",
            "ts_ms": seen_ms,
        }
    )


def connector_heartbeat(prefix: str, at_ms: int) -> tuple[bytes, bytes]:
    """Key and value of a record on the connector's own heartbeat topic."""
    return _encode({"serverName": prefix}), _encode({"ts_ms": at_ms})
