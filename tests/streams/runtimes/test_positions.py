"""Positions and marks: what was read, and up to when that is all there was."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slo.model import MINUTE
from streams.batch import Mark
from streams.runtimes.marks import Positions
from streams.runtimes.polled import Polled
from streams.slab import Slab

PLACE = ("cloudwatch", 0)
CLOCK = 1_794_000_000_000


def slab(first: int, *arrivals: int, place: tuple[str, int] = PLACE) -> Slab:
    offsets = list(range(first, first + len(arrivals)))
    values = [str(offset).encode() for offset in offsets]
    return Slab(*place, offsets, list(arrivals), [None] * len(offsets), values)


def read(positions: Positions, *slabs: Slab, ends=(), clock: int = CLOCK) -> list[Slab]:
    return positions.fresh(Polled(list(slabs), list(ends), []), clock)


@pytest.fixture
def positions() -> Positions:
    made = Positions()
    made.hold(PLACE, 100)
    return made


def test_a_record_moves_the_position_past_itself(positions):
    assert read(positions, slab(100, CLOCK, CLOCK)) == [slab(100, CLOCK, CLOCK)]
    assert positions.next(PLACE) == 102


def test_the_end_of_a_partition_passes_transaction_markers(positions):
    read(positions, slab(100, CLOCK), ends=[(PLACE, 103)])
    assert positions.next(PLACE) == 103


def test_records_read_before_are_dropped_and_later_ones_kept(positions):
    read(positions, slab(100, CLOCK, CLOCK, CLOCK))
    assert read(positions, slab(101, CLOCK, CLOCK, CLOCK)) == [slab(103, CLOCK)]
    assert read(positions, slab(101, CLOCK)) == []


def test_records_of_partitions_that_went_away_are_dropped(positions):
    positions.drop(PLACE)
    assert read(positions, slab(100, CLOCK), ends=[(PLACE, 101)]) == []
    assert positions.places() == []


@given(st.lists(st.tuples(st.integers(90, 130), st.integers(1, 6)), max_size=12))
def test_whatever_comes_again_no_offset_is_taken_twice(runs):
    positions = Positions()
    positions.hold(PLACE, 100)
    taken = [
        offset
        for first, count in runs
        for kept in read(positions, slab(first, *[CLOCK] * count))
        for offset in kept.offsets
    ]
    assert taken == sorted(set(taken))
    assert all(offset >= 100 for offset in taken)


# -- marks -------------------------------------------------------------------------

ASKED = CLOCK - 150


def marked(positions: Positions, clock: int = CLOCK) -> int | None:
    found = positions.marks(clock)
    return found[0].time_ms if found else None


def test_nothing_is_known_before_a_record_or_an_answer(positions):
    assert positions.marks(CLOCK) == []


def test_behind_the_watermark_the_greatest_record_timestamp_counts(positions):
    positions.answered(PLACE, 200, ASKED)
    read(positions, slab(100, CLOCK - 9_000, CLOCK - 7_000, CLOCK - 8_000))
    assert positions.marks(CLOCK) == [Mark(*PLACE, 103, CLOCK - 7_000)]


def test_at_the_watermark_time_goes_on_to_when_the_broker_was_asked(positions):
    read(positions, slab(100, CLOCK - 9_000))
    positions.answered(PLACE, 101, ASKED)
    assert marked(positions) == ASKED


def test_an_open_transaction_is_no_silence(positions):
    """The end is met at the last stable offset, the log goes on."""
    read(positions, slab(100, CLOCK - 9_000), ends=[(PLACE, 102)])
    positions.answered(PLACE, 103, ASKED)
    assert marked(positions) == CLOCK - 9_000


def test_markers_at_the_end_of_a_log_are_no_lag(positions):
    read(positions, slab(100, CLOCK - 9_000), ends=[(PLACE, 103)])
    positions.answered(PLACE, 103, ASKED)
    assert (marked(positions), positions.lag()) == (ASKED, {PLACE: 0})


def test_an_empty_partition_is_read_to_its_end():
    positions = Positions()
    positions.hold(PLACE, 0)
    positions.answered(PLACE, 0, ASKED)
    assert marked(positions) == ASKED


def test_a_timestamp_ahead_of_the_clock_is_capped_by_it(positions):
    positions.answered(PLACE, 200, ASKED)
    read(positions, slab(100, CLOCK + 5_000))
    assert marked(positions) == CLOCK


def test_a_timestamp_that_is_refused_moves_no_mark(positions):
    positions.answered(PLACE, 200, ASKED)
    read(positions, slab(100, CLOCK - 9_000, CLOCK + MINUTE + 1))
    assert marked(positions) == CLOCK - 9_000


def test_an_old_answer_claims_no_more_than_when_it_was_asked(positions):
    read(positions, slab(100, CLOCK - 9_000))
    positions.answered(PLACE, 101, ASKED)
    assert marked(positions, CLOCK + 60_000) == ASKED


def test_going_back_forgets_what_was_read(positions):
    read(positions, slab(100, CLOCK))
    positions.hold(PLACE, 90)
    assert positions.marks(CLOCK) == []


def test_a_late_timestamp_moves_no_mark_back(positions):
    positions.answered(PLACE, 200, ASKED)
    read(positions, slab(100, CLOCK - 5_000))
    read(positions, slab(101, CLOCK - 50_000))
    assert marked(positions) == CLOCK - 5_000


def test_lag_is_what_lies_before_the_watermark(positions):
    positions.answered(PLACE, 250, ASKED)
    read(positions, slab(100, CLOCK))
    assert positions.lag() == {PLACE: 149}
