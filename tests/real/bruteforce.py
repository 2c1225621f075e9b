"""The ledger counted a second time, by hand as it were: nothing of ours is imported.

Records in, good and total out, written from the wire formats and the catalogue alone:
parsed JSON, dictionaries and loops, fractions instead of floats, nothing incremental.
It is slow, and holds every record in memory.
"""

import base64
import gzip
import json
import re
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from math import isfinite
from typing import Any, NamedTuple

SECOND, MINUTE, DAY = 1_000, 60_000, 86_400_000
BUCKET = 10 * SECOND
FUTURE, PAST = 60 * SECOND, 3 * DAY
ALIVE_LIMIT = 30 * SECOND

AURORA = {"aurora-mysql", "aurora-postgresql"}
MYSQLS = {"aurora-mysql", "mysql", "mariadb"}
POSTGRES = {"aurora-postgresql", "postgres"}


class Record(NamedTuple):
    """A record as the broker has it."""

    topic: str
    partition: int
    offset: int
    arrival: int
    key: bytes | None
    value: bytes | None


class Measure(NamedTuple):
    """How a metric is read.

    `per`: what its wire values are divided by, where the wire names no unit. `how`:
    which number of a cell is the value. `rate`: per second, so times the period gives
    an amount. `high`: the greatest believable value, after dividing. `broken`: a value
    that is no measurement but says that replication does not run.
    """

    per: int = 1
    how: str = "max"
    rate: bool = False
    high: int = 10**15
    broken: int | None = None


YEAR = 31_536_000
CLOUDWATCH = {
    "AuroraReplicaLag": Measure(per=1000, high=604_800),
    "ReplicaLag": Measure(high=YEAR, broken=-1),
    "AuroraBinlogReplicaLag": Measure(high=YEAR, broken=-1),
    "RowLockTime": Measure(per=1000, how="sum", rate=True, high=100_000),
    "BlockedTransactions": Measure(high=1_000_000),
    "Deadlocks": Measure(how="average", rate=True),
    "CommitThroughput": Measure(how="average", rate=True),
    "LoginFailures": Measure(how="average", rate=True),
    "ConnectionAttempts": Measure(how="sum"),
    "ClientConnectionsReceived": Measure(how="sum"),
    "ClientConnectionsSetupSucceeded": Measure(how="sum"),
}
DATADOG = {
    "mysql.net.connections": Measure(rate=True),
    "mysql.net.aborted_connects": Measure(rate=True),
    "mysql.performance.handler_commit": Measure(rate=True),
    "mysql.performance.handler_rollback": Measure(rate=True),
    "mysql.queries.errors": Measure(rate=True),
    "mysql.queries.count": Measure(rate=True),
    "mysql.innodb.deadlocks": Measure(rate=True),
    "mysql.innodb.row_lock_time": Measure(per=1000, rate=True, high=100_000),
    "mysql.innodb.row_lock_current_waits": Measure(high=1_000_000),
    "mysql.replication.seconds_behind_source": Measure(high=YEAR),
    "mysql.replication.seconds_behind_master": Measure(high=YEAR),
    "postgresql.commits": Measure(rate=True),
    "postgresql.rollbacks": Measure(rate=True),
    "postgresql.deadlocks.count": Measure(rate=True),
    "postgresql.deadlocks": Measure(rate=True),
    "postgresql.waiting_queries": Measure(high=1_000_000),
    "postgresql.active_waiting_queries": Measure(high=1_000_000),
    "postgresql.replication_delay": Measure(high=YEAR),
    "aws.rds.replica_lag": Measure(high=YEAR, broken=-1),
}
CADENCE = {"aws.rds.replica_lag": MINUTE}  # of the others in Datadog: 15 s

