"""CloudWatch metric streams: units, dimension sets, identities, restatements."""

import pytest

from slo.model import DAY, MINUTE, SECOND, Stat
from streams.judgement import Bounds
from tests.streams.stage import NOW, Stage, datum, lines

LAG = ("instance:orders-a", "cloudwatch:AuroraReplicaLag")
START = NOW - MINUTE


def test_a_datum_becomes_a_cell_of_its_minute_in_si_units():
    seen = Stage().add("cloudwatch", datum(value=1500.0)).flush()

    assert seen.of(*LAG) == [(START, 2.0, 3.0, 1.5, 1.5)]
    ((_, batch),) = seen.batches
    (route,) = batch.routes
    assert route.tags == (
        "DBInstanceIdentifier:orders-a,account:210987654321,region:eu-west-1"
    )
    assert route.period_ms == MINUTE
    assert [cell[2] for cell in batch.cells] == [NOW]


UNITS = {
    "Seconds": 20.0,
    "Milliseconds": 0.02,
    "Microseconds": 0.00002,
    "None": 0.02,  # the catalogue says milliseconds
    "": 0.02,
}


@pytest.mark.parametrize("unit", UNITS)
def test_the_unit_on_the_wire_goes_before_the_catalogues(unit):
    seen = Stage().add("cloudwatch", datum(value=20.0, unit=unit)).flush()

    assert [cell[4] for cell in seen.of(*LAG)] == [UNITS[unit]]


@pytest.mark.parametrize("unit", ["Furlongs", "Nanoseconds", "ms", "seconds", " "])
def test_a_unit_that_nobody_knows_is_refused_not_taken_for_the_catalogues(unit):
    seen = Stage().add("cloudwatch", datum(value=20.0, unit=unit)).flush()

    assert seen.cells == {}
    assert seen.letters[0].reason == f"unknown_unit: AuroraReplicaLag in {unit!r}"


def test_thresholds_are_met_exactly_by_scaled_values():
    seen = Stage().add("cloudwatch", datum(value=100.0)).flush()

    assert seen.of(*LAG)[0][4] == 0.1  # 100 * 0.001 would be more


def test_a_sum_becomes_a_rate_where_the_plan_reads_a_rate():
    stage = Stage()
    waited = datum("RowLockTime", 3000.0, unit="Milliseconds")
    attempts = datum("ConnectionAttempts", 3000.0, unit="Count")

    seen = stage.add("cloudwatch", waited, attempts).flush()

    assert seen.of("instance:orders-a", "cloudwatch:RowLockTime")[0][2] == 0.1
    ((_, _, total, _, _),) = seen.of(
        "instance:orders-a", "cloudwatch:ConnectionAttempts"
    )
    assert total == 6000.0


OTHER_DIMENSIONS = [
    {},
    {"DBClusterIdentifier": "orders"},
    {"DBClusterIdentifier": "orders", "Role": "READER"},
    {"DbClusterIdentifier": "orders", "EngineName": "aurora-mysql"},
    {"DatabaseClass": "db.r6g.large"},
    {"dbinstanceidentifier": "orders-a"},
    {"DBInstanceIdentifier": "orders-a", "Role": "READER"},
]


def test_one_metric_under_many_dimension_sets_counts_once():
    stage = Stage()
    stage.add("cloudwatch", *(datum(dimensions=d) for d in OTHER_DIMENSIONS), datum())

    seen = stage.flush()

    assert list(seen.cells) == [LAG]
    assert len(seen.of(*LAG)) == 1
    assert stage.results("cloudwatch") == {"irrelevant": 7, "ok": 1}


def test_a_proxy_is_named_by_its_own_dimension():
    made = datum(
        "ClientConnectionsReceived",
        unit="Count",
        dimensions={"ProxyName": "orders-proxy"},
    )

    seen = Stage().add("cloudwatch", made).flush()

    assert list(seen.cells) == [
        ("proxy:orders-proxy", "cloudwatch:ClientConnectionsReceived")
    ]


def test_accounts_regions_and_namespaces_are_not_mixed_up():
    stage = Stage()
    stage.add(
        "cloudwatch",
        datum(),
        datum(account_id="111111111111"),
        datum(region="us-east-1"),
        datum(namespace="AWS/DMS"),
        datum(),
    )

    seen = stage.flush()

    ((_, batch),) = seen.batches
    assert len(batch.routes) == 3
    assert stage.results("cloudwatch") == {"ok": 4, "irrelevant": 1}


def test_the_stream_that_brings_a_datum_is_not_part_of_its_identity():
    stage = Stage()
    stage.add("cloudwatch", datum(), datum(metric_stream_name="another"))

    ((_, batch),) = stage.flush().batches

    assert (len(batch.routes), len(batch.cells)) == (1, 1)


