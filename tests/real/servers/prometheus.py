"""A real Prometheus server.

with Prometheus.running(config, {"rules.yml": rules}) as prometheus:
    prometheus.query("up")
"""

import urllib.parse
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from tests.real.servers.http import call, ok
from tests.real.servers.process import Process, folder, found, free_ports

READY_SECONDS = 60


class Prometheus:
    """A server on 127.0.0.1 whose configuration lies in `where`."""

    def __init__(self, where: Path) -> None:
        self._where = where
        (self.port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{self.port}"
        self._process: Process | None = None

    @classmethod
    @contextmanager
    def running(
        cls, config: str, files: Mapping[str, str] | None = None
    ) -> Iterator[Self]:
        """A fresh server with this configuration, gone with its data afterwards.

        `files` lie beside the configuration, for `rule_files` and the like. Raises
        Missing where Prometheus is not installed.
        """
        with folder("prometheus") as where:
            for name, text in {**(files or {}), "prometheus.yml": config}.items():
                (where / name).write_text(text)
            server = cls(where)
            server.start()
            try:
                yield server
            finally:
                server.kill()

    def start(self) -> None:
        """Starts the server, again if it was stopped, on the same port and data."""
        command = [
            found("prometheus", "prometheus"),
            *(f"--config.file={self._where}/prometheus.yml",),
            *(f"--storage.tsdb.path={self._where}/data",),
            *(f"--web.listen-address=127.0.0.1:{self.port}", "--log.level=warn"),
        ]
        self._process = Process(command, self._where / "log")
        self._process.wait_until(lambda: ok(f"{self.url}/-/ready"), READY_SECONDS)

    def kill(self) -> None:
        """Ends the server as a crash would."""
        if self._process:
            self._process.kill()

    def query(self, expression: str, at_seconds: float | None = None) -> list[Any]:
        """The result vector of an instant query, at a Unix time or now."""
        asked = {"query": expression}
        if at_seconds is not None:
            asked["time"] = str(at_seconds)
        parameters = urllib.parse.urlencode(asked)
        result: list[Any] = call(f"{self.url}/api/v1/query?{parameters}")["data"][
            "result"
        ]
        return result
