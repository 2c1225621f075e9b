"""The flood in small: the real SLOs' ledger does not change, and all of it is counted."""

import msgspec
import pytest

from slo.model import DAY, HOUR, MINUTE
from streams.batch import Route
from streams.deadletter import MAX_EXCERPTS, NO_ROOM
from streams.fold import FORGET_MS, MAX_TAG_SETS
from streams.ingest import MAX_TOPICS
from tests.conformance.fleet_records import records
from tests.fleet import INSTANCE
from tests.flood.__main__ import checks
from tests.flood.walk import walked
from tests.streams.bench import T0, Bench, batch, cell
from tests.streams.stage import NOW, ROWS, Stage, datum, payload, row, series

VALUES = 20_000


@pytest.fixture(scope="module")
def real():
    return records(NOW)


def test_a_flood_changes_no_real_ledger_and_is_counted(real):
    plain, under = walked(real, 0, print), walked(real, VALUES, print)

    assert [said for said, holds in checks(plain, under, VALUES) if not holds] == []
    assert len(plain.lines) > 500


def tagged(number: int, value: float = 1.0, at: int = NOW):
    one = series("postgresql.commits", (at - MINUTE, value))
    one["tags"].append(f"request:{number}")
    return payload(one)


def test_a_tag_set_that_is_known_goes_on_through_a_flood_of_others():
    stage = Stage().add("datadog", tagged(-1, 7.0))
    stage.add("datadog", *(tagged(n) for n in range(2 * MAX_TAG_SETS)))
    stage.flush()

    stage.add("datadog", tagged(-1, 8.0, NOW + MINUTE), at=NOW + MINUTE)

    assert stage.flush().of("instance:returns-1", "datadog:postgresql.commits") == [
        (NOW, 0.0, 8.0, 8.0, 8.0)
    ]
    refused = {("datadog", "too_many_tag_sets"): MAX_TAG_SETS + 1}
    assert dict(stage.ingest.refused) == refused


def test_tag_sets_that_come_and_go_make_room_for_others():
    """Pods are born and die: a worker that lives for weeks sees thousands of them."""
    stage = Stage()
    for turn in range(5):
        at = NOW + turn * 2 * FORGET_MS
        first = turn * MAX_TAG_SETS
        fresh = [tagged(n, 1.0, at) for n in range(first, first + MAX_TAG_SETS)]
        stage.add("datadog", *fresh, at=at)
        flushed = stage.ingest.flush([], {}, at)
        stage.ingest.flush([], {}, at + FORGET_MS)
        stage.ingest.flush([], {}, at + 2 * FORGET_MS)
        assert sum(len(batch.cells) for _, batch in flushed.batches) == MAX_TAG_SETS

    assert dict(stage.ingest.refused) == {}
    assert len(stage.ingest._fold._tracks) <= MAX_TAG_SETS


def test_a_route_in_use_is_not_forgotten():
    stage = Stage()
    for turn in range(6):
        at = NOW + turn * HOUR
        stage.add("cloudwatch", datum(at=at - MINUTE), at=at)
        stage.ingest.flush([], {}, at)

    assert stage.results("cloudwatch") == {"ok": 6}
    assert len(stage.ingest._fold._tracks) == 1


def test_letters_of_a_flood_say_where_their_record_is_and_no_more():
    stage = Stage().add(ROWS, *({**row(ts_ms=5), "k": "v" * 150} for _ in range(9_000)))

    letters = stage.flush().letters

    assert len(letters) == 9_000
    assert letters[0].excerpt != NO_ROOM
    assert letters[-1].excerpt == NO_ROOM
    assert sum(len(one.excerpt) for one in letters) < 2 * MAX_EXCERPTS


def test_topics_beyond_a_thousand_are_counted_together():
    stage = Stage()
    for number in range(MAX_TOPICS + 50):
        stage.add(f"returns.public.t{number}", row(lsn=number + 1))

    assert stage.results("other") == {"ok": 50}
    assert len(stage.ingest.records) == MAX_TOPICS + 1


def pods(bench: Bench, day: int) -> int:
    """A day whose pods are new: 300 tag sets of one metric on one instance."""
    start = T0 + day * DAY
    name = "cloudwatch:Lag"
    routes = [Route(INSTANCE.key, name, f"pod:{day}-{n}", MINUTE) for n in range(300)]
    cells = [cell(number, start, 0.5) for number in range(300)]
    made = batch(start + MINUTE, cells)
    bench.apply(
        msgspec.structs.replace(made, routes=routes), clock_ms=start + 2 * MINUTE
    )
    image = bench.evaluator._image
    assert image is not None
    assert image.refused_tag_sets == 0
    return len(image.facts)


def test_tag_sets_that_are_gone_leave_stage_2_as_well(tmp_path):
    bench = Bench(f"sqlite:///{tmp_path}/store.db")
    held = [pods(bench, 3 * day) for day in range(9)]
    before = bench.dump(T0 + 40 * DAY)

    assert max(held) <= MAX_TAG_SETS
    assert sum("lag" in line for line in before) == 9
    bench.restart()
    assert bench.dump(T0 + 40 * DAY) == before
    bench.store.close()
