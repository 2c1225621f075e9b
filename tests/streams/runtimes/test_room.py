"""A producer waits while its partition's records are not saved."""

from threading import Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.runtimes.room import EngineStoppedError, Rivals, Room

PLACE = ("cloudwatch", 0)


def test_what_fits_is_taken_and_what_does_not_waits_until_it_is_saved():
    room = Room(limit=100)
    assert room.take(PLACE, 60, 0)
    assert not room.take(PLACE, 60, 0)
    room.written(PLACE, 0, 60)
    room.saved({PLACE: 1})
    assert room.take(PLACE, 60, 0)


def test_partitions_do_not_wait_for_each_other():
    room = Room(limit=100)
    assert room.take(PLACE, 100, 0)
    assert room.take(("cloudwatch", 1), 100, 0)


def test_a_record_larger_than_the_room_goes_alone():
    room = Room(limit=100)
    assert room.take(PLACE, 500, 0)
    assert not room.take(PLACE, 1, 0)


def test_a_record_may_be_saved_before_the_broker_has_told_us_of_it():
    room = Room(limit=100)
    assert room.take(PLACE, 100, 0)
    room.saved({PLACE: 1})
    room.written(PLACE, 0, 100)
    assert room.unread(PLACE) == 0


def test_a_record_that_the_broker_refused_takes_no_room():
    room = Room(limit=100)
    room.take(PLACE, 100, 0)
    room.failed(PLACE, 100)
    assert room.take(PLACE, 100, 0)


def test_whoever_waits_is_told_when_nobody_reads_any_more():
    room = Room(limit=100)
    room.take(PLACE, 100, 0)
    told: list[str] = []

    def wait() -> None:
        try:
            while not room.take(PLACE, 1, 30):
                pass
        except EngineStoppedError as error:
            told.append(str(error))

    waiting = Thread(target=wait)
    waiting.start()
    room.stop("the engine has ended")
    waiting.join(10)
    assert told == ["the engine has ended"]
    with pytest.raises(EngineStoppedError):
        room.take(PLACE, 1, 0)


@given(st.lists(st.integers(1, 40), max_size=30), st.lists(st.integers(0, 30)))
def test_no_more_than_the_limit_is_ever_unread(sizes, savings):
    room, offset = Room(limit=100), 0
    steps = iter(savings)
    for size in sizes:
        if room.take(PLACE, size, 0):
            room.written(PLACE, offset, size)
            offset += 1
        assert room.unread(PLACE) <= 100
        room.saved({PLACE: min(next(steps, 0), offset)})
    room.saved({PLACE: offset})
    assert room.unread(PLACE) == 0


def test_whose_store_is_taken_thrice_in_a_minute_gives_it_up():
    rivals = Rivals()
    for at_s in (0.0, 40.0, 80.0, 120.0):
        rivals.took(at_s)
    with pytest.raises(EngineStoppedError, match="another dbslo run uses this store"):
        rivals.took(121.0)
