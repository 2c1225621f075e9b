"""Workers that are killed, paused and moved about: nothing lost, nothing doubled."""

import time
from itertools import islice

import pytest

from tests.real.rows import counted, rows
from tests.real.walk import Walk, until

pytestmark = pytest.mark.real

ROUND = 30_000


@pytest.fixture
def walk(kafka, tmp_path):
    made = Walk(kafka, tmp_path)
    yield made
    made.close()


@pytest.fixture
def walk_on_postgres(kafka, postgres, tmp_path):
    """A process that stands still inside a transaction of SQLite keeps the file."""
    made = Walk(kafka, tmp_path, postgres.url(postgres.database()))
    yield made
    made.close()


def stream():
    """Rows of the last quarter of an hour, as they would come from a connector."""
    return rows(int(time.time() * 1000) - 900_000)


def killed_in_rounds(walk, victim, made, rounds=2):
    """Rows come while the victim is killed; all rows so far."""
    sent = []
    for number in range(rounds):
        batch = list(islice(made, ROUND))
        again = sent[-500:]  # a connector that was restarted sends a run again
        sent += batch
        walk.send([*again, *batch])
        enough = number * ROUND + ROUND // 4
        until(f"round {number} is under way", lambda e=enough: walk.total() >= e)
        victim.restart()
    return sent


@pytest.mark.parametrize("victim", ["ingest", "native", "faust"])
def test_killed_workers_lose_nothing_and_double_nothing(walk, victim):
    stages = ("ingest", "native") if victim == "ingest" else ("ingest", victim)
    with walk.workers(*stages) as started:
        sent = killed_in_rounds(walk, started[stages.index(victim)], stream())
        until("all is counted", lambda: walk.total() >= len(sent))
    assert walk.rows() == counted(sent)


def shared(walk):
    """Two members of each group hold partitions."""
    return walk.members("ingest") == 2 and walk.members("evaluate") == 2


@pytest.mark.parametrize("stage", ["native", "faust"])
def test_workers_that_stood_still_come_back_as_zombies_and_change_nothing(
    walk_on_postgres, stage
):
    """Two of each stage; one of each is stopped for longer than its session."""
    walk, made, sent = walk_on_postgres, stream(), []

    def more(count: int) -> None:
        batch = list(islice(made, count))
        sent.extend(batch)
        walk.send(batch)

    with walk.workers("ingest", stage, "ingest:1", f"{stage}:1") as started:
        more(ROUND)
        until("both stages share the work", lambda: shared(walk))
        more(ROUND)
        for zombie in started[:2]:
            zombie.pause()
        more(ROUND)
        until("the others have taken over", lambda: walk.total() >= len(sent), 90)
        for zombie in started[:2]:
            zombie.resume()
        more(ROUND)
        until("all is counted", lambda: walk.total() >= len(sent))
        until("the zombies have joined again", lambda: shared(walk))
    assert walk.rows() == counted(sent)


def test_a_broker_that_crashes_and_comes_back_loses_and_doubles_nothing(
    fresh_kafka, tmp_path
):
    """It is away for longer than a session and a transaction may last."""
    walk, made, sent = Walk(fresh_kafka, tmp_path), stream(), []
    with walk.workers("ingest", "faust") as started:
        sent += islice(made, ROUND)
        walk.send(sent)
        until("it is under way", lambda: walk.total() > 0)
        fresh_kafka.kill()
        fresh_kafka.start()
        later = list(islice(made, ROUND))
        walk.send(later)
        until("all is counted", lambda: walk.total() >= 2 * ROUND)
        assert all(worker.alive for worker in started)
    assert walk.rows() == counted([*sent, *later])
    walk.close()
