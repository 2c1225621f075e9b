"""Batches that cannot be applied: the smallest part is put aside, the rest counts."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slo.model import HOUR, MINUTE
from streams.evaluate import Evaluator
from streams.kafka import TopicIdentity, WorkerStoppedError
from streams.reading import dump
from streams.runtimes.partitions import Partitions, ReloadedError
from streams.runtimes.poison import MOST, poisons
from tests.fleet import PLAN
from tests.streams.bench import LAG, ROUTES, ROWS, T0, TOPICS, batch, cell
from tests.streams.flaky import Flaky

IDENTITY = TopicIdentity("a-cluster", "a-topic", 1)
NOWHERE = len(ROUTES)
"""A route that the batch does not have."""

HUGE = 2**63 - 1
"""Two of them are more than the ledger, or any of our formats, can hold."""


class Kept:
    def __init__(self, folder) -> None:
        self.store = Flaky(f"sqlite:///{folder}/store.db")
        self.hold()

    def hold(self) -> None:
        def evaluator(partition: int, partitions: int) -> Evaluator:
            return Evaluator(PLAN, self.store, TOPICS)

        self.parts = Partitions(IDENTITY, evaluator, lambda: T0, lambda _: None)
        self.parts.topic = "observations"
        self.parts.assigned(0)

    def apply(self, *batches, first: int = 0) -> None:
        read = list(enumerate(batches, first))
        self.parts.apply(0, read, first + len(read))

    def lines(self) -> list[str]:
        return list(dump(PLAN, self.store, TOPICS, T0 + HOUR))


@pytest.fixture
def kept(tmp_path):
    made = Kept(tmp_path)
    yield made
    made.store.close()


def told(minute: int, *more, deltas=()):
    start = T0 + minute * MINUTE
    return batch(start + MINUTE, [cell(LAG, start, 0.2), *more], list(deltas))


def test_a_statement_that_cannot_be_applied_is_put_aside_and_the_rest_counts(kept):
    poison = cell(NOWHERE, T0, 7.5)
    kept.apply(told(0), told(1, poison, deltas=[(ROWS, T0, 1, 2)]), told(2))
    assert kept.parts.next(0) == 3
    assert kept.lines() == [
        *(f"lag/orders-a\t{T0 + n * MINUTE}\t1\t1" for n in range(3)),
        f"rows/orders\t{T0}\t1\t2",
    ]
    ((_, letter),) = kept.store.dead_letters()
    assert (letter.topic, letter.partition, letter.offset) == ("observations", 0, 1)
    assert letter.format == "observations"
    assert letter.reason == "cannot be applied: IndexError: list index out of range"
    assert letter.excerpt.startswith("a route that the batch does not have: cell (6, ")
    assert (kept.parts.put_aside, kept.store.put_aside("observations")) == (1, 1)
    kept.hold()
    assert kept.parts.next(0) == 3, "and it is not read again"


def test_what_the_store_cannot_hold_is_told_with_whose_it_is(kept):
    kept.apply(told(0, deltas=[(ROWS, T0, 1, 2)]))
    kept.apply(told(1, deltas=[(ROWS, T0, HUGE, HUGE)]), told(2), first=1)
    assert f"rows/orders\t{T0}\t1\t2" in kept.lines()
    ((_, letter),) = kept.store.dead_letters()
    assert letter.offset == 1
    assert letter.excerpt.startswith("cdc:orders cdc:rows/30000: delta (4, ")


def test_what_fails_without_any_statement_stops_the_worker(kept):
    kept.apply(told(0))
    kept.store.fails = dict.fromkeys(range(1, 99), "bug")
    with pytest.raises(WorkerStoppedError, match="marks alone: ValueError: a bug"):
        kept.apply(told(1), first=1)
    assert kept.store.progress(0).next == 1
    assert kept.store.dead_letters() == []


def test_a_batch_of_which_every_statement_fails_stops_the_worker(kept):
    bad = batch(T0, [cell(NOWHERE, T0, 1.0), cell(NOWHERE, T0 + 1, 1.0)])
    with pytest.raises(WorkerStoppedError, match="nor can any single statement"):
        kept.apply(bad)
    assert kept.store.progress(0).next == 0
    assert kept.store.dead_letters() == []


def test_where_nothing_but_poison_comes_for_long_the_worker_stops(kept):
    for offset in range(3):
        kept.apply(batch(T0, [cell(NOWHERE, T0, 1.0)]), first=offset)
    with pytest.raises(WorkerStoppedError, match="nor can any single statement"):
        kept.apply(batch(T0, [cell(NOWHERE, T0, 1.0)]), first=3)
    assert kept.store.progress(0).next == 3
    kept.hold()
    kept.apply(told(0), first=3)
    kept.apply(batch(T0, [cell(NOWHERE, T0, 1.0)]), first=4)
    assert len(kept.store.dead_letters()) == 4


def test_a_store_that_goes_away_amidst_it_puts_nothing_aside(kept):
    kept.store.fails = {1: "before"}
    with pytest.raises(ReloadedError):
        kept.apply(told(0), told(1, cell(NOWHERE, T0, 7.5)))
    assert (kept.parts.next(0), kept.store.dead_letters()) == (0, [])
    kept.apply(told(0), told(1, cell(NOWHERE, T0, 7.5)))
    assert (kept.parts.next(0), len(kept.store.dead_letters())) == (2, 1)


@given(
    sizes=st.lists(st.integers(0, 7), min_size=1, max_size=6),
    picks=st.sets(st.integers(0, 40), max_size=8),
)
def test_halving_finds_exactly_the_poison_whatever_lies_between(sizes, picks):
    starts = [sum(sizes[:n]) for n in range(len(sizes) + 1)]
    batches = [
        batch(T0, [cell(LAG, T0 + at, 0.2) for at in range(*span)])
        for span in pairwise(starts)
    ]
    bad = {T0 + at for at in picks if at < starts[-1]}

    def rehearse(some):
        held = {one[1] for each in some for one in each.cells}
        return ValueError("bad") if held & bad else None

    if bad and len(bad) == starts[-1] > 1:
        with pytest.raises(WorkerStoppedError):
            poisons(batches, rehearse)
        return
    found = poisons(batches, rehearse)
    assert {batches[p.row.batch].cells[p.row.at][1] for p in found} == bad


def test_statements_that_fail_only_together_stop_the_worker():
    cells = [cell(LAG, T0 + n, 0.2) for n in range(4)]

    def rehearse(some):
        return ValueError("two") if sum(len(b.cells) for b in some) > 1 else None

    with pytest.raises(WorkerStoppedError, match=r"though each statement can: .*two"):
        poisons([batch(T0, cells)], rehearse)


def test_too_much_poison_is_none():
    cells = [cell(LAG, T0 + n, 0.2) for n in range(MOST + 5)]

    def rehearse(some):
        return ValueError("x") if any(b.cells for b in some) else None

    with pytest.raises(WorkerStoppedError, match="nor can 100 single statements"):
        poisons([batch(T0, cells)], rehearse)
