"""One suite for every store: the same stories on SQLite and on a real PostgreSQL."""

from collections.abc import Iterator

import msgspec
import pytest

from slo.model import BUCKET_MS, HOUR, MINUTE
from slo.notice import Action, Channel
from slo.verdict import Verdict
from streams import pages
from streams.evaluate import Evaluator
from streams.frontier import Frontier, Saved
from streams.partition import partition_of
from streams.reading import views
from streams.store import FencedError, PlacementError, WrongTopicError
from tests.fleet import PLAN
from tests.streams.bench import EVENT, LAG, ROWS, T0, TOPICS, Bench, batch, broken, cell


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.real)])
def url(request, tmp_path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'store.db'}"
    server = request.getfixturevalue("postgres")
    return server.url(server.database())


@pytest.fixture
def bench(url) -> Iterator[Bench]:
    made = Bench(url)
    yield made
    made.store.close()


def test_a_journal_and_a_checkpoint_load_the_same_image(bench, monkeypatch):
    first = [cell(LAG, T0 + n * MINUTE, 0.2 if n % 4 else 5.0) for n in range(30)]
    bench.apply(batch(T0 + HOUR, first))
    before = bench.dump(T0 + HOUR)
    bench.restart()
    assert bench.dump(T0 + HOUR) == before
    bench.apply(batch(T0 + HOUR, [], [(ROWS, T0, 1, 2)]))  # the restart's checkpoint
    after = bench.dump(T0 + HOUR)
    bench.restart()
    assert bench.dump(T0 + HOUR) == after
    assert after == sorted([*before, f"rows/orders\t{T0}\t1\t2"])


def test_late_truth_reaches_facts_that_left_memory(bench):
    bench.apply(batch(T0 + 5 * MINUTE, [cell(LAG, T0, 0.2, count=1)]))
    later = T0 + 10 * HOUR
    bench.apply(batch(later, [cell(LAG, later, 0.2)]), clock_ms=pages.CHECKPOINT_MS)
    bench.apply(batch(later, []), clock_ms=3 * pages.CHECKPOINT_MS)
    bench.apply(batch(later, [cell(LAG, T0, 5.0, count=2)]))
    assert bench.dump(later)[0] == f"lag/orders-a\t{T0}\t0\t1"
    bench.apply(batch(later, [cell(LAG, T0, 0.2, count=1)]))
    assert bench.dump(later)[0] == f"lag/orders-a\t{T0}\t0\t1", (
        "the greater count stays"
    )


def test_old_hours_are_summed_up_and_open_again_for_late_truth(bench):
    first = [cell(LAG, T0 + n * MINUTE, 0.2 if n % 9 else 5.0, 1) for n in range(120)]
    bench.apply(batch(T0 + 2 * HOUR, first))
    later = T0 + 40 * HOUR
    last = cell(LAG, later, 0.2)
    bench.apply(batch(later, [last]), clock_ms=pages.CHECKPOINT_MS)
    bench.apply(batch(later, [last]), clock_ms=3 * pages.CHECKPOINT_MS)
    bench.apply(
        batch(later, [], [(ROWS, later, 1, 1)]), clock_ms=9 * pages.CHECKPOINT_MS
    )
    before = bench.dump(later + HOUR)
    assert len(before) == 122
    bench.restart()
    (lag,) = [v for v in bench.evaluator.views() if v.series.slo.name == "lag"]
    assert (lag.now_known.good, lag.now_known.total) == (107, 121)
    assert bench.dump(later + HOUR) == before
    bench.apply(batch(later, [cell(LAG, T0 + MINUTE, 5.0, 2)]))
    after = bench.dump(later + HOUR)
    assert set(after) - set(before) == {f"lag/orders-a\t{T0 + MINUTE}\t0\t1"}
    bench.restart()
    assert bench.dump(later + HOUR) == after


# -- stories ----------------------------------------------------------------------


