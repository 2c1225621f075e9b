"""How many records a poll asks for: what is slow is read one by one."""

from streams.runtimes.appetite import MOST, SLOW_S, Appetite


def asked(*seconds: float) -> list[int]:
    """What is asked for at first, and after steps that took so long."""
    appetite = Appetite()
    found = [appetite.records]
    for took in seconds:
        appetite.fed(took)
        found.append(appetite.records)
    return found


def test_it_begins_with_one_and_doubles():
    assert asked(0, 0.01, SLOW_S) == [1, 2, 4, 8]


def test_it_never_asks_for_more_than_stays_at_hand():
    assert max(asked(*[0.0] * 20)) == asked(*[0.0] * 20)[-1] == MOST


def test_after_a_slow_step_it_begins_anew():
    assert asked(*[0.0] * 20, SLOW_S + 0.1, 0.0)[-2:] == [1, 2]
