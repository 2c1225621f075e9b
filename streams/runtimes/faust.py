"""Stage 2 as a Faust worker: the same evaluators, fed by an agent.

Faust's own offsets, tables, windows and `exactly_once` are not leant on. Its driver's
consumer is overridden so that it reads committed records only, starts where the store
stopped, and lets us notice any record that it left out.
"""

import asyncio
import tempfile
from collections.abc import Coroutine, Mapping
from threading import Event
from typing import Any, cast

import faust
from aiokafka import errors
from aiokafka.consumer import fetcher
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from mode.threads import WorkerThread

from streams.kafka import Connection, WorkerStoppedError, log
from streams.runtimes.chain import Chain
from streams.runtimes.evaluating import Evaluating
from streams.runtimes.loops import LOOK_SECONDS, insisted, run_bounded, served
from streams.runtimes.partitions import Partitions
from streams.runtimes.patience import StoreAwayError
from streams.runtimes.security import security
from streams.runtimes.settings import faust_settings
from streams.runtimes.together import take

READ_COMMITTED = "read_committed"
FETCH_WAIT_MS = 100
"""A seek waits for the fetch that is under way: not for the driver's 1.5 s."""
TICK_SECONDS = 1.0


class _Daemon(WorkerThread):
    """The driver's thread, which keeps no process alive that was told to end."""

    def __init__(self, service: Any, **given: Any) -> None:
        super().__init__(service, **given)
        self.daemon = True


class _Thread(driver.AIOKafkaConsumerThread):
    """The driver reads what was aborted, too: ours what was committed."""

    Worker = _Daemon

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        consumer._isolation_level = READ_COMMITTED  # noqa: SLF001
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS  # noqa: SLF001
        return consumer

    async def on_start(self) -> None:
        """Connect, and see that the override has held."""
        await super().on_start()
        level = self._ensure_consumer()._fetcher._isolation_level  # noqa: SLF001
        if level != fetcher.READ_COMMITTED:
            raise WorkerStoppedError(
                f"Faust's consumer reads at isolation level {level}: this version of"
                " faust-streaming or aiokafka is not one that we know"
            )

    async def _fetch_records(self, consumer: Any, *args: Any, **kwargs: Any) -> Any:
        """A partition that is new to us has no offset of the group's: we seek soon.

        What went wrong as the group was joined waits until somebody asks for it, and
        until then it is not joined again: nobody but us asks.
        """
        coordinator = consumer._coordinator  # noqa: SLF001
        try:
            coordinator.check_errors()
            return await super()._fetch_records(consumer, *args, **kwargs)
        except errors.NoOffsetForPartitionError:
            return {}
        except errors.KafkaError as error:
            passes = error.retriable or type(error) is errors.KafkaError
            if not passes or coordinator._coordination_task.done():  # noqa: SLF001
                raise
            log.warning("the group is joined again: %s", error)
            return await asyncio.sleep(LOOK_SECONDS, {})

    async def seek_all(self, starts: Mapping[TP, int]) -> dict[TP, int]:
        """Seek in the consumer's own thread; where it stands then, before any fetch.

        A partition that went to somebody else meanwhile is not among them.
        """
        return cast(dict[TP, int], await self.call_thread(self._seek_all, starts))

    async def _seek_all(self, starts: Mapping[TP, int]) -> dict[TP, int]:
        consumer = self._ensure_consumer()
        ours = [tp for tp in starts if tp in consumer.assignment()]
        for tp in ours:
            consumer.seek(tp, starts[tp])
        return {tp: await consumer.position(tp) for tp in ours}


