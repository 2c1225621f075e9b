"""One walk of the mixture in an order, batches, partitions and restarts of its own."""

import random
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

from slo.model import SECOND
from streams.batch import Batch, Mark
from streams.evaluate import Evaluator
from streams.ingest import Ingest
from streams.reading import dump
from streams.slab import Slab
from streams.store import Store
from streams.topics import topics_of
from tests.conformance.fleet_records import Placed
from tests.shuffle.mixture import SHARED, plan

PARTITIONS = 3
Place = tuple[str, int]


class Walked(NamedTuple):
    """The dump of a walk, and what it was made of."""

    lines: list[str]
    flushes: int
    restarts: int
    aborts: int


def walked(records: list[Placed], seed: int) -> Walked:
    """Walk the records; seed 0 by arrival, in one partition each and few batches."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store(f"sqlite:///{folder}/store.db")
        walk = _Walk(store, records, seed)
        walk.run()
        last_ms = max(one.arrival_ms for one in records)
        lines = list(dump(plan(), store, walk.topics, last_ms))
        store.close()
    return Walked(lines, walk.flushes, walk.restarts, walk.aborts)


def placed(records: list[Placed], chosen: random.Random) -> dict[Place, list[Placed]]:
    """Records by partition, in order of arrival; unkeyed ones go to any partition."""
    found: dict[Place, list[Placed]] = defaultdict(list)
    for one in records:
        number = one.partition
        if one.topic in SHARED:
            number = chosen.randrange(PARTITIONS)
        found[one.topic, number].append(one)
    return found


class _Walk:
    def __init__(self, store: Store, records: list[Placed], seed: int) -> None:
        self.flushes = self.restarts = self.aborts = 0
        self.topics = topics_of(plan().inventory, SHARED)
        self._store = store
        self._chosen = chosen = random.Random(seed)
        self._plain = seed == 0
        self._left = placed(records, chosen)
        self._read: dict[Place, int] = dict.fromkeys(self._left, 0)
        self._last_ms = max(one.arrival_ms for one in records)
        self._ingest = self._begun()
        self._committed: dict[Place, tuple[int, str]] = {}
        self._inputs = {topic: PARTITIONS for topic, _ in self._left}
        self._waiting: list[Batch] = []
        self._after = 0
        self._evaluator = Evaluator(plan(), store, self.topics)
        self._evaluator.assigned()

    def _begun(self) -> Ingest:
        return Ingest(plan(), self.topics, worker="shuffle", partitions=1)

    def run(self) -> None:
        """Read runs of partitions until nothing is left; what happens then is chance."""
        for place, size in self._turns():
            self._add(place, size)
            roll = self._chosen.random()
            if self._plain or roll < 0.5:
                self._flush()
            elif roll < 0.53:
                self._abort()
            if not self._plain and self._chosen.random() < 0.03:
                self._restart()
        self._flush()
        self._apply()

    def _turns(self) -> Iterator[tuple[Place, int]]:
        """(partition, how many records of it), as a consumer may be given them."""
        while True:
            open_ = [p for p, some in self._left.items() if self._read[p] < len(some)]
            if not open_:
                return
            if self._plain:
                first = min(open_, key=self._next_ms)
                until = self._next_ms(first) + 10 * SECOND
                run = self._left[first][self._read[first] :]
                yield first, sum(1 for one in run if one.arrival_ms < until)
            else:
                size = self._chosen.choice((1, 1, 3, 20, 60, 300))
                yield self._chosen.choice(open_), size

    def _next_ms(self, place: Place) -> int:
        return self._left[place][self._read[place]].arrival_ms

    def _add(self, place: Place, size: int) -> None:
        at = self._read[place]
        several = self._left[place][at : at + size]
        while several:  # a poll may cut a run anywhere
            cut = self._chosen.randint(1, len(several))
            self._slab(place, at, several[:cut])
            at, several = at + cut, several[cut:]
        self._read[place] = at

    def _slab(self, place: Place, at: int, several: list[Placed]) -> None:
        slab = Slab(
            *place,
            list(range(at, at + len(several))),
            [one.arrival_ms for one in several],
            [one.key for one in several],
            [one.value for one in several],
        )
        self._ingest.add(slab, self._last_ms)

    # -- handing over ------------------------------------------------------------------

    def _marks(self) -> list[Mark]:
        """As stage 1 makes them: at the end of a partition, all is read to the last."""
        marks = []
        for topic in self._inputs:
            for number in range(PARTITIONS):
                some = self._left.get((topic, number), [])
                at = self._read.get((topic, number), 0)
                if at >= len(some):
                    marks.append(Mark(topic, number, at, self._last_ms))
                elif at:
                    newest = max(one.arrival_ms for one in some[:at])
                    marks.append(Mark(topic, number, at, newest))
        return marks

    def _flush(self) -> None:
        notes = {place: self._ingest.metadata(*place) for place in self._read}
        flush = self._ingest.flush(self._marks(), self._inputs, self._last_ms)
        self._ingest.committed()
        self._committed = {p: (at, notes[p]) for p, at in self._read.items()}
        self.flushes += 1
        self._waiting += [batch for _, batch in flush.batches]
        if self._plain or self._chosen.random() < 0.4:
            self._apply()

    def _apply(self) -> None:
        """Stage 2 takes the batches that wait, some polls later and several at once."""
        self._after += 1
        self._evaluator.apply(self._waiting, self._after, self._last_ms)
        self._waiting = []

    def _abort(self) -> None:
        """The transaction fails: the fold is dropped and every partition goes back."""
        self._ingest.flush(self._marks(), self._inputs, self._last_ms)
        self._ingest.discard()
        self.aborts += 1
        self._read = {
            place: self._committed.get(place, (0, ""))[0] for place in self._read
        }

    def _restart(self) -> None:
        """Either stage ends without a word, and another one goes on."""
        self.restarts += 1
        if self._chosen.random() < 0.5:
            self._evaluator = Evaluator(plan(), self._store, self.topics)
            self._evaluator.assigned()
            return
        self._ingest = self._begun()
        for place in self._read:
            at, note = self._committed.get(place, (0, ""))
            self._read[place] = at
            self._ingest.assigned(*place, note)
