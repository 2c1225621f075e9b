"""Setting many buckets at once says what setting one after the other says."""

import cProfile
import pstats

from hypothesis import given, settings
from hypothesis import strategies as st

from slo.ledger import SeriesLedger
from slo.model import HOUR, MINUTE, Counts
from tests.slo.made import T0

sizes = st.sampled_from([0, 1, 10, 1_000, 2**30])
minutes = st.integers(0, 8) | st.integers(0, 8 * 60)


def row_of(minute, good, bad, more):
    """A row of the ledger; `more` good events than counts lie behind it."""
    total = good + bad
    return T0 + minute * MINUTE, good, total, good + more, total + more


rows = st.builds(row_of, minutes, sizes, sizes, st.sampled_from([0, 0, 0, 7])) | (
    st.builds(row_of, minutes, st.just(0), st.just(0), st.just(0))
)
runs = st.lists(rows, min_size=1, max_size=8, unique_by=lambda row: row[0]).map(sorted)
steps = st.lists(runs | st.integers(0, 9), max_size=12)


def one_by_one(ledger, run):
    """What `put` changes, and by how much, row by row."""
    found = []
    for row in run:
        before = ledger.sums
        start, good, total, events_good, events_total = row
        if ledger.put(start, Counts(good, total), Counts(events_good, events_total)):
            by = [after - was for was, after in zip(before, ledger.sums, strict=True)]
            found.append((row, tuple(by)))
    return found


def at_once(ledger, run):
    """What `put_rows` changes, in the same words."""
    changed = ledger.put_rows(run)
    fresh = [(row, (row[2] - row[1], row[2], 1)) for row in changed.fresh]
    assert changed.rows == [row for row, _ in [*changed.revised, *fresh]]
    return [*changed.revised, *fresh]


def told(ledger):
    """All that a ledger says of itself, without changing it."""
    return (
        ledger.first,
        ledger.known_good,
        ledger.known_bad,
        ledger.revisions,
        ledger.dirty,
        ledger.history_dirty,
        ledger.sums,
        ledger.now_known,
    )


def save(ledger, saved, hours):
    """A checkpoint, after which the hours before one are folded."""
    saved |= {page: ledger.page(page) for page in ledger.dirty}
    ledger.dirty.clear()
    if hours > 5:
        ledger.history(T0 // HOUR + hours - 3)
    ledger.history_dirty = False
    ledger.evict(T0 // HOUR + hours)


@settings(max_examples=150)
@given(steps)
def test_many_at_once_are_one_after_the_other(said):
    saved, also_saved = {}, {}
    ledger, other = SeriesLedger(saved.get), SeriesLedger(also_saved.get)
    for step in said:
        if isinstance(step, int):
            save(ledger, saved, step)
            save(other, also_saved, step)
        else:
            assert at_once(ledger, step) == one_by_one(other, step)
        assert told(ledger) == told(other)
    assert saved == also_saved
    assert ledger.last == other.last
    assert list(ledger.rows()) == list(other.rows())


def test_a_newest_bucket_that_was_taken_out_and_comes_back_is_a_revision():
    ledger = SeriesLedger()
    rows = [(T0, 1, 1, 1, 1), (T0 + MINUTE, 0, 1, 0, 1)]
    ledger.put_rows(rows)
    ledger.put_rows([(T0 + MINUTE, 0, 0, 0, 0)])
    changed = ledger.put_rows([rows[1], (T0 + 2 * MINUTE, 1, 1, 1, 1)])
    assert changed.revised == [(rows[1], (1, 1, 1))]
    assert (ledger.known_good, ledger.known_bad, ledger.revisions) == (2, 1, 2)


def test_the_late_rows_of_a_run_move_what_lies_after_them_once():
    ledger = SeriesLedger()
    ledger.put_rows([(T0 + n * MINUTE, 1, 1, 1, 1) for n in range(100)])
    late = [(T0 + n * MINUTE, 0, 1, 0, 1) for n in (3, 7, 98)]
    with cProfile.Profile() as watched:
        revised = ledger.put_rows(late).revised
    assert revised == [(row, (1, 0, 0)) for row in late]
    calls = pstats.Stats(watched).get_stats_profile().func_profiles
    assert calls["splice"].ncalls == "1"
