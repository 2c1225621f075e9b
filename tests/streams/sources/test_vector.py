"""Vector metrics: both codecs, kinds, tags, times."""

import pytest

from slo.model import SECOND
from tests.streams.stage import NOW, Stage, payload, series

COMMITS = ("instance:returns-1", "datadog:postgresql.commits")
STAMP = "2026-11-06T21:19:40Z"  # 20 s before NOW
AT = NOW - 20 * SECOND


def metric(**more):
    return {
        "name": "commits",
        "namespace": "postgresql",
        "tags": {
            "host": "agent-host",
            "database_instance": "returns-1",
            "dbclusteridentifier": "returns",
            "source_type_name": "System",
        },
        "timestamp": STAMP,
        "kind": "absolute",
        "gauge": {"value": 5.0},
        **more,
    }


COUNTER = {"kind": "incremental", "counter": {"value": 100.0}, "gauge": None}
CODECS = {"native_json": lambda m: {"metric": m}, "json": lambda m: m}


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("topic", ["vector", "datadog", "anything"])
def test_both_codecs_say_the_same_wherever_they_are_written(codec, topic):
    stage = Stage().add(topic, CODECS[codec](metric()))

    seen = stage.flush()

    assert seen.of(*COMMITS) == [(AT, 0.0, 5.0, 5.0, 5.0)]
    assert stage.results(topic) == {"ok": 1}


def test_an_array_of_events_is_taken_one_by_one():
    stage = Stage()
    stage.add(
        "vector", [{"metric": metric()}, {"log": {"message": "x"}}, {"trace": {}}]
    )

    assert len(stage.flush().of(*COMMITS)) == 1
    assert stage.results("vector") == {"ok": 1, "irrelevant": 2}


def test_it_is_the_same_route_as_the_agents_own_payload():
    stage = Stage()
    stage.add("vector", {"metric": metric(interval_ms=20_000)})
    stage.add("datadog", payload(series("postgresql.commits", (AT, 5.0))))

    ((_, batch),) = stage.flush().batches

    assert len(batch.routes) == len(batch.cells) == 1


VALUES = {
    "an incremental counter of an interval": ({**COUNTER, "interval_ms": 20_000}, 5.0),
    "an incremental counter without one": (COUNTER, 100 / 15),
    "a gauge": ({}, 5.0),
    "a gauge with an interval": ({"interval_ms": 10_000}, 5.0),
}


@pytest.mark.parametrize("name", VALUES)
def test_a_rate_may_come_as(name):
    more, value = VALUES[name]

    seen = Stage().add("vector", {"metric": metric(**more)}).flush()

    assert [cell[4] for cell in seen.of(*COMMITS)] == [value]


REFUSED = {
    "cumulative_counter": {"counter": {"value": 9.0}, "gauge": None},
    "incremental_gauge": {"kind": "incremental"},
    "unsupported_type": {"gauge": None, "set": {"values": []}},
    "out_of_range": {"gauge": {"value": -2.0}},
    "absurd_interval": {"interval_ms": 1_954_239_307},
    "too_old": {"timestamp": "1969-12-31T16:01:24.000025786Z"},
    "in_the_future": {"timestamp": "2099-01-01T00:00:00Z"},
    "malformed": {"timestamp": "2026-11-06T21:19:40"},  # whose time is that?
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_cannot_be_judged_is_refused(reason):
    stage = Stage().add("vector", {"metric": metric(**REFUSED[reason])})

    seen = stage.flush()

    assert seen.cells == {}
    assert dict(stage.ingest.refused) == {("datadog", reason): 1}
    assert len(seen.letters) == 1


def test_tags_may_be_bare_or_have_several_values():
    tags = {**metric()["tags"], "urgent": None, "team": ["b", "a", None]}

    seen = Stage().add("vector", {"metric": metric(tags=tags)}).flush()

    assert seen.batches[0][1].routes[0].tags == (
        "database_instance:returns-1,dbclusteridentifier:returns,host:agent-host,"
        "team,team:a,team:b,urgent"
    )


def test_without_a_timestamp_it_is_now():
    seen = Stage().add("vector", {"metric": metric(timestamp=None)}).flush()

    assert [cell[0] for cell in seen.of(*COMMITS)] == [NOW]


def test_nanoseconds_are_milliseconds_inside():
    stamp = "2026-11-06T21:19:40.123456789Z"

    seen = Stage().add("vector", {"metric": metric(timestamp=stamp)}).flush()

    assert [cell[0] for cell in seen.of(*COMMITS)] == [AT + 123]


def test_a_resource_may_be_a_tag_of_vectors_own():
    tags = {"resource.database_instance": "returns-1", "dbclusteridentifier": "returns"}

    seen = Stage().add("vector", {"metric": metric(tags=tags)}).flush()

    assert list(seen.cells) == [COMMITS]


def test_a_metric_that_nobody_reads_is_irrelevant():
    stage = Stage().add("vector", {"metric": metric(namespace=None)})

    assert stage.results("vector") == {"irrelevant": 1}
