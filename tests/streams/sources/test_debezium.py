"""Debezium: what a document is, when it happened, what it counts."""

import pytest

from slo.model import DAY, SECOND, Budgeting
from streams.sources.changes import beat_ms
from tests.streams.stage import (
    BEATS,
    FLEET,
    NOW,
    ROWS,
    Stage,
    mysql_row,
    objective,
    plan_of,
    row,
    text,
)

WHO = "cdc:returns"
HEARTBEAT = "__debezium-heartbeat.returns"
AT = NOW - 1_000


def newest(seen, metric):
    """The newest time of one CDC signal, and the bucket of arrival that tells it."""
    return [(start, high) for start, _, _, _, high in seen.of(WHO, f"cdc:{metric}")]


def test_a_row_tells_the_databases_time_and_that_the_connector_lives():
    seen = Stage().add(ROWS, row(AT), at=NOW + 3_000).flush()

    assert newest(seen, "event") == [(NOW, AT)]
    assert newest(seen, "alive") == [(NOW, NOW + 3_000)]
    assert newest(seen, "heartbeat_row") == []
    assert seen.rows() == (1, 1)


def test_the_newest_of_a_bucket_is_told_once():
    stage = Stage()
    stage.add(ROWS, *(row(AT + n, lsn=1_000 + n) for n in range(50)))

    seen = stage.flush()

    assert newest(seen, "event") == [(NOW, AT + 49)]
    assert seen.rows() == (50, 50)


@pytest.mark.parametrize("schema", [{"type": "struct"}, {}, None])
def test_a_schema_around_a_change_changes_nothing(schema):
    stage = Stage().add(ROWS, {"schema": schema, "payload": row(AT)})

    assert newest(stage.flush(), "event") == [(NOW, AT)]


