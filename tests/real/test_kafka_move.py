"""History moves to other partitions while nothing runs: nothing lost, nothing doubled."""

import json
import signal
import subprocess
import sys
from itertools import count
from threading import Event

import pytest
from confluent_kafka import Producer

from streams.batch import Batch, Route, encode
from streams.runtimes.moving import MoveRefusedError
from streams.runtimes.survey import left, members
from streams.store import PlacementError
from streams.store.moving import STEPS
from tests.real.moved import CLUSTERS, Engine, Fleet
from tests.real.servers.kafka import QUIET
from tests.real.walk import ROOT, until

pytestmark = pytest.mark.real

ROWS = 700
STEMS = count(1)


@pytest.fixture
def world(kafka, postgres):
    """Topics of a fleet of its own; engines over it, each with its own partitions."""
    stem = f"moved{next(STEMS)}"
    for number in range(CLUSTERS):
        kafka.create(f"{stem}-{number}.shop.t")
        kafka.create(f"__debezium-heartbeat.{stem}-{number}")
    made = []

    def engine(partitions: int) -> Engine:
        name = kafka.topic(f"observations-{stem}", partitions)
        kafka.create(f"dead-{name}")
        url = postgres.url(postgres.database())
        made.append(Engine(kafka.bootstrap, stem, name, url))
        return made[-1]

    yield Fleet(kafka.bootstrap, stem), engine
    for one in made:
        one.store.close()


def moved(engine: Engine, partitions: int | None) -> dict[str, int]:
    """Move, and see that the ledger says afterwards what it said before."""
    before, said = engine.dump(), []
    assert engine.mover().survey(partitions).obstacles == []
    rows = engine.mover().move(partitions, said.append)
    assert [line[0] for line in said] == ["1", "2", "3", "4"]
    assert engine.dump() == before
    assert not engine.mover().survey().needed
    return rows


@pytest.mark.parametrize(("before", "after"), [(2, 4), (4, 2)])
def test_after_a_move_the_ledger_goes_on_as_if_it_had_always_been_so(
    world, before, after
):
    fleet, engine = world
    mine, always = engine(before), engine(after)
    total = fleet.send(ROWS)
    for one in (mine, always):
        one.counts(total)
    every = {step.table.name for step in STEPS} | {"placement"}
    assert moved(mine, after).keys() == every
    total = fleet.send(ROWS)
    for one in (mine, always):
        one.counts(total)
    assert mine.total() == total
    assert mine.dump(fleet.newest_ms) == always.dump(fleet.newest_ms)


def killed_after(step: str, engine: Engine, partitions: int) -> None:
    """A mover of its own process ends itself by SIGKILL."""
    command = [sys.executable, "-m", "tests.real.moved", json.dumps(engine.given)]
    killed = subprocess.run([*command, step, str(partitions)], cwd=ROOT, check=False)
    assert killed.returncode == -signal.SIGKILL


@pytest.mark.parametrize(
    ("step", "before", "after"),
    [("1", 2, 4), ("2", 2, 4), ("3", 2, 4), ("3", 3, 2)],
)
def test_a_move_that_is_killed_between_two_steps_is_ended_by_another(
    world, step, before, after
):
    fleet, engine = world
    mine = engine(before)
    mine.counts(fleet.send(ROWS))
    dump = mine.dump()
    killed_after(step, mine, after)
    if step != "1":
        with pytest.raises(PlacementError, match="run `dbslo move --yes` again"):
            mine._evaluator(0, before).assigned()
    mine.mover().move(after, lambda _: None)
    assert mine.dump() == dump
    total = fleet.send(ROWS)
    mine.counts(total)
    assert mine.total() == total


def test_a_stream_that_changes_its_cluster_takes_its_history_along(world):
    fleet, engine = world
    mine = engine(4)
    mine.counts(fleet.send(ROWS))
    before = mine.dump()
    homes = mine.store.placed()
    other = next(
        n for n in range(CLUSTERS) if homes[f"c{n}"] != homes[f"c{(n + 1) % CLUSTERS}"]
    )
    mine.moved_stream(other)
    stream, home = f"cdc:{mine.stem}-{other}", homes[f"c{(other + 1) % CLUSTERS}"]
    with pytest.raises(PlacementError, match=rf"{stream} from {homes[f'c{other}']}"):
        mine._evaluator(home, 4).assigned()
    mine.mover().move(None, lambda _: None)
    assert mine.dump() == before
    total = fleet.send(ROWS)
    mine.counts(total)
    assert mine.total() == total


