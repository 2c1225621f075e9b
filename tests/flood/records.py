"""The flood: records of which each holds a name, a label or a date that none had."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import msgspec

from slo.model import DAY, MINUTE
from slo.names import CLOUDWATCH_TOPIC, DATADOG_TOPIC
from slo.plan import Plan
from slo.resources import Cluster, Engine, Inventory
from tests.conformance.fleet_records import Placed
from tests.conformance.fleet_records import plan as fleet_plan
from tests.streams.stage import datum, mysql_row, payload, plan_of, series

LEFT_ALONE_MS = 5 * DAY
"""Dates this near to now are believable: the flood has none of them."""

CROWD = Cluster(
    "crowd", Engine.AURORA_MYSQL, instances=("crowd-1",), cdc_prefixes=("crowd",)
)
"""A cluster of which anybody may state anything: its own SLOs are the flood's."""

ANYTHING = "anything"
SHARED = {
    CLOUDWATCH_TOPIC: "cloudwatch",
    DATADOG_TOPIC: "datadog",
    "vector": "vector",
    ANYTHING: "auto",
}
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SPAN_MS = (datetime(2100, 1, 1, tzinfo=UTC) - EPOCH) // timedelta(milliseconds=1)
encode = msgspec.json.encode


@cache
def plan() -> Plan:
    """The demo's fleet and SLOs, and the crowd under the same SLOs."""
    real = fleet_plan()
    crowd = plan_of(real.slos, Inventory((CROWD,)))
    inventory = Inventory((*real.inventory.clusters, CROWD))
    return Plan(inventory, real.slos, (*real.series, *crowd.series))


REAL = "orders-a"
REAL_PREFIX = "payments"
"""An instance and a CDC prefix of the real fleet."""

METRIC = "mysql.innodb.row_lock_current_waits"
"""What Datadog states of the real instance and of the crowd's."""

Made = tuple[str, bytes, int]
"""(topic, value, arrival)."""


def unknown_instances(n: int, at: int) -> Made:
    return CLOUDWATCH_TOPIC, _datum(at, who=f"flood-{n}"), at


def unknown_metrics(n: int, at: int) -> Made:
    return CLOUDWATCH_TOPIC, encode(datum(f"Flood{n}", 0.0, at=at - MINUTE)), at


def unknown_dimensions(n: int, at: int) -> Made:
    one = datum(who="crowd-1", at=at - MINUTE)
    one["dimensions"][f"Flood{n}"] = "x"
    return CLOUDWATCH_TOPIC, encode(one), at


def accounts_of_one_instance(n: int, at: int) -> Made:
    return CLOUDWATCH_TOPIC, _datum(at, who="crowd-1", account_id=f"{n:012d}"), at


def units_that_nobody_knows(n: int, at: int) -> Made:
    return CLOUDWATCH_TOPIC, _datum(at, who=REAL, unit=f"Flood{n}"), at


def tags_of_one_host(n: int, at: int) -> Made:
    return DATADOG_TOPIC, _series(at, "crowd-1", f"request:{n}"), at


def long_tags(n: int, at: int) -> Made:
    return DATADOG_TOPIC, _series(at, "crowd-1", f"{n}:{'x' * 3_500}"), at


def unknown_hosts(n: int, at: int) -> Made:
    return DATADOG_TOPIC, _series(at, f"flood-{n}", "a:b"), at


def unknown_series(n: int, at: int) -> Made:
    return DATADOG_TOPIC, encode(payload(series(f"flood.{n}", (at - 5_000, 0.0)))), at


def tags_of_vector(n: int, at: int) -> Made:
    tags = {"database_instance": "crowd-1", f"flood{n}": "x"}
    return "vector", encode(_event(at, tags)), at


def unknown_prefixes(n: int, at: int) -> Made:
    return ANYTHING, encode(mysql_row(at - 900, name=f"flood-{n}")), at


