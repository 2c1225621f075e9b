"""Looking at a partition: every series once, and never long at a time."""

from threading import Event, Thread
from time import sleep

from msgspec.structs import replace

from slo.model import Series
from slo.plan import Plan
from slo.resources import Inventory
from streams.evaluate import Evaluator
from streams.store import Store
from streams.topics import topics_of
from streams.view import GLANCE
from tests.fleet import CLOUDWATCH_LAG, CLUSTER, LAG_SLO


def wide(name: str, instances: int) -> list[Series]:
    """The series of a cluster of so many instances."""
    names = tuple(f"{name}-{number:03}" for number in range(instances))
    cluster = replace(
        CLUSTER, name=name, instances=names, proxies=(), cdc_prefixes=(name,)
    )
    return [
        Series(LAG_SLO, resource, cluster, (CLOUDWATCH_LAG,))
        for resource in cluster.resources[:instances]
    ]


def evaluator_of(sizes: dict[str, int], tmp_path) -> tuple[Evaluator, list[Series]]:
    series = [one for name, size in sizes.items() for one in wide(name, size)]
    clusters = tuple({one.cluster.name: one.cluster for one in series}.values())
    plan = Plan(Inventory(clusters), (LAG_SLO,), tuple(series))
    store = Store(f"sqlite:///{tmp_path}/store.db")
    return Evaluator(plan, store, topics_of(plan.inventory)), series


def test_of_clusters_of_any_size_each_series_is_seen_once_and_commits_get_in(tmp_path):
    sizes = {"all": GLANCE, "few": 3, "many": 2 * GLANCE + 1}
    evaluator, series = evaluator_of(sizes, tmp_path)
    assert list(evaluator.look()) == []  # nothing is held yet
    evaluator.assigned()
    seen = []
    for view in evaluator.look():
        seen.append(view.series.key)
        with evaluator._lock.within(0) as free:  # while a scrape writes what it saw
            assert free
    assert seen == [one.key for one in series]


def test_a_scrape_does_not_wait_for_a_commit_at_every_cluster(tmp_path):
    evaluator, series = evaluator_of({f"c{n:02}": 2 for n in range(20)}, tmp_path)
    evaluator.assigned()
    seen_at_once = evaluator._seen

    def seen_slowly(*some):
        sleep(0.005)
        return seen_at_once(*some)

    evaluator._seen = seen_slowly
    commits, seen, held = 0, [], Event()
    scrape = Thread(target=lambda: seen.extend(evaluator.look()))
    while scrape.is_alive() or not commits:  # one catches up: commits without a pause
        with evaluator._lock:
            if not commits:
                scrape.start()
                held.wait(0.1)
            held.wait(0.1)
            commits += 1
    assert [view.series.key for view in seen] == [one.key for one in series]
    assert commits < 10