# What may feed an SLI, the best first: source, engines, kind, and who plays which part.
Feed = tuple[str, set[str], str, dict[str, list[str]]]
VALUES: dict[str, list[Feed]] = {
    "aurora.replica_lag": [
        ("cloudwatch", AURORA, "instance", {"value": ["AuroraReplicaLag"]})
    ],
    "rds.replica_lag": [
        (
            "cloudwatch",
            {"mysql", "mariadb", "postgres"},
            "instance",
            {"value": ["ReplicaLag"]},
        ),
        (
            "cloudwatch",
            {"aurora-mysql"},
            "instance",
            {"value": ["AuroraBinlogReplicaLag"]},
        ),
        (
            "datadog",
            MYSQLS,
            "instance",
            {
                "value": [
                    "mysql.replication.seconds_behind_source",
                    "mysql.replication.seconds_behind_master",
                ]
            },
        ),
        (
            "datadog",
            {"postgres"},
            "instance",
            {"value": ["postgresql.replication_delay"]},
        ),
        (
            "datadog",
            {"mysql", "mariadb", "postgres"},
            "instance",
            {"value": ["aws.rds.replica_lag"]},
        ),
    ],
    "locks.wait_share": [
        ("cloudwatch", {"aurora-mysql"}, "instance", {"value": ["RowLockTime"]}),
        ("datadog", MYSQLS, "instance", {"value": ["mysql.innodb.row_lock_time"]}),
    ],
    "locks.blocked_transactions": [
        (
            "cloudwatch",
            {"aurora-mysql"},
            "instance",
            {"value": ["BlockedTransactions"]},
        ),
        (
            "datadog",
            MYSQLS,
            "instance",
            {"value": ["mysql.innodb.row_lock_current_waits"]},
        ),
        (
            "datadog",
            POSTGRES,
            "instance",
            {
                "value": [
                    "postgresql.waiting_queries",
                    "postgresql.active_waiting_queries",
                ]
            },
        ),
    ],
}
RATIOS: dict[str, list[Feed]] = {
    "connect.success_ratio": [
        (
            "cloudwatch",
            AURORA | MYSQLS | POSTGRES,
            "proxy",
            {
                "total": ["ClientConnectionsReceived"],
                "good": ["ClientConnectionsSetupSucceeded"],
            },
        ),
        (
            "cloudwatch",
            {"aurora-mysql"},
            "instance",
            {"total": ["ConnectionAttempts"], "bad": ["LoginFailures"]},
        ),
        (
            "datadog",
            MYSQLS,
            "instance",
            {
                "total": ["mysql.net.connections"],
                "bad": ["mysql.net.aborted_connects"],
            },
        ),
    ],
    "transactions.success_ratio": [
        (
            "datadog",
            POSTGRES,
            "instance",
            {"good": ["postgresql.commits"], "bad": ["postgresql.rollbacks"]},
        ),
        (
            "datadog",
            MYSQLS,
            "instance",
            {
                "good": ["mysql.performance.handler_commit"],
                "bad": ["mysql.performance.handler_rollback"],
            },
        ),
    ],
    "server_fault_ratio": [
        (
            "datadog",
            MYSQLS,
            "instance",
            {"bad": ["mysql.queries.errors"], "total": ["mysql.queries.count"]},
        )
    ],
    "deadlock_ratio": [
        (
            "cloudwatch",
            AURORA,
            "instance",
            {"bad": ["Deadlocks"], "total": ["CommitThroughput"]},
        ),
        (
            "datadog",
            POSTGRES,
            "instance",
            {
                "bad": ["postgresql.deadlocks.count", "postgresql.deadlocks"],
                "total": ["postgresql.commits"],
            },
        ),
        (
            "datadog",
            MYSQLS,
            "instance",
            {
                "bad": ["mysql.innodb.deadlocks"],
                "total": ["mysql.performance.handler_commit"],
            },
        ),
    ],
}
AGES = {  # whose age an SLI is
    "cdc.end_to_end_freshness": "row",
    "cdc.liveness": "alive",
    "replica.freshness_heartbeat": "beat",
}
DEFAULT_THRESHOLD = {  # seconds, sessions, transactions
    "aurora.replica_lag": 1,
    "rds.replica_lag": 60,
    "locks.wait_share": 1,
    "locks.blocked_transactions": 5,
    "cdc.end_to_end_freshness": 30,
    "cdc.liveness": 30,
    "replica.freshness_heartbeat": 15,
}
DEFAULT_METHOD = {
    "connect.success_ratio": "RatioTimeslices",
    "transactions.success_ratio": "Occurrences",
    "server_fault_ratio": "Occurrences",
    "deadlock_ratio": "Occurrences",
}  # all others: Timeslices of one minute


# -- framing ---------------------------------------------------------------------------

BROKEN = object()
NULL = object()
_decoder = json.JSONDecoder(parse_float=Decimal)


