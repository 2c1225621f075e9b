"""Marks and inputs by the thousand: in as many batches as they need, and heard whole."""

from streams.batch import MAX_BATCH_BYTES, Batch, Mark
from streams.frontier import Frontier
from tests.streams.stage import NOW, ROWS, Stage, row

TABLES = 12_000
TOPIC = "returns.public.{:05d}" + "x" * 60
INPUTS = {"cloudwatch": 1} | {TOPIC.format(n): 1 for n in range(TABLES)}
MARKS = [Mark(topic, 0, 5, NOW) for topic in INPUTS]


def flushed(stage: Stage, marks=MARKS, inputs=INPUTS, at: int = NOW) -> list[Batch]:
    flush = stage.ingest.flush(marks, inputs, at)
    assert all(len(payload) <= MAX_BATCH_BYTES for _, payload in flush.payloads)
    return [batch for _, batch in flush.batches]


def frontier(stage: Stage) -> Frontier:
    return Frontier(stage.topics, ["returns"])


def heard(into: Frontier, batches: list[Batch]) -> None:
    for batch in batches:
        into.advance(batch)
        into.settle()


def test_a_cluster_of_twelve_thousand_topics_has_a_now():
    stage = Stage().add(ROWS, *(row(lsn=1_000 + n) for n in range(100)))
    whole = frontier(stage)

    batches = flushed(stage)
    heard(whole, batches)

    assert len(batches) > 4
    assert sum(len(batch.deltas) for batch in batches) >= 1
    assert whole.now("returns") == NOW
    assert len(whole.saved().inputs) == TABLES + 1
    assert "" not in whole.saved().inputs


def test_one_input_that_lags_behind_holds_the_now_whatever_batch_it_is_in():
    for late in (0, 1, TABLES // 2, TABLES):
        marks = list(MARKS)
        marks[late] = Mark(MARKS[late].topic, 0, 5, NOW - 7_000)
        stage = Stage()
        whole = frontier(stage)

        heard(whole, flushed(stage, marks))

        assert whole.now("returns") == NOW - 7_000


def test_half_of_a_flush_changes_no_inputs():
    """Stage 2 may start again between any two batches of a flush."""
    stage = Stage()
    batches = flushed(stage)
    for cut in range(1, len(batches)):
        whole = frontier(stage)
        heard(whole, flushed(stage, at=NOW - 1))
        before = dict(whole.saved().inputs)

        heard(whole, batches[cut:])

        assert whole.saved().inputs == before


def test_flushes_of_two_workers_that_mix_are_told_apart():
    one, other = Stage(), Stage()
    other.ingest._worker = "other"
    mixed = [b for pair in zip(flushed(one), flushed(other), strict=True) for b in pair]
    whole = frontier(one)

    heard(whole, mixed)

    assert len(whole.saved().inputs) == TABLES + 1
    assert whole.now("returns") == NOW


def test_a_topic_that_is_gone_is_no_input_any_more():
    stage = Stage()
    whole = frontier(stage)
    heard(whole, flushed(stage))
    fewer = dict(list(INPUTS.items())[:-3_000])

    heard(whole, flushed(stage, MARKS, fewer, NOW + 1))

    assert whole.saved().inputs == fewer


def test_few_inputs_stay_in_the_batch_of_the_statements():
    assert len(flushed(Stage(), MARKS[:500], {"cloudwatch": 1})) == 1
