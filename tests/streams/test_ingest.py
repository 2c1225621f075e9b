"""Stage 1 as a whole: flushes, batches, partitions, aborts, bounds."""

import gzip
import tracemalloc

import msgspec
import pytest

from slo.faults import SpecificationError
from slo.model import (
    DAY,
    MINUTE,
    SECOND,
)
from slo.resources import (
    Inventory,
)
from streams.batch import MAX_BATCH_BYTES, Mark, decode
from streams.envelope import MAX_OUTPUT_BYTES
from streams.fold import MAX_TAG_SETS
from streams.ingest import MAX_FAULTS
from streams.judgement import Horizon
from streams.marks import MAX_CHARACTERS, MAX_SERVERS
from streams.partition import partition_of
from streams.positions import MarksError
from streams.sources.heads import MAX_BYTES
from streams.sources.source import KEY_BYTES, MAX_KNOWN
from streams.table import MAX_UNKNOWN_NAMES
from tests.streams.stage import (
    EVERYTHING,
    NOW,
    ROWS,
    Stage,
    datum,
    lines,
    mysql_row,
    objective,
    payload,
    plan_of,
    row,
    series,
    text,
)

MARK = Mark("cloudwatch", 0, 7, NOW)
LAG = ("instance:orders-a", "cloudwatch:AuroraReplicaLag")


# -- flushes ---------------------------------------------------------------------------


def test_every_output_partition_hears_of_every_flush():
    stage = Stage(partitions=8).add("cloudwatch", datum())

    batches = stage.flush([MARK]).batches

    assert [number for number, _ in batches] == list(range(8))
    assert all(batch.marks == [MARK] for _, batch in batches)
    full = [number for number, batch in batches if batch.cells]
    assert full == [partition_of("orders", 8)]


def test_a_flush_empties_the_fold():
    stage = Stage().add("cloudwatch", datum(), b"{").add(ROWS, row())

    first, second = stage.flush(), stage.flush()

    assert (len(first.cells), len(first.letters)) == (3, 1)
    assert (second.cells, second.deltas, second.letters) == ({}, {}, [])


def test_a_large_flush_is_split_and_the_marks_come_last():
    stage = Stage()
    times = range(NOW - 2 * MINUTE, NOW)
    stage.add("cloudwatch", *(datum(at=at) for at in times[:20_000]))

    flush = stage.ingest.flush([MARK], {"cloudwatch": 1}, NOW)

    batches = [decode(data) for _, data in flush.payloads]
    assert len(batches) > 2
    assert all(len(data) <= MAX_BATCH_BYTES for _, data in flush.payloads)
    assert [batch.marks for batch in batches] == [*[[]] * (len(batches) - 1), [MARK]]
    assert all(batch.inputs == {"cloudwatch": 1} for batch in batches)
    assert sorted(c[1] for batch in batches for c in batch.cells) == list(
        times[:20_000]
    )
    assert all(batch.routes[c[0]] for batch in batches for c in batch.cells)


def test_held_statements_are_split_too():
    stage = Stage()
    points = [(NOW - n * SECOND, float(n)) for n in range(12_000)]
    stage.add("datadog", payload(series("postgresql.commits", *points)))
    rows = [row(NOW - n * 10 * SECOND, lsn=1_000 + n) for n in range(9_000)]
    stage.add(ROWS, *rows)

    flush = stage.ingest.flush([MARK], {}, NOW)

    batches = [decode(data) for _, data in flush.payloads]
    assert all(len(data) <= MAX_BATCH_BYTES for _, data in flush.payloads)
    assert sum(len(batch.cells) for batch in batches) == 12_000 + 2
    assert sum(total for batch in batches for *_, total in batch.deltas) == 9_000


def test_what_is_dropped_can_be_read_again():
    stage = Stage().add("cloudwatch", datum(), b"{")
    stage.ingest.discard()

    assert stage.flush().cells == {}
    again = stage.add("cloudwatch", datum(), b"{").flush()
    assert (len(again.cells), len(again.letters)) == (1, 1)


