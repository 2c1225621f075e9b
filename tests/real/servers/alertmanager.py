"""A real Alertmanager.

with Alertmanager.running(config) as alertmanager:
    alertmanager.send([{"labels": {"alertname": "Burning"}}])
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from tests.real.servers.http import call, ok
from tests.real.servers.process import Process, folder, found, free_ports

READY_SECONDS = 60


class Alertmanager:
    """A server on 127.0.0.1 whose configuration lies in `where`."""

    def __init__(self, where: Path) -> None:
        self._where = where
        (self.port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{self.port}"
        self._process: Process | None = None

    @classmethod
    @contextmanager
    def running(cls, config: str) -> Iterator[Self]:
        """A fresh server with this configuration, gone with its data afterwards.

        Raises Missing where Alertmanager is not installed.
        """
        with folder("alertmanager") as where:
            (where / "alertmanager.yml").write_text(config)
            server = cls(where)
            server.start()
            try:
                yield server
            finally:
                server.kill()

    def start(self) -> None:
        """Starts the server, again if it was stopped, on the same port and data."""
        command = [
            found("prometheus-alertmanager", "prometheus-alertmanager"),
            *(f"--config.file={self._where}/alertmanager.yml",),
            *(f"--storage.path={self._where}/data",),
            *(f"--web.listen-address=127.0.0.1:{self.port}",),
            *("--cluster.listen-address=", "--log.level=warn"),
        ]
        self._process = Process(command, self._where / "log")
        self._process.wait_until(lambda: ok(f"{self.url}/-/ready"), READY_SECONDS)

    def kill(self) -> None:
        """Ends the server as a crash would."""
        if self._process:
            self._process.kill()

    def send(self, alerts: list[dict[str, Any]]) -> None:
        """Posts alerts, as Prometheus does."""
        call(f"{self.url}/api/v2/alerts", "POST", alerts)

    def alerts(self) -> list[Any]:
        """The alerts that it holds."""
        held: list[Any] = call(f"{self.url}/api/v2/alerts")
        return held
