"""Datadog series: versions, names, rates, points."""

import json

import pytest

from slo.model import SECOND
from tests.streams.stage import NOW, Stage, payload, series

COMMITS = ("instance:returns-1", "datadog:postgresql.commits")
AT = NOW - 20 * SECOND


def test_a_point_becomes_a_cell_of_the_agents_interval():
    seen = (
        Stage().add("datadog", payload(series("postgresql.commits", (AT, 5.5)))).flush()
    )

    assert seen.of(*COMMITS) == [(AT, 0.0, 5.5, 5.5, 5.5)]
    (route,) = seen.batches[0][1].routes
    assert route.period_ms == 20 * SECOND
    assert route.tags == (
        "database_instance:returns-1,dbclusteridentifier:returns,host:agent-host"
    )


def test_both_versions_and_any_order_of_tags_are_one_route():
    two = series("postgresql.commits", (AT, 5.0))
    one = {
        "metric": "postgresql.commits",
        "type": "rate",
        "interval": 20,
        "host": "agent-host",
        "points": [[AT // 1000 + 20, 6.0]],
        "tags": ["dbclusteridentifier:returns", "database_instance:returns-1"],
    }

    ((_, batch),) = Stage().add("datadog", payload(two, one)).flush().batches

    assert len(batch.routes) == 1
    assert [cell[4] for cell in batch.cells] == [5.0, 6.0]


NAMING = {
    "database_instance": {"tags": ["database_instance:returns-1"]},
    "the Agent's internal tag": {
        "tags": ["dd.internal.resource:database_instance:returns-1"]
    },
    "dbinstanceidentifier": {"tags": ["dbinstanceidentifier:returns-1"]},
    "host tag": {"tags": ["host:returns-1"]},
    "host field": {"tags": [], "host": "returns-1"},
    "host resource": {"tags": [], "resources": [{"type": "host", "name": "returns-1"}]},
    "instance resource": {
        "tags": [],
        "resources": [{"type": "database_instance", "name": "returns-1"}],
    },
    "the endpoint": {"tags": ["host:returns-1.c9x.eu-west-1.rds.amazonaws.com"]},
    "capitals": {"tags": ["host:Returns-1"]},
    "the instance before the Agent's host": {
        "tags": ["host:listings-1", "database_instance:returns-1"]
    },
}


@pytest.mark.parametrize("name", NAMING)
def test_a_resource_is_found_by(name):
    more = {"resources": [], **NAMING[name]}
    more["tags"] = [*more["tags"], "dbclusteridentifier:returns"]
    stage = Stage()

    stage.add("datadog", payload(series("postgresql.commits", (AT, 1.0), **more)))

    assert list(stage.flush().cells) == [COMMITS]


def test_tags_that_the_inventory_asks_for_must_be_there():
    stage = Stage()
    tags = ["database_instance:returns-1", "dbclusteridentifier:another"]
    stage.add("datadog", payload(series("postgresql.commits", (AT, 1.0), tags=tags)))

    assert stage.flush().cells == {}
    assert stage.results("datadog") == {"unknown_resource": 1}
    assert stage.ingest.unknown_resources == {"instance:returns-1"}


RATES = {
    "a rate": (2, 20, 5.0, 5.0),
    "a rate by its word": ("rate", 20, 5.0, 5.0),
    "a count": (1, 20, 100.0, 5.0),
    "a count by its word": ("count", 20, 100.0, 5.0),
    "a count without interval": (1, 0, 75.0, 5.0),  # the feed's 15 s
    "a gauge that is a rate": (3, 0, 5.0, 5.0),
    "no type": (0, 20, 5.0, 5.0),
    "type left out": (None, None, 5.0, 5.0),
}


@pytest.mark.parametrize("name", RATES)
def test_a_metric_that_the_plan_reads_as_a_rate_may_come_as(name):
    kind, interval, sent, value = RATES[name]
    one = series("postgresql.commits", (AT, sent), type=kind, interval=interval)

    seen = Stage().add("datadog", payload(one)).flush()

    assert [cell[4] for cell in seen.of(*COMMITS)] == [value]


def test_values_may_be_null_or_text():
    stage = Stage()
    points = [(AT, None), (AT + 20_000, "0.75"), (AT + 40_000, 1)]
    stage.add("datadog", payload(series("postgresql.commits", *points)))

    assert [cell[4] for cell in stage.flush().of(*COMMITS)] == [0.75, 1.0]
    assert stage.results("datadog") == {"no_value": 1, "ok": 2}


REFUSED_VALUES = {
    "not_a_number": "0,75",
    "not_finite": "NaN",
    "out_of_range": -3.0,
}


@pytest.mark.parametrize("reason", REFUSED_VALUES)
def test_values_that_say_nothing_are_refused(reason):
    stage = Stage()
    points = [(AT, REFUSED_VALUES[reason]), (AT + 20_000, 1.0)]
    stage.add("datadog", payload(series("postgresql.commits", *points)))

    assert len(stage.flush().of(*COMMITS)) == 1
    assert dict(stage.ingest.refused) == {("datadog", reason): 1}


@pytest.mark.parametrize("stated", ["\u0663", "1_000", " 1", "1\n", "0x10", ""])
def test_text_that_python_alone_would_read_as_a_number_is_none(stated):
    stage = Stage().add("datadog", payload(series("postgresql.commits", (AT, stated))))

    assert stage.flush().of(*COMMITS) == []
    assert dict(stage.ingest.refused) == {("datadog", "not_a_number"): 1}


def test_a_series_of_nothing_is_counted_even_where_nobody_asks_for_it():
    stage = Stage().add("datadog", payload(series("nobody.asks")))

    assert stage.results("datadog") == {"empty": 1}


def test_a_literal_nan_loses_its_point_alone():
    good = payload(series("postgresql.commits", (AT, 1.0), (AT + 20_000, 2.0)))
    broken = json.dumps(good).replace("1.0", "NaN").encode()
    stage = Stage().add("datadog", broken)

    assert [cell[4] for cell in stage.flush().of(*COMMITS)] == [2.0]
    assert dict(stage.ingest.refused) == {("datadog", "not_finite"): 1}


def test_a_broken_series_loses_itself_and_a_broken_point_itself():
    stage = Stage()
    good = series("postgresql.commits", (AT, 1.0))
    no_metric = {**good, "metric": 7}
    bad_point = series("postgresql.commits", (AT + 20_000, 2.0))
    bad_point["points"].append({"timestamp": "noon", "value": 1})
    stage.add("datadog", payload(no_metric, good, {"metric": "x"}, bad_point))

    seen = stage.flush()

    assert [cell[4] for cell in seen.of(*COMMITS)] == [1.0, 2.0]
    assert dict(stage.ingest.refused) == {("datadog", "malformed"): 3}
    assert len(seen.letters) == 1
    assert seen.letters[0].reason.endswith("(and 2 more in this record)")


@pytest.mark.parametrize("body", [b"{}", b" {} ", b'{"series":[]}'])
def test_a_body_that_keeps_the_connection_alive_is_nothing(body):
    stage = Stage().add("datadog", body)

    assert stage.flush().letters == []
    assert stage.results("datadog") == {"empty": 1}


OTHERS = [
    b'[{"check":"mysql.can_connect","host_name":"h","timestamp":1,"status":0,"tags":[]}]',
    b'{"apiKey":"0123456789abcdef0123","events":{},"internalHostname":"agent"}',
]


@pytest.mark.parametrize("body", OTHERS)
def test_what_an_agent_sends_besides_is_irrelevant(body):
    stage = Stage().add("datadog", body)

    assert stage.flush().letters == []
    assert stage.results("datadog") == {"irrelevant": 1}


@pytest.mark.parametrize("interval", [-10, 10**9])
def test_an_absurd_interval_is_refused(interval):
    stage = Stage()
    one = series("postgresql.commits", (AT, 1.0), interval=interval)
    stage.add("datadog", payload(one))

    assert stage.flush().cells == {}
    assert dict(stage.ingest.refused) == {("datadog", "absurd_interval"): 1}


@pytest.mark.parametrize("kind", ["gauge?", "Count", "histogram", 4, -1])
def test_a_series_of_an_unknown_type_is_refused(kind):
    stage = Stage()
    one = series("postgresql.commits", (AT, 1.0), type=kind)
    stage.add("datadog", payload(one))

    seen = stage.flush()

    assert seen.cells == {}
    assert dict(stage.ingest.refused) == {("datadog", "unknown_type"): 1}
    assert [letter.reason for letter in seen.letters] == [
        f"unknown_type: postgresql.commits of type {str(kind)!r}"
    ]


@pytest.mark.parametrize("kind", [None, "", "gauge", "rate", "count", 0, 1, 2, 3])
def test_a_series_of_every_known_type_counts(kind):
    stage = Stage()
    one = series("postgresql.commits", (AT, 1.0), type=kind)

    assert len(stage.add("datadog", payload(one)).flush().cells) == 1


WRONG_UNITS = {
    "milliseconds": NOW,
    "microseconds": NOW * 1_000,
    "nanoseconds": NOW * 1_000_000,
}


@pytest.mark.parametrize("unit", WRONG_UNITS)
def test_a_time_in_another_unit_is_called_that_and_shown_as_sent(unit):
    stamp = WRONG_UNITS[unit]
    one = series("postgresql.commits")
    one["points"] = [{"timestamp": stamp, "value": 1.0}]
    stage = Stage().add("datadog", payload(one))

    (letter,) = stage.flush().letters

    assert letter.reason == (
        f"wrong_time_unit: postgresql.commits at {stamp} looks like {unit},"
        " seconds are due"
    )
    assert stage.results("datadog") == {"refused": 1}


@pytest.mark.parametrize("stamp", [AT, 0, 4_070_908_800, 1e300])
def test_milliseconds_and_other_absurd_times_are_refused(stamp):
    stage = Stage()
    one = series("postgresql.commits")
    one["points"] = [{"timestamp": stamp, "value": 1.0}]
    stage.add("datadog", payload(one))

    assert stage.flush().cells == {}
    assert sum(stage.ingest.refused.values()) == 1


def test_a_metric_that_nobody_reads_is_irrelevant():
    stage = Stage().add("datadog", payload(series("system.load.1", (AT, 1.0))))

    assert stage.results("datadog") == {"irrelevant": 1}
