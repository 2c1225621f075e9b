"""Captured payloads of DBSLO_SAMPLES through stage 1: every part is accounted for.

Expectations are counted from the files themselves with nothing but `json`, so that
any other folder of the same layout passes as well.
"""

import base64
import gzip
import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from slo.resources import (
    Cluster,
    Engine,
    Inventory,
)
from tests.streams.stage import Stage, objective, plan_of

LAG = "AuroraReplicaLag"


def documents(path: Path) -> list[Any]:
    """The JSON documents of a file, one or one a line, without those that are none."""
    data = path.read_bytes()
    if path.suffix == ".gz":
        data = gzip.decompress(data)
    try:
        whole = json.loads(data)
        return whole if isinstance(whole, list) else [whole]
    except ValueError:
        return [one for line in data.splitlines() for one in _loaded(line)]


def _loaded(line: bytes) -> Iterator[Any]:
    try:
        yield json.loads(line)
    except ValueError:
        return


def files(folder: Path, *suffixes: str) -> list[Path]:
    found = sorted(p for p in folder.iterdir() if p.suffix in suffixes)
    assert found, f"{folder} holds no {' or '.join(suffixes)}"
    return found


def unwrapped(path: Path) -> list[Any]:
    """Documents with Firehose bodies opened."""
    found: list[Any] = []
    for document in documents(path):
        records = document.get("records") if isinstance(document, dict) else None
        if records is None:
            found.append(document)
            continue
        for record in records:
            lines = base64.b64decode(record["data"]).splitlines()
            found.extend(json.loads(line) for line in lines if line.strip())
    return found


def taken(stage: Stage, topic: str, path: Path, at: int) -> dict[str, int]:
    stage.add(topic, path.read_bytes(), at=at, keys=[b'{"id":1}'])
    return stage.results(topic)


# -- CloudWatch --------------------------------------------------------------------------


def data_of(path: Path) -> list[dict[str, Any]]:
    """Data that a metric stream may hold: an object with a name, a time and numbers."""
    return [
        one
        for one in unwrapped(path)
        if isinstance(one, dict)
        and isinstance(one.get("timestamp"), int)
        and isinstance(one.get("value"), dict)
        and all(
            isinstance(one["value"].get(k), int | float)
            for k in ("max", "min", "sum", "count")
        )
    ]


def fleet_of(names: set[str]) -> Inventory:
    instances = tuple(sorted(names))
    return Inventory((Cluster("all", Engine.AURORA_MYSQL, instances=instances),))


def test_every_datum_of_a_metric_stream_is_accounted_for(samples):
    for path in files(samples / "cw_metric_stream_json", ".json", ".ndjson", ".gz"):
        good = data_of(path)
        newest = max((one["timestamp"] for one in good), default=0)
        stage = Stage()

        results = taken(stage, "cloudwatch", path, newest + 150_000)

        negative = path.name.startswith("NEGATIVE")
        assert negative == bool(stage.flush().letters), path.name
        counted = sum(n for r, n in results.items() if r not in ("malformed", "empty"))
        assert counted == len(good), path.name


def test_lag_of_a_metric_stream_is_the_lag_that_json_says(samples):
    plain: dict[tuple[str, int], tuple[float, ...]] = {}
    scale = {"Milliseconds": 1000, "Seconds": 1}
    paths = files(samples / "cw_metric_stream_json", ".ndjson")
    data = [
        one
        for path in paths
        for one in data_of(path)
        if one["metric_name"] == LAG
        and list(one["dimensions"]) == ["DBInstanceIdentifier"]
    ]
    for one in data:
        value, by = one["value"], scale[one["unit"]]
        plain[one["dimensions"]["DBInstanceIdentifier"], one["timestamp"]] = (
            value["count"],
            *(value[k] / by for k in ("sum", "min", "max")),
        )
    assert plain, "the samples hold no replica lag of an instance"
    stage = Stage(
        plan_of([objective("aurora.replica_lag")], fleet_of({who for who, _ in plain}))
    )
    newest = max(at for _, at in plain)
    for path in paths:
        taken(stage, "cloudwatch", path, newest + 150_000)

    seen = stage.flush()

    told = {
        (resource.removeprefix("instance:"), int(start)): tuple(stats)
        for (resource, _), cells in seen.cells.items()
        for start, *stats in cells
    }
    assert told == plain


# -- Datadog ----------------------------------------------------------------------------------