class _Consumer(driver.Consumer):
    """The driver's consumer, seeking where our store stopped.

    Faust's recovery ends in `perform_seek`, which goes to the group's offsets, after
    any seek of ours. A message carries the number of seeks before it was fetched, and
    the offset that it was fetched after: a record that is left out on its way to the
    agent is missed there. The agent may seek while a fetch is still handed on.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.seeks = 0
        self.waits = False
        self._fetched_seeks = 0
        self._fetched: Mapping[TP, list[Any]] = {}
        self._sought: Mapping[TP, int] = {}
        self._seeking = asyncio.Lock()
        self._chain: Chain[TP] = Chain()
        super().__init__(*args, **kwargs)

    @property
    def _partitions(self) -> Partitions:
        return cast(_Transport, self.transport).partitions

    def _new_consumer_thread(self) -> _Thread:
        return _Thread(self, loop=self.loop, beacon=self.beacon)

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Let partitions go; the next seek takes back those that stay ours."""
        await super().on_partitions_revoked(revoked)
        for tp in revoked:
            self._partitions.revoked(tp.partition)

    async def on_partitions_assigned(
        self, assigned: set[TP], generation_id: int = 0
    ) -> None:
        """A seek while the group was joined took partitions back: those go again."""
        self._partitions.keep({tp.partition for tp in assigned})
        await super().on_partitions_assigned(assigned, generation_id)

    async def perform_seek(self) -> None:
        """Seek to where the store stopped; one at a time, so that the newest holds."""
        self.seeks += 1
        async with self._seeking:
            if starts := await self._starts():
                await self._seek_to(starts)

    async def _seek_to(self, starts: dict[TP, int]) -> None:
        found = await cast(_Thread, self._thread).seek_all(starts)
        if not found.items() <= starts.items():
            raise WorkerStoppedError(f"Faust reads from {found}, the store: {starts}")
        for tp in starts.keys() - found.keys():
            self._partitions.revoked(tp.partition)
        self._chain.begin(found)
        self._committed_offset.update(found)
        self._sought = found

    async def _starts(self) -> dict[TP, int]:
        """Where the store stopped; until all answer, what waits, waits in Kafka.

        Whatever is ours when it answers is taken: a rebalance may come meanwhile.
        """
        self.waits = True
        try:
            while places := sorted(self.assignment()):
                begin = self._partitions.begin
                try:
                    earliest = await self.earliest_offsets(*places)
                    return {tp: begin(tp.partition, earliest[tp]) for tp in places}
                except StoreAwayError:
                    await asyncio.sleep(self._partitions.patience.wait_s)
                except errors.KafkaTimeoutError as error:
                    log.warning("asked again: %s", error)
        finally:
            self.waits = False
        return {}

    async def _wait_next_records(self, timeout: float) -> tuple[Any, Any]:  # noqa: ASYNC109 - the driver's own
        """What was fetched; where a seek came between, it is fetched again."""
        seeks = -1 if self._seeking.locked() else self.seeks  # it may come in between
        records, active = await super()._wait_next_records(timeout)
        if records and seeks != self.seeks:
            await self.perform_seek()
            return {}, active
        if seeks != self._fetched_seeks:
            self._fetched_seeks = seeks  # what was read until now, would be left out
            self._read_offset.update({tp: n or None for tp, n in self._sought.items()})
        self._fetched = found = records or {}
        offsets = {tp: [one.offset for one in some] for tp, some in found.items()}
        self._chain.fetched(offsets)
        return records, active

    def _to_message(self, tp: TP, record: Any) -> Any:
        message: Any = super()._to_message(tp, record)
        message.seeks = self._fetched_seeks
        message.fetched = self._fetched[tp]
        message.after = self._chain.after(tp, record.offset)
        return message


class _Transport(driver.Transport):
    """The driver, with our consumer and the partitions that it is to serve."""

    Consumer = _Consumer
    partitions: Partitions


class FaustWorker(Evaluating):
    """One stage 2 process under Faust; the native worker's twin."""

    _failure: BaseException | None = None

    def run(self, stop: Event) -> None:
        """Work until told to stop. Raises WorkerStoppedError where we cannot go on."""
        self.identify()
        with tempfile.TemporaryDirectory(prefix="dbslo-faust-") as folder:
            unanswered = errors.KafkaConnectionError
            run_bounded(insisted(lambda: self._serve(stop, folder), unanswered))

    async def _serve(self, stop: Event, folder: str) -> None:
        """From start to end; a start that met no broker, which it looks for once, fails."""
        app = self._app(folder)

        def begun() -> None:
            if not isinstance(app.consumer, _Consumer):
                raise WorkerStoppedError("Faust does not use our consumer")

        try:
            why = await served(app, begun, lambda: stop.is_set() or bool(self._failure))
        except errors.KafkaConnectionError:
            if not (left := app.consumer._thread.thread_loop).is_running():  # noqa: SLF001
                left.close()
            raise
        if failure := self._failure or why:
            ended = f"the Faust worker ended: {failure}"
            raise WorkerStoppedError(ended) from failure

    def _app(self, folder: str) -> Any:
        own = self._settings
        who = _credentials(own.connection)
        app: Any = faust.App(**faust_settings(own, folder), broker_credentials=who)
        transport = _Transport(app.conf.broker_consumer, app)
        transport.partitions = self.partitions
        app.transport = transport
        topic = app.topic(
            own.observations, key_type=bytes, value_type=bytes, value_serializer="raw"
        )

        async def evaluate(stream: Any) -> None:
            async for event in stream.events():
                await self._guarded(self._take(app.consumer, event.message))

        async def tick() -> None:
            await self._guarded(self._tick(app.consumer))

        app.agent(topic, concurrency=1, name="evaluate")(evaluate)
        app.timer(TICK_SECONDS)(tick)
        return app

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        """Let no exception out: Faust would acknowledge what raised it, and go on.

        After one the process ends, and until then nothing more is taken.
        """
        try:
            await work
        except Exception as error:  # noqa: BLE001 - raised where the worker runs
            log.exception("the Faust worker ends")
            self._failure = error
            await asyncio.Event().wait()

    async def _take(self, consumer: _Consumer, message: Any) -> None:
        """Take a message; one that was fetched before a seek is passed over."""
        fresh = message.seeks == consumer.seeks
        if fresh and not take(self.partitions, self.reader, message):
            await consumer.perform_seek()

    async def _tick(self, consumer: _Consumer) -> None:
        partitions = self.partitions
        if consumer.waits:
            return
        if partitions.tick() or partitions.patience.away_ms:
            await consumer.perform_seek()
        self.lag = {
            (tp.topic, tp.partition): max(end - partitions.next(tp.partition), 0)
            for tp in consumer.assignment()
            if not partitions.lost(tp.partition) and (end := consumer.highwater(tp))
        }


def _credentials(connection: Connection) -> Any:
    found = security(connection)
    if found is None or found.mechanism is None:
        return found and faust.SSLCredentials(found.context)
    return faust.SASLCredentials(
        username=found.username,
        password=found.password,
        ssl_context=found.context,
        mechanism=found.mechanism,
    )
