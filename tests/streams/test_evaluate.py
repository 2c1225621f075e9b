"""Stage 2: laws over order, batches, duplicates and restarts."""

from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from slo.model import BUCKET_MS, MINUTE, SECOND
from streams.batch import Cell, Delta
from tests.streams.bench import (
    EVENT,
    GOOD,
    LAG,
    NOBODY,
    ROWS,
    T0,
    TOTAL,
    Bench,
    batch,
    cell,
)

# -- laws ------------------------------------------------------------------------

minutes = st.integers(0, 12).map(lambda n: T0 + n * MINUTE)
buckets = st.integers(0, 60).map(lambda n: T0 + n * BUCKET_MS)
cells = st.one_of(
    st.builds(cell, st.just(LAG), minutes, st.sampled_from([-1.0, 0.2, 5.0])),
    st.builds(
        cell,
        st.sampled_from([GOOD, TOTAL]),
        minutes,
        st.integers(0, 50).map(float),
        st.integers(1, 3).map(float),
    ),
    st.builds(
        lambda start, age: cell(EVENT, start, float(start - age * SECOND)),
        buckets,
        st.integers(0, 90),
    ),
    st.builds(cell, st.just(NOBODY), minutes, st.just(1.0)),
)
deltas = st.builds(
    lambda at, good, bad: (ROWS, at, good, good + bad),
    buckets,
    st.integers(0, 5),
    st.integers(0, 5),
)


def ledger_of(parts: list[tuple[list[Cell], list[Delta]]], restarts: set[int]):
    end = T0 + 13 * MINUTE
    with TemporaryDirectory() as folder:
        made = Bench(f"sqlite:///{folder}/store.db")
        for number, (some_cells, some_deltas) in enumerate(parts):
            if number in restarts:
                made.restart()
            made.apply(batch(T0 + number * SECOND, some_cells, some_deltas))
        made.apply(batch(end, []))
        found = made.dump(end)
        made.store.close()
        return found


@settings(max_examples=40, deadline=None)
@given(
    st.lists(cells, max_size=25),
    st.lists(deltas, max_size=8),
    st.randoms(use_true_random=False),
    st.integers(1, 5),
    st.sets(st.integers(0, 5)),
)
def test_order_batches_duplicates_and_restarts_do_not_change_the_ledger(
    some_cells, some_deltas, random, size, restarts
):
    plain = ledger_of([(some_cells, some_deltas)], set())
    again = [*some_cells, *some_cells[: len(some_cells) // 2]]
    shuffled = list(some_deltas)
    random.shuffle(again)
    random.shuffle(shuffled)
    parts = [(again[n::size], shuffled[n::size]) for n in range(size)]
    assert ledger_of(parts, restarts) == plain