def test_a_broken_replica_pages_once_and_resolves_by_itself(bench):
    changes = broken(bench, 60, 10, 180)
    mine = [(c.from_, c.to) for c in changes if c.slo == "lag"]
    assert mine[0] == ("unknown", "ok")
    assert mine.count(("watch", "page")) == 1
    told = bench.store.letters()
    assert [
        (t.key, t.notice.action) for t in told if t.notice.channel is Channel.PAGE
    ] == [("dbslo/prod/databases/orders", Action.RESOLVE)]
    (incident,) = bench.store.incidents()
    assert incident.members == ("lag/orders-a",)
    assert incident.resolved_ms is not None


def test_an_incident_in_the_store_survives_a_restart(bench):
    broken(bench, 60, 30, 80)
    (letter,) = [t for t in bench.store.letters() if t.notice.channel is Channel.PAGE]
    assert letter.notice.action is Action.TRIGGER
    (lag,) = letter.notice.burning
    assert lag.seen == "Lag -1 (broken) (cloudwatch)"
    assert lag.promise == "C: at most 1 s, in 99.5 % of the 1m slices"
    bench.restart()
    assert [i.key for i in bench.evaluator.open_incidents] == [letter.key]
    (lag,) = [v for v in views(PLAN, bench.store, TOPICS) if v.series.slo.name == "lag"]
    assert lag.status.verdict is Verdict.PAGE
    assert lag.alert.level is Verdict.PAGE


def test_an_slo_that_is_withdrawn_takes_its_incident_and_ticket_with_it(bench):
    broken(bench, 60, 30, 80)
    kept = [s for s in PLAN.series if s.slo.name == "connect"]
    left = msgspec.structs.replace(PLAN, series=tuple(kept))
    bench.evaluator = Evaluator(left, bench.store, TOPICS)
    bench.next = bench.evaluator.assigned()
    bench.apply(batch(T0 + 2 * HOUR, []))
    assert bench.evaluator.open_incidents == []
    assert {t.notice.action for t in bench.store.letters()} == {Action.RESOLVE}
    (incident,) = bench.store.incidents()
    assert incident.resolved_ms is not None


def test_an_input_of_ours_that_gives_no_mark_is_unknown_not_bad(bench):
    bench.apply(batch(T0 + 5 * MINUTE, [cell(LAG, T0, 0.2)]), clock_ms=1_000)
    assert bench.evaluator.tick(5_000) == []
    changes = bench.evaluator.tick(7_000)
    assert {(c.to, c.reason) for c in changes} == {
        ("unknown", "our own ingest gave no mark of cloudwatch[0] for 6s")
    }
    back = bench.apply(batch(T0 + 6 * MINUTE, []), clock_ms=8_000)
    assert ("lag", "unknown", "ok") in {(c.slo, c.from_, c.to) for c in back}


