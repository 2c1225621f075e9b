"""A stage 1 of the tests' own, and payloads as sources write them."""

import base64
import gzip
import json
from collections import Counter
from collections.abc import Iterable
from fractions import Fraction
from typing import Any, NamedTuple

import msgspec

from dbslo.load import catalogue
from slo.model import (
    SLO,
    Budgeting,
    Series,
)
from slo.plan import Plan
from slo.resources import (
    Cluster,
    Engine,
    Inventory,
)
from streams.batch import Batch, Mark
from streams.deadletter import DeadLetter
from streams.ingest import Ingest
from streams.slab import Slab
from streams.topics import topics_of

NOW = 1_794_000_000_000
"""A full minute, and a full bucket."""

FLEET = Inventory(
    (
        Cluster(
            "orders",
            Engine.AURORA_MYSQL,
            {"env": "prod"},
            ("orders-a", "orders-b"),
            ("orders-proxy",),
            ("orders",),
        ),
        Cluster("listings", Engine.MYSQL, instances=("listings-1", "listings-2")),
        Cluster(
            "returns",
            Engine.POSTGRES,
            instances=("returns-1",),
            cdc_prefixes=("returns",),
            datadog_tags=("dbclusteridentifier:returns",),
        ),
    )
)
SHARED = {
    "cloudwatch": "cloudwatch",
    "datadog": "datadog",
    "vector": "vector",
    "anything": "auto",
}
ROWS = "returns.public.orders"
BEATS = "returns.public.heartbeat"


def objective(sli: str, budgeting: Budgeting | None = None) -> SLO:
    entry = catalogue()[sli]
    how = budgeting or entry.budgeting
    name = f"{sli}.{how.value}".lower()
    target = Fraction(entry.objective)
    return SLO(name, "databases", entry, target, how, entry.urgency)


def plan_of(slos: Iterable[SLO], inventory: Inventory = FLEET) -> Plan:
    """Every SLO on every resource that a source can feed."""
    slos = tuple(slos)
    series = tuple(
        Series(slo, resource, cluster, feeds)
        for slo in slos
        for cluster in inventory.clusters
        for resource in cluster.resources
        if (
            feeds := tuple(
                feed
                for feed in slo.indicator.feeds
                if cluster.engine in feed.engines and feed.resource is resource.kind
            )
        )
    )
    return Plan(inventory, slos, series)


EVERYTHING = plan_of(
    [
        *map(objective, catalogue()),
        objective("cdc.end_to_end_freshness", Budgeting.OCCURRENCES),
    ]
)


class Handed(NamedTuple):
    """What flushes handed over, by (resource, signal): facts, not how they came."""

    cells: dict[tuple[str, str], set[tuple[float, ...]]]
    deltas: Counter[tuple[str, str, int, str]]
    letters: list[DeadLetter]
    batches: list[tuple[int, Batch]]

    def of(self, resource: str, signal: str) -> list[tuple[float, ...]]:
        """(start, count, sum, min, max) of one signal, all tag sets, sorted."""
        return sorted(self.cells.get((resource, signal), set()))

    def rows(self, resource: str = "cdc:returns") -> tuple[int, int]:
        """Good and total rows of a connector."""
        good, total = (
            sum(n for (r, _, _, what), n in self.deltas.items() if (r, what) == key)
            for key in ((resource, "good"), (resource, "total"))
        )
        return good, total


class Stage:
    """An Ingest with one topic partition at a time."""

    def __init__(self, plan: Plan = EVERYTHING, partitions: int = 1, **more: Any):
        self.plan = plan
        self.topics = topics_of(plan.inventory, SHARED)
        self.ingest = Ingest(
            plan, self.topics, worker="test", partitions=partitions, **more
        )
        self.offset = 0

    def add(
        self,
        topic: str,
        *values: Any,
        at: int = NOW,
        keys: list[bytes | None] | None = None,
        partition: int = 0,
        clock_ms: int | None = None,
    ) -> "Stage":
        """Records that all arrived at a moment; what is no bytes is written as JSON."""
        size = len(values)
        slab = Slab(
            topic,
            partition,
            list(range(self.offset, self.offset + size)),
            [at] * size,
            keys or [None] * size,
            [v if v is None or isinstance(v, bytes) else text(v) for v in values],
        )
        self.offset += size
        self.ingest.add(slab, at if clock_ms is None else clock_ms)
        return self

    def flush(self, marks: list[Mark] | None = None) -> Handed:
        flush = self.ingest.flush(marks or [], {"cloudwatch": 1}, NOW)
        cells: dict[tuple[str, str], set[tuple[float, ...]]] = {}
        deltas: Counter[tuple[str, str, int, str]] = Counter()
        for _, batch in flush.batches:
            for number, start, _, *stats in batch.cells:
                route = batch.routes[number]
                key = (route.resource, route.signal)
                cells.setdefault(key, set()).add((start, *stats))
            for number, bucket, good, total in batch.deltas:
                route = batch.routes[number]
                deltas[route.resource, route.signal, bucket, "good"] += good
                deltas[route.resource, route.signal, bucket, "total"] += total
        return Handed(cells, deltas, flush.dead_letters, flush.batches)

    def results(self, topic: str) -> dict[str, int]:
        """What became of the statements of a topic."""
        return {r: n for (t, r), n in self.ingest.records.items() if t == topic and n}


