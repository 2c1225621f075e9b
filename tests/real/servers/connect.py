"""A real Kafka Connect worker with Debezium for PostgreSQL and MariaDB.

    with Connect.running(kafka.bootstrap) as connect:
        connect.create("orders", connect.postgres(postgres, "shop", "orders"))
        connect.wait_running("orders")

Topics are created by Connect itself, with one partition.
"""

import itertools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from tests.ground.jars import jars
from tests.real.servers.http import call, ok
from tests.real.servers.java import java
from tests.real.servers.mariadb import MariaDB
from tests.real.servers.postgres import Postgres
from tests.real.servers.process import Process, folder, free_ports

READY_SECONDS = 120
SETTINGS = """
bootstrap.servers={bootstrap}
listeners=http://127.0.0.1:{port}
key.converter=org.apache.kafka.connect.json.JsonConverter
value.converter=org.apache.kafka.connect.json.JsonConverter
key.converter.schemas.enable=false
value.converter.schemas.enable=false
offset.storage.file.filename={folder}/offsets
offset.flush.interval.ms=1000
plugin.path={folder}/plugins
plugin.discovery=service_load
"""
EVERY_CONNECTOR = {
    "tasks.max": "1",
    "topic.creation.default.replication.factor": "1",
    "topic.creation.default.partitions": "1",
    "heartbeat.interval.ms": "1000",
    "provide.transaction.metadata": "true",
    "tombstones.on.delete": "true",
    "poll.interval.ms": "100",
}
_server_ids = itertools.count(7001)


def _debezium(database: str, kind: str) -> str:
    return f"io.debezium.connector.{database}.{kind}Connector"


def postgres_connector(
    postgres: Postgres, database: str, prefix: str, **more: str
) -> dict[str, str]:
    """A Debezium connector's configuration for one PostgreSQL database.

    `more` adds or overrides settings, with underscores for dots.
    """
    return {
        **EVERY_CONNECTOR,
        "connector.class": _debezium("postgresql", "Postgres"),
        "database.hostname": postgres.host,
        "database.port": str(postgres.port),
        "database.user": postgres.user,
        "database.dbname": database,
        "topic.prefix": prefix,
        "plugin.name": "pgoutput",
        "slot.name": prefix.replace("-", "_").replace(".", "_"),
        **{key.replace("_", "."): value for key, value in more.items()},
    }


def mariadb_connector(
    mariadb: MariaDB, prefix: str, bootstrap: str, **more: str
) -> dict[str, str]:
    """A Debezium connector's configuration for a MariaDB server.

    `more` adds or overrides settings, with underscores for dots.
    """
    return {
        **EVERY_CONNECTOR,
        "connector.class": _debezium("mariadb", "MariaDb"),
        "database.hostname": mariadb.host,
        "database.port": str(mariadb.port),
        "database.user": mariadb.user,
        "database.password": mariadb.password,
        "database.server.id": str(next(_server_ids)),
        "topic.prefix": prefix,
        "schema.history.internal.kafka.bootstrap.servers": bootstrap,
        "schema.history.internal.kafka.topic": f"schema-history.{prefix}",
        **{key.replace("_", "."): value for key, value in more.items()},
    }


class Connect:
    """A standalone worker; it forgets its connectors when it ends, we do not.

    Its source offsets lie in a file, written every second and by `stop`: a worker that
    is killed and started again re-sends what came after the last time.
    """

    def __init__(self, where: Path, bootstrap: str) -> None:
        self._where = where
        self._jars = jars("connect")
        (self.port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{self.port}"
        self._settings = where / "worker.properties"
        (where / "plugins").mkdir()  # an empty path would mean the whole disk
        self._settings.write_text(
            SETTINGS.format(bootstrap=bootstrap, port=self.port, folder=where)
        )
        self._connectors: dict[str, Mapping[str, str]] = {}
        self._process: Process | None = None

    @classmethod
    @contextmanager
    def running(cls, bootstrap: str) -> Iterator[Self]:
        """A fresh worker beside the broker at `bootstrap`.

        Raises Missing where Java, Maven or the jars cannot be had.
        """
        with folder("connect") as where:
            worker = cls(where, bootstrap)
            worker.start()
            try:
                yield worker
            finally:
                worker.kill()

    def start(self) -> None:
        """Starts the worker, again if it was stopped, and its connectors with it."""
        main = "org.apache.kafka.connect.cli.ConnectStandalone"
        command = java(self._jars, main, str(self._settings))
        self._process = Process(command, self._where / "log")
        self._process.wait_until(lambda: ok(f"{self.url}/connectors"), READY_SECONDS)
        for name, config in self._connectors.items():
            self.create(name, config)

    def stop(self) -> None:
        """Shuts the worker down in good order; offsets and connectors are kept."""
        if self._process:
            self._process.stop()

    def kill(self) -> None:
        """Ends the worker as a crash would."""
        if self._process:
            self._process.kill()

    def create(self, name: str, config: Mapping[str, str]) -> None:
        """Creates a connector, or changes it; raises with Connect's own words."""
        self._connectors[name] = config
        call(f"{self.url}/connectors/{name}/config", "PUT", dict(config))

    def delete(self, name: str) -> None:
        """Removes a connector."""
        self._connectors.pop(name, None)
        call(f"{self.url}/connectors/{name}", "DELETE")

    def status(self, name: str) -> dict[str, Any]:
        """Connect's answer about a connector and its tasks."""
        answer: dict[str, Any] = call(f"{self.url}/connectors/{name}/status")
        return answer

    def states(self, name: str) -> set[str]:
        """The states of a connector and its tasks: RUNNING, PAUSED, FAILED, ..."""
        status = self.status(name)
        return {part["state"] for part in [status["connector"], *status["tasks"]]}

    def pause(self, name: str) -> None:
        """Asks the connector to pause; its tasks stay, and read no more."""
        call(f"{self.url}/connectors/{name}/pause", "PUT")

    def resume(self, name: str) -> None:
        """Asks a paused or stopped connector to go on."""
        call(f"{self.url}/connectors/{name}/resume", "PUT")

    def halt(self, name: str) -> None:
        """Asks the connector to stop; its tasks end."""
        call(f"{self.url}/connectors/{name}/stop", "PUT")

    def wait_running(self, name: str, seconds: float = 120) -> None:
        """Returns when the connector and a task run; raises with a failed one's trace."""
        if self._process is None:
            msg = "the worker is not started"
            raise RuntimeError(msg)
        self._process.wait_until(lambda: self._runs(name), seconds)

    def _runs(self, name: str) -> bool:
        try:
            status = self.status(name)
        except RuntimeError:  # 404 until the worker has taken it up
            return False
        for part in [status["connector"], *status["tasks"]]:
            if part["state"] == "FAILED":
                raise RuntimeError(part["trace"])
        return bool(status["tasks"]) and self.states(name) == {"RUNNING"}
