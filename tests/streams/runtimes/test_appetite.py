"""How many records a poll asks for: what is slow is read one by one."""

from streams.runtimes.appetite import AGAIN, MOST, SLOW_S, Appetite

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


def full_flow() -> Appetite:
    """Some thousands of records are committed, many are not."""
    appetite = Appetite()
    for _ in range(20):
        appetite.fed(appetite.records, 0.0)
    appetite.committed(behind=AGAIN)
    return appetite


def test_what_is_read_again_up_to_a_slow_step_is_read_one_by_one():
    appetite = full_flow()
    appetite.fed(MOST, SLOW_S + 30)
    for _ in range(3):  # it goes back, and asks again until it knows where to
        appetite.dropped()
        appetite.fed(0, 0.0)
    for read in range(AGAIN + MOST):
        assert appetite.records == 1
        appetite.fed(1, 0.0)
        if read % 100 == 0:
            appetite.committed(behind=10)
    assert appetite.records == 2


def test_who_is_put_out_anew_reads_twice_as_many_one_by_one():
    appetite = full_flow()
    for _ in range(2):
        appetite.fed(MOST, SLOW_S + 30)
        appetite.dropped()
        appetite.fed(AGAIN + MOST, 0.0)
    appetite.fed(AGAIN + MOST - 1, 0.0)
    assert appetite.records == 1
    appetite.fed(1, 0.0)
    assert appetite.records == 2


def test_a_slow_step_is_remembered_while_it_is_behind_what_is_committed():
    appetite = full_flow()
    appetite.fed(MOST, SLOW_S + 30)
    appetite.fed(1, 0.0)
    appetite.committed(behind=MOST + 1)  # the transaction before
    appetite.dropped()
    appetite.fed(MOST, 0.0)
    assert appetite.records == 1


def test_a_slow_step_that_is_committed_costs_no_more_than_its_poll():
    appetite = full_flow()
    appetite.fed(MOST, SLOW_S + 0.1)
    appetite.committed(behind=0)
    appetite.dropped()
    appetite.fed(1, 0.0)
    assert appetite.records == 2


def test_what_is_read_again_and_was_quick_is_read_as_before():
    appetite = full_flow()
    appetite.dropped()
    appetite.fed(MOST, 0.0)
    assert appetite.records == MOST