# -- payloads --------------------------------------------------------------------------


def text(value: Any) -> bytes:
    return json.dumps(value).encode()


def datum(
    metric: str = "AuroraReplicaLag",
    value: float = 20.0,
    *,
    who: str = "orders-a",
    at: int = NOW - 60_000,
    unit: str = "Milliseconds",
    **more: Any,
) -> dict[str, Any]:
    """One metric-stream datum."""
    return {
        "metric_stream_name": "stream",
        "account_id": "210987654321",
        "region": "eu-west-1",
        "namespace": "AWS/RDS",
        "metric_name": metric,
        "dimensions": {"DBInstanceIdentifier": who},
        "timestamp": at,
        "value": {"max": value, "min": value, "sum": value * 2, "count": 2.0},
        "unit": unit,
        **more,
    }


def series(
    metric: str = "postgresql.commits",
    *points: tuple[int, Any],
    who: str = "returns-1",
    **more: Any,
) -> dict[str, Any]:
    """One series of `/api/v2/series`; points are (epoch ms, value)."""
    return {
        "metric": metric,
        "type": 2,
        "interval": 20,
        "points": [{"timestamp": at // 1000, "value": v} for at, v in points],
        "tags": [f"database_instance:{who}", "dbclusteridentifier:returns"],
        "resources": [{"type": "host", "name": "agent-host"}],
        **more,
    }


def payload(*several: dict[str, Any]) -> dict[str, Any]:
    return {"series": list(several)}


def row(
    at: int = NOW - 1_000,
    *,
    lsn: int = 1_000,
    commit: int | None = 900,
    op: str = "c",
    table: str = "orders",
    order: int | None = None,
    **source: Any,
) -> dict[str, Any]:
    """One PostgreSQL row as Debezium writes it."""
    first = None if commit is None else str(commit)
    return {
        "before": None,
        "after": {"id": 1, "name": "Ada Lovelace"},
        "source": {
            "version": "3.4.0.Final",
            "connector": "postgresql",
            "name": "returns",
            "ts_ms": at,
            "snapshot": "false",
            "db": "app",
            "sequence": json.dumps([first, str(lsn)]),
            "schema": "public",
            "table": table,
            "txId": 5,
            "lsn": lsn,
            **source,
        },
        "transaction": None if order is None else {"id": "5", "total_order": order},
        "op": op,
        "ts_ms": at + 90,
    }


def mysql_row(
    at: int = NOW - 1_000,
    *,
    pos: int = 400,
    index: int = 0,
    file: str = "mysql-bin.000009",
    gtid: str | None = None,
    server_id: int = 7,
    order: int | None = None,
    **source: Any,
) -> dict[str, Any]:
    """One MySQL row as Debezium writes it."""
    return {
        "before": None,
        "after": {"id": 1},
        "source": {
            "connector": "mysql",
            "name": "orders",
            "ts_ms": at,
            "snapshot": "false",
            "db": "shop",
            "table": "orders",
            "server_id": server_id,
            "gtid": gtid,
            "file": file,
            "pos": pos,
            "row": index,
            **source,
        },
        "transaction": None if order is None else {"id": "x", "total_order": order},
        "op": "c",
        "ts_ms": at + 90,
    }


def lines(*several: Any) -> bytes:
    return b"\n".join(v if isinstance(v, bytes) else text(v) for v in several)


def firehose(*parts: bytes) -> dict[str, Any]:
    data = [{"data": base64.b64encode(part).decode()} for part in parts]
    return {"requestId": "r", "timestamp": NOW, "records": data}


def sns(message: Any) -> dict[str, Any]:
    return {"Type": "Notification", "Message": json.dumps(message)}


def zipped(*members: bytes) -> bytes:
    return b"".join(map(gzip.compress, members))


def struct(value: Any) -> Any:
    """The value as plain data, to compare whole."""
    return msgspec.to_builtins(value)
