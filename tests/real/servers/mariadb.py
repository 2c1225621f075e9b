"""A real MariaDB server that writes a binary log of rows.

    with MariaDB.running() as mariadb:
        mariadb.execute("CREATE DATABASE shop")

Its user `dbslo` may do everything. Statements go through the client that comes with
the server: the project has no MySQL driver of its own.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from tests.real.servers.process import (
    Process,
    as_user,
    folder,
    found,
    free_ports,
    run,
)

READY_SECONDS = 60
USER = "dbslo"
PASSWORD = "dbslo"  # Debezium will not connect without one
SBIN = "/usr/sbin"  # not on every user's PATH
GRANT = f"""
CREATE USER '{USER}'@'127.0.0.1' IDENTIFIED BY '{PASSWORD}';
GRANT ALL PRIVILEGES ON *.* TO '{USER}'@'127.0.0.1' WITH GRANT OPTION;
"""
OPTIONS = (
    "--bind-address=127.0.0.1",
    "--skip-name-resolve",
    "--log-bin=binlog",
    "--binlog-format=ROW",
    "--binlog-row-image=FULL",
    "--server-id=7",
    "--innodb-buffer-pool-size=32M",
    "--innodb-flush-log-at-trx-commit=0",
)


class MariaDB:
    """A server on 127.0.0.1 with its data in `where`."""

    host = "127.0.0.1"
    user = USER
    password = PASSWORD

    def __init__(self, where: Path, owner: str | None) -> None:
        self._where = where
        self._owner = owner
        self._data = where / "data"
        (self.port,) = free_ports(1)
        self._process: Process | None = None

    @classmethod
    @contextmanager
    def running(cls) -> Iterator[Self]:
        """A fresh server, gone with its data afterwards.

        Raises Missing where MariaDB is not installed.
        """
        install = found("mariadb-install-db", "mariadb-server")
        owner = as_user("mysql")
        with folder("mariadb", owner) as where:
            server = cls(where, owner)
            run(
                [
                    *(install, "--no-defaults", f"--datadir={server._data}"),
                    *("--auth-root-authentication-method=normal", "--skip-test-db"),
                ],
                user=owner,
            )
            server.start()
            server._client("-uroot", f"--socket={server._socket}", "-e", GRANT)
            try:
                yield server
            finally:
                server.kill()

    @property
    def _socket(self) -> Path:
        return self._where / "socket"

    def start(self) -> None:
        """Starts the server, again if it was stopped, on the same port and data."""
        command = [
            *(found("mariadbd", "mariadb-server", SBIN), "--no-defaults"),
            *(f"--datadir={self._data}", f"--socket={self._socket}"),
            *(f"--pid-file={self._where}/pid", f"--port={self.port}", *OPTIONS),
        ]
        self._process = Process(command, self._where / "log", user=self._owner)
        self._process.wait_until(self._answers, READY_SECONDS)

    def _answers(self) -> bool:
        try:
            self._client("-uroot", f"--socket={self._socket}", "-e", "SELECT 1")
        except RuntimeError:
            return False
        return True

    def stop(self) -> None:
        """Shuts the server down in good order; its data stays."""
        if self._process:
            self._process.stop()

    def kill(self) -> None:
        """Ends the server as a crash would."""
        if self._process:
            self._process.kill()

    def execute(self, sql: str, database: str = "") -> list[list[str]]:
        """Runs statements; returns the rows of the last, as text."""
        login = (f"-u{USER}", f"-p{PASSWORD}", f"-h{self.host}", f"-P{self.port}")
        printed = self._client(*login, "-N", "-B", "-e", sql, database)
        return [line.split("\t") for line in printed.splitlines()]

    def _client(self, *arguments: str) -> str:
        client = found("mariadb", "mariadb-client")
        return run([client, "--no-defaults", *filter(None, arguments)])
