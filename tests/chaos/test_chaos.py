"""The chaos suite for every day: a backlog with an outage in it, and a few kills.

`make chaos` runs a million records with more than twenty kills and everything else.
"""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.chaos import judge
from tests.chaos.generator import Outage, Script, records
from tests.chaos.run import BRIEF, Run
from tests.ground.cache import Missing

EVENTS = 30_000
SEED = 7
T0 = 1_795_564_800_000


@pytest.fixture(scope="module")
def checks(tmp_path_factory) -> dict[str, list[judge.Check]]:
    """Both runtimes at the same time, each with servers of its own."""

    def run(runtime: str) -> list[judge.Check]:
        folder = tmp_path_factory.mktemp(runtime)
        return Run(folder, runtime, SEED, EVENTS, BRIEF).go()

    with ThreadPoolExecutor(2) as pool:
        runs = {name: pool.submit(run, name) for name in ("native", "faust")}
        try:
            return {name: made.result() for name, made in runs.items()}
        except Missing as missing:
            pytest.skip(str(missing))


@pytest.mark.real
@pytest.mark.parametrize("runtime", ["native", "faust"])
def test_nothing_is_lost_doubled_or_told_twice_while_workers_are_killed(
    checks, runtime
):
    assert len(checks[runtime]) == 14
    assert [str(check) for check in checks[runtime] if not check.passed] == []


# -- the generator and the judge, without a server ----------------------------------------


def script(events: int = 4_000, seed: int = 3) -> Script:
    outage = Outage("shop", T0 + 10_000, T0 + 60_000)
    return Script(seed, events, T0, 80.0, (outage,))


def test_the_same_seed_gives_the_same_records_and_another_one_others():
    assert list(records(script())) == list(records(script()))
    assert list(records(script())) != list(records(script(seed=4)))


def test_what_is_sent_holds_what_makes_counting_hard():
    made = list(records(script(20_000)))
    arrivals: dict[tuple[str, int], int] = {}
    for one in made:
        place = (one.topic, one.partition)
        assert one.arrival_ms >= arrivals.get(place, 0), "no partition goes back"
        arrivals[place] = one.arrival_ms
    rows = Counter(
        (one.topic, one.value) for one in made if one.topic == "shop.app.rows"
    )
    assert max(rows.values()) > 1, "a connector sends a run again"
    assert any(one.value is None for one in made)
    assert {one.topic for one in made} >= {"cloudwatch", "datadog"}


def test_count_by_hand_and_replay_agree_and_a_lost_record_is_seen(tmp_path):
    sent = list(records(script(20_000)))
    judge.fleet.write(tmp_path)
    placed = judge.placed(sent)
    whole = judge.answer(placed, tmp_path, BRIEF.divisor)
    assert whole.lines == whole.replayed
    assert len(whole.lines) > 500
    assert whole.incidents == {judge.fleet.key_of("shop"): 1}
    lost = next(n for n, one in enumerate(placed) if one.topic == "ledger.public.rows")
    fewer = judge.answer(placed[:lost] + placed[lost + 1 :], tmp_path, BRIEF.divisor)
    assert fewer.lines != whole.lines
