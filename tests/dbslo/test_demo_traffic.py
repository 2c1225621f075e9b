"""The demo's outages and its telemetry: what is on the wire, when, in which form."""

import base64
import gzip
import json
from collections import Counter
from itertools import pairwise

import pytest

from dbslo.demo import fleet, trace
from dbslo.demo.trace import Expect, Mode, Signal, Trace, Track, UnknownIncidentError
from dbslo.demo.traffic import Onset, Record, Span, traffic
from slo.model import (
    HOUR,
    MINUTE,
    SECOND,
)
from slo.resources import (
    Cluster,
    Engine,
    Inventory,
)

T0 = 1_794_000_000_000 // MINUTE * MINUTE
PAYMENTS = Cluster(
    "payments",
    Engine.MYSQL,
    labels={"env": "prod"},
    instances=("payments-1", "payments-1-r1"),
    proxies=("payments-proxy",),
    cdc_prefixes=("payments",),
)
ORDERS = Cluster(
    "orders",
    Engine.AURORA_MYSQL,
    labels={"env": "prod"},
    instances=("orders-a", "orders-b"),
    proxies=("orders-proxy",),
)
CATALOG = Cluster("catalog", Engine.AURORA_POSTGRESQL, instances=("catalog-a",))
RETURNS = Cluster("returns", Engine.POSTGRES, instances=("returns-1", "returns-1-r"))


def made(*tracks: Track, ends_s: int = 600) -> Trace:
    return Trace(
        name="made",
        title="made up",
        origin="here",
        basis="modelled",
        cluster="payments",
        watch=tracks[0].resources[0],
        slo="any",
        expect=Expect.QUIET,
        ends_s=ends_s,
        lesson="none",
        tracks=tracks,
    )


def records(
    *clusters: Cluster, tracks: tuple[Track, ...] = (), minutes: int = 10
) -> list[Record]:
    onsets = [Onset(made(*tracks), T0)] if tracks else []
    span = Span(T0 - 2 * MINUTE, T0 + minutes * MINUTE)
    return list(traffic(Inventory(clusters), onsets, span))


def data(found: list[Record]) -> list[tuple[int, dict]]:
    """(arrival, datum) of every CloudWatch datum, whatever its framing."""
    out = []
    for record in found:
        if record.topic != "cloudwatch":
            continue
        value = record.value
        if value[:2] == b"\x1f\x8b":
            value = gzip.decompress(value)
        if value.startswith(b'{"requestId"'):
            body = json.loads(value)
            value = b"".join(base64.b64decode(r["data"]) for r in body["records"])
        out += [(record.arrival_ms, json.loads(line)) for line in value.splitlines()]
    return out


def series(found: list[Record], metric: str, resource: str) -> dict[int, float]:
    """Seconds after T0 to value (max) of a metric of one instance or proxy."""
    return {
        (datum["timestamp"] - T0) // SECOND: datum["value"]["max"]
        for _, datum in data(found)
        if datum["metric_name"] == metric
        and list(datum["dimensions"].values()) == [resource]
    }


# -- traces -----------------------------------------------------------------------


@pytest.mark.parametrize("name", trace.names())
def test_every_shipped_outage_plays_on_the_demo_fleet(name):
    loaded = trace.load(name)
    text = (fleet.FLEET / "inventory.yaml").read_text()
    assert loaded.name == name
    assert f"name: {loaded.cluster}\n" in text
    for track in loaded.tracks:
        assert all(resource in text for resource in track.resources)
        assert [t for t, _ in track.points] == sorted(t for t, _ in track.points)
    assert loaded.watched.resources
    assert loaded.story[0][0] == 0
    last = max(moment for track in loaded.tracks for moment in track.moments)
    assert loaded.ends_s > last, "the telling ends before the outage does"


def test_an_unknown_outage_names_those_that_exist():
    with pytest.raises(UnknownIncidentError, match="razorpay-replicas"):
        trace.load("../trace")


STEP = Track(Signal.CLOUDWATCH, ("a",), ((-10, 1), (0, 5), (60, None)))
LINEAR = Track(
    Signal.CLOUDWATCH, ("a",), ((0, 0), (10, 100), (20, None)), mode=Mode.LINEAR
)
SAW = Track(
    Signal.CLOUDWATCH, ("a",), ((0, 0), (299, 299)), mode=Mode.LINEAR, repeat=300
)


@pytest.mark.parametrize(
    ("track", "at_s", "value"),
    [
        pytest.param(
            STEP, -600, 1, id="before its first point a track says that point"
        ),
        pytest.param(STEP, -1, 1, id="a step holds until the next point"),
        pytest.param(STEP, 0, 5, id="a step changes at its point"),
        pytest.param(STEP, 90, None, id="null means no data from then on"),
        pytest.param(LINEAR, 5, 50, id="a line interpolates"),
        pytest.param(
            LINEAR, 15, 100, id="a line holds where the next point has no data"
        ),
        pytest.param(LINEAR, 25, None, id="a line ends in silence"),
        pytest.param(SAW, 0, 0, id="a saw starts low"),
        pytest.param(SAW, 450, 150, id="a saw starts again"),
    ],
)
def test_a_track_reads(track, at_s, value):
    assert track.value_at(at_s) == value


# -- records ----------------------------------------------------------------------


def test_the_same_arguments_give_the_same_records_in_order_of_arrival():
    first = records(PAYMENTS, ORDERS, CATALOG, RETURNS)
    assert first == records(PAYMENTS, ORDERS, CATALOG, RETURNS)
    arrivals = [record.arrival_ms for record in first]
    assert arrivals == sorted(arrivals)


