"""What is folded and what is not, where nothing ever was."""

from slo.folding import ENDLESS_MS, Folding
from slo.model import DAY
from slo.totals import RunningTotals


def test_where_nothing_was_folded_no_moment_is_read_back_however_long_ago():
    asked: list[int] = []
    folding = Folding(RunningTotals(), asked.append)
    for moment in (0, -DAY, -ENDLESS_MS, -ENDLESS_MS - 400 * DAY - 1):
        folding.cut(moment)
    assert asked == []
