"""Taking turns: nobody who waits is overtaken, and nobody waits longer than told."""

from collections.abc import Callable
from threading import Thread
from time import monotonic, sleep

import pytest

from streams.turns import Turns


def waiting(turns: Turns) -> bool:
    """Whether somebody waits for the lock, and so holds the gate."""
    return turns._gate.locked()


def queued(turns: Turns, what: Callable[[], None]) -> Thread:
    """A thread that waits for the lock, which is held, to do something."""
    thread = Thread(target=what)
    thread.start()
    while not waiting(turns):
        pass
    return thread


def test_who_gives_it_back_and_asks_again_comes_after_who_waited():
    turns, told = Turns(), []

    def other() -> None:
        with turns:
            told.append("who waited")

    with turns:
        thread = queued(turns, other)
    for _ in range(100):  # a plain lock would be had anew each time
        with turns.within(10) as held:
            assert held
            told.append("who asked again")
    thread.join(10)
    assert told[0] == "who waited"


def test_who_has_waited_long_enough_goes_on_without_it():
    turns = Turns()
    found = []

    def glimpse() -> None:
        with turns.within(0.01) as held:
            found.append(held)

    with turns:
        thread = Thread(target=glimpse)
        thread.start()
        thread.join(10)
    assert found == [False]
    with turns.within(0) as held:
        assert held


def test_who_has_waited_may_stay_as_long():
    turns, waited = Turns(), []

    def glimpse() -> None:
        with turns.within(10):
            since = monotonic()
            while not turns.due:
                pass
            waited.append(monotonic() - since)

    with turns:
        thread = queued(turns, glimpse)
        sleep(0.05)
    thread.join(10)
    assert waited[0] >= 0.05


def test_whatever_fails_while_it_is_held_it_is_given_back():
    turns = Turns()
    with pytest.raises(KeyError), turns.within(1):
        {}["nothing"]
    with pytest.raises(KeyError), turns:
        {}["nothing"]
    with turns.within(0) as held:
        assert held