def servers_of_one_connector(n: int, at: int) -> Made:
    gtid = f"3e11fa47-71ca-11e1-9e33-{n:012d}:1"
    row = mysql_row(at - 900 - n * 7_919 % 170_000, gtid=gtid, name="crowd")
    return "crowd.shop.rows", encode(row), at


def tables_of_one_connector(n: int, at: int) -> Made:
    row = mysql_row(at - 900, pos=n, name="crowd", table=f"t{n}")
    return f"crowd.shop.t{n % 3_000}", encode(row), at


def log_streams(n: int, at: int) -> Made:
    event = {"logStream": f"flood-{n}", "logEvents": [{"message": "x"}]}
    return ANYTHING, encode(event), at


def dates_of_cloudwatch(n: int, at: int) -> Made:
    return CLOUDWATCH_TOPIC, _datum(_date(n, at) + MINUTE, who=REAL), at


def dates_of_datadog(n: int, at: int) -> Made:
    return DATADOG_TOPIC, _series(_date(n, at) + 5_000, REAL, "a:b"), at


def dates_of_vector(n: int, at: int) -> Made:
    return "vector", encode(_event(_date(n, at), {"database_instance": REAL})), at


def dates_of_rows(n: int, at: int) -> Made:
    row = mysql_row(_date(n, at), pos=n, name=REAL_PREFIX)
    return f"{REAL_PREFIX}.shop.rows", encode(row), at


def stamps_of_records(n: int, at: int) -> Made:
    """Not the event alone: the record itself claims to be of another time."""
    day = _date(n, at)
    if abs(day - at) < 11 * 366 * DAY:
        day = -(-(n + 1) * DAY // 500)  # before 1970: there is no such timestamp
        return CLOUDWATCH_TOPIC, _datum(day, who=REAL), at
    return CLOUDWATCH_TOPIC, _datum(day, who=REAL), day


KINDS: tuple[Callable[[int, int], Made], ...] = (
    unknown_instances,
    unknown_metrics,
    unknown_dimensions,
    accounts_of_one_instance,
    units_that_nobody_knows,
    tags_of_one_host,
    long_tags,
    unknown_hosts,
    unknown_series,
    tags_of_vector,
    unknown_prefixes,
    servers_of_one_connector,
    tables_of_one_connector,
    log_streams,
    dates_of_cloudwatch,
    dates_of_datadog,
    dates_of_vector,
    dates_of_rows,
    stamps_of_records,
)


def flood(first: int, size: int, at_ms: int, partitions: int) -> Iterator[Placed]:
    """So many records that arrive at a moment, each the first of its kind."""
    for number in range(first, first + size):
        kind = KINDS[number % len(KINDS)]
        topic, value, arrival_ms = kind(number // len(KINDS), at_ms)
        yield Placed(topic, number % partitions, arrival_ms, b'{"id":1}', value)


def _date(n: int, now_ms: int) -> int:
    """A moment between 1970 and 2099, all over it, and none that is about now."""
    found = (n * 7_919 * 86_413_777) % SPAN_MS
    near = abs(found - now_ms) < LEFT_ALONE_MS
    return (found + 4 * LEFT_ALONE_MS) % SPAN_MS if near else found


def _datum(at: int, *, who: str, **more: Any) -> bytes:
    return encode(datum(who=who, at=at - MINUTE, value=9e6, **more))


def _series(at: int, who: str, tag: str) -> bytes:
    one = series(METRIC, (at - 5_000, 9e6), who=who)
    one["tags"].append(tag)
    return encode(payload(one))


def _event(at: int, tags: dict[str, str]) -> dict[str, Any]:
    stamp = (EPOCH + timedelta(milliseconds=at)).isoformat()
    namespace, _, name = METRIC.partition(".")
    event = {"name": name, "namespace": namespace}
    event |= {"tags": tags, "timestamp": stamp, "kind": "absolute"}
    return {"metric": event | {"gauge": {"value": 9e6}}}