def test_two_units_of_one_metric_share_a_route():
    stage = Stage()
    stage.add(
        "cloudwatch", datum(value=20.0), datum(value=0.05, unit="Seconds", at=NOW)
    )

    seen = stage.flush()

    assert [cell[4] for cell in seen.of(*LAG)] == [0.02, 0.05]
    assert len(seen.batches[0][1].routes) == 1


def test_a_resource_that_nobody_knows_is_counted_and_named():
    stage = Stage()
    stage.add("cloudwatch", datum(who="somebody"), datum("CPUUtilization", who="else"))

    assert stage.flush().cells == {}
    assert stage.results("cloudwatch") == {"unknown_resource": 1, "irrelevant": 1}
    assert stage.ingest.unknown_resources == {"instance:somebody"}


def test_a_known_instance_of_another_engine_is_irrelevant():
    stage = Stage().add("cloudwatch", datum(who="listings-1"))

    assert stage.results("cloudwatch") == {"irrelevant": 1}


def test_minus_one_is_kept_as_it_is_and_other_negatives_are_refused():
    stage = Stage()
    for value in (-1.0, -2.0):
        stage.add(
            "cloudwatch", datum("ReplicaLag", value, who="listings-2", unit="Seconds")
        )

    seen = stage.flush()

    ((_, _, _, low, high),) = seen.of("instance:listings-2", "cloudwatch:ReplicaLag")
    assert (low, high) == (-1.0, -1.0)
    assert dict(stage.ingest.refused) == {("cloudwatch", "out_of_range"): 1}


def test_minus_one_is_not_scaled():
    broken = datum("ReplicaLag", -1.0, who="listings-2", unit="Milliseconds")

    seen = Stage().add("cloudwatch", broken).flush()

    assert seen.of("instance:listings-2", "cloudwatch:ReplicaLag")[0][3:] == (
        -1.0,
        -1.0,
    )


RESTATED = [
    {**datum(), "value": {"max": v, "min": v, "sum": v, "count": n}}
    for v, n in ((9.0, 10.0), (5.0, 60.0), (7.0, 60.0), (5.0, 60.0))
]


def joined(stage):
    """What is stated last of each cell, once all statements are joined."""
    best = {}
    for start, samples, total, low, high in stage.flush().of(*LAG):
        best[start] = max(best.get(start, ()), (samples, high, total, low))
    return best


def test_restatements_may_come_in_any_order():
    forwards, backwards = Stage(), Stage()
    forwards.add("cloudwatch", *RESTATED)
    backwards.add("cloudwatch", *reversed(RESTATED))

    assert joined(forwards) == joined(backwards) == {START: (60.0, 0.007, 0.007, 0.007)}


def test_an_exact_repetition_is_stated_once():
    stage = Stage()
    older = datum(at=START - MINUTE)
    stage.add("cloudwatch", older, datum(), datum(), older, older)

    ((_, batch),) = stage.flush().batches

    assert len(batch.cells) <= 3  # an older minute may be said again, once
    assert stage.results("cloudwatch") == {"ok": 5}


def test_what_was_flushed_is_stated_again_where_it_comes_again():
    """Nothing is remembered between flushes: the last one may have been aborted."""
    stage = Stage().add("cloudwatch", datum())
    first = stage.flush()
    second = stage.add("cloudwatch", datum()).flush()

    assert first.cells == second.cells != {}


def test_lines_of_one_record_are_data_of_their_own():
    stage = Stage()
    stage.add("cloudwatch", lines(datum(), b'{"cut', datum(at=NOW - 2 * MINUTE)))

    seen = stage.flush()

    assert len(seen.of(*LAG)) == 2
    assert [letter.reason for letter in seen.letters] == [
        "malformed: is no complete JSON document"
    ]


