"""A worker that sees no commit pages without the store, once, and says when it sees."""

from collections.abc import Iterator

import pytest

from alerts.memory import MemoryOutbox
from alerts.testing.pagerduty import ROUTING_KEY, PagerDutyServer
from dbslo.blind import REPEAT_S, Blind, env_of
from dbslo.settings import read_settings
from dbslo.telling import Telling, real_clock
from slo.resources import Cluster, Engine, Inventory
from streams.metrics import Figures
from tests.fleet import PLAN
from tests.real.walk import until

LIMIT = 60


class Worker:
    """An engine of which we say what it did, and its eyes; the clock is ours."""

    gap_ms = 0

    def __init__(self, server: PagerDutyServer) -> None:
        self.at = {0: 1_000}
        self.now_s = 100.0
        environment = {
            "DBSLO_PAGERDUTY_KEY": ROUTING_KEY,
            "DBSLO_PAGERDUTY_URL": server.url,
        }
        self.outbox = MemoryOutbox()
        telling = Telling(self.outbox, read_settings(environment))
        self.blind = Blind(self, PLAN.inventory, LIMIT, self.outbox, telling)
        telling.start()

    def figures(self) -> Figures:
        return Figures(checkpoints_ms=dict(self.at))

    def ended(self) -> list[str]:
        return []

    def unready(self) -> list[str]:
        return ["evaluate waits for the store"]

    def commit(self) -> None:
        self.at = {n: at + 1 for n, at in self.at.items()}

    def look(self, seconds: int, *, commits: bool = False) -> None:
        """Time passes, and somebody looks every second."""
        for _ in range(seconds):
            self.now_s += 1
            if commits:
                self.commit()
            self.blind.look(self.now_s)


@pytest.fixture
def server() -> Iterator[PagerDutyServer]:
    with PagerDutyServer() as made:
        yield made


@pytest.fixture
def hire(server) -> Iterator:
    hired: list[Worker] = []

    def worker() -> Worker:
        hired.append(Worker(server))
        return hired[-1]

    yield worker
    for one in hired:
        one.blind.telling.stop()


def told(server: PagerDutyServer, count: int) -> list[str]:
    until(f"{count} events came", lambda: len(server.events) >= count, 10)
    return [event["event_action"] for event in server.events]


def nothing_said(server: PagerDutyServer, worker: Worker) -> bool:
    """Nothing was sent, and nothing waits to be."""
    worker.blind.telling.stop()
    waits = worker.outbox.claim("test", real_clock(), 1_000)
    return (server.events, waits) == ([], None)


def test_after_a_minute_without_a_commit_it_pages_and_resolves_with_the_next(
    server, hire
):
    worker = hire()
    worker.look(5, commits=True)
    worker.look(LIMIT - 1)
    assert server.events == []
    worker.look(30)
    assert told(server, 1) == ["trigger"]
    worker.look(3, commits=True)
    assert told(server, 2) == ["trigger", "resolve"]
    (incident,) = server.incidents
    assert incident["dedup_key"] == "dbslo/prod/dbslo/blind"
    assert "dbslo is blind: nothing was judged for 60 s" in incident["summary"]
    assert "evaluate waits for the store" in incident["summary"]


def test_one_partition_of_several_is_enough(server, hire):
    worker = hire()
    worker.at = {0: 1, 1: 1}
    for _ in range(LIMIT + 2):
        worker.at[0] += 1
        worker.look(1)
    assert told(server, 1) == ["trigger"]


def test_who_holds_no_partition_is_not_blind(server, hire):
    worker = hire()
    worker.at = {}
    worker.look(5 * LIMIT)
    assert nothing_said(server, worker)


def test_who_stood_still_for_an_hour_wakes_with_clear_eyes(server, hire):
    worker = hire()
    worker.look(3, commits=True)
    worker.now_s += 3_600
    worker.look(5)
    worker.look(5, commits=True)
    assert nothing_said(server, worker)


def test_several_workers_join_one_incident_and_none_stays_open(server, hire):
    first, second = hire(), hire()
    for worker in (first, second):
        worker.look(LIMIT + 5)
    told(server, 2)
    for worker in (first, second):
        worker.look(2, commits=True)
    told(server, 4)
    (incident,) = server.incidents
    assert incident["status"] == "resolved"


def test_a_successor_resolves_what_a_killed_worker_may_have_left_open(server, hire):
    worker = hire()
    worker.gap_ms = 90_000
    worker.look(3, commits=True)
    assert told(server, 1) == ["resolve"]
    worker.look(3, commits=True)
    assert len(server.events) == 1


def test_a_usual_restart_tells_nobody_anything(server, hire):
    worker = hire()
    worker.gap_ms = 10_000
    worker.look(30, commits=True)
    assert nothing_said(server, worker)


def test_who_lost_its_partitions_leaves_the_resolve_to_who_commits_them(server, hire):
    worker = hire()
    worker.look(LIMIT + 5)
    told(server, 1)
    worker.at = {}
    worker.look(30)
    assert len(server.events) == 1
    worker.at = {3: 9}
    worker.look(2)
    worker.look(2, commits=True)
    assert told(server, 2) == ["trigger", "resolve"]


def test_who_is_blind_for_long_says_so_again(server, hire):
    worker = hire()
    worker.look(LIMIT + 5)
    told(server, 1)
    worker.look(int(REPEAT_S) + 1)
    assert told(server, 2) == ["trigger", "trigger"]
    assert len(server.incidents) == 1


@pytest.mark.parametrize(
    ("envs", "key"),
    [(["prod"], "prod"), (["prod", "prod"], "prod"), (["a", "b"], "all"), ([], "all")],
)
def test_the_environment_is_the_one_that_all_clusters_share(envs, key):
    clusters = tuple(
        Cluster(f"c{n}", Engine.MYSQL, {"env": env}) for n, env in enumerate(envs)
    )
    assert env_of(Inventory(clusters)) == key
    assert env_of(Inventory((Cluster("bare", Engine.MYSQL),))) == "all"
