"""`dbslo ingest`, `evaluate`, `run` and `deadletter` as programs, on a real broker."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from confluent_kafka import Producer, TopicPartition

from dbslo.demo import fleet, wire
from slo.model import MINUTE
from tests.real.servers.kafka import QUIET

pytestmark = pytest.mark.real

ROOT = Path(__file__).parents[2]
FOLDER = Path(str(fleet.FLEET))
SERIES = "rds-replicas-fresh/payments-1-r1"


class Programs:
    """The command line with one environment, and the workers that it started."""

    def __init__(self, bootstrap: str, folder: Path) -> None:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("DBSLO_")}
        self.env = kept | {
            "DBSLO_KAFKA": bootstrap,
            "DBSLO_STORE": f"sqlite:///{folder}/store.sqlite",
            "DBSLO_INVENTORY": str(FOLDER / "inventory.yaml"),
            "DBSLO_SPECS": str(FOLDER / "slos.yaml"),
            "DBSLO_METRICS_LISTEN": "127.0.0.1:0",
            "DBSLO_PARTITIONS": "2",
        }
        self.folder = folder
        self.producer = Producer({"bootstrap.servers": bootstrap, **QUIET})

    @contextmanager
    def worker(self, *args: str) -> Iterator[subprocess.Popen]:
        """A worker for as long as the block runs; it must end cleanly when told."""
        path = self.folder / f"{args[0]}.log"
        with path.open("a") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "dbslo", *args, "--json"],
                cwd=ROOT,
                env=self.env,
                stdout=log,
                stderr=log,
            )
        try:
            yield process
            process.send_signal(signal.SIGTERM)
            assert process.wait(40) == 0, path.read_text()
        finally:
            process.kill()
            process.wait()

    def ask(self, *args: str) -> subprocess.CompletedProcess[str]:
        """A command to its end."""
        return subprocess.run(
            [sys.executable, "-m", "dbslo", *args],
            cwd=ROOT,
            env=self.env,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def ledger(self) -> dict[int, list[int]]:
        """Bucket start to [good, total] of the one series."""
        found = self.ask("ledger", "--dump")
        lines = [line.split("\t") for line in found.stdout.splitlines()]
        return {int(at): [int(g), int(t)] for s, at, g, t in lines if s == SERIES}

    def logs(self) -> str:
        return "\n".join(p.read_text()[-3000:] for p in self.folder.glob("*.log"))

    def until(self, holds: Callable[[], object]) -> None:
        """Wait until something holds."""
        give_up_at = time.monotonic() + 60
        while not holds():
            assert time.monotonic() < give_up_at, self.logs()
            time.sleep(0.2)

    def produce(self, *values: bytes) -> None:
        for value in values:
            self.producer.produce("cloudwatch", value)
        assert self.producer.flush(20) == 0


@pytest.fixture
def programs(fresh_kafka, tmp_path) -> Programs:
    for topic in ("cloudwatch", "datadog"):
        fresh_kafka.create(topic, 2)
    return Programs(fresh_kafka.bootstrap, tmp_path)


def lag(minute_ms: int, value: float) -> bytes:
    own = {"DBInstanceIdentifier": "payments-1-r1"}
    return wire.datum("ReplicaLag", own, minute_ms, wire.single(value), "Seconds")


def minutes(count: int) -> list[int]:
    """The starts of the last minutes but one, oldest first."""
    now = time.time_ns() // 1_000_000 // MINUTE
    return [(now - ago) * MINUTE for ago in range(count + 1, 1, -1)]


@pytest.mark.parametrize("runtime", ["native", "faust"])
def test_each_stage_in_its_own_process_counts_and_goes_on_after_a_restart(
    programs, runtime
):
    starts = minutes(6)
    evaluate = ("evaluate", "--runtime", runtime)
    with programs.worker("ingest"):
        with programs.worker(*evaluate):
            programs.produce(*(lag(start, 0.4) for start in starts[:3]))
            programs.until(lambda: len(programs.ledger()) == 3)
        programs.produce(lag(starts[1], -1.0), *(lag(s, -1.0) for s in starts[3:]))
        with programs.worker(*evaluate):
            programs.until(lambda: len(programs.ledger()) == 6)
    # a sentinel wins over a number: minute 1 was restated, 3 to 5 are broken
    assert [good for good, _ in programs.ledger().values()] == [1, 0, 1, 0, 0, 0]
    told = json.loads(programs.ask("status", "rds-replicas-fresh", "--json").stdout)
    assert {one["resource"] for one in told if one["observed"]} == {"payments-1-r1"}


def test_a_dead_letter_in_kafka_is_listed_explained_and_read_again(programs):
    (start,) = minutes(1)
    broken = b'{"metric_name": "ReplicaLag", "value": '
    with programs.worker("run"):
        programs.produce(lag(start, 0.4), broken)
        programs.until(lambda: letters(programs))
        (letter,) = letters(programs)
        assert letter["topic"] == "cloudwatch"
        number = letter["number"]
        explained = programs.ask("deadletter", "explain", number)
        assert explained.returncode == 0
        assert letter["reason"] in explained.stdout
        again = programs.ask("deadletter", "retry", number)
        assert again.returncode == 0, again.stderr
        assert "written again" in again.stdout
        programs.until(lambda: len(letters(programs)) == 2)
        assert len({one["sha256"] for one in letters(programs)}) == 1
        programs.until(lambda: programs.ledger() == {start: [1, 1]})


def letters(programs: Programs) -> list[dict]:
    return json.loads(programs.ask("deadletter", "list", "--json").stdout or "[]")


def test_a_record_that_has_expired_is_told_so(programs, fresh_kafka):
    with programs.worker("run"):
        programs.produce(b"{broken")
        programs.until(lambda: letters(programs))
    (letter,) = letters(programs)
    admin = fresh_kafka.admin()
    after = TopicPartition("cloudwatch", letter["partition"], letter["offset"] + 1)
    for done in admin.delete_records([after]).values():
        done.result(20)
    found = programs.ask("deadletter", "retry", letter["number"])
    assert found.returncode == 1
    assert "has expired" in found.stderr


def test_a_broker_that_is_not_there_is_told_and_exits_with_1(tmp_path):
    programs = Programs("127.0.0.1:9", tmp_path)
    for command in (["ingest"], ["run"], ["deadletter", "list"]):
        found = programs.ask(*command)
        assert found.returncode == 1, found.stderr
        assert "Traceback" not in found.stderr
        assert "127.0.0.1:9" in found.stderr or "does not answer" in found.stderr
