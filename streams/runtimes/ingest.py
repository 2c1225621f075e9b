"""Stage 1 on Kafka: consume, fold, and hand over in one transaction a flush.

The fold mixes partitions, so what is dropped is dropped as a whole, and every held
partition goes back to what is committed. While a transaction is under way the next
fold is read: `streams.runtimes.handover` says what holds the two together.
"""

import time
from collections.abc import Callable
from threading import Event

from confluent_kafka import Consumer
from confluent_kafka import TopicPartition as Offset

from streams.ingest import Ingest
from streams.kafka import consumer_settings, log, producer_settings
from streams.positions import MarksError
from streams.runtimes.admin import Admin
from streams.runtimes.appetite import Appetite
from streams.runtimes.handover import Handover, RefusedError, outbound, standing
from streams.runtimes.hearing import Hearing
from streams.runtimes.inputs import Inputs
from streams.runtimes.marks import Positions, Watermarks
from streams.runtimes.offsets import Start, starts
from streams.runtimes.polled import Place, places_of, polled
from streams.runtimes.settings import IngestSettings
from streams.runtimes.transactions import AbortedError, Transactions
from streams.runtimes.wayback import EVERYTHING, WayBack
from streams.timing import Timings
from streams.topics import Topics

POLL_SECONDS = 0.05
"""A poll gives up after this long: it is a floor under our latency."""

STAGE = "ingest"