def test_rows_are_good_while_their_age_is_within_the_threshold():
    stage = Stage()
    ages = (1, 30, 31, 3_000)
    for n, age in enumerate(ages):
        stage.add(ROWS, row(NOW - age * SECOND, lsn=1_000 + n))

    seen = stage.flush()

    assert seen.rows() == (2, 4)
    buckets = {bucket for _, _, bucket, _ in seen.deltas}
    assert buckets == {(NOW - age * SECOND) // 10_000 * 10_000 for age in ages}


SNAPSHOTS = ["true", "first", "last", "first_in_data_collection", "incremental", True]


@pytest.mark.parametrize("snapshot", SNAPSHOTS)
@pytest.mark.parametrize("op", ["r", "c"])
def test_rows_of_a_snapshot_tell_no_lag(snapshot, op):
    stage = Stage().add(ROWS, row(AT, op=op, snapshot=snapshot))

    seen = stage.flush()

    assert newest(seen, "event") == []
    assert newest(seen, "alive") == [(NOW, NOW)]
    assert seen.rows() == (0, 0)
    assert stage.results(ROWS) == {"snapshot": 1}


@pytest.mark.parametrize("snapshot", ["false", False, None])
def test_streamed_rows_say_so_in_three_ways(snapshot):
    stage = Stage().add(ROWS, row(AT, op="u", snapshot=snapshot))

    assert stage.results(ROWS) == {"ok": 1}


def test_a_snapshot_moves_no_mark():
    stage = Stage()
    stage.add(ROWS, row(NOW, op="r", lsn=9_999, snapshot="true"), row(AT, lsn=1_000))

    assert stage.flush().rows() == (1, 1)


ALIVE = {
    "a tombstone": (ROWS, None),
    "a truncate": (ROWS, row(op="t")),
    "a message": (ROWS, row(op="m")),
    "the heartbeat topic": (HEARTBEAT, {"ts_ms": AT}),
    "the heartbeat topic with schema": (
        HEARTBEAT,
        {"schema": {}, "payload": {"ts_ms": AT}},
    ),
    "a transaction's begin": (
        "returns.transaction",
        {"status": "BEGIN", "id": "5:1", "ts_ms": AT, "event_count": None},
    ),
    "a transaction's end": (
        "returns.transaction",
        {"status": "END", "id": "5:9", "ts_ms": AT, "event_count": 2},
    ),
    "a schema change": (
        "returns",
        {
            "source": {"name": "returns"},
            "ts_ms": AT,
            "ddl": "ALTER …",
            "tableChanges": [],
        },
    ),
    "a row sent again": (ROWS, row(AT)),
}


@pytest.mark.parametrize("name", ALIVE)
def test_the_connector_lives_by(name):
    topic, value = ALIVE[name]
    stage = Stage().add(ROWS, row(AT))
    stage.flush()

    seen = stage.add(topic, value, at=NOW + 10_000).flush()

    assert newest(seen, "alive") == [(NOW + 10_000, NOW + 10_000)]
    assert newest(seen, "event") == []
    assert seen.letters == []


BEAT_COLUMNS = {
    "microseconds": ({"id": 1, "ts": (AT - 7) * 1000}, AT - 7),
    "milliseconds": ({"id": 1, "value": AT - 7}, AT - 7),
    "text with a zone": ({"ts": "2026-11-06T21:19:52.993Z"}, NOW - 7_007),
    "text with an offset": ({"ts": "2026-11-06T23:19:52.993+02:00"}, NOW - 7_007),
    "local text": ({"ts": "2026-11-06T21:19:52.993"}, AT),
    "seconds": ({"ts": AT // 1000}, AT),
    "no such column": ({"id": 1, "name": "x"}, AT),
    "a deleted row": (None, AT),
}


@pytest.mark.parametrize("name", BEAT_COLUMNS)
def test_a_heartbeat_row_tells_by_its_own_clock_where_it_can(name):
    after, told = BEAT_COLUMNS[name]
    change = {**row(AT, table="heartbeat"), "after": after}

    seen = Stage().add(BEATS, change).flush()

    assert newest(seen, "heartbeat_row") == [(NOW, told)]
    assert newest(seen, "event") == [(NOW, AT)]


def test_a_heartbeat_from_another_time_zone_is_never_fresh():
    stage = Stage()
    ahead = {**row(AT, table="heartbeat"), "after": {"ts": (NOW + 3_600_000) * 1000}}
    stage.add(BEATS, ahead)

    assert newest(stage.flush(), "heartbeat_row") == []
    assert dict(stage.ingest.refused) == {("cdc", "in_the_future"): 1}


@pytest.mark.parametrize(
    "value", [b"{", b"[]", b'{"after": 5}', b'{"after": {"ts": true}}']
)
def test_no_heartbeat_is_read_out_of_anything_else(value):
    assert beat_ms(value) is None


def test_a_flattened_row_is_refused_with_the_remedy():
    stage = Stage().add(ROWS, {"id": 1, "name": "Ada Lovelace"})

    (letter,) = stage.flush().letters

    assert "ExtractNewRecordState" in letter.reason
    assert "add.fields=op,source.ts_ms" in letter.reason
    assert "Ada" not in letter.excerpt
    assert dict(stage.ingest.refused) == {("cdc", "malformed"): 1}


FRESH = plan_of([objective("cdc.end_to_end_freshness"), objective("cdc.liveness")])


@pytest.mark.parametrize("field", ["__ts_ms", "__source_ts_ms"])
def test_a_flattened_row_that_says_its_time_tells_freshness(field):
    stage = Stage(FRESH).add(ROWS, {"id": 1, "__op": "u", field: AT})

    assert newest(stage.flush(), "event") == [(NOW, AT)]


def test_a_flattened_row_of_an_unknown_operation_is_refused():
    stage = Stage().add(ROWS, {"id": 1, "__op": "", "__source_ts_ms": NOW - 900})

    assert stage.flush().cells == {}
    assert dict(stage.ingest.refused) == {("cdc", "unknown_op"): 1}


def test_a_flattened_row_has_no_position_so_it_is_not_counted():
    stage = Stage().add(ROWS, {"id": 1, "__op": "u", "__source_ts_ms": AT})

    assert stage.flush().rows() == (0, 0)
    assert dict(stage.ingest.refused) == {("cdc", "no_position"): 1}


def test_a_flattened_row_of_a_snapshot_tells_no_lag():
    stage = Stage(FRESH).add(ROWS, {"id": 1, "__op": "r", "__source_ts_ms": AT})

    assert newest(stage.flush(), "event") == []


@pytest.mark.parametrize(
    ("at", "reason"),
    [
        (None, "no_source_time"),
        (0, "no_source_time"),
        (AT // 1000, "wrong_time_unit"),
        (AT * 1000, "wrong_time_unit"),
        (AT * 10**6, "wrong_time_unit"),
        (NOW - 3 * DAY - 1, "too_old"),
        (NOW + 61 * SECOND, "in_the_future"),
    ],
)
def test_a_row_with_an_impossible_time_is_refused_and_moves_no_mark(at, reason):
    stage = Stage().add(ROWS, row(AT, lsn=9_000, ts_ms=at), row(AT, lsn=1_000))

    seen = stage.flush()

    assert seen.rows() == (1, 1)
    assert newest(seen, "event") == [(NOW, AT)]
    assert dict(stage.ingest.refused) == {("cdc", reason): 1}


@pytest.mark.parametrize(
    "change", [row(AT, op="zz"), {"id": 1, "__op": "zz", "__source_ts_ms": AT}]
)
def test_an_unknown_operation_is_named(change):
    stage = Stage().add(ROWS, change)

    seen = stage.flush()

    assert seen.cells == {}
    assert [letter.reason for letter in seen.letters] == [
        "unknown_op: op 'zz'; Debezium's are c, d, m, r, t, u"
    ]
    assert stage.results(ROWS) == {"refused": 1}


def test_sent_again_it_counts_once_over_flushes_workers_and_aborts():
    rows = [row(AT, lsn=1_000 + n) for n in range(20)]
    first = Stage().add(ROWS, *rows[:10])
    assert first.flush().rows() == (10, 10)
    first.ingest.committed()
    note = first.ingest.metadata(ROWS, 0)
    first.add(ROWS, *rows[5:15])  # folded, never committed

    second = Stage()
    second.ingest.assigned(ROWS, 0, note)
    second.add(ROWS, *rows[5:15])
    second.ingest.discard()
    second.add(ROWS, *rows[5:15], *rows[8:])

    assert second.flush().rows() == (10, 10)
    assert second.results(ROWS)["dup"] == 5 + 5 + 7


def test_mysql_rows_have_marks_of_their_own_connector():
    stage = Stage()
    topic = "orders.shop.orders"
    stage.add(topic, mysql_row(AT), mysql_row(AT), mysql_row(AT, index=1))

    assert stage.flush().rows("cdc:orders") == (2, 2)
    assert stage.results(topic) == {"ok": 2, "dup": 1}


def test_a_connector_that_no_slo_reads_is_irrelevant():
    nothing = Stage(plan_of([objective("aurora.replica_lag")]))
    nothing.add(ROWS, row(AT), None, b"rubbish")

    assert nothing.flush().letters == []
    assert nothing.results(ROWS) == {"irrelevant": 3}


def test_signals_are_told_only_where_they_are_wanted():
    freshness = objective("cdc.end_to_end_freshness", Budgeting.OCCURRENCES)
    only_rows = Stage(plan_of([freshness]))
    only_alive = Stage(plan_of([objective("cdc.liveness")]))
    beats = Stage(plan_of([objective("replica.freshness_heartbeat")], FLEET))

    for stage in (only_rows, only_alive, beats):
        stage.add(BEATS, row(AT, table="heartbeat"))

    assert {s for _, s in only_alive.flush().cells} == {"cdc:alive"}
    assert {s for _, s in beats.flush().cells} == {"cdc:alive", "cdc:heartbeat_row"}
    assert only_rows.flush().rows() == (1, 1)


def test_on_a_topic_that_says_nothing_the_source_block_names_the_connector():
    stage = Stage().add("anything", row(AT), row(AT, name="stranger"))

    assert newest(stage.flush(), "event") == [(NOW, AT)]
    assert stage.results("anything") == {"ok": 1, "unknown_resource": 1}
    assert stage.ingest.unknown_resources == {"cdc:stranger"}


@pytest.mark.parametrize("value", [b"null", b"", b" \n"])
def test_a_tombstone_that_was_printed_is_no_dead_letter(value):
    stage = Stage().add(ROWS, value)

    assert stage.flush().letters == []
    assert stage.results(ROWS) == {"tombstone": 1}


def test_a_delete_and_its_tombstone_are_one_row():
    stage = Stage().add(ROWS, row(AT, op="d"), None, keys=[b"1", b"1"])

    assert stage.flush().rows() == (1, 1)


def test_numbers_may_be_quoted():
    change = row(AT)
    change["source"]["ts_ms"] = str(AT)
    change["transaction"] = {"id": "5", "total_order": "3"}

    assert newest(Stage().add(ROWS, text(change)).flush(), "event") == [(NOW, AT)]