def points_of(path: Path) -> list[tuple[str, float]]:
    """(metric, seconds) of every point of series payloads."""
    found = []
    for document in documents(path):
        for series in document.get("series", []) if isinstance(document, dict) else []:
            for point in series["points"]:
                at = point["timestamp"] if isinstance(point, dict) else point[0]
                found.append((series["metric"], at))
    return found


def test_every_point_of_a_datadog_payload_is_accounted_for(samples):
    for path in files(samples / "dd_series", ".json"):
        points = points_of(path)
        newest = max((at for _, at in points), default=0)
        stage = Stage()

        results = taken(stage, "datadog", path, int(newest * 1000) + 30_000)

        if points:
            assert stage.flush().letters == [], path.name
            assert sum(results.values()) == len(points), path.name


def test_every_event_of_vector_is_accounted_for(samples):
    for path in files(samples / "dd_vector_native_json", ".json", ".ndjson"):
        events = documents(path)
        stage = Stage()
        newest = max(map(_stamp, events))

        results = taken(stage, "vector", path, newest + 30_000)

        assert stage.flush().letters == [], path.name
        assert sum(results.values()) == len(events), path.name


def _stamp(event: dict[str, Any]) -> int:
    stamp = (event.get("metric") or event).get("timestamp")
    if not isinstance(stamp, str):
        return 0
    return max(int(datetime.fromisoformat(stamp).timestamp() * 1000), 0)


# -- Debezium ------------------------------------------------------------------------------------

CDC = ("debezium_mysql", "debezium_postgres", "heartbeat_and_ghost_tables")


def changes_of(path: Path) -> list[dict[str, Any]]:
    """Row changes that state when the database made them."""
    found = []
    for document in documents(path):
        inner = document.get("payload", document) if isinstance(document, dict) else {}
        source = inner.get("source") if isinstance(inner, dict) else None
        if isinstance(source, dict) and source.get("ts_ms") and inner.get("op"):
            found.append(inner)
    return found


def streamed(change: dict[str, Any]) -> bool:
    return change["op"] in "cud" and change["source"].get("snapshot") in (
        "false",
        False,
        None,
    )


@pytest.mark.parametrize("folder", CDC)
def test_every_change_is_a_row_or_nothing_but_a_sign_of_life(samples, folder):
    fresh = plan_of([objective("cdc.end_to_end_freshness"), objective("cdc.liveness")])
    for path in files(samples / folder, ".json", ".ndjson"):
        changes = changes_of(path)
        times = [one["source"]["ts_ms"] for one in changes]
        if not changes:
            continue
        stage = Stage(fresh)

        results = taken(stage, "returns.public.any", path, max(times) + 1_000)

        seen = stage.flush()
        rows = [one["source"]["ts_ms"] for one in changes if streamed(one)]
        told = [high for *_, high in seen.of("cdc:returns", "cdc:event")]
        assert told == ([max(rows)] if rows else []), path.name
        assert results.get("ok", 0) + results.get("dup", 0) + results.get(
            "snapshot", 0
        ) >= len(changes), path.name


def test_connectors_tell_that_they_live_by_their_other_topics(samples):
    folder = samples / "debezium_meta_topics"
    topics = {"mysql_transaction_begin_end.ndjson": "returns.transaction"}
    topics["mysql_schema_change_value.json"] = "returns"
    live = plan_of([objective("cdc.liveness")])
    for name, topic in topics.items():
        stage = Stage(live).add(topic, (folder / name).read_bytes())

        seen = stage.flush()

        assert seen.letters == [], name
        assert len(seen.of("cdc:returns", "cdc:alive")) == 1, name


def test_heartbeats_of_the_connector_with_and_without_schema(samples):
    path = samples / "debezium_meta_topics" / "SYNTHETIC_heartbeat_topic_records.ndjson"
    stage = Stage(plan_of([objective("cdc.liveness")]))
    records = documents(path)
    for record in records:
        stage.add("__debezium-heartbeat.returns", record["value"])

    assert stage.results("__debezium-heartbeat.returns") == {"ok": len(records)}


# -- everything else ---------------------------------------------------------------------------------


@pytest.mark.parametrize("topic", ["cloudwatch", "datadog", "returns.a.b", "anything"])
def test_no_sample_of_any_format_crashes_any_topic(samples, topic):
    for path in sorted(samples.rglob("*")):
        if path.is_file():
            data = path.read_bytes()
            stage = Stage().add(topic, data)
            assert sum(stage.results(topic).values()) >= 1, path
