"""An SLO over several clusters is right wherever those clusters are evaluated."""

import dataclasses
from collections import defaultdict
from collections.abc import Iterator

import msgspec
import pytest

from slo.model import BUCKET_MS, MINUTE
from slo.plan import Plan
from slo.spanning import spanning
from streams.batch import Mark
from streams.evaluate import Evaluator
from streams.ingest import Ingest
from streams.reading import dump, views
from streams.slab import Slab
from streams.store import Store
from streams.topics import topics_of
from tests.conformance.fleet_records import PARTITIONS, Placed, plan, records

END_MS = 1_794_000_000_000
OUTPUTS = 4


def whole(everything: Plan) -> Plan:
    """Each SLO once more, over all that it is measured on."""
    slos, series = list(everything.slos), list(everything.series)
    for one in everything.slos:
        across = msgspec.structs.replace(one, name=f"{one.name}-whole", across=True)
        fed = [
            msgspec.structs.replace(series, slo=across)
            for series in everything.series
            if series.slo is one
        ]
        slos.append(across)
        series.extend(spanning(across, fed))
    return Plan(everything.inventory, tuple(slos), tuple(series), everything.policy)


PLAN = whole(plan())
TOPICS = topics_of(PLAN.inventory)


@dataclasses.dataclass
class Walk:
    """Stage 1 before several partitions of stage 2, each a worker of its own."""

    store: Store
    offset: int = 0

    def __post_init__(self) -> None:
        self.ingest = Ingest(PLAN, TOPICS, worker="0", partitions=OUTPUTS)
        self.inputs: dict[str, int] = {}
        self.sent: dict[tuple[str, int], int] = defaultdict(int)
        self.begin()

    def begin(self) -> None:
        """All workers start anew."""
        self.workers = [
            Evaluator(PLAN, self.store, TOPICS, partition=n, partitions=OUTPUTS)
            for n in range(OUTPUTS)
        ]
        for worker in self.workers:
            worker.assigned()

    def take(self, placed: list[Placed], now_ms: int) -> None:
        """A flush of records."""
        for one in placed:
            place = (one.topic, one.partition)
            offset, self.sent[place] = self.sent[place], self.sent[place] + 1
            slab = Slab(*place, [offset], [one.arrival_ms], [one.key], [one.value])
            self.ingest.add(slab, now_ms)
            self.inputs[one.topic] = PARTITIONS
        marks = [
            Mark(topic, number, 0, now_ms)
            for topic, partitions in self.inputs.items()
            for number in range(partitions)
        ]
        flush = self.ingest.flush(marks, self.inputs, now_ms)
        self.ingest.committed()
        self.offset += 1
        for number, batch in flush.batches:
            self.workers[number].apply([batch], self.offset, now_ms)
            self.offset += 1


def minutes(sent: list[Placed]) -> Iterator[tuple[int, list[Placed]]]:
    """The records of each half minute, with the moment at its end."""
    width = MINUTE // 2
    found: dict[int, list[Placed]] = defaultdict(list)
    for one in sent:
        found[one.arrival_ms // width * width + width].append(one)
    yield from sorted(found.items())


@pytest.fixture(scope="module")
def walked(tmp_path_factory) -> Iterator[Walk]:
    store = Store(f"sqlite:///{tmp_path_factory.mktemp('spanning')}/store.db")
    walk = Walk(store)
    for number, (now_ms, placed) in enumerate(minutes(records(END_MS))):
        walk.take(placed, now_ms)
        if number % 10 == 7:
            walk.begin()
    yield walk
    store.close()


def rows_of(walk: Walk) -> dict[str, dict[int, tuple[int, int]]]:
    found: dict[str, dict[int, tuple[int, int]]] = defaultdict(dict)
    for line in dump(PLAN, walk.store, TOPICS, END_MS + MINUTE):
        series, start, good, total = line.split("\t")
        found[series][int(start)] = (int(good), int(total))
    return found


def test_its_clusters_and_itself_have_several_workers(walked):
    """Else the rest would prove little."""
    placed = walked.store.placed()
    spans = {cluster for cluster in placed if cluster.startswith("all:")}
    assert len({placed[cluster] for cluster in spans}) > 1
    assert len({placed[cluster] for cluster in placed if cluster not in spans}) > 1


def test_every_bucket_is_the_sum_of_its_members(walked):
    rows = rows_of(walked)
    compared = 0
    for slo in plan().slos:
        wanted: dict[int, tuple[int, int]] = {}
        for series in (one for one in PLAN.series if one.slo.name == slo.name):
            for start, (good, total) in rows[series.key].items():
                known = wanted.get(start, (0, 0))
                wanted[start] = (known[0] + good, known[1] + total)
        assert rows[f"{slo.name}-whole/all"] == wanted, slo.name
        compared += len(wanted)
    assert compared > 100


def test_one_series_is_shown_for_all_of_them(walked):
    shown = [v for v in views(PLAN, walked.store, TOPICS) if v.series.slo.across]
    assert {view.series.key for view in shown} == {
        f"{slo.name}-whole/all" for slo in plan().slos
    }
    assert all(view.series.labels["resource"] == "all" for view in shown)
    live = [view for worker in walked.workers for view in worker.views()]
    assert sorted(view.series.key for view in live) == sorted(
        series.key for series in PLAN.series
    )


def test_its_now_is_that_of_the_slowest_of_its_clusters(walked, tmp_path):
    """A connector that no mark comes from holds back whoever counts it, no one else."""
    store = Store(f"sqlite:///{tmp_path}/store.db")
    walk = Walk(store)
    late_ms = END_MS - 10 * BUCKET_MS
    prefixes = list(TOPICS.prefixes)
    inputs = dict.fromkeys([*TOPICS.shared, *(f"{p}.public.t" for p in prefixes)], 1)
    slow = f"{prefixes[0]}.public.t"
    marks = [Mark(t, 0, 0, late_ms if t == slow else END_MS) for t in inputs]
    for number, batch in walk.ingest.flush(marks, inputs, END_MS).batches:
        walk.workers[number].apply([batch], 1, END_MS)
    nows = {
        cluster: worker.frontier.now(cluster)
        for worker in walk.workers
        for cluster in {s.home for s in PLAN.series}
        if worker.frontier.now(cluster) is not None
    }
    store.close()
    for series in PLAN.series:
        clusters = {member.cluster.name for member in series.counted}
        waits = TOPICS.prefixes[prefixes[0]] in clusters
        assert nows[series.home] == (late_ms if waits else END_MS), series.key


def test_it_pages_once_and_by_itself(tmp_path):
    """With a low promise the outage of one cluster burns the budget of all."""
    store = Store(f"sqlite:///{tmp_path}/store.db")
    walk = Walk(store)
    for now_ms, placed in minutes(records(END_MS)):
        walk.take(placed, now_ms)
    opened = [one for one in store.incidents() if one.cluster.startswith("all:")]
    store.close()
    assert opened
    assert len({one.key for one in opened}) == len(opened)
    for one in opened:
        (member,) = one.members
        assert member == f"{one.cluster.removeprefix('all:')}/all"