def test_a_row_that_is_wrapped_is_not_overtaken_by_plain_ones():
    first, *others = (row(lsn=number, commit=number) for number in range(1_000, 1_060))
    stage = Stage().add(ROWS, gzip.compress(text(first)), *others)

    assert stage.flush().rows() == (60, 60)
    assert stage.results(ROWS) == {"ok": 60}


def test_batches_do_not_care_how_records_were_cut_into_slabs():
    data = [datum(at=NOW - n * MINUTE, value=float(n)) for n in range(1, 60)]
    one, many = Stage(), Stage()
    one.add("cloudwatch", *data)
    for each in data:
        many.add("cloudwatch", each)

    assert one.flush().cells == many.flush().cells


# -- source partitions --------------------------------------------------------------------


def test_every_commit_carries_the_marks_of_its_own_partition():
    stage = Stage().add(ROWS, row()).add("cloudwatch", datum())

    assert '"returns"' in stage.ingest.metadata(ROWS, 0)
    assert stage.ingest.metadata(ROWS, 1) == ""
    assert stage.ingest.metadata("cloudwatch", 0) == ""
    stage.ingest.revoked(ROWS, 0)
    assert stage.ingest.metadata(ROWS, 0) == ""


def test_a_partition_without_metadata_starts_without_marks():
    stage = Stage()
    stage.ingest.assigned(ROWS, 0, None)
    stage.ingest.assigned(ROWS, 1, "")

    assert stage.add(ROWS, row()).flush().rows() == (1, 1)


def test_metadata_of_others_is_refused_with_the_remedy():
    with pytest.raises(MarksError, match="group of its own"):
        Stage().ingest.assigned(ROWS, 0, "console-consumer")


def test_rows_of_servers_that_do_not_fit_are_refused_with_the_remedy():
    stage = Stage()
    topic = "orders.shop.orders"
    stage.add(topic, *(mysql_row(gtid=f"{n:036d}:1") for n in range(99)))

    assert stage.results(topic) == {"ok": MAX_SERVERS + 1, "refused": 98 - MAX_SERVERS}
    assert "topics of their own" in stage.flush().letters[0].reason
    assert len(stage.ingest.metadata(topic, 0)) <= MAX_CHARACTERS


# -- arrival --------------------------------------------------------------------------------


def test_a_record_from_the_future_is_refused_and_its_neighbours_are_not():
    stage = Stage()
    stage.add("cloudwatch", datum(at=NOW - 2 * MINUTE), at=NOW - 1)
    stage.add("cloudwatch", datum(), at=NOW + MINUTE + 1, clock_ms=NOW)

    seen = stage.flush()

    assert len(seen.of(*LAG)) == 1
    assert dict(stage.ingest.refused) == {("cloudwatch", "arrival_in_the_future"): 1}
    assert [letter.time_ms for letter in seen.letters] == [NOW + MINUTE + 1]


def test_a_record_without_a_timestamp_arrives_now():
    stage = Stage().add("cloudwatch", datum(), at=-1, clock_ms=NOW)

    ((_, batch),) = stage.flush().batches

    assert [cell[2] for cell in batch.cells] == [NOW]