def test_every_framing_of_cloudwatch_is_on_the_wire():
    kinds = Counter(
        "gzip"
        if r.value[:2] == b"\x1f\x8b"
        else "firehose"
        if r.value.startswith(b'{"requestId"')
        else ("lines" if r.value.count(b"\n") > 1 else "single")
        for r in records(PAYMENTS, ORDERS, CATALOG, RETURNS)
        if r.topic == "cloudwatch"
    )
    assert kinds.keys() == {"gzip", "firehose", "lines", "single"}


def test_a_minute_of_cloudwatch_arrives_after_it_has_ended():
    for arrival_ms, datum in data(records(PAYMENTS)):
        assert 0 < arrival_ms - (datum["timestamp"] + MINUTE) <= 3 * MINUTE
        assert datum["timestamp"] % MINUTE == 0


def test_only_readers_have_a_lag_until_the_writer_steps_down():
    assert series(records(ORDERS), "AuroraReplicaLag", "orders-a") == {}
    down = Track(
        Signal.CLOUDWATCH, ("orders-a",), ((0, None), (60, 140)), "AuroraReplicaLag"
    )
    lag = series(records(ORDERS, tracks=(down,)), "AuroraReplicaLag", "orders-a")
    assert min(lag) == 60
    assert set(lag.values()) == {140.0}


def test_a_broken_replica_says_minus_one_on_the_wire():
    broken = Track(
        Signal.CLOUDWATCH, ("payments-1-r1",), ((-300, 0.4), (120, -1)), "ReplicaLag"
    )
    lag = series(records(PAYMENTS, tracks=(broken,)), "ReplicaLag", "payments-1-r1")
    assert {t: v for t, v in lag.items() if 60 <= t <= 180} == {
        60: 0.4,
        120: -1,
        180: -1,
    }


def test_a_failover_of_28_s_fails_the_attempts_of_28_s_in_a_storm():
    errors = Track(Signal.CONNECT_ERRORS, ("orders-proxy",), ((0, 1.0), (28, 0)))
    storm = Track(Signal.CONNECT_ATTEMPTS, ("orders-proxy",), ((-60, 30), (0, 3000)))
    sums = {
        (datum["timestamp"], datum["metric_name"]): datum["value"]["sum"]
        for _, datum in data(records(ORDERS, tracks=(errors, storm)))
        if datum["metric_name"].startswith("ClientConnections")
    }
    assert sums[T0, "ClientConnectionsReceived"] == 3000
    assert sums[T0, "ClientConnectionsSetupSucceeded"] == 3000 - 28 * 50
    assert sums[T0 + MINUTE, "ClientConnectionsSetupSucceeded"] == 3000


def test_what_cloudwatch_held_back_arrives_whole_when_it_delivers_again():
    gap = Track(Signal.DELIVERY, ("payments-1",), ((-60, 1), (0, 0), (300, 1)))
    held = data(records(PAYMENTS, tracks=(gap,)))
    arrivals = {arrival_ms for arrival_ms, _ in held}
    assert not [a for a in arrivals if T0 <= a < T0 + 300 * SECOND]
    free = data(records(PAYMENTS))
    assert [datum for _, datum in held] == [datum for _, datum in free]


def rows(found: list[Record], topic: str) -> list[tuple[int, dict]]:
    return [(r.arrival_ms, json.loads(r.value)) for r in found if r.topic == topic]


def test_rows_behind_arrive_when_the_age_allows_and_none_is_lost():
    late = Track(
        Signal.ROW_AGE,
        ("payments",),
        ((-10, 1), (0, 1), (200, 201), (260, 1)),
        mode=Mode.LINEAR,
    )
    beats = rows(records(PAYMENTS, tracks=(late,)), "payments.app.heartbeat")
    stalled = [at for at, _ in beats if T0 + 10 * SECOND < at < T0 + 200 * SECOND]
    assert stalled == []
    positions = [int(row["source"]["gtid"].rpartition(":")[2]) for _, row in beats]
    assert positions == [2 * n for n in range(len(positions))]
    assert len(positions) == 12 * 6
    connector = rows(records(PAYMENTS, tracks=(late,)), "__debezium-heartbeat.payments")
    gaps = [b - a for (a, _), (b, _) in pairwise(connector)]
    assert set(gaps) == {10 * SECOND}, "the connector itself lives on"


def test_a_hanging_connector_sends_nothing_at_all_then_everything():
    hung = Track(
        Signal.CONNECTOR_AGE,
        ("payments",),
        ((-10, 1), (0, 1), (300, 301), (301, 1)),
        mode=Mode.LINEAR,
    )
    found = records(PAYMENTS, tracks=(hung,))
    cdc = [r for r in found if r.topic not in ("cloudwatch", "datadog")]
    assert not [r for r in cdc if T0 + 10 * SECOND < r.arrival_ms < T0 + 300 * SECOND]
    burst = [r for r in cdc if T0 + 300_000 <= r.arrival_ms <= T0 + 302_000]
    # thirty beats of two rows and one heartbeat of the connector, and the onset's
    assert len(burst) == 31 * 3


def test_hours_of_a_fleet_take_seconds_to_make():
    span = Span(T0, T0 + HOUR)
    found = list(traffic(Inventory((PAYMENTS, ORDERS, CATALOG, RETURNS)), [], span))
    assert len(found) > 1_000
