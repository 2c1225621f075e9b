"""How records are cut into slabs does not matter, whatever they hold.

A broker hands over what there is: after a restart the cuts are others, and what comes
of them must be the same.
"""

import random
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

import pytest

from streams.ingest import Ingest
from streams.slab import Slab
from streams.topics import topics_of
from tests.fuzz.mutations import mutated
from tests.fuzz.payload import Payload
from tests.fuzz.seeds import plan_for, seeds_of
from tests.streams.stage import SHARED

PAYLOADS = 2_000
AT_ONCE = 40
MAX_VALUE = 20_000


def runs(seeds: list[Payload], seed: int) -> Iterator[list[Payload]]:
    """Mutated payloads as records of one partition, in runs."""
    chosen = random.Random(seed)
    by_topic: dict[str, list[Payload]] = defaultdict(list)
    for _ in range(PAYLOADS):
        one = mutated(chosen.choice(seeds), seeds, chosen)
        if not one.heavy and len(one.value or b"") <= MAX_VALUE:
            by_topic[one.topic].append(one)
    for several in by_topic.values():
        for at in range(0, len(several), AT_ONCE):
            yield several[at : at + AT_ONCE]


def slab_of(several: list[Payload], first: int) -> Slab:
    offsets = list(range(first, first + len(several)))
    _, arrivals, keys, values, _ = zip(*several, strict=True)
    return Slab(several[0].topic, 0, offsets, list(arrivals), list(keys), list(values))


def came_of(ingest: Ingest, slabs: list[Slab], clock_ms: int) -> list[Any]:
    """All that is handed over, and all that is counted of it."""
    before = Counter(ingest.records), Counter(ingest.refused)
    ingest.assigned(slabs[0].topic, 0, "")
    for slab in slabs:
        ingest.add(slab, clock_ms)
    flush = ingest.flush((), {}, clock_ms)
    cells, deltas = set(), Counter[Any]()
    for _, batch in flush.batches:
        for number, *stated in batch.cells:
            cells.add((batch.routes[number], *stated))
        for number, bucket, good, total in batch.deltas:
            deltas[batch.routes[number], bucket, "good"] += good
            deltas[batch.routes[number], bucket, "total"] += total
    letters = sorted((one.offset, one.reason, one.sha256) for one in flush.dead_letters)
    grown = ingest.records - before[0], ingest.refused - before[1]
    return [cells, deltas, letters, *grown]


@pytest.mark.parametrize("seed", range(3))
def test_records_together_come_to_what_they_come_to_alone(samples, seed):
    plan = plan_for(samples)
    topics = topics_of(plan.inventory, SHARED)
    whole, parts = (Ingest(plan, topics, worker=w, partitions=1) for w in "ab")
    counted = 0
    for several in runs(seeds_of(samples), seed):
        clock_ms = max(1, *(one.arrival_ms for one in several))
        alone = [slab_of([one], at) for at, one in enumerate(several)]
        together = came_of(whole, [slab_of(several, 0)], clock_ms)

        assert together == came_of(parts, alone, clock_ms)
        counted += len(together[0])

    assert counted > PAYLOADS / 20
