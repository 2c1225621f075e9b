"""An HTTP server on 127.0.0.1 whose next answers can be ordered, faults included."""

import socket
import threading
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import msgspec


class Reply(msgspec.Struct, frozen=True):
    """An answer: status, body, headers. `drop` closes the connection instead.

    `hold` waits for `LoopbackServer.release` before the answer, `trickle` sends the
    header a byte at a time until released.
    """

    status: int
    body: bytes = b""
    headers: dict[str, str] = {}
    content_type: str = "application/json"
    drop: bool = False
    hold: bool = False
    trickle: bool = False


class Request(msgspec.Struct, frozen=True):
    """A request that came in."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


Answering = Callable[[Request], Reply]


class LoopbackServer:
    """Answers by `answering`, or as the next ordered reply says.

    A context manager; binds a free port when it starts.
    """

    def __init__(self, answering: Answering) -> None:
        self._answering = answering
        self._ordered: deque[Reply] = deque()
        self._requests: list[Request] = []
        self._lock = threading.Lock()
        self.released = threading.Event()
        self._server = _Server(self._answer, self.released)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), daemon=True
        )

    @property
    def url(self) -> str:
        """Scheme, host and port."""
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def requests(self) -> tuple[Request, ...]:
        """Every POST so far, those that were answered with a fault included."""
        with self._lock:
            return tuple(self._requests)

    def order(self, *replies: Reply) -> None:
        """Answer the next POSTs with these, one each, before all else."""
        with self._lock:
            self._ordered.extend(replies)

    def release(self) -> None:
        """Let go of every held answer, now and later."""
        self.released.set()

    def start(self) -> None:
        """Begin to serve, in a thread."""
        self._thread.start()

    def stop(self) -> None:
        """End, and release the port."""
        self.release()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._server.hang_up()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _answer(self, request: Request) -> Reply:
        if request.method == "POST":
            with self._lock:
                self._requests.append(request)
                if self._ordered:
                    return self._ordered.popleft()
        return self._answering(request)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, answer: Answering, released: threading.Event) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer = answer
        self.released = released
        self._open: set[Any] = set()

    def get_request(self) -> tuple[Any, Any]:
        """A connection comes; a client that is idle keeps it."""
        request, address = super().get_request()
        self._open.add(request)
        return request, address

    def shutdown_request(self, request: Any) -> None:
        """A connection ends."""
        self._open.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        """End every connection: a server that is gone answers nobody any more."""
        for request in list(self._open):
            with suppress(OSError):
                request.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that has gone away is what some of the ordered faults are for."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self._reply()

    def do_POST(self) -> None:
        self._reply()

    def log_message(self, *_: object) -> None:
        """Silent: the caller reads `requests`."""

    def _reply(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        headers: Mapping[str, str] = dict(self.headers.items())
        body = self.rfile.read(length)
        reply = self.server.answer(
            Request(self.command, self.path, dict(headers), body)
        )
        if reply.hold:
            self.server.released.wait()
        if reply.drop or reply.trickle:
            self.close_connection = True
        if reply.drop:
            return
        if reply.trickle:
            self._trickle()
            return
        self.send_response(reply.status)
        self.send_header("Content-Type", reply.content_type)
        self.send_header("Content-Length", str(len(reply.body)))
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(reply.body)

    def _trickle(self) -> None:
        self.wfile.write(b"HTTP/1.1 202 Accepted\r\nX-Slow: ")
        while not self.server.released.wait(0.02):
            self.wfile.write(b".")
