"""A connection that is kept: used again, and never trusted to be there still."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from alerts.delivery import NotifyError
from alerts.notifiers.pagerduty import PagerDuty
from alerts.notifiers.webhook import Webhook
from alerts.notifiers.wire import KEPT_MS
from alerts.testing.pagerduty import ROUTING_KEY, PagerDutyServer
from slo.model import SECOND
from tests.alerts.notices import NOTICE, T0, resolved

ANSWER = b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\n{}"
LAST = ANSWER.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
BUILD = {
    "pagerduty": lambda url, clock: PagerDuty(ROUTING_KEY, clock, url),
    "webhook": Webhook,
}


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now_ms = T0

    def __call__(self) -> int:
        return self.now_ms


class Server:
    """Answers the requests of each connection with its bytes, then hangs up.

    `heard` has (number of the connection, body) of every request. A connection whose
    answers are used up is held open where its script ends in None.
    """

    def __init__(self, listening: socket.socket, scripts: list[list[bytes | None]]):
        self.heard: list[tuple[int, bytes]] = []
        self.hung_up = threading.Semaphore(0)
        self.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        self._listening, self._scripts = listening, scripts
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._serve)]
        self._threads[0].start()

    def end(self) -> None:
        self._over.set()
        self._listening.shutdown(socket.SHUT_RDWR)  # a connection that never came
        for thread in self._threads:
            thread.join()

    def _serve(self) -> None:
        for number, script in enumerate(self._scripts):
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            one = threading.Thread(target=self._talk, args=(number, connection, script))
            self._threads.append(one)
            one.start()

    def _talk(self, number, connection, script) -> None:
        with connection, connection.makefile("rb") as lines:
            for answer in script:
                if answer is None:
                    self._over.wait()
                    break
                self.heard.append((number, self._request(lines)))
                connection.sendall(answer)
        self.hung_up.release()

    @staticmethod
    def _request(lines) -> bytes:
        length = 0
        while line := lines.readline().strip():
            name, _, value = line.partition(b":")
            length = int(value) if name.lower() == b"content-length" else length
        return lines.read(length)


@contextmanager
def serving(*scripts: list[bytes | None]) -> Iterator[Server]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = Server(listening, list(scripts))
        try:
            yield server
        finally:
            server.end()


@pytest.fixture(params=BUILD)
def build(request):
    return BUILD[request.param]


def tell(notifier, notice=NOTICE, clock_ms=T0) -> None:
    notifier.notify(notice, clock_ms + 10 * SECOND)


def connections(server: Server) -> list[int]:
    return [number for number, _ in server.heard]


def test_one_connection_carries_notice_after_notice(build):
    with serving([ANSWER, ANSWER, ANSWER, None]) as server:
        notifier = build(server.url, Clock())
        for notice in (NOTICE, NOTICE, resolved()):
            tell(notifier, notice)
        assert connections(server) == [0, 0, 0]


@pytest.mark.parametrize("answer", [ANSWER, LAST], ids=["unsaid", "said"])
def test_one_that_the_server_has_closed_makes_room_for_a_new_one(build, answer):
    with serving([answer], [ANSWER, None]) as server:
        notifier = build(server.url, Clock())
        tell(notifier)
        assert server.hung_up.acquire(timeout=10)
        tell(notifier, resolved())
        assert connections(server) == [0, 1]


def test_one_on_which_something_comes_unasked_is_not_used_again(build):
    with serving([ANSWER + ANSWER + b"x" * 20_000, None], [ANSWER, None]) as server:
        notifier = build(server.url, Clock())
        tell(notifier)
        tell(notifier)
        assert connections(server) == [0, 1]


def test_one_that_was_idle_for_long_is_not_used_again(build):
    clock = Clock()
    with serving([ANSWER, ANSWER, None], [ANSWER, None]) as server:
        notifier = build(server.url, clock)
        tell(notifier)
        for idle_ms in (KEPT_MS, KEPT_MS + 1):
            clock.now_ms += idle_ms
            tell(notifier, clock_ms=clock.now_ms)
        assert connections(server) == [0, 0, 1]


def test_what_a_kept_connection_may_have_lost_is_said_once_more_with_the_same_key(
    build,
):
    with serving([ANSWER, b""], [ANSWER, None]) as server:
        notifier = build(server.url, Clock())
        tell(notifier)
        tell(notifier, resolved())
        assert connections(server) == [0, 0, 1]
        assert server.heard[1][1] == server.heard[2][1]
        assert json.loads(server.heard[2][1])


def test_a_new_connection_that_breaks_is_an_attempt_that_failed(build):
    with serving([ANSWER, b""], [b""]) as server:
        notifier = build(server.url, Clock())
        tell(notifier)
        with pytest.raises(NotifyError, match="RemoteDisconnected") as caught:
            tell(notifier)
        assert caught.value.retry
        assert connections(server) == [0, 0, 1]


def test_a_server_that_does_not_answer_on_a_kept_connection_is_not_asked_twice(build):
    clock = Clock()
    with serving([ANSWER, b"HTTP/1.1 202", None], [ANSWER, None]) as server:
        notifier = build(server.url, clock)
        tell(notifier)
        with pytest.raises(NotifyError, match="no answer in time") as caught:
            notifier.notify(NOTICE, clock.now_ms + 200)
        assert caught.value.retry
        assert connections(server) == [0, 0]


def test_a_server_that_is_gone_answers_nobody_on_a_kept_connection():
    with PagerDutyServer() as server:
        notifier = PagerDuty(ROUTING_KEY, Clock(), server.url)
        tell(notifier)
        assert len(server.events) == 1
    with pytest.raises(NotifyError):
        tell(notifier, resolved())
    assert len(server.events) == 1
