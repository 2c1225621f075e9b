"""Facts that came to a partition where our inventory does not count them."""

import pytest
from msgspec.structs import replace

from slo.model import MINUTE
from slo.plan import Plan
from slo.resources import Inventory
from streams.batch import Route
from streams.evaluate import Evaluator
from streams.kafka import TopicIdentity
from streams.partition import partition_of
from streams.runtimes.partitions import Partitions
from streams.store import PlacementError, Store
from tests.fleet import CLUSTER, PLAN
from tests.streams.bench import T0, TOPICS, batch, cell

COUNT = 2
HERE = partition_of(CLUSTER.name, COUNT)
OTHER = next(f"bills{n}" for n in range(99) if partition_of(f"bills{n}", COUNT) != HERE)
"""A cluster that lives in the other partition."""


def two_clusters() -> Plan:
    other = replace(CLUSTER, name=OTHER, instances=("bills-a",), proxies=())
    series = [
        replace(one, cluster=other, resource=other.resources[0])
        for one in PLAN.series
        if one.resource.key == "instance:orders-a"
    ]
    return Plan(Inventory((CLUSTER, other)), PLAN.slos, (*PLAN.series, *series))


@pytest.fixture
def store(tmp_path):
    made = Store(f"sqlite:///{tmp_path}/store.db")
    yield made
    made.close()


@pytest.fixture
def here(store) -> Partitions:
    def evaluator(partition: int, partitions: int) -> Evaluator:
        return Evaluator(
            two_clusters(), store, TOPICS, partition=partition, partitions=partitions
        )

    made = Partitions(
        TopicIdentity("k", "t", COUNT), evaluator, lambda: T0, lambda _: None
    )
    made.assigned(HERE)
    return made


def about(resource: str):
    route = Route(resource, "cloudwatch:Lag", "", MINUTE)
    return replace(batch(T0 + MINUTE, [cell(0, T0, 0.2)]), routes=[route])


def test_what_an_slo_reads_in_another_partition_stops_the_worker(store, here):
    """It is neither dropped nor put aside: stage 1 must be told, not the batch."""
    here.apply(HERE, [(0, about("instance:orders-a"))], 1)
    with pytest.raises(PlacementError) as told:
        here.apply(HERE, [(1, about("instance:bills-a"))], 2)
    for said in ("instance:bills-a", OTHER, "Stop both", "dbslo move"):
        assert said in str(told.value)
    assert store.progress(HERE).next == 1
    assert (here.put_aside, store.dead_letters()) == (0, [])


@pytest.mark.parametrize("resource", ["instance:nobody", "proxy:orders-proxy"])
def test_what_nobody_reads_anywhere_is_dropped(store, here, resource):
    here.apply(HERE, [(0, about(resource))], 1)
    assert store.progress(HERE).next == 1
