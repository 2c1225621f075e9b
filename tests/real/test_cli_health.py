"""Workers that are told to stop, and workers whose store stands still."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import psycopg
import pytest
from confluent_kafka import IsolationLevel, TopicPartition
from confluent_kafka.admin import OffsetSpec

from streams.kafka import Connection
from streams.runtimes.survey import Kafka, members
from tests.real.servers.postgres import Postgres
from tests.real.test_cli_kafka import ROOT, Programs, lag, minutes

pytestmark = pytest.mark.real

OBSERVATIONS = "dbslo.observations"


class Worker:
    """`dbslo ...` as a process with a slot of its own."""

    def __init__(self, programs: Programs, slot: str, *args: str, **more: str) -> None:
        self.path = programs.folder / f"{args[0]}-{slot}.log"
        with self.path.open("a") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "dbslo", *args, "--json"],
                cwd=ROOT,
                env=programs.env | {"DBSLO_SLOT": slot} | more,
                stdout=log,
                stderr=log,
            )

    def probe(self, path: str) -> tuple[int, str]:
        """What a probe is told; 0 where nobody listens yet."""
        found = re.search(
            r"^metrics +(\S+)/metrics", self.path.read_text(), re.MULTILINE
        )
        if found is None:
            return 0, ""
        try:
            with urlopen(found[1] + path, timeout=30) as answer:
                return answer.status, answer.read().decode()
        except HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def held(self) -> set[int]:
        """The partitions that it evaluates, by its own metrics."""
        _, said = self.probe("/metrics")
        pattern = r'^dbslo_checkpoint_age_seconds\{.*partition="(\d+)"'
        return {int(number) for number in re.findall(pattern, said, re.MULTILINE)}

    def stop(self) -> tuple[int, float]:
        """SIGTERM: the exit code, and how many seconds it took."""
        begun = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(40), time.monotonic() - begun


@contextmanager
def workers(*made: Worker) -> Iterator[None]:
    try:
        yield
    except AssertionError as error:
        for one in made:
            error.add_note(f"{one.path.name}: {one.path.read_text()[-3000:]}")
        raise
    finally:
        for one in made:
            one.process.kill()
            one.process.wait()


def soon(what: str, holds: Callable[[], object], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, what
        time.sleep(0.02)


@pytest.fixture
def programs(fresh_kafka, postgres, tmp_path: Path) -> Programs:
    for topic in ("cloudwatch", "datadog"):
        fresh_kafka.create(topic, 2)
    made = Programs(fresh_kafka.bootstrap, tmp_path)
    made.env["DBSLO_STORE"] = postgres.url(postgres.database())
    return made


def open_transactions(kafka) -> dict[int, int]:
    """How many records of each partition are not yet decided about."""
    admin, ends = kafka.admin(), []
    for level in (IsolationLevel.READ_UNCOMMITTED, IsolationLevel.READ_COMMITTED):
        wanted = {TopicPartition(OBSERVATIONS, n): OffsetSpec.latest() for n in (0, 1)}
        asked = admin.list_offsets(wanted, isolation_level=level)
        ends.append({tp.partition: f.result().offset for tp, f in asked.items()})
    return {n: ends[0][n] - ends[1][n] for n in (0, 1)}


@pytest.mark.parametrize("runtime", ["native", "faust"])
def test_a_worker_that_is_told_to_stop_leaves_nothing_in_doubt(
    programs, fresh_kafka, runtime
):
    starts = minutes(5)
    evaluate = ("evaluate", "--runtime", runtime)
    ingest = Worker(programs, "0", "ingest")
    first, second = (Worker(programs, slot, *evaluate) for slot in ("0", "1"))
    kafka = Kafka(Connection(fresh_kafka.bootstrap))
    with workers(ingest, first, second):
        programs.produce(*(lag(start, 0.4) for start in starts[:2]))
        soon("both are ready", lambda: first.probe("/readyz")[0] == 200)
        soon("both are ready", lambda: second.probe("/readyz")[0] == 200)
        soon("both are counted", lambda: len(programs.ledger()) == 2)

        soon("each holds one", lambda: first.held() | second.held() == {0, 1})

        code, seconds = first.stop()
        assert (code, seconds < 10) == (0, True)
        begun = time.monotonic()
        soon("the other holds both", lambda: second.held() == {0, 1})
        assert time.monotonic() - begun < 2, "taken over late"

        code, seconds = ingest.stop()
        assert (code, seconds < 10) == (0, True)
        assert open_transactions(fresh_kafka) == {0: 0, 1: 0}
        assert second.stop()[0] == 0
        assert list(members(kafka)) == []


def postgres_processes(server: Postgres) -> list[int]:
    """The server's own, and each that serves a connection."""
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        found = connection.execute("select pid from pg_stat_activity").fetchall()
        mine = connection.info.backend_pid
    first = int((server._data / "postmaster.pid").read_text().split()[0])
    return [first, *(pid for (pid,) in found if pid != mine)]


def test_a_store_that_stands_still_is_waited_for_and_its_worker_lives(
    programs, fresh_postgres
):
    programs.env["DBSLO_STORE"] = fresh_postgres.url(fresh_postgres.database())
    starts = minutes(4)
    ingest = Worker(programs, "0", "ingest")
    evaluate = Worker(programs, "0", "evaluate", DBSLO_STUCK_SECONDS="4")
    with workers(ingest, evaluate):
        programs.produce(*(lag(start, 0.4) for start in starts[:2]))
        soon("all is counted", lambda: len(programs.ledger()) == 2)
        soon("it is ready", lambda: evaluate.probe("/readyz") == (200, "ok\n"))
        processes = postgres_processes(fresh_postgres)
        for pid in processes:
            os.kill(pid, signal.SIGSTOP)
        try:
            waits = "note: the store does not answer\n"
            soon("it is said", lambda: evaluate.probe("/healthz") == (200, waits))
            paused = time.monotonic()
            soon("time passes", lambda: time.monotonic() - paused > 7)
            assert evaluate.process.poll() is None
        finally:
            for pid in processes:
                os.kill(pid, signal.SIGCONT)
        programs.produce(*(lag(start, 0.4) for start in starts[2:]))
        soon("it goes on", lambda: len(programs.ledger()) == 4)
        soon("it is ready", lambda: evaluate.probe("/readyz") == (200, "ok\n"))
        assert evaluate.stop()[0] == 0
