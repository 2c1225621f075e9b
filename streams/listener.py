"""The HTTP listener beside the engine: /metrics for Prometheus, and what probes ask.

A token guards /metrics alone: probes carry none, and are told nothing but sentences.
"""

import hmac
from collections.abc import Callable, Iterable, Mapping
from socketserver import ThreadingMixIn
from threading import Thread
from typing import NamedTuple, Self
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server
from wsgiref.types import StartResponse, WSGIEnvironment

from streams.exposition import metrics_app
from streams.metrics import EngineCollector

ALIVE = "/healthz"
READY = "/readyz"


class Standing(NamedTuple):
    """What a probe is told, one sentence each; notes are told and change no answer."""

    wrong: list[str]
    notes: list[str]


Probes = Mapping[str, Callable[[], Standing]]
"""Paths, each with how things stand there now."""


class _Quiet(WSGIRequestHandler):
    """A probe every few seconds is no news."""

    timeout = 10

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""


class _Server(ThreadingMixIn, WSGIServer):
    """A thread a request: one client that dawdles must not keep a probe waiting."""

    daemon_threads = True
    allow_reuse_address = True

    def server_bind(self) -> None:
        """Bind without asking a name server for our own name, which may take seconds."""
        super(WSGIServer, self).server_bind()
        host, port = self.server_address[:2]
        self.server_name, self.server_port = str(host), int(port)
        self.setup_environ()


class Listener:
    """Serves a collector on a host and port; port 0 takes a free one.

    Start it with `start()` or a `with` block; `url` is known from then on. Where there
    is a `token`, /metrics is for those who bear it.
    """

    def __init__(
        self,
        host: str,
        port: int,
        collector: EngineCollector,
        probes: Probes,
        token: str = "",
    ) -> None:
        self._address = (host, port)
        self._metrics = metrics_app(collector)
        self._probes = probes
        self._token = token
        self._server: WSGIServer | None = None
        self._thread: Thread | None = None

    def start(self) -> Self:
        """Bind and serve in a thread. Raises OSError where the address is taken."""
        host, port = self._address
        self._server = make_server(
            host, port, self._answer, server_class=_Server, handler_class=_Quiet
        )
        self._thread = Thread(
            target=self._server.serve_forever, name="metrics", daemon=True
        )
        self._thread.start()
        return self

    @property
    def url(self) -> str:
        """Where the listener answers, without a path."""
        host, port = self._server.server_address[:2] if self._server else self._address
        return f"http://{host!s}:{port}"

    def stop(self) -> None:
        """Stop serving; a scrape under way is finished."""
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()
            self._server = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _answer(
        self, environ: WSGIEnvironment, start: StartResponse
    ) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path in self._probes:
            found = self._probes[path]()
            status = "503 Service Unavailable" if found.wrong else "200 OK"
            notes = [f"note: {one}" for one in found.notes]
            return _text(start, status, "\n".join(found.wrong + notes) or "ok")
        if path != "/metrics":
            served = ", ".join(["/metrics", *self._probes])
            return _text(start, "404 Not Found", f"served here: {served}")
        if not self._admits(environ.get("HTTP_AUTHORIZATION", "")):
            asked = ("WWW-Authenticate", 'Bearer realm="dbslo"')
            said = "a token is needed: Authorization: Bearer ..."
            return _text(start, "401 Unauthorized", said, asked)
        return self._metrics(environ, start)

    def _admits(self, authorization: str) -> bool:
        """Whether somebody bears the token; how long that takes tells nothing of it."""
        if not self._token:
            return True
        scheme, _, given = authorization.partition(" ")
        same = hmac.compare_digest(given.strip().encode(), self._token.encode())
        return scheme.lower() == "bearer" and same


def _text(
    start: StartResponse, status: str, body: str, *headers: tuple[str, str]
) -> Iterable[bytes]:
    start(status, [("Content-Type", "text/plain; charset=utf-8"), *headers])
    return [f"{body}\n".encode()]