def test_an_ingest_that_knew_of_a_move_before_evaluate_stops_it_and_loses_nothing(
    world,
):
    """What it wrote is at home by the newer inventory: the move does not mind it."""
    fleet, engine = world
    mine = engine(4)
    mine.counts(fleet.send(ROWS))
    homes, older = mine.store.placed(), mine.plan
    other = next(
        n for n in range(CLUSTERS) if homes[f"c{n}"] != homes[f"c{(n + 1) % CLUSTERS}"]
    )
    mine.moved_stream(other)
    newer, total = mine.plan, fleet.send(ROWS)
    heads = {n: mine.store.progress(n).next for n in range(4)}
    with mine.at_work("ingest"):
        stream = f"cdc:{mine.stem}-{other}"
        until(
            "it wrote of the stream",
            lambda: stream in str([one[2].routes for one in left(mine.kafka, heads)]),
        )
    mine.plan = older
    with pytest.raises(PlacementError, match=f"ingest sent {stream} .* `dbslo move`"):
        mine._worker("evaluate").run(Event())
    mine.plan = newer
    mine.mover().move(None, lambda _: None)
    mine.counts(total)
    assert mine.total() == total


# -- refused ----------------------------------------------------------------------


def refused(engine: Engine) -> str:
    """Why a move does not begin; everything stays as it was."""
    placed, before = engine.store.placed(), engine.dump()
    with pytest.raises(MoveRefusedError) as told:
        engine.mover().move(4, lambda _: None)
    assert (engine.store.placed(), engine.dump()) == (placed, before)
    return str(told.value)


def test_nothing_moves_while_a_worker_runs_or_something_is_left(world):
    fleet, engine = world
    mine = engine(2)
    mine.counts(fleet.send(ROWS))
    with mine.at_work("evaluate"):
        until("it has joined", lambda: list(members(mine.kafka)))
        assert "Stop every `dbslo evaluate`" in refused(mine)
    total = fleet.send(ROWS)
    with mine.at_work("ingest"):
        until("it has joined", lambda: list(members(mine.kafka)))
        assert "Stop every `dbslo ingest`" in refused(mine)
    told = refused(mine)
    assert "no `dbslo evaluate` has applied yet" in told
    mine.counts(total)
    moved(mine, 4)


def test_nothing_moves_while_a_transaction_is_open(world):
    fleet, engine = world
    mine = engine(2)
    mine.counts(fleet.send(ROWS))
    own = mine.kafka
    producer = Producer(
        {
            "bootstrap.servers": own.connection.bootstrap,
            "transactional.id": own.observations,
        }
    )
    producer.init_transactions(20)
    producer.begin_transaction()
    batch = Batch(1, "0", 0, [], {}, [], [], [])
    producer.produce(own.observations, encode(batch), partition=1)
    producer.flush(20)
    assert "is open in partition 1" in refused(mine)
    producer.abort_transaction(20)
    moved(mine, 4)


def test_what_an_ingest_of_before_wrote_while_a_move_was_under_way_is_not_lost_silently(
    world,
):
    fleet, engine = world
    mine = engine(2)
    mine.counts(fleet.send(ROWS))
    was = mine.store.placed()
    killed_after("3", mine, 4)
    cluster, (before, _) = next(
        (name, move)
        for name, move in mine.mover().survey(4).moves.items()
        if name.startswith("c")
    )
    stream = f"{mine.stem}-{cluster.removeprefix('c')}"
    route = Route(f"cdc:{stream}", "cdc:event", "", 10_000)
    producer = Producer({"bootstrap.servers": mine.kafka.connection.bootstrap, **QUIET})
    batch = encode(Batch(1, "0", 0, [], {}, [route], [], []))
    producer.produce(mine.kafka.observations, batch, partition=before)
    assert producer.flush(20) == 0
    with pytest.raises(MoveRefusedError, match=f"wrote about cdc:{stream} into"):
        mine.mover().move(4, lambda _: None)
    assert mine.store.placed() == was
