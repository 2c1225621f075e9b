"""Stage 2 on confluent-kafka: batches in, one SQL transaction a partition and poll."""

import time
from collections.abc import Callable, Sequence
from threading import Event

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Message
from confluent_kafka import TopicPartition as Offset

from slo.verdict import VerdictChange
from streams.kafka import (
    WorkerStoppedError,
    consumer_settings,
    log,
    reason,
)
from streams.runtimes.evaluating import Evaluating
from streams.runtimes.hearing import Hearing
from streams.runtimes.marks import Positions
from streams.runtimes.partitions import (
    EvaluatorOf,
    ReloadedError,
    expired,
)
from streams.runtimes.patience import StoreAwayError
from streams.runtimes.polled import Place, polled
from streams.runtimes.settings import EvaluateSettings
from streams.runtimes.together import MOST
from streams.slab import Slab
from streams.timing import Timings

POLL_SECONDS = 0.05
TICK_SECONDS = 1.0

STEP_SECONDS = 20.0
"""A store so slow must not keep us from polling: the group would think us gone."""


class EvaluateWorker(Evaluating):
    """One stage 2 process on confluent-kafka.

    While the store does not answer, no partition is read: what waits, waits in Kafka.
    Polling goes on, so that the group keeps us, and the store is asked again between
    two polls.
    """

    def __init__(
        self,
        settings: EvaluateSettings,
        evaluator_of: EvaluatorOf,
        clock: Callable[[], int],
        told: Callable[[Sequence[VerdictChange]], None],
        timings: Timings | None = None,
    ) -> None:
        super().__init__(settings, evaluator_of, clock, told, timings)
        self._positions = Positions()
        self._suspended: set[Place] = set()  # ours, and not read
        self._ticked_at = 0.0

    def run(self, stop: Event) -> None:
        """Work until told to stop. Raises WorkerStoppedError where we cannot go on."""
        self.start()
        try:
            while not stop.is_set():
                self.step()
        finally:
            self.close()

    def start(self) -> None:
        """Join the group; partitions come with the first polls."""
        self.identify()
        self._join()

    def _join(self) -> None:
        own = self._settings
        settings = consumer_settings(own.connection, own.group, own.client)
        self._hearing = Hearing(own.connection, own.observations, time.monotonic)
        self._consumer = Consumer(settings)
        self._consumer.subscribe(
            [own.observations],
            on_assign=self._assigned,
            on_revoke=self._revoked,
            on_lost=self._revoked,
        )

    def close(self) -> None:
        """Leave the group. The store has everything."""
        self._consumer.close()

    def _begin_anew(self) -> None:
        """Leave the group, and join it with another client."""
        self.close()
        self._let_go({*self._positions.places(), *self._suspended})
        self._join()

    # -- the walk ----------------------------------------------------------------

    def step(self) -> int:
        """Poll once.

        1. Apply what came: one SQL transaction for each partition.
        2. Commit the offsets to the group, as a hint: the store's are what counts.
        3. Tick, once a second.
        """
        found = polled(self._poll())
        for place in found.expired:
            raise WorkerStoppedError(expired(place[1], self._positions.next(place)))
        slabs = self._positions.fresh(found, self._clock())
        begun = time.monotonic()
        for slab in slabs:
            self._apply(slab, late=time.monotonic() - begun > STEP_SECONDS)
        if slabs:
            self._hint()
        if time.monotonic() - self._ticked_at >= TICK_SECONDS:
            self._ticked_at = time.monotonic()
            self._tick()
        self._resume()
        if self._hearing.lost(self._consumer, len(slabs)):
            self._begin_anew()
        return sum(len(slab.offsets) for slab in slabs)

    def _poll(self) -> list[Message]:
        """What there is, as soon as there is anything: the client waits for all."""
        first = self._consumer.consume(1, POLL_SECONDS)
        return first + self._consumer.consume(MOST - 1, 0) if first else first

    def _tick(self) -> None:
        for partition in self.partitions.tick():
            self._seek((self._settings.observations, partition))
        if self.partitions.patience.away_ms:
            self._suspend()
        lag = {place: self.lag.get(place, 0) for place in self._suspended}
        for place in self._positions.places():
            offset = Offset(*place)
            _, end = self._consumer.get_watermark_offsets(offset, cached=True)
            lag[place] = max(end - self._positions.next(place), 0)
        self.lag = lag

    def _apply(self, slab: Slab, *, late: bool) -> None:
        place = (slab.topic, slab.partition)
        if place in self._suspended:
            return
        if late:
            self._seek(place)
            return
        records = zip(slab.offsets, slab.values, strict=True)
        batches = self.reader.batches(place, records)
        try:
            self.partitions.apply(slab.partition, batches, slab.offsets[-1] + 1)
        except ReloadedError:
            self._seek(place)
        except StoreAwayError:
            self._suspend()

    def _hint(self) -> None:
        held = [Offset(*p, self._positions.next(p)) for p in self._positions.places()]
        try:
            self._consumer.commit(offsets=held, asynchronous=True)
        except KafkaException as error:
            log.info("the group did not take our offsets: %s", reason(error))

    # -- partitions come and go --------------------------------------------------------

    def _assigned(self, consumer: Consumer, offsets: list[Offset]) -> None:
        places = [(one.topic, one.partition) for one in offsets]
        begun = [start for place in places if (start := self._begin(place))]
        consumer.incremental_assign(begun)

    def _begin(self, place: Place) -> Offset | None:
        """Go on where the store says; a store that is new, where the log begins.

        None where the store does not answer: the partition is ours, and not read.
        """
        self._suspended.add(place)
        if self.partitions.patience.wait_s:
            return None
        try:
            return self._hold(place, self.partitions.assigned(place[1]))
        except StoreAwayError:
            return None

    def _hold(self, place: Place, offset: int) -> Offset:
        self._suspended.discard(place)
        self._positions.hold(place, offset)
        return Offset(*place, offset or OFFSET_BEGINNING)

    def _revoked(self, consumer: Consumer, offsets: list[Offset]) -> None:
        places = {(one.topic, one.partition) for one in offsets}
        read = [Offset(*place) for place in places if place in self._positions]
        self._let_go(places)
        consumer.incremental_unassign(read)

    def _let_go(self, places: set[Place]) -> None:
        for place in places:
            self._suspended.discard(place)
            self._positions.drop(place)
            self.partitions.revoked(place[1])

    def _seek(self, place: Place) -> None:
        """Read again from where the store stands, after its image was loaded anew."""
        self._consumer.incremental_unassign([Offset(*place)])
        start = self._hold(place, self.partitions.next(place[1]))
        self._consumer.incremental_assign([start])

    def _suspend(self) -> None:
        """Read nothing more: what is in our hands is read again when the store is."""
        held = self._positions.places()
        self._consumer.incremental_unassign([Offset(*place) for place in held])
        for place in held:
            self._positions.drop(place)
        self._suspended.update(held)

    def _resume(self) -> None:
        """Where it is time, ask the store; once it answers, go on where it says."""
        if not self._suspended or self.partitions.patience.wait_s:
            return
        lost = self.partitions.lost
        for place in sorted(self._suspended, key=lambda one: not lost(one[1])):
            try:
                start = self._hold(place, self.partitions.back(place[1]))
            except StoreAwayError:
                return
            self._consumer.incremental_assign([start])
