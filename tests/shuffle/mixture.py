"""A mean mixture: every format and framing, restated, doubled, re-sent, hours late."""

import base64
import gzip
import json
import random
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from typing import Any

import msgspec

from slo.model import HOUR, MINUTE, SECOND, Budgeting
from slo.names import CLOUDWATCH_TOPIC, DATADOG_TOPIC
from slo.plan import Plan
from tests.conformance.fleet_records import MINUTES, Placed, records
from tests.conformance.fleet_records import plan as fleet_plan
from tests.streams.stage import NOW, firehose, mysql_row, objective, plan_of, row

ANYTHING = "anything"
SHARED = {
    CLOUDWATCH_TOPIC: "cloudwatch",
    DATADOG_TOPIC: "datadog",
    "vector": "vector",
    ANYTHING: "auto",
}
SPANS = 4
LATEST_MS = 3 * HOUR
"""How late the latest records are."""

encode = msgspec.json.encode


@cache
def plan() -> Plan:
    """The demo's fleet, whose CDC rows are counted one by one as well."""
    rows = objective("cdc.end_to_end_freshness", Budgeting.OCCURRENCES)
    real = fleet_plan()
    counted = plan_of([rows], real.inventory)
    return Plan(real.inventory, (*real.slos, rows), (*real.series, *counted.series))


def mixture(seed: int, *, again: bool = True) -> list[Placed]:
    """All records by arrival; their partition is 0 where anybody may choose it.

    `again`: with what connectors send again.
    """
    chosen = random.Random(seed)
    spans = [records(NOW - span * MINUTES * MINUTE) for span in range(SPANS)]
    metrics = [one for span in spans for one in span if one.topic in SHARED]
    # The positions of a span begin at 0: of several, each would be a new database.
    keyed = [one for one in spans[0] if one.topic not in SHARED]
    keyed += _rows(chosen)
    mixed = [
        *_late(metrics, chosen),
        *_vector(metrics, chosen),
        *_restated(metrics, chosen),
        *_framed(metrics, chosen),
        *_sent_again(metrics, chosen),
        *_ruined(metrics, chosen),
        *keyed,
        *(_runs(keyed, chosen) if again else ()),
    ]
    return sorted(mixed, key=lambda one: one.arrival_ms)


def _late(metrics: list[Placed], chosen: random.Random) -> Iterator[Placed]:
    """A tenth comes minutes or hours late."""
    for one in metrics:
        late = chosen.random() < 0.1
        by = chosen.choice((MINUTE, 20 * MINUTE, HOUR, LATEST_MS)) if late else 0
        yield one._replace(arrival_ms=one.arrival_ms + by)


