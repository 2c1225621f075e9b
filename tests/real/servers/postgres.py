"""A real PostgreSQL server, with logical decoding switched on.

with Postgres.running() as postgres:
    psycopg.connect(postgres.dsn())                 # libpq keywords
    Store(postgres.url(postgres.database()))        # SQLAlchemy, a fresh database
"""

import itertools
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import psycopg

from tests.real.servers.process import (
    Process,
    as_user,
    folder,
    found,
    free_ports,
    run,
)

READY_SECONDS = 30
USER = "dbslo"
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "fsync": "off",  # the machine does not crash under our tests, only processes do
    "wal_level": "logical",
    "max_connections": "100",
    "max_wal_senders": "10",
    "max_replication_slots": "10",
}


def _binary(name: str) -> str:
    versions = Path("/usr/lib/postgresql").glob("*/bin")
    newest = sorted(versions, key=lambda path: -int(path.parent.name))
    return found(name, "postgresql", *map(str, newest))


class Postgres:
    """A server on 127.0.0.1 with its data in `where`; every local user is trusted."""

    host = "127.0.0.1"
    user = USER

    def __init__(self, where: Path, owner: str | None) -> None:
        self._owner = owner
        self._log = where / "log"
        self._data = where / "data"
        (self.port,) = free_ports(1)
        self._names = itertools.count(1)
        self._process: Process | None = None

    @classmethod
    @contextmanager
    def running(cls) -> Iterator[Self]:
        """A fresh server, gone with its data afterwards.

        Raises Missing where PostgreSQL is not installed.
        """
        initdb = _binary("initdb")
        owner = as_user("postgres")
        with folder("postgres", owner) as where:
            server = cls(where, owner)
            options = ("-U", USER, "-A", "trust", "-E", "UTF8", "--locale=C", "-N")
            run([initdb, "-D", str(server._data), *options], user=owner)
            server.start()
            try:
                yield server
            finally:
                server.stop()

    def start(self) -> None:
        """Starts the server, again if it was stopped, on the same port and data."""
        settings = {**SETTINGS, "port": self.port, "unix_socket_directories": ""}
        options = [f"--{name}={value}" for name, value in settings.items()]
        command = [_binary("postgres"), "-D", str(self._data), *options]
        self._process = Process(command, self._log, user=self._owner)
        self._process.wait_until(self._answers, READY_SECONDS)

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.dsn()).close()
        except psycopg.OperationalError:
            return False
        return True

    def stop(self) -> None:
        """Shuts the server down, with its clients' connections; its data stays."""
        if self._process:
            self._process.stop(signal.SIGINT)

    def kill(self) -> None:
        """Ends the server as a crash would."""
        if self._process:
            self._process.kill()

    def dsn(self, database: str = "postgres") -> str:
        """What `psycopg.connect` takes."""
        return f"host={self.host} port={self.port} user={USER} dbname={database}"

    def url(self, database: str = "postgres") -> str:
        """What SQLAlchemy takes."""
        return f"postgresql+psycopg://{USER}@{self.host}:{self.port}/{database}"

    def database(self, stem: str = "test") -> str:
        """Creates a database of a name that no other test has; returns the name."""
        name = f"{stem}_{next(self._names)}"
        with psycopg.connect(self.dsn(), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"')
        return name