class IngestWorker:
    """One stage 1 process. `clock` gives epoch ms.

    For metrics, and safe to read from other threads: `records`, `flushes`; `lag` and
    `lost` messages by (topic, partition); `refused` partitions with the reason.
    """

    def __init__(
        self,
        ingest: Ingest,
        topics: Topics,
        settings: IngestSettings,
        clock: Callable[[], int],
        *,
        partitions: int,
        timings: Timings | None = None,
    ) -> None:
        self.records = 0
        self.flushes = 0
        self.lag: dict[Place, int] = {}
        self.lost: dict[Place, int] = {}
        self.refused: dict[Place, str] = {}
        self._ingest, self._topics = ingest, topics
        self._settings, self._clock = settings, clock
        self._output = (settings.observations, partitions)
        self._timings = timings or Timings()
        self._positions, self._appetite = Positions(), Appetite()
        self._unflushed, self._flushed_at = 0, 0.0
        self._must_go_back = self._leaving = False

    def run(self, stop: Event) -> None:
        """Work until told to stop, then hand over what is folded and leave.

        Raises WorkerStoppedError where the process must be started again, or cannot
        run at all: the message says which.
        """
        self.start()
        try:
            while not stop.is_set():
                self.step()
        except BaseException:
            self._must_go_back = True  # the fold is of no use: nothing of it is flushed
            raise
        finally:
            self.close()

    def start(self) -> None:
        """Join the group.

        1. Fence our predecessor: its open transaction is aborted.
        2. Learn which inputs there are.
        3. Subscribe; partitions come with the first polls.
        """
        own = self._settings
        transactions = Transactions(producer_settings(own.connection, own.client))
        transactions.init()
        self._handover = Handover(transactions, time.monotonic, own.connection)
        self._admin = Admin(own.connection)
        self._inputs = Inputs(self._admin, self._topics, self._output, time.monotonic)
        self._inputs.known()
        self._watermarks = Watermarks(self._admin, time.monotonic)
        self._way_back = WayBack(self._admin, time.monotonic)
        self._join()

    def _join(self) -> None:
        own = self._settings
        settings = consumer_settings(own.connection, own.group, own.client)
        self._hearing = Hearing(own.connection, own.observations, time.monotonic)
        self._consumer = Consumer(settings)
        self._consumer.subscribe(
            self._topics.subscription(),
            on_assign=self._assigned,
            on_revoke=self._revoked,
            on_lost=self._dropped,
        )

    def close(self) -> None:
        """Leave: the revocation that comes with it hands over what is folded."""
        self._leaving = True
        try:
            self._consumer.close()
        finally:
            self._handover.close()

    def _begin_anew(self) -> None:
        """Leave with nothing, as if killed, and join with another client."""
        self._must_go_back = self._leaving = True
        self._consumer.close()
        self._leaving = False
        self._let_go([Offset(*place) for place in self._positions.places()])
        self._join()

    def step(self) -> int:
        """Poll once, fold, and hand over where it is due; the number of records read.

        What comes while we go back is dropped with the fold: it will be read again.
        """
        most = EVERYTHING if self._must_go_back else self._appetite.records
        found = polled(self._consumer.consume(most, self._patience()))
        clock_ms, begun_at, read = self._clock(), time.monotonic(), 0
        if not self._must_go_back:
            for slab in self._positions.fresh(found, clock_ms):
                self._ingest.add(slab, clock_ms)
                read += len(slab.offsets)
            if found.expired:
                self._skip_expired(found.expired)
        self._appetite.fed(read, time.monotonic() - begun_at)
        self._unflushed += read
        self.records += read
        self.lag = self._watermarks.heed(self._positions, clock_ms)
        self._keep_up()
        if self._hearing.lost(self._consumer, read):
            self._begin_anew()
        return read

    def _patience(self) -> float:
        """How long a poll may take, s: a hand-over that is due does not wait for it."""
        due_in = self._due_in() if len(self._positions) else POLL_SECONDS
        return min(max(due_in, 0.001), POLL_SECONDS)

    def _due_in(self) -> float:
        """Seconds until the fold, or the marks alone, are to be handed over."""
        due_ms = self._settings.due_ms(self._unflushed, self.lag.values())
        return self._flushed_at + due_ms / 1000 - time.monotonic()

    def _keep_up(self) -> None:
        """Go back, or hand over, or see how the last hand-over ended."""
        if self._must_go_back:
            self._go_back()
        elif len(self._positions) and self._due_in() <= 0:
            self._or_go_back(self._hand_over)
        elif self._handover.over:
            self._or_go_back(self._settle)

    def _or_go_back(self, act: Callable[[], None]) -> None:
        try:
            act()
        except AbortedError as error:
            log.warning("a transaction was aborted: %s", error)
            self._must_go_back = True
        except RefusedError as error:
            self._refuse(error.place, str(error))
            self._must_go_back = True
        if self._must_go_back:
            self._go_back()

    def flush(self) -> None:
        """Hand the fold over, and wait until it is committed.

        Raises AbortedError, or RefusedError for a partition, where it was not: the
        fold must be dropped and every held partition go back.
        """
        self._hand_over()
        self._settle()

    def _hand_over(self) -> None:
        """Let the fold's transaction begin.

        1. Wait for the one before it: the fold grows no further.
        2. Take the offset of every held partition, with the CDC marks as they stand,
           and the group's generation of this moment.
        3. Take the batches and dead letters of the fold, with marks and inputs.
        4. Begin.
        """
        if self._must_go_back:
            raise AbortedError("there is nothing to hand over before we went back")
        self._settle()
        self._flushed_at, clock_ms = time.monotonic(), self._clock()
        offsets, group = standing(self._positions, self._ingest, self._consumer)
        flush = self._ingest.flush(
            self._positions.marks(clock_ms), self._inputs.known(), clock_ms
        )
        self._handover.begin(outbound(flush, self._settings), offsets, group)
        self._unflushed = 0

    def _settle(self) -> None:
        """Wait for what is under way; then its CDC marks are those to return to."""
        seconds = self._handover.settle()
        if seconds is not None:
            self._ingest.committed()
            self._appetite.committed(self._unflushed)
            self.flushes += 1
            self._timings.observe(STAGE, seconds)

    def _assigned(self, consumer: Consumer, offsets: list[Offset]) -> None:
        if self._leaving:  # a closing consumer asks in vain, and nothing is read
            return
        begun = starts(self._admin, consumer, places_of(offsets))
        consumer.incremental_assign([Offset(*s.place, s.offset) for s in begun])
        for start in begun:
            self._hold(start)

    def _hold(self, start: Start) -> None:
        try:
            self._ingest.assigned(*start.place, start.note)
        except MarksError as error:
            self._refuse(start.place, str(error))
            return
        self._positions.hold(start.place, start.offset)
        if start.lost:
            self.lost = {**self.lost, start.place: start.lost}

    def _refuse(self, place: Place, why: str) -> None:
        """Read no more of one partition; the others go on.

        It gives no marks any more, so its cluster turns unknown.
        """
        log.error("%s[%d] is refused: %s", *place, why)
        self.refused = {**self.refused, place: why}
        self._consumer.pause([Offset(*place)])
        self._positions.drop(place)
        self._ingest.revoked(*place)

    def _revoked(self, consumer: Consumer, offsets: list[Offset]) -> None:
        """The others may read on only from what is committed: all of the fold is."""
        try:
            if len(self._positions) and not self._must_go_back:
                self.flush()
        except (AbortedError, RefusedError) as error:
            log.warning("nothing was handed over in a revocation: %s", error)
            self._must_go_back = True
        self._let_go(offsets)
        consumer.incremental_unassign(offsets)

    def _dropped(self, consumer: Consumer, offsets: list[Offset]) -> None:
        """The group went on without us: what is folded of it others will read."""
        log.warning("partitions were lost: %s", places_of(offsets))
        self._must_go_back = True
        self._let_go(offsets)
        consumer.incremental_unassign(offsets)

    def _let_go(self, offsets: list[Offset]) -> None:
        self._handover.drop()
        gone = places_of(offsets)
        for place in gone:
            self._positions.drop(place)
            self._ingest.revoked(*place)
        self.refused = {p: why for p, why in self.refused.items() if p not in gone}

    def _go_back(self) -> None:
        """Drop the fold; every held partition goes back to what is committed.

        Until we hear what that is, polls go on, and what they bring is dropped.
        """
        self._handover.drop()
        self._ingest.discard()
        self._appetite.dropped()
        places, self._unflushed = self._positions.places(), 0
        found = self._way_back.go(self._consumer, places)
        self._must_go_back = found is None
        if found is not None:
            for place in places:  # a deleted topic's are not held any more
                self._positions.drop(place)
            for start in found:
                self._hold(start)

    def _skip_expired(self, places: list[Place]) -> None:
        """Records expired while they waited for us: go on where their logs begin.

        What is folded of them stays, so it is committed first.
        """
        self._or_go_back(self.flush)
        self._must_go_back |= any(place in self._positions for place in places)