@pytest.mark.parametrize(
    ("at", "reason"),
    [
        (START // 1000, "wrong_time_unit"),  # seconds
        (START * 1000, "wrong_time_unit"),  # microseconds
        (0, "too_old"),
        (NOW - 3 * DAY - 1, "too_old"),
        (NOW + 60 * SECOND + 1, "in_the_future"),
        (4_070_908_800_000, "in_the_future"),  # 2099
    ],
)
def test_times_that_cannot_be_are_refused(at, reason):
    stage = Stage().add("cloudwatch", datum(), datum(at=at))

    seen = stage.flush()

    assert len(seen.of(*LAG)) == 1
    assert dict(stage.ingest.refused) == {("cloudwatch", reason): 1}
    assert [letter.reason.split(":")[0] for letter in seen.letters] == [reason]


WRONG_UNITS = {
    "seconds": START // 1000,
    "microseconds": START * 1000,
    "nanoseconds": START * 1_000_000,
}


@pytest.mark.parametrize("unit", WRONG_UNITS)
def test_a_time_in_another_unit_is_not_called_late_and_is_shown_as_sent(unit):
    at = WRONG_UNITS[unit]
    stage = Stage().add("cloudwatch", datum(at=at))

    (letter,) = stage.flush().letters

    assert letter.reason == (
        f"wrong_time_unit: AuroraReplicaLag at {at} looks like {unit},"
        " milliseconds are due"
    )
    assert stage.results("cloudwatch") == {"refused": 1}


@pytest.mark.parametrize("arrival", [1, NOW // 1000])
def test_a_record_that_is_stamped_1970_is_blamed_itself(arrival):
    stage = Stage().add("cloudwatch", datum(), at=arrival, clock_ms=NOW)

    (letter,) = stage.flush().letters

    assert letter.reason == (
        f"arrival_implausible: the record itself is stamped {arrival} ms: check the clock"
        " of its producer, and the topic's message.timestamp.type"
    )


@pytest.mark.parametrize("highest", [0.0, 5.0])
def test_a_datum_of_no_samples_says_nothing_and_is_no_good_slice(highest):
    empty = datum()
    empty["value"] = {"count": 0, "sum": 0, "min": 0, "max": highest}
    stranger = datum(who="stranger")
    stranger["value"] = empty["value"]
    stage = Stage().add("cloudwatch", empty, stranger)

    seen = stage.flush()

    assert seen.cells == {}
    assert stage.results("cloudwatch") == {"refused": 1, "unknown_resource": 1}
    assert [letter.reason for letter in seen.letters] == [
        "no_samples: AuroraReplicaLag with count 0"
    ]


@pytest.mark.parametrize("at", [NOW - 3 * DAY, NOW + 60 * SECOND])
def test_the_horizon_itself_is_believed(at):
    assert len(Stage().add("cloudwatch", datum(at=at)).flush().of(*LAG)) == 1


def test_many_dimension_orders_are_one_identity():
    stage = Stage()
    stage.add(
        "cloudwatch",
        b'{"metric_name":"AuroraReplicaLag","namespace":"AWS/RDS","timestamp":%d,'
        b'"value":{"count":1,"sum":1,"max":1,"min":1},"unit":"Seconds",'
        b'"dimensions":{"DBInstanceIdentifier":"orders-a"}}' % START,
        b'{"dimensions":{ "DBInstanceIdentifier" : "orders-a" },"timestamp":%d,'
        b'"value":{"count":1,"sum":1,"max":1,"min":1,"p99":1},"unit":"Seconds",'
        b'"metric_name":"AuroraReplicaLag","namespace":"AWS/RDS"}' % START,
    )

    ((_, batch),) = stage.flush().batches

    assert len(batch.routes) == 1


def test_samples_that_are_never_negative_do_not_add_up_to_less_than_nothing():
    value = {"max": 23.5, "min": 14.2, "sum": -1, "count": 2}
    stage = Stage().add("cloudwatch", datum() | {"value": value})

    assert stage.flush().cells == {}
    assert dict(stage.ingest.refused) == {("cloudwatch", "out_of_range"): 1}


IMPOSSIBLE = {
    "a negative number": (-1, "malformed"),
    "half a sample": (0.5, "out_of_range"),
    "so little of one that their average is no number": (1e-305, "out_of_range"),
    "what stands for infinity": (1e308, "malformed"),
}


@pytest.mark.parametrize("said", IMPOSSIBLE)
@pytest.mark.parametrize("metric", ["AuroraReplicaLag", "CommitThroughput"])
def test_a_count_of_samples_that_cannot_be_is_refused(metric, said):
    count, reason = IMPOSSIBLE[said]
    value = {"max": 5.0, "min": 0.0, "sum": 5.0, "count": count}
    unit = "Milliseconds" if metric == "AuroraReplicaLag" else "Count/Second"
    stage = Stage().add(
        "cloudwatch", datum(metric=metric, unit=unit) | {"value": value}
    )

    assert stage.flush().cells == {}
    assert dict(stage.ingest.refused) == {("cloudwatch", reason): 1}


BEYOND_SUMS = {
    "nothing below 0": (0.0, 1e15, True),
    "either side of 0": (-5.0, 5.0, True),
    "nothing near 0, where an average may be": (5.0, 10.0, False),
    "nothing above 0": (-10.0, -5.0, False),
    "more than anything adds up to": (0.0, 1e22, False),
}


@pytest.mark.parametrize("said", BEYOND_SUMS)
def test_bounds_that_do_not_hold_by_the_sum_alone_are_looked_at_with_care(said):
    low, high, plain = BEYOND_SUMS[said]
    assert Bounds(low, high, frozenset(), Stat.AVERAGE).plain is plain
    assert not Bounds(-5.0, 5.0, frozenset({-1.0}), Stat.AVERAGE).plain
