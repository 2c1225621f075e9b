"""A month on: old hours are summed up, older ones dropped, and all of it is still there."""

import msgspec

from slo.folding import PAGE_MS
from slo.model import DAY, HOUR, MINUTE
from streams.image import Image
from streams.pages import kept_from
from tests.fleet import PLAN
from tests.streams.bench import LAG, T0, Bench, batch, cell

DAYS = 34
EVERY = 6 * HOUR


def test_after_a_month_the_ledger_is_whole_and_a_restart_knows_what_was_known(tmp_path):
    bench = Bench(f"sqlite:///{tmp_path}/store.sqlite")
    starts = range(T0, T0 + DAYS * DAY, EVERY)
    for number, start in enumerate(starts):
        late = [cell(LAG, start - 5 * HOUR, 9.0)] if number % 7 == 3 else []
        bench.apply(
            batch(start + 5 * MINUTE, [cell(LAG, start, 0.2), *late]),
            clock_ms=number * 2 * MINUTE,
        )
    now = starts[-1] + 5 * MINUTE
    kept = (now - 31 * DAY) // PAGE_MS * PAGE_MS
    expected = sorted(
        [start for start in starts if start >= kept]
        + [start - 5 * HOUR for start in starts[3::7] if start - 5 * HOUR >= kept]
    )
    lines = [line.split("\t") for line in bench.dump(now)]
    assert [int(start) for _, start, *_ in lines] == expected
    before = bench.evaluator.views()
    bench.restart()
    after = bench.evaluator.views()
    for was, is_now in zip(before, after, strict=True):
        assert is_now.status.windows == was.status.windows
        assert is_now.status.first_ms == was.status.first_ms
        assert is_now.first_known == was.first_known
        assert is_now.now_known == was.now_known == was.first_known
    # the restarted engine reads a folded hour back where it has to
    bench.apply(batch(now, [cell(LAG, starts[-9] - HOUR, 9.0)]), clock_ms=10**9)
    assert len(bench.dump(now)) == len(expected) + 1


def test_hours_are_kept_for_the_longest_window_though_every_period_is_shorter():
    short = tuple(
        msgspec.structs.replace(
            one, slo=msgspec.structs.replace(one.slo, period_ms=6 * HOUR)
        )
        for one in PLAN.series
    )
    plan = msgspec.structs.replace(PLAN, series=short)
    image = Image(plan, lambda _: True, lambda *_: None, lambda *_: None)
    assert max(plan.policy.windows_ms) == 3 * DAY
    assert T0 - kept_from(image, T0) >= 3 * DAY + HOUR
