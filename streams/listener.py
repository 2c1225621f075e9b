"""The HTTP listener beside the engine: /metrics for Prometheus, /healthz for a probe."""

from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from threading import Thread
from typing import Self
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.registry import Collector

Health = Callable[[], list[str]]
"""What is wrong with the engine now, one sentence each; an empty list is health."""


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

    Start it with `start()` or a `with` block; `url` is known from then on.
    """

    def __init__(
        self, host: str, port: int, collector: Collector, health: Health
    ) -> None:
        self._address = (host, port)
        registry = CollectorRegistry(auto_describe=False)
        registry.register(collector)
        self._metrics: WSGIApplication = make_wsgi_app(registry)
        self._health = health
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
        if path == "/metrics":
            return self._metrics(environ, start)
        if path == "/healthz":
            wrong = self._health()
            status = "503 Service Unavailable" if wrong else "200 OK"
            return _text(start, status, "\n".join(wrong) or "ok")
        return _text(start, "404 Not Found", "/metrics and /healthz are served here")


def _text(start: StartResponse, status: str, body: str) -> Iterable[bytes]:
    start(status, [("Content-Type", "text/plain; charset=utf-8")])
    return [f"{body}\n".encode()]
