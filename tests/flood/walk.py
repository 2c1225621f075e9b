"""Both stages offline, with or without the flood beside the real records."""

import resource
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from typing import NamedTuple

from slo.model import SECOND
from streams.batch import Mark
from streams.evaluate import Evaluator
from streams.ingest import Flush, Ingest
from streams.reading import dump
from streams.slab import Slab
from streams.store import Extras, Store
from streams.topics import Topics, topics_of
from tests.conformance.fleet_records import PARTITIONS, Placed
from tests.flood.records import CROWD, SHARED, flood, plan

STEP_MS = 10 * SECOND
AT_ONCE = 2_000
"""Flood records that are folded between two flushes."""

MAX_RECORD_BYTES = 1_048_576
"""What a broker takes by default."""

PAGE = resource.getpagesize()


class Walked(NamedTuple):
    """What a walk came to. `memory` holds (flood records, resident MB).

    `lines` is the ledger of the real fleet, `crowd` how many lines the flood's has.
    """

    lines: list[str]
    crowd: int
    memory: list[tuple[int, float]]
    records: Counter[str]
    refused: dict[tuple[str, str], int]
    routes: int
    unknown: int
    largest: int
    letters: int


class Walk:
    """Stage 1 and stage 2 in this process, on a SQLite store."""

    def __init__(self, store: Store) -> None:
        self._topics: Topics = topics_of(plan().inventory, SHARED)
        self.ingest = Ingest(plan(), self._topics, worker="flood", partitions=1)
        self._store = store
        self._evaluator = Evaluator(plan(), store, self._topics)
        self._after = self._evaluator.assigned()
        self._offsets = count()
        self.inputs: dict[str, int] = {}
        self.largest = self.letters = 0

    def take(self, records: Sequence[Placed], now_ms: int) -> None:
        """Fold and flush what arrived by now."""
        by_place: dict[tuple[str, int], list[Placed]] = defaultdict(list)
        for one in records:
            by_place[one.topic, one.partition].append(one)
        for (topic, number), several in by_place.items():
            if topic in SHARED or len(self.inputs) < 100:
                self.inputs[topic] = PARTITIONS
            slab = Slab(
                topic,
                number,
                [next(self._offsets) for _ in several],
                [one.arrival_ms for one in several],
                [one.key for one in several],
                [one.value for one in several],
            )
            self.ingest.add(slab, now_ms)
        for topic, number in by_place:
            self.ingest.metadata(topic, number)
        self._apply(self.ingest.flush(self._marks(now_ms), self.inputs, now_ms), now_ms)
        self.ingest.committed()

    def _marks(self, now_ms: int) -> list[Mark]:
        return [
            Mark(topic, number, 0, now_ms)
            for topic, partitions in self.inputs.items()
            for number in range(partitions)
        ]

    def _apply(self, flush: Flush, now_ms: int) -> None:
        sizes = [len(data) for _, data in flush.payloads]
        self.largest = max(self.largest, *sizes)
        self.letters += len(flush.dead_letters)
        self._after += 1
        batches = [batch for _, batch in flush.batches]
        letters = flush.dead_letters[:100]  # as on Kafka, where the store keeps none
        extras = Extras("flood", dead_letters=letters)
        self._evaluator.apply(batches, self._after, now_ms, extras=extras)

    @property
    def routes(self) -> int:
        """How many routes stage 2 has in memory."""
        image = self._evaluator._image
        return len(image.facts) if image else 0


def walked(real: list[Placed], values: int, told: Callable[[str], None]) -> Walked:
    """Walk the real records with so many flood records spread among them."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store(f"sqlite:///{folder}/store.db")
        walk = Walk(store)
        memory = _poured(walk, real, values, told)
        last_ms = max(one.arrival_ms for one in real)
        mine: list[str] = []
        crowd = 0
        for line in dump(plan(), store, walk._topics, last_ms):
            if f"/{CROWD.name}" in line:
                crowd += 1
            else:
                mine.append(line)
        store.close()
    results: Counter[str] = Counter()
    for (_, result), number in walk.ingest.records.items():
        results[result] += number
    return Walked(
        mine,
        crowd,
        memory,
        results,
        dict(walk.ingest.refused),
        walk.routes,
        len(walk.ingest.unknown_resources),
        walk.largest,
        walk.letters,
    )


def _poured(
    walk: Walk, real: list[Placed], values: int, told: Callable[[str], None]
) -> list[tuple[int, float]]:
    """One step of ten seconds after the other: the real records, and the flood's."""
    steps: dict[int, list[Placed]] = defaultdict(list)
    for one in real:
        steps[one.arrival_ms // STEP_MS].append(one)
    each, done = -(-values // len(steps)), 0
    memory: list[tuple[int, float]] = []
    for number, (step, mine) in enumerate(sorted(steps.items())):
        at_ms = mine[0].arrival_ms
        while done < min((number + 1) * each, values):
            size = min(AT_ONCE, min((number + 1) * each, values) - done)
            walk.take(list(flood(done, size, at_ms, PARTITIONS)), at_ms)
            done += size
        walk.take(mine, (step + 1) * STEP_MS - 1)
        memory.append((done, resident_mb()))
        if number % 20 == 0:
            told(f"{done:,} of the flood, {memory[-1][1]:.0f} MB")
    return memory


def resident_mb() -> float:
    """Resident memory of this process, in MB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE / 2**20