def unfold(value: bytes, depth: int = 0) -> Iterator[Any]:
    """The JSON documents in some bytes; BROKEN for what is none, NULL for a null."""
    if depth > 6:
        yield BROKEN
    elif value[:2] == b"\x1f\x8b":
        yield from _inflated(gzip.decompress, value, depth)
    elif value[:2] in (b"\x78\x01", b"\x78\x9c", b"\x78\xda"):
        yield from _inflated(zlib.decompress, value, depth)
    else:
        try:
            text = value.decode().strip()
        except UnicodeDecodeError:
            yield BROKEN
            return
        for document in _documents(text):
            yield from _opened(document, depth)


def _inflated(inflate: Any, value: bytes, depth: int) -> Iterator[Any]:
    try:
        inside = inflate(value)
    except (OSError, EOFError, zlib.error):
        yield BROKEN
    else:
        yield from unfold(inside, depth + 1)


def _documents(text: str) -> Iterator[Any]:
    """Lines, concatenations, arrays; after a broken document on with the next line."""
    at = 0
    while at < len(text):
        if text[at] in " \t\r\n,":
            at += 1
            continue
        try:
            found, at = _decoder.raw_decode(text, at)
        except (json.JSONDecodeError, RecursionError):
            yield BROKEN
            line_end = text.find("\n", at)
            at = len(text) if line_end < 0 else line_end
            continue
        for one in found if isinstance(found, list) else [found]:
            yield NULL if one is None else one


def _opened(document: Any, depth: int) -> Iterator[Any]:
    """What a Firehose body carries, else the document itself."""
    records = document.get("records") if isinstance(document, dict) else None
    if not isinstance(records, list):
        yield document
        return
    for record in records:
        try:
            inside = base64.b64decode(record["data"], validate=True)
        except (KeyError, TypeError, ValueError):
            yield BROKEN
        else:
            yield from unfold(inside, depth + 1)


# -- the count -------------------------------------------------------------------------


class Cell(NamedTuple):
    """A metric's numbers over one period. The greatest of several statements holds."""

    count: Fraction
    broken: bool
    high: Fraction
    total: Fraction
    low: Fraction


def _number(value: Any) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def _finite(*values: Any) -> bool:
    return all(isfinite(value) and abs(value) < 1e308 for value in values)


