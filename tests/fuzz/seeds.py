"""The payloads to begin with, and the fleet that they are about.

Samples of every format that is read (a folder of captures, and `tests/fixtures`), a few
of formats that are not, and one payload of each metric of the catalogue. The samples'
own names are the fleet's, so that what they say counts.
"""

import base64
import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dbslo.load import catalogue
from slo.model import Budgeting
from slo.plan import Plan
from slo.resources import Cluster, Engine, Inventory
from streams.table import Table
from tests.fuzz.frames import timeless
from tests.fuzz.framing import UncheckedError, values
from tests.fuzz.payload import Payload
from tests.fuzz.statements import instant_ms
from tests.fuzz.walk import CANARY
from tests.streams.stage import (
    EVERYTHING,
    FLEET,
    NOW,
    SHARED,
    datum,
    mysql_row,
    objective,
    payload,
    plan_of,
    row,
    series,
    text,
)

FIXTURES = Path(__file__).parents[1] / "fixtures" / "payloads"
TOPICS = {
    "cw_metric_stream_json": "cloudwatch",
    "dd_series": "datadog",
    "dd_vector_native_json": "vector",
    "debezium_mysql": "mysql.db.rows",
    "debezium_postgres": "postgresql.db.rows",
    "debezium_meta_topics": "mysql.transaction",
    "heartbeat_and_ghost_tables": "mysql.db.heartbeat",
}
FOREIGN = ("maxwell", "canal", "otlp_metrics", "cw_logs_subscription", "debezium_avro")
GZIP = b"\x1f\x8b"
MAX_LINES = 6
MAX_EACH = 16
MAX_SEED = 12_000
"""Longer samples are cut into groups of lines, and what is longer still is left out."""

LONG_AGO_MS = 1_400_000_000_000


def plan_for(folder: Path | None) -> Plan:
    """Every SLI on a fleet that has the samples' names."""
    names: dict[Engine, set[str]] = {engine: set() for engine in Engine}
    prefixes: set[str] = set()
    for _, path in _files(folder):
        for document in _documents(path.read_bytes()):
            for name in _identities(document):
                names[_engine(name)].add(name)
            prefixes |= set(_prefixes(document))
    taken = {name for cluster in FLEET.clusters for name in cluster.instances}
    clusters = [
        Cluster(engine.value, engine, instances=tuple(sorted(found - taken)))
        for engine, found in names.items()
    ]
    known = {prefix for cluster in FLEET.clusters for prefix in cluster.cdc_prefixes}
    own = ("mysql", "postgresql", *sorted(prefixes - known - {"mysql", "postgresql"}))
    streams = Cluster("streams", Engine.MYSQL, cdc_prefixes=own)
    slos = [
        *map(objective, catalogue()),
        objective("cdc.end_to_end_freshness", Budgeting.OCCURRENCES),
    ]
    return plan_of(slos, Inventory((*FLEET.clusters, *clusters, streams)))


def _engine(name: str) -> Engine:
    small = name.lower()
    postgres = "pg" in small or "postgres" in small
    if "aurora" in small:
        return Engine.AURORA_POSTGRES if postgres else Engine.AURORA_MYSQL
    return Engine.POSTGRES if postgres else Engine.MYSQL


def seeds_of(folder: Path | None) -> list[Payload]:
    """All payloads to begin with."""
    found = [*_sampled(folder), *_catalogued(), *_rows()]
    return list(dict.fromkeys(found))


def _files(folder: Path | None) -> Iterator[tuple[str, Path]]:
    """(topic, file) of every sample."""
    for root in (FIXTURES, *([folder] if folder else [])):
        for name, topic in {**TOPICS, **dict.fromkeys(FOREIGN, "anything")}.items():
            for path in sorted((root / name).glob("*")):
                if path.name != "SOURCE.txt" and path.is_file():
                    yield topic, path


