"""The clock of a replay: every point of the grid once, whatever arrives when."""

from itertools import pairwise

import pytest

from dbslo.replay import grid

T0 = 1_795_564_800_000


@pytest.mark.parametrize(
    "arrivals",
    [
        pytest.param([3, 9_990, 10_003, 25_000, 40_001], id="between the points"),
        pytest.param([3, 10_000, 10_000, 20_000, 20_007, 40_001], id="on the points"),
        pytest.param([0, 10_000, 20_000, 30_000, 40_001], id="on every point"),
        pytest.param([3, 9_999, 10_001, 10_000, 40_001], id="a little out of order"),
    ],
)
def test_every_point_of_the_grid_comes_once_after_the_records_of_its_moment(arrivals):
    seen, at = [], T0 + arrivals[0]
    for _, arrival in pairwise(arrivals):
        seen += grid(at, T0 + arrival)
        at = max(at, T0 + arrival)
    due = [T0 + point for point in (0, 10_000, 20_000, 30_000, 40_000)]
    assert seen == [point for point in due if point >= T0 + arrivals[0]]
