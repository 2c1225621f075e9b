"""What is counted beside the ledger: statements that count otherwise, or not at all."""

from msgspec.structs import replace

from slo.model import MINUTE
from streams.image import MAX_TAG_SETS, TOO_MANY_TAG_SETS
from tests.streams.bench import GOOD, LAG, ROUTES, T0, TOTAL, Bench, batch, cell


def test_statements_that_count_otherwise_and_not_at_all_are_counted(tmp_path):
    bench = Bench(f"sqlite:///{tmp_path}/store.sqlite")
    now = T0 + 5 * MINUTE
    bench.apply(batch(now, [cell(LAG, T0, 0.2)]))
    assert bench.evaluator.tally.adjusted == {"clamped": 0, "outweighed": 0}
    bench.apply(
        batch(now, [cell(LAG, T0, 0.1), cell(GOOD, T0, 9.0), cell(TOTAL, T0, 5.0)])
    )
    assert bench.evaluator.tally.adjusted == {"clamped": 1, "outweighed": 1}
    assert bench.evaluator.tally.refused == {}
    many = [replace(ROUTES[LAG], tags=f"host:{n}") for n in range(MAX_TAG_SETS + 2)]
    bench.apply(replace(batch(now, [cell(0, T0, 0.2)]), routes=many))
    assert bench.evaluator.tally.refused == {TOO_MANY_TAG_SETS: 3}
