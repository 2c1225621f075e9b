"""Both stages in one process, with librdkafka's mock cluster as the broker.

The mock's transactions do nothing, so batches go from stage 1 to stage 2 directly, and
the source offsets with their CDC marks are saved in stage 2's SQL transaction.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from threading import Condition, Thread

import msgspec
from confluent_kafka import Consumer
from confluent_kafka import TopicPartition as Offset

from slo.verdict import VerdictChange
from streams.batch import Batch
from streams.evaluate import Evaluator, NotAssignedError
from streams.ingest import Flush, Ingest
from streams.kafka import WorkerStoppedError, consumer_settings, log
from streams.runtimes.marks import Positions
from streams.runtimes.mock import MockBroker
from streams.runtimes.patience import patiently
from streams.runtimes.polled import Place, polled
from streams.runtimes.producer import BoundedProducer
from streams.runtimes.room import EngineStoppedError, Rivals, Room
from streams.store import UNAVAILABLE, Extras, FencedError, SourceOffset
from streams.topics import Topics

POLL_RECORDS = 1_000
POLL_SECONDS = 0.01
LOOK_EVERY_S = 0.1
OWNER = "embedded"


class Pace(msgspec.Struct, frozen=True):
    """How often an embedded engine saves, by real time: a fold, or marks alone."""

    flush_ms: int = 100
    idle_ms: int = 250


class Embedded:
    """The whole engine in a thread of this process.

    `run` names the life of the broker, whose offsets mean nothing to the next one.
    `clock` gives epoch ms and may be a trace's own; `told` gets changes of verdict
    after they are saved, in the engine's thread. Others may produce into `bootstrap`;
    only `producer()` waits where the broker would forget.
    """

    def __init__(  # noqa: PLR0913 - both stages, and how they run
        self,
        ingest: Ingest,
        evaluator: Evaluator,
        topics: Topics,
        clock: Callable[[], int],
        *,
        run: str,
        told: Callable[[Sequence[VerdictChange]], None] = lambda _: None,
        pace: Pace = Pace(),  # noqa: B008 - immutable
    ) -> None:
        self.failure: BaseException | None = None
        self.beat_s: float | None = None  # when the thread last went round, monotonic
        self._ingest = ingest
        self._evaluator = evaluator
        self._topics = topics
        self._run = run
        self._pace = pace
        self._clock = clock
        self._told = told
        self._broker = MockBroker()
        self._room = Room()
        self._rivals = Rivals()
        self._positions = Positions()
        self._inputs: dict[str, int] = {}
        self._looked_at = self._flushed_at = float("-inf")
        self._next = 0
        self._unflushed = 0
        self._changed = Condition()
        self._saved: dict[Place, int] = {}
        self._saved_ms = self._asked_ms = -1
        self._stopping = False
        self._thread: Thread | None = None

    # -- life --------------------------------------------------------------------

    def start(self) -> None:
        """Bring the broker up, load the store, and begin to work in a thread."""
        self._broker.start()
        settings = consumer_settings(self._broker.connection, OWNER, OWNER)
        self._consumer = Consumer({**settings, "fetch.wait.max.ms": 10})
        self._load()
        self._thread = Thread(target=self._work, name="embedded", daemon=True)
        self._thread.start()

    @property
    def bootstrap(self) -> str:
        """Where the broker is, for producers of other processes; "" before `start`."""
        return self._broker.bootstrap

    def stop(self) -> None:
        """Save what was read, and end. Raises what ended the engine before."""
        self._stopping = True
        if self._thread is not None:
            self._thread.join()
            self._thread = None
            self._consumer.close()
            self._broker.close()
        self._raise_failure()

    def producer(self) -> BoundedProducer:
        """A producer of the embedded broker; one for each thread."""
        return BoundedProducer(self.bootstrap, self._room)

    def create(self, topic: str) -> None:
        """Make a topic, with the broker's four partitions, before its first record."""
        self._broker.create(topic)

    def drain(
        self, until: Callable[[], bool] = lambda: True, timeout_s: float = 60.0
    ) -> None:
        """Wait until all that was produced is saved, and `until` holds.

        Flush producers before. The marks have reached the clock of this call, too.
        Raises TimeoutError, or what ended the engine.
        """
        asked_ms, give_up_at = self._clock(), time.monotonic() + timeout_s
        self._asked_ms = max(asked_ms, self._asked_ms)
        while not (self._caught_up(asked_ms) and until()):
            self._raise_failure()
            if time.monotonic() > give_up_at:
                raise TimeoutError(f"not drained after {timeout_s:g} s")
            with self._changed:
                self._changed.wait(0.05)

    def _caught_up(self, asked_ms: int) -> bool:
        with self._changed:
            saved, saved_ms = dict(self._saved), self._saved_ms
        if saved_ms < asked_ms:
            return False
        ends = self._broker.ends(_places(self._broker.inputs(self._topics)))
        return all(saved.get(place, 0) >= end for place, end in ends.items())

    def _raise_failure(self) -> None:
        if self.failure is not None:
            raise EngineStoppedError(
                f"the embedded engine ended: {self.failure}"
            ) from self.failure

    # -- the thread ----------------------------------------------------------------

    def _work(self) -> None:
        try:
            while not self._stopping:
                self._step()
            self._flush()
        except BaseException as error:  # noqa: BLE001 - it is raised to whoever waits
            self.failure = error
            traced = not isinstance(error, (EngineStoppedError, WorkerStoppedError))
            log.error("the embedded engine ended: %s", error, exc_info=traced)
        self.beat_s = None
        self._room.stop("the embedded engine has ended")
        with self._changed:
            self._changed.notify_all()

    def _step(self) -> None:
        self.beat_s = time.monotonic()
        self._find_inputs()
        messages = self._consumer.consume(POLL_RECORDS, POLL_SECONDS)
        clock_ms, found = self._clock(), polled(messages)
        for place in found.expired:
            raise WorkerStoppedError(_forgotten(place, self._positions.next(place)))
        self._refuse_gaps([(s.topic, s.partition, s.offsets[0]) for s in found.slabs])
        for slab in self._positions.fresh(found, clock_ms):
            self._ingest.add(slab, clock_ms)
            self._unflushed += len(slab.offsets)
        if self._due(read=bool(found.slabs)):
            self._flush()

    def _due(self, *, read: bool) -> bool:
        if not read and self._saved_ms < self._asked_ms:
            return True  # somebody waits for the end, and nothing more comes
        own = self._pace
        due_ms = own.flush_ms if self._unflushed else own.idle_ms
        return (time.monotonic() - self._flushed_at) * 1000 >= due_ms

    def _refuse_gaps(self, firsts: list[tuple[str, int, int]]) -> None:
        for topic, partition, first in firsts:
            place = (topic, partition)
            if place in self._positions and first > self._positions.next(place):
                raise WorkerStoppedError(_forgotten(place, self._positions.next(place)))

    def _find_inputs(self) -> None:
        if time.monotonic() - self._looked_at < LOOK_EVERY_S:
            return
        self._looked_at = time.monotonic()
        self._inputs = self._broker.inputs(self._topics)
        new = [p for p in _places(self._inputs) if p not in self._positions]
        for place in new:
            self._positions.hold(place, 0)
            self._ingest.assigned(*place, None)
        if new:
            self._consumer.incremental_assign([Offset(*place, 0) for place in new])

    # -- saving --------------------------------------------------------------------

    def _flush(self) -> None:
        """Hand over and save.

        1. Ask the broker where its logs end, after looking at the clock.
        2. Take the batches of the fold, with marks and inputs.
        3. Apply them, with the source offsets, in one SQL transaction.
        4. Tell the fold, and the producers that wait for room.

        A crash before 3 has returned has saved nothing; the run ends with its broker.
        """
        self._flushed_at = time.monotonic()
        clock_ms = self._clock()
        for place, end in self._broker.ends(self._positions.places()).items():
            self._positions.answered(place, end, clock_ms)
        flush = self._ingest.flush(
            self._positions.marks(clock_ms), self._inputs, clock_ms
        )
        try:
            changes = self._save(flush, clock_ms)
        except (FencedError, NotAssignedError, *UNAVAILABLE) as error:
            if isinstance(error, FencedError):
                self._rivals.took(time.monotonic())
            log.warning("the store is loaded again: %s", error)
            self._go_back()
            return
        self._ingest.committed()
        self._unflushed = 0
        self._announce(clock_ms)
        if changes:
            self._told(changes)

    def _save(self, flush: Flush, clock_ms: int) -> list[VerdictChange]:
        batches: list[Batch] = [batch for _, batch in flush.batches]
        sources = [
            SourceOffset(*p, self._positions.next(p), self._ingest.metadata(*p))
            for p in self._positions.places()
        ]
        extras = Extras(self._run, sources, flush.dead_letters)
        changes = self._evaluator.apply(
            batches, self._next + 1, clock_ms, extras=extras
        )
        self._next += 1
        return changes + self._evaluator.tick(clock_ms)

    def _announce(self, clock_ms: int) -> None:
        saved = {p: self._positions.next(p) for p in self._positions.places()}
        self._room.saved(saved)
        with self._changed:
            self._saved, self._saved_ms = saved, clock_ms
            self._changed.notify_all()

    def _go_back(self) -> None:
        """Drop the fold, and read again from where the store stands."""
        self._ingest.discard()
        self._unflushed = 0
        held = self._positions.places()
        self._consumer.incremental_unassign([Offset(*place) for place in held])
        self._load()

    def _load(self) -> None:
        """Take the store, and the sources where it left them."""
        evaluator = self._evaluator
        self._next = patiently(
            lambda: evaluator.assigned(OWNER, OWNER, clock_ms=self._clock())
        )
        held = []
        for source in self._evaluator.store.source_offsets(self._run):
            place = (source.topic, source.partition)
            self._positions.hold(place, source.next)
            self._ingest.assigned(*place, source.metadata)
            held.append(Offset(*place, source.next))
        for place in set(self._positions.places()) - {
            (o.topic, o.partition) for o in held
        }:
            self._positions.drop(place)  # never saved: found again from its start
        if held:
            self._consumer.incremental_assign(held)
        self._looked_at = float("-inf")


def _places(inputs: Mapping[str, int]) -> list[Place]:
    return [(topic, n) for topic, count in inputs.items() for n in range(count)]


def _forgotten(place: Place, offset: int) -> str:
    topic, partition = place
    return (
        f"the embedded broker has forgotten records of {topic}[{partition}] from offset"
        f" {offset}: it keeps 5 MB a partition. Produce through the engine's own"
        " producer, which waits, or use a real Kafka"
    )