def test_the_horizon_is_the_callers_to_set():
    stage = Stage(horizon=Horizon(past_ms=MINUTE // 2))
    stage.add("cloudwatch", datum())

    assert dict(stage.ingest.refused) == {("cloudwatch", "too_old"): 1}


# -- topics -----------------------------------------------------------------------------------


def test_a_topic_that_says_nothing_is_sniffed():
    stage = Stage()
    stage.add("anything", datum(), payload(series("postgresql.commits", (NOW, 1.0))))

    seen = stage.flush()

    assert len(seen.cells) == 2
    assert stage.results("anything") == {"ok": 2}


def test_what_nobody_knows_is_a_dead_letter_that_says_what_to_do():
    stage = Stage().add(
        "never.heard.of", {"hello": "world"}, b"%PDF-1.7", None, b"null"
    )

    seen = stage.flush()

    assert stage.results("never.heard.of") == {"malformed": 2, "tombstone": 2}
    assert [letter.reason.split(":")[0] for letter in seen.letters] == [
        "unknown_format",
        "malformed",
    ]
    assert "name the topic's format" in seen.letters[0].reason


def test_another_format_than_the_topics_is_named():
    stage = Stage().add("cloudwatch", payload(series("postgresql.commits", (NOW, 1.0))))

    (letter,) = stage.flush().letters

    assert letter.reason.endswith("it looks like datadog")


# -- bounds -------------------------------------------------------------------------------------


def test_a_thousand_tag_sets_are_kept_and_no_more():
    stage = Stage()
    many = [
        series(
            "postgresql.commits",
            (NOW, 1.0),
            tags=["host:returns-1", f"pod:{n}", "dbclusteridentifier:returns"],
        )
        for n in range(MAX_TAG_SETS + 5)
    ]
    stage.add("datadog", payload(*many))

    ((_, batch),) = stage.flush().batches

    assert len(batch.routes) == MAX_TAG_SETS
    assert dict(stage.ingest.refused) == {("datadog", "too_many_tag_sets"): 5}


def test_a_tag_set_of_any_length_is_not_kept():
    tags = ["host:returns-1", "dbclusteridentifier:returns", "x" * 5_000]
    stage = Stage()
    stage.add("datadog", payload(series("postgresql.commits", (NOW, 1.0), tags=tags)))

    assert stage.flush().cells == {}
    assert dict(stage.ingest.refused) == {("datadog", "tags_too_long"): 1}


def test_new_names_without_end_are_counted_and_forgotten():
    stage = Stage()
    for first in range(0, 120_000, 10_000):
        names = range(first, first + 10_000)
        stage.add("cloudwatch", *(datum(who=f"i-{n}") for n in names))

    assert stage.results("cloudwatch") == {"unknown_resource": 120_000}
    assert len(stage.ingest.unknown_resources) == MAX_UNKNOWN_NAMES
    source = stage.ingest._sources["cloudwatch"]
    assert len(source._heads.lines) * KEY_BYTES <= MAX_BYTES // 2
    assert len(source._known) <= MAX_KNOWN
    assert len(stage.add("cloudwatch", datum()).flush().of(*LAG)) == 1


def test_one_record_makes_one_dead_letter_however_much_is_wrong_in_it():
    stage = Stage().add("cloudwatch", b"{\n" * 5_000, datum())

    seen = stage.flush()

    assert len(seen.letters) == 1
    assert seen.letters[0].reason.endswith("(and 4999 more in this record)")
    assert len(seen.of(*LAG)) == 1


def test_a_bomb_harms_nobody():
    bomb = gzip.compress(b"\n" * (MAX_OUTPUT_BYTES + 1))
    stage = Stage().add("cloudwatch", datum(), bomb, datum(at=NOW - 2 * MINUTE))

    seen = stage.flush()

    assert len(seen.of(*LAG)) == 2
    assert [letter.reason for letter in seen.letters] == [
        "too_much: the record unfolds to more than 64 MiB"
    ]
    assert stage.results("cloudwatch") == {"ok": 2, "malformed": 1}


SMALL_VALUES = {
    "numbers": (b"[", b"1,", b"1]"),
    "arrays": (b"[", b"[],", b"[]]"),
    "points": (b'{"series":[{"metric":"x","points":[', b"[1,1],", b"[1,1]]}]}"),
    "letters": (b'{"records":[', b"{},", b"{}]}"),
    "a text with one rare letter": (b'{"a":"\xf0\x9f\x98\x80', b"x", b'"}'),
}


@pytest.mark.parametrize("name", SMALL_VALUES)
def test_a_bomb_of_small_values_takes_little_more_than_its_text(name):
    """A value takes a hundred bytes in memory, and three on the wire."""
    begin, each, end = SMALL_VALUES[name]
    size = 32 * 1024 * 1024 // len(each)
    bomb = gzip.compress(begin + each * size + end, 1)
    stage = Stage()

    tracemalloc.start()
    stage.add("datadog", bomb)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 4 * len(each) * size
    (letter,) = stage.flush().letters
    kind = "malformed" if each == b"x" else "too_much: the record holds more than"
    assert letter.reason.startswith(kind)


@pytest.mark.parametrize("wrong", [b"[\n", b"{\n"])
def test_a_bomb_of_damaged_documents_is_left_early(wrong):
    bomb = gzip.compress(wrong * 1_000_000)
    stage = Stage().add("cloudwatch", datum(), bomb, datum(at=NOW - 2 * MINUTE))

    seen = stage.flush()

    assert len(seen.of(*LAG)) == 2
    assert len(seen.letters) == 1
    assert MAX_FAULTS < stage.results("cloudwatch")["malformed"] < 2 * MAX_FAULTS


def test_refusals_however_many_lose_nothing_of_what_is_good():
    """A backlog of three days comes in records of ten thousand data that are too old."""
    old = [datum(at=NOW - 4 * DAY)] * (MAX_FAULTS + 600)
    good = [datum(at=NOW - number * MINUTE) for number in range(1, 11)]
    lines_of_both = gzip.compress(lines(*old, *good))
    stage = Stage().add("cloudwatch", lines_of_both)

    assert len(stage.flush().of(*LAG)) == len(good)
    assert stage.results("cloudwatch") == {"late": len(old), "ok": len(good)}


def test_the_letter_says_where_the_record_was():
    stage = Stage().add("cloudwatch", datum())
    stage.add("cloudwatch", b'{"metric_name":', at=NOW + 5, partition=3)

    (letter,) = stage.flush().letters

    assert (letter.topic, letter.partition, letter.offset) == ("cloudwatch", 3, 1)
    assert (letter.time_ms, letter.format) == (NOW + 5, "cloudwatch")
    assert len(letter.sha256) == 64


# -- the plan --------------------------------------------------------------------------------------


def test_two_slos_that_read_one_metric_in_two_units_are_refused():
    lag = objective("aurora.replica_lag")
    entry = lag.indicator
    feed = entry.feeds[0]
    part = msgspec.structs.replace(feed.inputs[0], scale=1.0)
    other = msgspec.structs.replace(
        lag,
        name="in-seconds",
        indicator=msgspec.structs.replace(
            entry, feeds=(msgspec.structs.replace(feed, inputs=(part,)),)
        ),
    )

    with pytest.raises(SpecificationError, match="same scale and rate"):
        Stage(plan_of([lag, other]))


def test_a_plan_that_wants_nothing_takes_everything_in_its_stride():
    stage = Stage(plan_of([], Inventory()))
    stage.add("cloudwatch", datum(), b"{").add("datadog", payload()).add(ROWS, row())

    seen = stage.flush([MARK])

    assert seen.cells == {}
    assert [batch.marks for _, batch in seen.batches] == [[MARK]]


def test_every_series_of_the_catalogue_is_fed_by_a_name_that_stage_1_knows():
    """What stage 2 will look for, stage 1 is able to say."""
    stage = Stage()
    table = stage.ingest._table
    known = {
        *(
            want.signal
            for shapes in table.cloudwatch.values()
            for s in shapes
            for want in s.wants.values()
        ),
        *(
            want.signal
            for tagged in table.datadog.values()
            for t in tagged
            for want in t.wants.values()
        ),
        *("cdc:" + name for name in ("alive", "event", "heartbeat_row")),
    }
    wanted = {
        f"{feed.source}:{metric}"
        for one in EVERYTHING.series
        for feed in one.feeds
        for part in feed.inputs
        for metric in part.metrics
    }

    assert wanted <= known


def test_an_identity_of_any_size_is_not_remembered():
    stage = Stage()
    giant = "x" * 10_000
    stage.add("cloudwatch", datum(who=giant), datum(region=giant))
    one = series("postgresql.commits", (NOW, 1.0), tags=["host:returns-1", giant])
    stage.add("datadog", payload(one))

    sources = stage.ingest._sources
    assert sources["cloudwatch"]._heads.lines == {}
    assert len(sources["cloudwatch"]._known) == 0
    assert len(sources["datadog"]._known) == 0
    assert stage.flush().cells == {}
