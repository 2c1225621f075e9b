"""One HTTP POST that ends by a deadline, and what its answer means for a retry.

http.client has a time-out per read, so a server that sends a byte now and then
could hold a sender past its lease. Here every wait, from connect to the last byte
of the answer, ends at the same deadline.

A connection is kept for the next POST: many pages at once must not each pay for a TLS
handshake. One that the server has closed meanwhile is noticed before anything is sent,
or costs one repeat on a new one: the same bytes, with the same dedup key.
"""

import email.utils
import http.client
import io
import select
import socket
import ssl
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from http import HTTPStatus
from urllib.parse import SplitResult, urlsplit
from weakref import finalize

import msgspec

from alerts.delivery import NotifyError
from slo.model import HOUR, MINUTE, SECOND

ANSWER_BYTES = 64 * 1024
"""As much of an answer as is read; the rest cannot matter."""

THROTTLED_MS = MINUTE
"""How long a 429 without Retry-After asks for: PagerDuty wants minutes, not a second."""

LONGEST_WAIT_MS = HOUR
"""No Retry-After silences a page for longer than this."""

KEPT_MS = 30 * SECOND
"""A connection that was idle for longer is not used again: servers and firewalls on the
way forget them, some without a word."""

_RETRY = (
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.TOO_EARLY,
    HTTPStatus.TOO_MANY_REQUESTS,
)


class Answer(msgspec.Struct, frozen=True):
    """What a server said. `retry_after` is the header's text, "" without one."""

    status: int
    body: bytes = b""
    retry_after: str = ""

    @property
    def ok(self) -> bool:
        """Whether it was accepted (2xx)."""
        return 200 <= self.status < 300


class Endpoint:
    """Where to POST: an http or https URL, shown in errors by scheme and host alone.

    `clock` gives epoch ms. Raises ValueError for any other URL, without its path,
    query or user, which may be secrets.
    """

    def __init__(self, url: str, clock: Callable[[], int]) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("the URL must begin with http:// or https:// and a host")
        if not url.isascii() or not url.isprintable() or " " in url:
            raise ValueError("the URL must be plain ASCII, anything else %-encoded")
        self._secure = parts.scheme == "https"
        self._host = parts.hostname
        self._port = _port(parts) or (443 if self._secure else 80)
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._clock = clock
        self._kept: deque[_Connection] = deque()  # one at most, if nobody posts with it

    def __str__(self) -> str:
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{'https' if self._secure else 'http'}://{host}:{self._port}"

    __repr__ = __str__

    def now_ms(self) -> int:
        """The clock's time."""
        return self._clock()

    def post(self, body: bytes, headers: Mapping[str, str], deadline_ms: int) -> Answer:
        """The server's answer, whatever its status.

        Raises NotifyError (retry) where none came by `deadline_ms`.
        """
        try:
            return self._exchange(body, headers, deadline_ms)
        except TimeoutError:
            raise NotifyError(f"{self}: no answer in time", retry=True) from None
        except (OSError, http.client.HTTPException) as error:
            text = f"{self}: no answer ({type(error).__name__})"
            raise NotifyError(text, retry=True) from None

    def _exchange(
        self, body: bytes, headers: Mapping[str, str], deadline_ms: int
    ) -> Answer:
        left = self._left(deadline_ms)
        kept = self._again()
        if kept is not None:
            with suppress(ConnectionError):  # RemoteDisconnected is one, too
                return self._spoken(kept, body, headers, left)
        new = _Connection(self._host, self._port, self._secure)
        return self._spoken(new, body, headers, left)

    def _spoken(
        self,
        connection: "_Connection",
        body: bytes,
        headers: Mapping[str, str],
        left: Callable[[], float],
    ) -> Answer:
        """What is answered; the connection is kept if it can carry another POST."""
        connection.until(left)
        kept = False
        try:
            connection.request("POST", self._path, body, dict(headers))
            response = connection.getresponse()
            answer = Answer(
                status=response.status,
                body=_body(response),
                retry_after=response.getheader("Retry-After", ""),
            )
            kept = response.isclosed() and not response.will_close
        finally:
            if not kept:
                connection.end()
        if kept:
            self._keep(connection)
        return answer

    def _keep(self, connection: "_Connection") -> None:
        connection.idle_since_ms = self._clock()
        self._kept.append(connection)
        while len(self._kept) > 1:  # two threads posted at once
            self._kept.popleft().end()

    def _again(self) -> "_Connection | None":
        """The connection that was kept, if the server has not closed it."""
        try:
            kept = self._kept.pop()
        except IndexError:
            return None
        if kept.silent and self._clock() - kept.idle_since_ms <= KEPT_MS:
            return kept
        kept.end()
        return None

    def _left(self, deadline_ms: int) -> Callable[[], float]:
        def left() -> float:
            seconds = (deadline_ms - self._clock()) / 1000
            if seconds <= 0:
                raise TimeoutError
            return seconds

        return left


