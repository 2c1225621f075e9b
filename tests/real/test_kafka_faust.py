"""What a Faust worker outlives: a group that is joined anew, brokers that are away."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from aiokafka.errors import GroupAuthorizationFailedError, KafkaError
from faust.types import TP

from streams.runtimes.faust import FaustWorker
from streams.runtimes.faust import _Consumer as OurConsumer
from tests.real.servers.process import free_ports
from tests.real.test_kafka_evaluate import Stage2, told
from tests.real.walk import until
from tests.real.wire import Wire

pytestmark = pytest.mark.real


class Seen(FaustWorker):
    """A worker whose application can be looked at, and told what to do, from a test."""

    app: Any = None
    before: Callable[[], None] = staticmethod(lambda: None)

    def _app(self, folder: str) -> Any:
        self.before()
        self.app = super()._app(folder)
        return self.app

    @property
    def consumer(self) -> OurConsumer:
        found = self.app.consumer
        assert isinstance(found, OurConsumer)
        return found

    def begins(self, work: Awaitable[Any]) -> Any:
        """Begin something in the worker's own loop."""
        return asyncio.run_coroutine_threadsafe(_awaited(work), self.app.loop)

    def coordinates(self, work: Awaitable[Any]) -> Any:
        """Begin something in the loop of the consumer's thread."""
        loop = self.consumer._thread.thread_loop
        return asyncio.run_coroutine_threadsafe(_awaited(work), loop)

    @property
    def coordinator(self) -> Any:
        """What keeps it in its group."""
        return self.consumer._thread._ensure_consumer()._coordinator

    def joins_again(self) -> None:
        """As when the group is rebalanced."""
        loop = self.consumer._thread.thread_loop
        loop.call_soon_threadsafe(self.coordinator.request_rejoin)


async def _awaited(work: Awaitable[Any]) -> Any:
    return await work


@pytest.fixture
def stage(kafka, tmp_path) -> Iterator[Stage2]:
    made = Stage2(kafka, tmp_path, "faust")
    made.made = Seen
    made.write([told(0)])
    yield made
    made.store.close()


def goes_on(stage: Stage2) -> None:
    """What is written now is counted, once."""
    stage.write([told(1)])
    stage.read(3)
    assert stage.lag() == [(0, 1, 1), (1, 1, 1)]


def test_a_partition_that_went_before_we_could_seek_is_let_go(stage):
    """A worker that woke has asked the store where to read, and is not asked any more."""
    with stage.running() as worker:
        stage.read(1)
        gone = TP(stage.topic, 7)
        worker.partitions.begin(7, 0)
        seeks = worker.consumer._seek_to({TP(stage.topic, 0): 1, gone: 0})
        worker.begins(seeks).result(20)
        assert 7 not in worker.partitions
        assert 0 in worker.partitions
        goes_on(stage)


def test_a_partition_that_was_taken_back_while_the_group_was_joined_goes_again(stage):
    with stage.running() as worker:
        stage.read(1)
        worker.partitions.begin(7, 0)
        worker.joins_again()
        until("it is let go", lambda: 7 not in worker.partitions)
        until("ours stays", lambda: 0 in worker.partitions)
        goes_on(stage)


def test_brokers_that_do_not_say_where_a_log_begins_are_asked_again(stage, caplog):
    with stage.running() as worker:
        stage.read(1)
        worker.consumer._thread._ensure_consumer()._request_timeout_ms = 300
        os.kill(stage.kafka.pid, signal.SIGSTOP)
        try:
            seeking = worker.begins(worker.consumer.perform_seek())
            until("it is asked again", lambda: "asked again" in caplog.text, 20)
        finally:
            os.kill(stage.kafka.pid, signal.SIGCONT)
        seeking.result(30)
        goes_on(stage)


class Once:
    """The first call alone does it."""

    def __init__(self, does: Callable[[], None]) -> None:
        self._does = [does]

    def __call__(self) -> None:
        while self._does:
            self._does.pop()()


def test_a_broker_that_restarts_as_a_worker_starts_is_asked_again(stage, caplog):
    """Faust asks each broker once, and ends."""
    with Wire.to(*free_ports(1), stage.kafka.port) as wire:
        stage.bootstrap = f"127.0.0.1:{wire.port}"
        down = Once(wire.down)
        stage.made = type("Early", (Seen,), {"before": staticmethod(down)})
        with stage.running():
            until("it is asked again", lambda: "asked again" in caplog.text, 20)
            wire.mend()
            stage.read(1)
            goes_on(stage)


async def pushed(coordinator: Any, error: KafkaError) -> None:
    """Until somebody has asked for it, the group is not joined again."""
    await coordinator._push_error_to_user(error)


def test_what_goes_wrong_in_the_group_is_asked_for_and_the_group_joined_again(
    stage, caplog
):
    with stage.running() as worker:
        stage.read(1)
        error = KafkaError("an answer that nobody knows")
        worker.coordinates(pushed(worker.coordinator, error)).result(10)
        until("it is told", lambda: "the group is joined again: " in caplog.text)
        goes_on(stage)


class Coordinating:
    """A consumer whose coordination is refused, or has ended: it never joins again."""

    def __init__(self, error: KafkaError, *, ended: bool) -> None:
        self._coordinator = self
        self._coordination_task = self
        self._error, self._ended = error, ended

    def check_errors(self) -> None:
        raise self._error

    def done(self) -> bool:
        return self._ended


@pytest.mark.parametrize(
    "left",
    [
        Coordinating(GroupAuthorizationFailedError("a group"), ended=False),
        Coordinating(KafkaError("nobody thought of it"), ended=True),
    ],
)
def test_a_worker_that_can_never_join_again_is_told(stage, left):
    """What its fetches raise, Faust ends for."""
    with stage.running() as worker:
        stage.read(1)
        fetching = worker.consumer._thread._fetch_records(left, set())
        with pytest.raises(KafkaError) as raised:
            worker.begins(fetching).result(10)
    assert raised.value is left._error