def _sampled(folder: Path | None) -> Iterator[Payload]:
    for topic, path in _files(folder):
        pieces = _pieces(path.read_bytes())
        several = [one for piece in pieces for one in _payloads(topic, piece)]
        each = -(-len(several) // MAX_EACH) or 1
        yield from several[::each]


def _payloads(topic: str, value: bytes) -> Iterator[Payload]:
    """Records that were captured with their topics, or the whole as one."""
    captured = [one for one in _documents(value) if _is_record(one)]
    yield from map(_record, captured)
    if not captured:
        yield Payload(_topic(topic, value), _arrival(value), b'{"id":1}', value)


def _is_record(document: Any) -> bool:
    """Whether it is a record of Kafka, written with its topic and key."""
    return isinstance(document, dict) and {"topic", "value"} <= document.keys()


def _record(captured: dict[str, Any]) -> Payload:
    key, value = (
        None if captured.get(name) is None else json.dumps(captured[name]).encode()
        for name in ("key", "value")
    )
    return Payload(captured["topic"], _arrival(value or b""), key, value)


def _pieces(data: bytes) -> Iterator[bytes]:
    """The file, or groups of its lines or records where it is long."""
    if data.startswith(GZIP):
        yield from map(timeless, _pieces(gzip.decompress(data)))
    elif len(data) <= MAX_SEED:
        yield data
    else:
        for piece in (*_bodies(data), *_groups(data)):
            if len(piece) <= MAX_SEED:
                yield piece


def _groups(data: bytes) -> list[bytes]:
    lines = data.splitlines()
    starts = range(0, len(lines), MAX_LINES)
    return [b"\n".join(lines[at : at + MAX_LINES]) for at in starts]


def _bodies(data: bytes) -> list[bytes]:
    """A long body of Firehose as several short ones: two records of a few lines each."""
    try:
        body = json.loads(data)
    except ValueError:
        return []
    records = body.get("records") if isinstance(body, dict) else None
    if not isinstance(records, list):
        return []
    letters = [base64.b64decode(one["data"]) for one in records]
    groups = [part for letter in letters for part in _groups(letter)]
    several = [{"data": base64.b64encode(part).decode()} for part in groups]
    return [
        json.dumps(body | {"records": several[at : at + 2]}).encode()
        for at in range(0, len(several), 2)
    ]


def _topic(topic: str, value: bytes) -> str:
    """Rows go to a topic of their own connector."""
    if topic in SHARED:
        return topic
    for document in _documents(value):
        for prefix in _prefixes(document):
            return f"{prefix}.{topic.partition('.')[2]}"
    return topic


def _arrival(value: bytes) -> int:
    """A little after the newest time in a payload; now where it has none."""
    times = [at for one in _documents(value) for at in _times(one)]
    return max((at for at in times if at > LONG_AGO_MS), default=NOW) + 20_000


def _documents(value: bytes) -> Iterator[Any]:
    """What is inside, by the independent check."""
    try:
        yield from values(value)
    except UncheckedError:
        return


def _dicts(tree: Any) -> Iterator[dict[str, Any]]:
    if isinstance(tree, dict):
        yield tree
        for value in tree.values():
            yield from _dicts(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from _dicts(value)


def _identities(tree: Any) -> Iterator[str]:
    for one in _dicts(tree):
        for key in ("DBInstanceIdentifier", "host", "resource.database_instance"):
            if isinstance(one.get(key), str) and one[key]:
                yield one[key]


def _prefixes(tree: Any) -> Iterator[str]:
    for one in _dicts(tree):
        source = one.get("source")
        name = source.get("name") if isinstance(source, dict) else None
        if isinstance(name, str) and name:
            yield name


def _times(tree: Any) -> Iterator[int]:
    for one in _dicts(tree):
        for key in ("timestamp", "ts_ms", "__source_ts_ms"):
            stated = one.get(key)
            if isinstance(stated, str):
                stated = instant_ms(stated)
            if isinstance(stated, int | float):
                yield int(stated * 1000 if stated < 10**11 else stated)
        for point in one.get("points") or []:
            if isinstance(point, list) and point and isinstance(point[0], int | float):
                yield int(point[0] * 1000)


# -- of the catalogue ----------------------------------------------------------------


def _catalogued() -> Iterator[Payload]:
    """One payload of each metric that the catalogue reads, about the fleet."""
    table = Table(EVERYTHING, 1)
    for (namespace, metric), shapes in table.cloudwatch.items():
        for shape in shapes:
            who = next(iter(shape.wants))
            names = dict.fromkeys(shape.names, "x") | {shape.identity: who}
            one = datum(metric, 3.0, unit="None", namespace=namespace, dimensions=names)
            yield Payload("cloudwatch", NOW, None, text(one))
    for metric, several in table.datadog.items():
        who = next(iter(several[0].wants))
        yield _of_series(series(metric, (NOW - 5_000, 3.0), who=who))
        yield _of_vector(metric, who)


def _of_series(one: dict[str, Any]) -> Payload:
    return Payload("datadog", NOW, None, text(payload(one)))


def _of_vector(metric: str, who: str) -> Payload:
    namespace, _, name = metric.partition(".")
    tags = {"database_instance": who, "dbclusteridentifier": "returns"}
    event = {"name": name, "namespace": namespace, "tags": tags, "kind": "absolute"}
    event |= {"timestamp": "2026-11-06T21:19:55Z", "gauge": {"value": 3.0}}
    return Payload("vector", NOW, None, text({"metric": event}))


def _rows() -> Iterator[Payload]:
    images = {"after": {"id": 1, "name": CANARY, "note": f'"{CANARY}", he said'}}
    key = b'{"id":1}'
    for order in (None, 3):
        for one in (
            row(order=order) | images,
            row(order=order, table="heartbeat") | {"after": {"ts": NOW - 500}},
            {"schema": {"type": "struct"}, "payload": row(order=order) | images},
        ):
            yield Payload("returns.public.orders", NOW, key, text(one))
        yield Payload(
            "orders.shop.orders", NOW, key, text(mysql_row(order=order) | images)
        )
    gtid = "3e11fa47-71ca-11e1-9e33-c80aa9429562:23"
    yield Payload("orders.shop.orders", NOW, None, text(mysql_row(gtid=gtid) | images))
    beat = text({"ts_ms": NOW - 200})
    yield Payload("__debezium-heartbeat.returns", NOW, None, beat)
    begin = {"status": "BEGIN", "id": "5:900", "ts_ms": NOW - 100}
    yield Payload("returns.transaction", NOW, None, text(begin))
    change = {"source": {"name": "returns"}, "ddl": "ALTER TABLE t", "tableChanges": []}
    yield Payload("returns", NOW, None, text(change))
    flat = {"id": 1, "name": CANARY, "__op": "c", "__source_ts_ms": NOW - 900}
    yield Payload("returns.public.orders", NOW, key, text(flat))
    yield Payload("returns.public.orders", NOW, key, None)