def refused(
    endpoint: Endpoint, answer: Answer, explanation: str = ""
) -> NotifyError | None:
    """The error that an answer is; None where it was accepted.

    408, 425, 429 and 5xx may be retried; any other 4xx would be refused for ever, and
    a redirect is a wrong URL. `explanation` must be free of secrets.
    """
    if answer.ok:
        return None
    retry = answer.status in _RETRY or not 300 <= answer.status < 500
    text = f"{endpoint}: HTTP {answer.status}{_phrase(answer.status)}"
    if 300 <= answer.status < 400:
        explanation = "it redirects; configure the final URL"
    after_ms = _asked_ms(answer, endpoint.now_ms()) if retry else None
    return NotifyError(
        f"{text}: {explanation}" if explanation else text,
        retry=retry,
        after_ms=after_ms,
    )


def _port(parts: SplitResult) -> int | None:
    try:
        return parts.port
    except ValueError:
        raise ValueError("the URL's port must be a number up to 65535") from None


def _body(response: http.client.HTTPResponse) -> bytes:
    """The answer's body; empty where it breaks off, for the status has said it all."""
    try:
        return response.read(ANSWER_BYTES)
    except (OSError, http.client.HTTPException):
        return b""


def _phrase(status: int) -> str:
    """Our own words for a status: the server's might quote what we sent."""
    try:
        return f" {HTTPStatus(status).phrase}"
    except ValueError:
        return ""


def _asked_ms(answer: Answer, now_ms: int) -> int | None:
    """How long the server asks us to wait, ms; None where it does not say."""
    text = answer.retry_after.strip()
    if text.isascii() and text.isdigit():
        return min(int(text[:9]) * 1000, LONGEST_WAIT_MS)
    try:
        at = email.utils.parsedate_to_datetime(text)
    except ValueError:
        throttled = answer.status == HTTPStatus.TOO_MANY_REQUESTS
        return THROTTLED_MS if throttled else None
    return min(max(int(at.timestamp() * 1000) - now_ms, 0), LONGEST_WAIT_MS)


class _Connection(http.client.HTTPConnection):
    """A connection whose every wait is bounded by `left()`, seconds to the deadline."""

    def __init__(self, host: str, port: int, secure: bool) -> None:
        super().__init__(host, port)
        self.idle_since_ms = 0
        self._secure = secure
        self._left: Callable[[], float] = lambda: 0.0
        self._raw: socket.socket | None = None

    def until(self, left: Callable[[], float]) -> None:
        """Every wait from now on ends with `left()`."""
        self._left = left
        if self._raw is not None:
            self.sock = _Bounded(self._raw, left)

    @property
    def silent(self) -> bool:
        """Whether nothing has come unasked: its end, or bytes that are no answer."""
        if self._raw is None:
            return False
        return not select.select([self._raw], [], [], 0)[0]

    def connect(self) -> None:
        address = (self.host, self.port)
        self._raw = socket.create_connection(address, self._left())
        # Head and body leave apart: the body must not wait for the head's receipt.
        self._raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._raw.settimeout(self._left())
        if self._secure:
            context = ssl.create_default_context()
            self._raw = context.wrap_socket(self._raw, server_hostname=self.host)
        finalize(self, self._raw.close)  # also where nobody ends us any more
        self.sock = _Bounded(self._raw, self._left)

    def end(self) -> None:
        """Close the socket, which an answer may still have been read from."""
        self.close()
        if self._raw is not None:
            self._raw.close()


class _Bounded:
    """What http.client uses of a socket, each wait cut to the deadline."""

    def __init__(self, raw: socket.socket, left: Callable[[], float]) -> None:
        self._raw = raw
        self._left = left

    def sendall(self, data: bytes) -> None:
        self._raw.settimeout(self._left())
        self._raw.sendall(data)

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Reader(self._raw, self._left))

    def close(self) -> None:
        """Left to the connection's end: http.client closes before it reads."""


class _Reader(io.RawIOBase):
    def __init__(self, raw: socket.socket, left: Callable[[], float]) -> None:
        self._raw = raw
        self._left = left

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        self._raw.settimeout(self._left())
        return self._raw.recv_into(buffer)
