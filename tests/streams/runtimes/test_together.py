"""What one fetch gave of a partition is applied together, from the record on that is due."""

from typing import NamedTuple

import pytest

from streams.runtimes.together import together


class Record(NamedTuple):
    offset: int


FETCHED = [Record(3), Record(5), Record(6), Record(9), Record(12)]


@pytest.mark.parametrize(
    ("offset", "wanted"),
    [(3, [3, 5, 6]), (5, [5, 6, 9]), (9, [9, 12]), (12, [12])],
)
def test_a_run_begins_with_the_record_that_is_due_and_is_bounded(offset, wanted):
    assert [one.offset for one in together(FETCHED, offset, 3)] == wanted