class Count:
    """Everything there is to count.

    `fleet` holds clusters as the inventory writes them, `slos` has `name`, `sli` and,
    where they differ from the catalogue, `threshold` and `method`. `formats` is the
    format of each shared topic, "auto" where each document says. `until`: up to when
    silence is judged.

    Afterwards `lines` is the ledger, `results` what became of every statement, by
    topic, `letters` which records held something that does not count, and `broken` which
    of them hold bytes that are no JSON, of which nobody can say how many parts they are.
    """

    def __init__(
        self,
        records: Sequence[Record],
        *,
        fleet: Sequence[dict[str, Any]],
        slos: Sequence[dict[str, Any]],
        formats: dict[str, str],
        until: int,
    ) -> None:
        self.results: Counter[tuple[str, str]] = Counter()
        self.letters: set[tuple[str, int, int]] = set()
        self.broken: set[tuple[str, int, int]] = set()
        self.ledger: dict[tuple[str, int], tuple[int, int]] = {}
        self._fleet, self._slos = fleet, slos
        self._formats, self._until = formats, until
        # (resource, metric) -> (tags, period) -> start -> cell
        self._cells: Any = defaultdict(lambda: defaultdict(dict))
        # prefix -> (arrival, time of the change) of rows, beats and signs of life
        self._seen: Any = defaultdict(lambda: defaultdict(list))
        self._rows: Any = defaultdict(list)
        self._counted: set[tuple[Any, ...]] = set()
        self._engines = {
            (kind, name): cluster["engine"]
            for cluster in fleet
            for kind, names in (
                ("instance", "instances"),
                ("proxy", "proxies"),
                ("cdc", "cdc_prefixes"),
            )
            for name in cluster.get(names, ())
        }
        for record in records:
            self._record = record
            self._take()
        for slo in slos:
            self._count(slo)

    @property
    def lines(self) -> list[str]:
        """Series, start, good and total, sorted as text."""
        return sorted(
            f"{series}\t{start}\t{good}\t{total}"
            for (series, start), (good, total) in self.ledger.items()
            if total
        )

    @property
    def _place(self) -> tuple[str, int, int]:
        record = self._record
        return record.topic, record.partition, record.offset

    # -- records -----------------------------------------------------------------------

    def _result(self, result: str, count: int = 1) -> None:
        self.results[self._record.topic, result] += count
        if result == "dead" and count:
            self.letters.add(self._place)

    def _take(self) -> None:
        topic, value = self._record.topic, self._record.value
        named = self._formats.get(topic, "cdc")
        if named == "cdc" and value is None:
            self._seen[self._prefix()]["alive"].append((self._record.arrival,) * 2)
        documents = list(unfold(value)) if value else []
        nothing = "tombstone" if named in ("cdc", "auto") else "empty"
        if not documents:
            self._result(nothing)
        for document in documents:
            if document is NULL:
                self._result(nothing)
            elif document is BROKEN or not isinstance(document, dict):
                self.broken.add(self._place)
                self.letters.add(self._place)
            else:
                self._document(_looks_like(document, named), document)

    def _document(self, kind: str, document: dict[str, Any]) -> None:
        try:
            self._told(kind, document)
        except (KeyError, TypeError, ValueError, AttributeError):
            self._result("dead")  # not what the format says

    def _told(self, kind: str, document: dict[str, Any]) -> None:
        if kind == "cloudwatch":
            self._datum(document)
        elif kind == "datadog":
            self._series(document)
        elif kind == "vector":
            self._event(document)
        elif kind == "cdc":
            self._change(document)
        else:
            self._result("dead")

    def _believable(self, at: int) -> bool:
        return at - FUTURE <= self._record.arrival <= at + PAST

    def _wanted(self, source: str, metric: str, kind: str, name: str) -> bool:
        """Whether some SLO reads a metric of a resource."""
        engine = self._engines.get((kind, name))
        return any(
            feed[0] == source
            and engine in feed[1]
            and feed[2] == kind
            and any(metric in metrics for metrics in feed[3].values())
            for slo in self._slos
            for feed in (VALUES | RATIOS).get(slo["sli"], ())
        )

    def _state(
        self,
        measure: Measure,
        place: tuple[Any, ...],
        start: int,
        wire: tuple[Any, Any, Any, Any],
        divisor: Fraction,
    ) -> None:
        """One statement: count, sum, min and max as the wire has them."""
        if not self._believable(start) or not _finite(*wire):
            self._result("dead")
            return
        count = Fraction(wire[0])
        total, low, high = (
            Fraction(v) if v == measure.broken else Fraction(v) / divisor
            for v in wire[1:]
        )
        broken = measure.broken in (low, high)
        checked = [low, high]
        if measure.how == "sum" or broken:
            checked.append(total)
        elif measure.how == "average" and count:
            checked.append(total / count)
        fits = all(
            0 <= one <= measure.high or (broken and one == measure.broken)
            for one in checked
        )
        if not fits or (low > high and not broken):
            self._result("dead")
            return
        resource, metric, tags, period = place
        cells = self._cells[resource, metric][tags, period]
        cell = Cell(count, broken, high, total, low)
        cells[start] = max(cell, cells.get(start, cell))
        self._result("ok")

    # -- CloudWatch ----------------------------------------------------------------------

    def _datum(self, datum: dict[str, Any]) -> None:
        values = datum.get("value")
        texts = ("namespace", "metric_name")
        others = ("unit", "account_id", "region")
        well = (
            isinstance(values, dict)
            and all(_number(values.get(k)) for k in ("count", "sum", "min", "max"))
            and 0 <= values["count"] <= 10**12
            and all(isinstance(datum.get(k), str) for k in texts)
            and all(isinstance(datum.get(k, ""), str) for k in others)
            and "dimensions" in datum
            and isinstance(datum.get("timestamp"), int)
        )
        if not well:
            self._result("dead")
            return
        metric, dimensions = datum["metric_name"], datum["dimensions"]
        whose = {"DBInstanceIdentifier": "instance", "ProxyName": "proxy"}
        only = next(iter(dimensions), "") if len(dimensions) == 1 else ""
        kind, name = whose.get(only, ""), dimensions.get(only)
        if datum["namespace"] != "AWS/RDS" or not self._read_at_all(metric, kind):
            self._result("irrelevant")
        elif not isinstance(name, str):
            self._result("dead")
        elif (kind, name) not in self._engines:
            self._result("unknown_resource")
        elif not self._wanted("cloudwatch", metric, kind, name):
            self._result("irrelevant")
        else:
            self._cloudwatch_cell(datum, metric, (kind, name))

    def _read_at_all(self, metric: str, kind: str) -> bool:
        return any(
            self._wanted("cloudwatch", metric, kind, name)
            for known, name in self._engines
            if known == kind
        )

    def _cloudwatch_cell(
        self, datum: dict[str, Any], metric: str, resource: tuple[str, str]
    ) -> None:
        measure, unit = CLOUDWATCH[metric], datum.get("unit", "")
        divisor = Fraction(
            {"Seconds": 1, "Milliseconds": 1000, "Microseconds": 10**6, "Count": 1}.get(
                unit.removesuffix("/Second"), measure.per
            )
        )
        if measure.rate and measure.how == "sum" and not unit.endswith("/Second"):
            divisor *= 60  # summed over a minute: per second
        tags = (resource[1], datum.get("account_id", ""), datum.get("region", ""))
        value = datum["value"]
        if value["count"] == 0:
            self._result("dead")  # of no samples there is no value
            return
        wire = (value["count"], value["sum"], value["min"], value["max"])
        place = (resource, metric, tags, MINUTE)
        self._state(measure, place, datum["timestamp"], wire, divisor)

    # -- Datadog -------------------------------------------------------------------------

    def _series(self, payload: dict[str, Any]) -> None:
        if payload.get("check") or payload.get("internalHostname"):
            self._result("irrelevant")  # what Agents send to other endpoints
            return
        series = payload.get("series")
        if series == [] or not payload:
            self._result("empty")
        elif not isinstance(series, list):
            self._result("dead")
        else:
            for one in series:
                self._one_series(one)

    def _one_series(self, one: Any) -> None:
        if not _is_series(one):
            self._result("dead")
            return
        points = [point for point in map(_pair, one["points"]) if point]
        if len(points) < len(one["points"]):
            self._result("dead", len(one["points"]) - len(points))
        if not self._datadog_reads(one["metric"]):
            self._result("irrelevant", len(points))
            return
        tags = _tags_of(one)
        period = int((one.get("interval") or 0) * SECOND)
        counted = one.get("type") in (1, "count")
        known = one.get("type") in (None, "", 0, 1, 2, 3, "count", "rate", "gauge")
        for seconds, value in points:
            at = int(seconds * SECOND)
            if tags is None and value is not None:
                self._result("dead")
            else:
                how = counted if known else None
                self._point(one["metric"], tags or [], at, value, period, how)

    def _event(self, event: dict[str, Any]) -> None:
        """A metric of Vector, with its outer key or without."""
        if "log" in event or "trace" in event:
            self._result("irrelevant")
            return
        metric = event.get("metric", event)
        name = metric["name"]
        if metric.get("namespace"):
            name = f"{metric['namespace']}.{name}"
        if not self._datadog_reads(name):
            self._result("irrelevant")
            return
        value = _reading_of(metric)
        if value is None:
            self._result("dead")
            return
        stated = [
            (tag, one)
            for tag, values in (metric.get("tags") or {}).items()
            for one in (values if isinstance(values, list) else [values])
        ]
        if not all(one is None or isinstance(one, str) for _, one in stated):
            self._result("dead")
            return
        tags = [
            tag if one is None else f"{tag}:{one}"
            for tag, one in stated
            if tag != "source_type_name"
        ]
        at = self._record.arrival
        if metric.get("timestamp"):
            at = instant(metric["timestamp"])
        period, counted = metric.get("interval_ms") or 0, "counter" in metric
        self._point(name, tags, at, value, period, counted)

    def _datadog_reads(self, metric: str) -> bool:
        return any(
            self._wanted("datadog", metric, kind, name) for kind, name in self._engines
        )

    def _point(
        self,
        metric: str,
        tags: list[str],
        at: int,
        value: Any,
        period: int,
        counted: bool | None,
    ) -> None:
        """One point; `counted` is None where nobody knows what its numbers are."""
        if value is None:
            self._result("no_value")
            return
        name = self._instance(tags)
        if name is None:
            self._result("unknown_resource")
            return
        if not self._wanted("datadog", metric, "instance", name):
            self._result("irrelevant")
            return
        try:
            number = Decimal(value) if isinstance(value, str) else value
        except ArithmeticError:
            self._result("dead")
            return
        if counted is None or not 0 <= period <= DAY:
            self._result("dead")
            return
        measure = DATADOG[metric]
        period = period or CADENCE.get(metric, 15 * SECOND)
        divisor = Fraction(measure.per)
        if counted and measure.rate:
            divisor *= Fraction(period, SECOND)
        place = (("instance", name), metric, tuple(sorted(set(tags))), period)
        self._state(measure, place, at, (0, number, number, number), divisor)

    def _instance(self, tags: list[str]) -> str | None:
        """The instance that tags name, the database's own name before the host's."""
        for prefix in (
            "database_instance:",
            "resource.database_instance:",
            "dd.internal.resource:database_instance:",
            "dbinstanceidentifier:",
            "host:",
        ):
            for tag in tags:
                stated = tag.removeprefix(prefix)
                if stated == tag:
                    continue
                instances = [n for kind, n in self._engines if kind == "instance"]
                small = stated.lower()
                for spelling in (stated, small, small.partition(".")[0]):
                    for name in instances:
                        if spelling in (name, name.lower()):
                            return name
        return None

    # -- Debezium ------------------------------------------------------------------------

    def _prefix(self) -> str:
        bare = self._record.topic.removeprefix("__debezium-heartbeat.")
        prefixes = [name for kind, name in self._engines if kind == "cdc"]
        owners = [p for p in prefixes if bare == p or bare.startswith(f"{p}.")]
        return max(owners, key=len, default="")

    def _change(self, document: dict[str, Any]) -> None:
        change = document.get("payload") or document
        topic, arrival = self._record.topic, self._record.arrival
        if topic in self._formats:  # not one of a connector's own topics
            prefix = (change.get("source") or {}).get("name", "")
            if ("cdc", prefix) not in self._engines:
                self._result("unknown_resource")
                return
        else:
            prefix = self._prefix()
        source, op = change.get("source"), change.get("op")
        heartbeat = topic.startswith("__debezium-heartbeat.") and change.get("ts_ms")
        told = topic == f"{prefix}.transaction" and change.get("status")
        ddl = change.get("ddl") is not None or change.get("tableChanges") is not None
        flat = change.get("__ts_ms") or change.get("__source_ts_ms")
        is_row = source is not None and op is not None and op in "crudtm"
        if not (is_row or heartbeat or told or ddl or flat):
            self._result("dead")  # nothing that a connector sends
            return
        self._seen[prefix]["alive"].append((arrival, arrival))
        if is_row or (flat and not heartbeat and not told and not ddl):
            self._row(prefix, change, op or change.get("__op") or "c")
        else:
            self._result("ok")

    def _row(self, prefix: str, change: dict[str, Any], op: str) -> None:
        source, arrival = change.get("source") or {}, self._record.arrival
        snapshot = source.get("snapshot", change.get("__source_snapshot"))
        at = int(source.get("ts_ms") or 0)
        if change.get("source") is None:
            at = int(change.get("__source_ts_ms") or change.get("__ts_ms") or 0)
        if op in ("t", "m"):
            self._result("ok")
        elif op == "r" or snapshot not in (None, False, "false", ""):
            self._result("snapshot")
        elif at <= 0 or not self._believable(at):
            self._result("dead")
        elif not self._first_time(prefix, source, change, op):
            self._result("dup")
        else:
            self._seen[prefix]["row"].append((arrival, at))
            if source.get("table") == "heartbeat":
                self._beat(prefix, change, at)
            if _position(source) is None:
                self._result("dead")
            else:
                self._rows[prefix].append((arrival, at))
                self._result("ok")

    def _first_time(
        self, prefix: str, source: dict[str, Any], change: dict[str, Any], op: str
    ) -> bool:
        """Whether a change was not seen before: where in the log, and which row."""
        position = _position(source)
        if position is None:
            return True
        block = change.get("transaction") or {}
        key = self._record.key
        if key is None and source["connector"] == "postgresql":
            key = repr((change.get("before"), change.get("after"))).encode()
        identity = (
            self._record.topic,
            self._record.partition,
            prefix,
            position,
            block.get("total_order"),
            source.get("table"),
            op,
            key,
            source["ts_ms"],
        )
        if identity in self._counted:
            return False
        self._counted.add(identity)
        return True

    def _beat(self, prefix: str, change: dict[str, Any], at: int) -> None:
        """A heartbeat table's row: its own clock where that says its zone."""
        row = change.get("after") or {}
        columns = ("ts", "heartbeat", "value", "updated_at", "last_update")
        for column in (*columns, "last_heartbeat", "time"):
            stated = row.get(column)
            if isinstance(stated, int) and 10**12 <= stated < 10**13:
                at = stated
            elif isinstance(stated, int) and 10**15 <= stated < 10**16:
                at = stated // 1000
            elif isinstance(stated, str) and _zoned.fullmatch(stated):
                at = instant(stated)
            else:
                continue
            break
        if self._believable(at):
            self._seen[prefix]["beat"].append((self._record.arrival, at))
        else:
            self._result("dead")

    # -- from facts to good and total ----------------------------------------------------

    def _count(self, slo: dict[str, Any]) -> None:
        sli = slo["sli"]
        method = slo.get("method") or DEFAULT_METHOD.get(sli, "Timeslices")
        limit = Fraction(str(slo.get("threshold") or DEFAULT_THRESHOLD.get(sli, 0)))
        step = BUCKET if method == "Occurrences" else MINUTE
        for kind, name in self._engines:
            series = f"{slo['name']}/{name}"
            if sli in AGES and kind == "cdc" and method == "Occurrences":
                self._count_rows(series, name, int(limit * SECOND))
            elif sli in AGES and kind == "cdc":
                self._count_ages(series, name, AGES[sli], int(limit * SECOND))
            elif sli not in AGES:
                for start in self._starts(sli, kind, name, step):
                    found = self._slot(sli, (kind, name), start, step, limit)
                    if found is not None and start + step <= self._until:
                        self.ledger[series, start] = _budgeted(*found, method)

    def _count_rows(self, series: str, prefix: str, limit: int) -> None:
        for arrival, at in self._rows[prefix]:
            start = at // BUCKET * BUCKET
            if start + BUCKET <= self._until:
                good, total = self.ledger.get((series, start), (0, 0))
                on_time = arrival - at <= limit
                self.ledger[series, start] = (good + on_time, total + 1)

    def _count_ages(self, series: str, prefix: str, whose: str, limit: int) -> None:
        """Minute by minute, of the 10 s buckets since the first thing arrived."""
        things, alive = self._seen[prefix][whose], self._seen[prefix]["alive"]
        if not things:
            return
        first = min(arrival for arrival, _ in things) // BUCKET * BUCKET
        for start in range(first // MINUTE * MINUTE, self._until, MINUTE):
            if start + MINUTE > self._until:
                break
            verdicts = []
            for bucket in range(max(start, first), start + MINUTE, BUCKET):
                end = bucket + BUCKET
                newest = max((t for a, t in things if a < end), default=0)
                spoke = max((a for a, _ in alive if a < end), default=0)
                if newest >= end - limit:
                    verdicts.append(True)
                elif whose != "beat" or (
                    # a silent connector says nothing about its database
                    spoke >= end - ALIVE_LIMIT and spoke >= newest + limit
                ):
                    verdicts.append(False)
            if verdicts:
                self.ledger[series, start] = (int(all(verdicts)), 1)

    def _feeds(self, sli: str, kind: str, name: str) -> list[Feed]:
        engine = self._engines[kind, name]
        feeds = (VALUES | RATIOS)[sli]
        return [feed for feed in feeds if engine in feed[1] and feed[2] == kind]

    def _starts(self, sli: str, kind: str, name: str, step: int) -> set[int]:
        return {
            start // step * step
            for feed in self._feeds(sli, kind, name)
            for metrics in feed[3].values()
            for metric in metrics
            for cells in self._cells[(kind, name), metric].values()
            for start in cells
        }

    def _stated(
        self, resource: tuple[str, str], metrics: list[str], start: int, step: int
    ) -> tuple[str, list[tuple[Cell, int]]]:
        """The first metric that says anything in a slot, with its cells and periods."""
        for metric in metrics:
            found = [
                (cell, period)
                for (_, period), cells in self._cells[resource, metric].items()
                for at, cell in cells.items()
                if start <= at < start + step
            ]
            if found:
                return metric, found
        return "", []

    def _slot(
        self,
        sli: str,
        resource: tuple[str, str],
        start: int,
        step: int,
        limit: Fraction,
    ) -> tuple[int, int] | None:
        """Good and total by the first feed that can tell."""
        for source, _, _, parts in self._feeds(sli, *resource):
            measures = CLOUDWATCH if source == "cloudwatch" else DATADOG
            stated = {
                part: self._stated(resource, metrics, start, step)
                for part, metrics in parts.items()
            }
            if "value" in stated:
                metric, cells = stated["value"]
                how = measures[metric].how if cells else ""
                good = [not c.broken and _value(c, how) <= limit for c, _ in cells]
                if good:
                    return sum(good), len(good)
                continue
            if not all(cells for _, cells in stated.values()):
                continue
            amounts = {
                part: sum(
                    _amount(cell, measures[metric], period) for cell, period in cells
                )
                for part, (metric, cells) in stated.items()
            }
            bad, good_amount = amounts.get("bad", 0), amounts.get("good")
            total = amounts.get("total", (good_amount or 0) + bad)
            if total > 0:
                kept = total - bad if good_amount is None else good_amount
                return min(max(kept, 0), total), total
        return None


def _value(cell: Cell, how: str) -> Fraction:
    if how == "max":
        return cell.high
    return cell.total / cell.count if how == "average" and cell.count else cell.total


def _amount(cell: Cell, measure: Measure, period: int) -> int:
    how = measure.how if cell.count else "sum"
    value = _value(cell, how)
    return round(value * period / SECOND if measure.rate else value)


def _budgeted(good: int, total: int, method: str) -> tuple[int, int]:
    if method == "Occurrences":
        return good, total
    if method == "RatioTimeslices":
        return round(Fraction(good, total) * 10**6), 10**6
    return int(good == total), 1


def _is_series(one: Any) -> bool:
    """Whether a series says what the format asks for, its points aside."""
    return (
        isinstance(one, dict)
        and isinstance(one.get("metric"), str)
        and isinstance(one.get("points"), list)
        and all(one.get(k) is None or _number(one[k]) for k in ("interval",))
        and all(isinstance(one.get(k) or "", str) for k in ("host", "device"))
    )


def _pair(point: Any) -> tuple[Any, Any] | None:
    """Seconds and value of a point of v1 or v2, None where it is neither."""
    if isinstance(point, dict):
        point = [point.get("timestamp"), point.get("value")]
    if not isinstance(point, list) or len(point) != 2 or not _number(point[0]):
        return None
    value = point[1]
    return (
        (point[0], value)
        if value is None or isinstance(value, str) or _number(value)
        else None
    )


def _tags_of(series: dict[str, Any]) -> list[str] | None:
    """All that names whom a series is about, None where it is no text."""
    tags = series.get("tags") or []
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        return None
    tags = [*tags, *(f"{k}:{series[k]}" for k in ("host", "device") if series.get(k))]
    for whom in series.get("resources") or []:
        kind = whom["type"]
        place = "host" if kind == "host" else f"resource.{kind}"
        tags.append(f"{place}:{whom['name']}")
    return tags


def _reading_of(metric: dict[str, Any]) -> Any:
    """What Vector's counter grew by, or its gauge stands at; None for all others."""
    if metric.get("counter"):
        return metric["counter"]["value"] if metric["kind"] == "incremental" else None
    if metric.get("gauge"):
        return metric["gauge"]["value"] if metric["kind"] == "absolute" else None
    return None


def _looks_like(document: Any, named: str) -> str:
    """The format of a document: its topic's, but Datadog's two are taken for another."""
    if named not in ("auto", "datadog", "vector") or not isinstance(document, dict):
        return named
    if named == "auto" and "metric_name" in document and "dimensions" in document:
        return "cloudwatch"
    if "series" in document or "check" in document:
        return "datadog"
    if {"metric", "log", "trace"} & document.keys() or "kind" in document:
        return "vector"
    if named == "auto":
        inner = document.get("payload") or document
        return "cdc" if "source" in inner and "op" in inner else ""
    return named


def _position(source: dict[str, Any]) -> tuple[Any, ...] | None:
    """Where in the database's log a row stands, None where that is not said."""
    name, connector = source.get("name"), source.get("connector")
    if connector == "postgresql" and source.get("lsn") is not None:
        return name, source.get("sequence"), source["lsn"]
    if connector in ("mysql", "mariadb") and source.get("pos") is not None:
        file = source.get("file") or ""
        if file[-1:].isdigit():
            server = (source.get("server_id"), source.get("gtid"))
            return name, *server, file, source["pos"], source.get("row")
    return None


_zoned = re.compile(r"(.*\d\d:\d\d(?::\d\d)?)(?:\.(\d+))?(Z|[+-]\d\d:?\d\d)")


def instant(text: str) -> int:
    """Epoch ms of a time with a zone."""
    found = _zoned.fullmatch(text)
    if found is None:
        raise ValueError(f"{text} has no zone")
    whole = datetime.fromisoformat(found[1] + found[3].replace("Z", "+00:00"))
    since = whole - datetime(1970, 1, 1, tzinfo=UTC)
    seconds = since.days * 86_400 + since.seconds
    return seconds * SECOND + int((found[2] or "").ljust(3, "0")[:3])
