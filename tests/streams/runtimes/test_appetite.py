"""How many records a poll asks for: what is slow is read one by one."""

from streams.runtimes.appetite import MOST, SLOW_S, Appetite

QUICK, SLOW, EMPTY = (1, SLOW_S), (1, SLOW_S + 0.1), (0, 0.0)


def asked(*polls: tuple[int, float]) -> list[int]:
    """What is asked for at first, and after polls of so many records and seconds."""
    appetite = Appetite()
    found = [appetite.records]
    for read, seconds in polls:
        appetite.fed(read, seconds)
        found.append(appetite.records)
    return found


def test_it_begins_with_one_and_doubles():
    assert asked(QUICK, QUICK, QUICK) == [1, 2, 4, 8]


def test_it_never_asks_for_more_than_stays_at_hand():
    found = asked(*[QUICK] * 20)
    assert max(found) == found[-1] == MOST


def test_after_a_slow_step_it_begins_anew():
    assert asked(*[QUICK] * 20, SLOW, QUICK)[-2:] == [1, 2]


def test_nobody_grows_hungry_by_waiting():
    assert asked(*[QUICK] * 20, *[EMPTY] * 20)[-1] == 1