def test_old_rows_of_a_table_that_was_not_read_before_blame_nobody(bench):
    for n in range(60):
        at = T0 + n * BUCKET_MS
        bench.apply(batch(at, [cell(EVENT, at, float(at))]))
    old = T0 - 7 * 24 * HOUR
    assert bench.apply(batch(T0 + HOUR // 6, [cell(EVENT, old, float(old))])) == []
    assert [line for line in bench.dump(T0 + HOUR) if line.endswith("\t0\t1")] == []


def test_a_start_on_an_old_row_judges_hours_not_the_week(bench):
    old = T0 - 7 * 24 * HOUR
    bench.apply(batch(T0, [cell(EVENT, old, float(old)), cell(EVENT, T0, float(T0))]))
    bench.apply(batch(T0 + MINUTE, [cell(EVENT, T0 + MINUTE, float(T0 + MINUTE))]))
    assert len(bench.dump(T0 + HOUR)) < 7 * 60


def test_another_definition_of_an_slo_begins_a_history_of_its_own(bench):
    broken(bench, 60, 30, 80)
    slower = replaced(PLAN, "lag", threshold=9.0)
    bench.evaluator = Evaluator(slower, bench.store, TOPICS)
    bench.evaluator.assigned()
    (lag,) = [v for v in bench.evaluator.views() if v.series.slo.name == "lag"]
    assert (lag.now_known.total, lag.status.observed) == (0, False)
    bench.restart()
    (lag,) = [v for v in bench.evaluator.views() if v.series.slo.name == "lag"]
    assert lag.now_known.total == 80, "the old definition finds its own again"


def replaced(plan, name: str, **indicator):
    """The plan with another indicator for one SLO."""
    return msgspec.structs.replace(
        plan,
        series=tuple(
            msgspec.structs.replace(
                one,
                slo=msgspec.structs.replace(
                    one.slo,
                    indicator=msgspec.structs.replace(one.slo.indicator, **indicator),
                ),
            )
            if one.slo.name == name
            else one
            for one in plan.series
        ),
    )


def test_a_counter_survives_two_restarts(bench):
    bench.apply(batch(T0 + HOUR, [cell(LAG, T0 + n * MINUTE, 0.2) for n in range(5)]))
    bench.restart()
    bench.apply(batch(T0 + HOUR, [], [(ROWS, T0, 1, 1)]))  # a checkpoint without it
    bench.restart()
    (lag,) = [v for v in bench.evaluator.views() if v.series.slo.name == "lag"]
    assert lag.first_known.total == 5


def test_history_waits_for_a_cluster_that_is_behind():
    frontier = Frontier(TOPICS, ["orders", "returns"])
    ahead = Saved([], {}, {"orders": T0 + HOUR, "returns": T0})
    frontier.restore(ahead)
    assert (frontier.oldest(), frontier.latest()) == (T0, T0 + HOUR)
    frontier.restore(Saved([], {}, {"orders": T0 + 99 * 24 * HOUR, "returns": T0}))
    assert frontier.oldest() == T0 + 96 * 24 * HOUR, "but not for ever"


# -- the fence --------------------------------------------------------------------


def test_a_zombie_changes_no_row_neither_by_batch_nor_by_tick(bench):
    zombie = bench.evaluator
    bench.apply(batch(T0 + MINUTE, [cell(LAG, T0, 0.2)]), clock_ms=1_000)
    bench.restart()
    before = bench.dump(T0 + HOUR)
    with pytest.raises(FencedError):
        zombie.apply([batch(T0 + MINUTE, [cell(LAG, T0, 9.0)])], 2, 1_000)
    assert bench.dump(T0 + HOUR) == before
    zombie.assigned()
    bench.next = 1
    with pytest.raises(FencedError):
        bench.apply(batch(T0 + MINUTE, [cell(LAG, T0, 9.0)]))


def test_a_tick_of_a_zombie_is_fenced_too(bench):
    bench.apply(batch(T0 + 5 * MINUTE, [cell(LAG, T0, 0.2)]), clock_ms=1_000)
    zombie = bench.evaluator
    bench.restart()
    with pytest.raises(FencedError):
        zombie.tick(60_000)


def test_offsets_with_holes_are_no_reason_to_stop(bench):
    evaluator = bench.evaluator
    for after in (1, 3, 7, 12):
        evaluator.apply([batch(T0 + after * MINUTE, [cell(LAG, T0, 0.2)])], after, 0)
    assert bench.evaluator.store.progress(0).next == 12


# -- whose offsets are they? --------------------------------------------------------


def test_offsets_of_another_kafka_cluster_or_topic_are_refused(bench):
    bench.evaluator.assigned("kafka-1", "topic-1")
    bench.store.take(7, "kafka-1", "topic-1")
    with pytest.raises(WrongTopicError, match="topic topic-1, this is topic-2"):
        bench.store.take(7, "kafka-1", "topic-2")
    with pytest.raises(WrongTopicError, match="Kafka cluster kafka-1, this is kafka-2"):
        bench.store.take(7, "kafka-2", "topic-1")


def test_a_cluster_with_history_does_not_change_its_partition(bench):
    bench.apply(batch(T0, []))
    count = next(n for n in range(2, 99) if partition_of("orders", n) != 0)
    there = partition_of("orders", count)
    moved = Evaluator(PLAN, bench.store, TOPICS, partition=there, partitions=count)
    with pytest.raises(PlacementError, match=f"orders from 0 to {there}"):
        moved.assigned()
