"""What every test may ask for: captures by folder, real servers by name.

A part that is missing is skipped and counted at the end; under CI=true any skip is a
failure, so that a green run has run everything.
"""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

import pytest

from tests.ground.cache import Missing
from tests.real.servers.kafka import Kafka

pytest_plugins = ["tests.ground.closing"]

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