def _sent_again(metrics: list[Placed], chosen: random.Random) -> Iterator[Placed]:
    """A third comes again, some of it twice."""
    for one in chosen.sample(metrics, len(metrics) // 3):
        for _ in range(chosen.choice((1, 1, 2))):
            after = chosen.choice((0, SECOND, 30 * SECOND, 40 * MINUTE))
            yield one._replace(arrival_ms=one.arrival_ms + after)


def _documents(one: Placed) -> list[dict[str, Any]]:
    try:
        found = json.loads(one.value or b"")
    except ValueError:
        return []
    return [found] if isinstance(found, dict) else []


def _restated(metrics: list[Placed], chosen: random.Random) -> Iterator[Placed]:
    """CloudWatch states a minute again, with more samples, or with others as many."""
    for one in metrics:
        for datum in _documents(one):
            if "metric_name" not in datum or chosen.random() > 0.2:
                continue
            value = dict(datum["value"])
            by = chosen.choice((0, 1, 5))
            value["count"] += by
            value["sum"] += by * value["max"]
            value["max"] = value["max"] * chosen.choice((1, 1, 3, 0.5)) + 0.25
            value["min"] = min(value["min"], value["max"])
            after = chosen.choice((5 * SECOND, 3 * MINUTE, HOUR))
            yield one._replace(
                value=encode(datum | {"value": value}),
                arrival_ms=one.arrival_ms + after,
            )


def _framed(metrics: list[Placed], chosen: random.Random) -> Iterator[Placed]:
    """Groups as Firehose sends them, and each body a second time."""
    data = [one for one in metrics if one.topic == CLOUDWATCH_TOPIC and one.value]
    for first in range(0, len(data) - 20, 60):
        group = data[first : first + chosen.randint(2, 20)]
        lines = b"\n".join(one.value or b"" for one in group)
        body = chosen.choice(
            (
                encode(firehose(lines, gzip.compress(lines, mtime=0))),
                gzip.compress(lines, mtime=0),
                base64.b64encode(lines),
                b"[" + b",".join(one.value or b"" for one in group[:1]) + b"]",
                lines + b'\n{"broken": ',
            )
        )
        topic = chosen.choice((CLOUDWATCH_TOPIC, ANYTHING))
        arrival_ms = max(one.arrival_ms for one in group) + SECOND
        for after in (0, 20 * SECOND):
            yield Placed(topic, 0, arrival_ms + after, None, body)


def _vector(metrics: list[Placed], chosen: random.Random) -> Iterator[Placed]:
    """What a Datadog Agent says, as Vector hands it on."""
    for one in metrics:
        for body in _documents(one):
            for series in body.get("series") or []:
                if chosen.random() < 0.3:
                    yield from _events(one, series)


def _events(one: Placed, series: dict[str, Any]) -> Iterator[Placed]:
    namespace, _, name = series["metric"].partition(".")
    tags = dict(tag.split(":", 1) for tag in series.get("tags") or [] if ":" in tag)
    if series.get("host"):
        tags["host"] = series["host"]
    for point in series["points"]:
        at, value = point.values() if isinstance(point, dict) else point
        seconds = int(at)
        stamp = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        metric = {"name": name, "namespace": namespace, "tags": tags}
        metric |= {"timestamp": stamp, "kind": "absolute", "gauge": {"value": value}}
        yield Placed("vector", 0, one.arrival_ms, None, encode({"metric": metric}))


def _ruined(metrics: list[Placed], chosen: random.Random) -> Iterator[Placed]:
    """Cut off, replaced, or of a time that nobody believes."""
    for one in chosen.sample(metrics, 60):
        value = one.value or b""
        yield one._replace(value=value[: chosen.randrange(len(value) + 1)])
        yield one._replace(value=value.replace(b"1", b"7", 3))
        yield one._replace(value=chosen.choice((None, b"", b"null", b"\xff\x00")))


# -- change streams ------------------------------------------------------------------


def _rows(chosen: random.Random) -> Iterator[Placed]:
    """Rows of both kinds of log: concurrent transactions, a failover, stalls.

    A connector that stalls is late with all that follows: it overtakes nothing.
    """
    begin_ms = NOW - SPANS * MINUTES * MINUTE
    sent: dict[tuple[str, int], int] = {}
    for number in range(3_000):
        at_ms = begin_ms + number * SPANS * MINUTES * MINUTE // 3_000
        late_ms = 45 * SECOND if chosen.random() < 0.04 else 0
        key = b'{"id":%d}' % number
        if number % 2:
            commit = 900 + 10 * (number // 6)
            lsn = commit + 3 * (number % 6) - 25  # it began before others committed
            change = row(at_ms, lsn=lsn, commit=commit)
            topic = "returns.public.orders"
        else:
            server = "a" * 8 if number < 1_600 else "b" * 8
            change = mysql_row(
                at_ms // SECOND * SECOND,
                gtid=f"{server}-71ca-11e1-9e33-c80aa9429562:{number // 6}",
                pos=4 + number % 1_600,
                index=number % 6,
                name="payments",
            )
            topic = "payments.shop.orders"
        place = (topic, number // 2 % 2)
        sent[place] = max(at_ms + 800 + late_ms, sent.get(place, 0))
        yield Placed(*place, sent[place], key, encode(change))


def _runs(keyed: list[Placed], chosen: random.Random) -> Iterator[Placed]:
    """A connector that starts again sends what it sent last once more, in order."""
    places: dict[tuple[str, int], list[Placed]] = defaultdict(list)
    for one in sorted(keyed, key=lambda one: one.arrival_ms):
        places[one.topic, one.partition].append(one)
    for run in places.values():
        for _ in range(1 + len(run) // 200):
            at = chosen.randrange(len(run))
            for one in run[max(at - chosen.choice((3, 30, 120)), 0) : at]:
                yield one._replace(arrival_ms=run[at].arrival_ms)
