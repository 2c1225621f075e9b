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
from streams.runtimes.marks import Positions
from streams.runtimes.partitions import (
    EvaluatorOf,
    ReloadedError,
    expired,
)
from streams.runtimes.polled import Place, polled
from streams.runtimes.settings import EvaluateSettings
from streams.slab import Slab
from streams.timing import Timings

POLL_RECORDS = 200
POLL_SECONDS = 0.05
TICK_SECONDS = 1.0


class EvaluateWorker(Evaluating):
    """One stage 2 process on confluent-kafka."""

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
        own = self._settings
        self.identify()
        slot = f"{own.group}-{own.slot}"
        self._consumer = Consumer(consumer_settings(own.connection, own.group, slot))
        self._consumer.subscribe(
            [own.observations],
            on_assign=self._assigned,
            on_revoke=self._revoked,
            on_lost=self._revoked,
        )

    def close(self) -> None:
        """Leave the group. The store has everything."""
        self._consumer.close()

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
        for slab in slabs:
            self._apply(slab)
        if slabs:
            self._hint()
        if time.monotonic() - self._ticked_at >= TICK_SECONDS:
            self._ticked_at = time.monotonic()
            self._tick()
        return sum(len(slab.offsets) for slab in slabs)

    def _poll(self) -> list[Message]:
        """What there is, as soon as there is anything: the client waits for all."""
        first = self._consumer.consume(1, POLL_SECONDS)
        return first + self._consumer.consume(POLL_RECORDS - 1, 0) if first else first

    def _tick(self) -> None:
        for partition in self.partitions.tick():
            self._seek((self._settings.observations, partition))
        lag = {}
        for place in self._positions.places():
            offset = Offset(*place)
            _, end = self._consumer.get_watermark_offsets(offset, cached=True)
            lag[place] = max(end - self._positions.next(place), 0)
        self.lag = lag

    def _apply(self, slab: Slab) -> None:
        place = (slab.topic, slab.partition)
        records = zip(slab.offsets, slab.values, strict=True)
        batches = self.reader.batches(place, records)
        try:
            self.partitions.apply(slab.partition, batches, slab.offsets[-1] + 1)
        except ReloadedError:
            self._seek(place)

    def _hint(self) -> None:
        held = [Offset(*p, self._positions.next(p)) for p in self._positions.places()]
        try:
            self._consumer.commit(offsets=held, asynchronous=True)
        except KafkaException as error:
            log.info("the group did not take our offsets: %s", reason(error))

    # -- partitions come and go --------------------------------------------------------

    def _assigned(self, consumer: Consumer, offsets: list[Offset]) -> None:
        begun = [self._begin((o.topic, o.partition)) for o in offsets]
        consumer.incremental_assign(begun)

    def _begin(self, place: Place) -> Offset:
        """Go on where the store says; a store that is new, where the log begins."""
        offset = self.partitions.assigned(place[1])
        self._positions.hold(place, offset)
        return Offset(*place, offset or OFFSET_BEGINNING)

    def _revoked(self, consumer: Consumer, offsets: list[Offset]) -> None:
        for offset in offsets:
            self._positions.drop((offset.topic, offset.partition))
            self.partitions.revoked(offset.partition)
        consumer.incremental_unassign(offsets)

    def _seek(self, place: Place) -> None:
        """Read again from where the store stands, after its image was loaded anew."""
        offset = self.partitions.next(place[1])
        self._positions.hold(place, offset)
        self._consumer.incremental_unassign([Offset(*place)])
        self._consumer.incremental_assign([Offset(*place, offset or OFFSET_BEGINNING)])


__all__ = ["EvaluateSettings", "EvaluateWorker"]
