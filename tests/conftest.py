"""What every test may ask for: captures by folder, real servers by name.

A part that is missing is skipped and counted at the end; under CI=true any skip is a
failure, so that a green run has run everything.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import settings

from tests.ground.cache import Missing
from tests.ground.newer import newer
from tests.real.servers.alertmanager import Alertmanager
from tests.real.servers.connect import Connect
from tests.real.servers.kafka import Kafka
from tests.real.servers.mariadb import MariaDB
from tests.real.servers.postgres import Postgres
from tests.real.servers.process import found
from tests.real.servers.prometheus import Prometheus

pytest_plugins = ["tests.ground.closing"]

# A law holds however busy the machine is.
settings.register_profile("dbslo", deadline=None)
settings.load_profile("dbslo")

Server = TypeVar("Server")


def _captures(variable: str) -> Path:
    folder = os.environ.get(variable)
    if not folder:
        pytest.skip(f"{variable} is not set: it names a folder of captures")
    path = Path(folder)
    if not path.is_dir():
        pytest.fail(f"{variable}={folder} is not a folder")
    return path


@pytest.fixture(scope="session")
def samples() -> Path:
    """The folder of captured payloads, one folder per format, of DBSLO_SAMPLES."""
    return _captures("DBSLO_SAMPLES")


@pytest.fixture(scope="session")
def cases() -> Path:
    """The folder of capture cases with their expectations, of DBSLO_CASES."""
    return _captures("DBSLO_CASES")


@contextmanager
def _real(running: AbstractContextManager[Server]) -> Iterator[Server]:
    with ExitStack() as stack:
        try:
            server = stack.enter_context(running)
        except Missing as missing:
            pytest.skip(str(missing))
        yield server


@pytest.fixture(scope="session")
def kafka() -> Iterator[Kafka]:
    """One real broker for the whole run; take topics from `kafka.topic(...)`."""
    with _real(Kafka.running()) as broker:
        yield broker


@pytest.fixture
def fresh_kafka() -> Iterator[Kafka]:
    """A broker of the test's own, to stop, kill and restart."""
    with _real(Kafka.running()) as broker:
        yield broker


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One real server for the whole run; take databases from `.database(...)`."""
    with _real(Postgres.running()) as server:
        yield server


@pytest.fixture
def fresh_postgres() -> Iterator[Postgres]:
    """A server of the test's own, to stop, kill and restart."""
    with _real(Postgres.running()) as server:
        yield server


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDB]:
    """One real server for the whole run; create databases of unique names in it."""
    with _real(MariaDB.running()) as server:
        yield server


@pytest.fixture
def fresh_mariadb() -> Iterator[MariaDB]:
    """A server of the test's own, to stop, kill and restart."""
    with _real(MariaDB.running()) as server:
        yield server


@pytest.fixture
def connect(kafka: Kafka) -> Iterator[Connect]:
    """A Kafka Connect worker of the test's own, beside the run's broker."""
    with _real(Connect.running(kafka.bootstrap)) as worker:
        yield worker


@pytest.fixture
def prometheus() -> Iterator[Callable[..., Prometheus]]:
    """Starts servers: `prometheus(config, {"rules.yml": text})`."""
    with ExitStack() as stack:

        def start(config: str, files: Mapping[str, str] | None = None) -> Prometheus:
            return stack.enter_context(_real(Prometheus.running(config, files)))

        yield start


@pytest.fixture
def alertmanager() -> Iterator[Callable[[str], Alertmanager]]:
    """Starts servers: `alertmanager(config)`."""
    with ExitStack() as stack:

        def start(config: str) -> Alertmanager:
            return stack.enter_context(_real(Alertmanager.running(config)))

        yield start


@pytest.fixture(scope="session")
def promtools() -> dict[str, str]:
    """Paths of promtool by major version, "2" and "3"."""
    return _tools("promtool", "prometheus", "2", "3")


@pytest.fixture(scope="session")
def amtools() -> dict[str, str]:
    """Paths of amtool, "Debian's" and "newer" (0.33 or later)."""
    return _tools("amtool", "prometheus-alertmanager", "Debian's", "newer")


def _tools(name: str, package: str, old: str, new: str) -> dict[str, str]:
    try:
        return {old: found(name, package), new: newer(name)}
    except Missing as missing:
        pytest.skip(str(missing))
