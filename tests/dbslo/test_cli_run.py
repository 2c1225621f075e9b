"""`dbslo run` with its own broker: records in from outside, metrics out, a clean end."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from click.testing import CliRunner
from confluent_kafka import Producer
from prometheus_client.parser import text_string_to_metric_families

from alerts.testing.pagerduty import PagerDutyServer
from dbslo.cli import main
from dbslo.demo import fleet, wire
from slo.model import MINUTE

ROOT = Path(__file__).parents[2]
FOLDER = Path(str(fleet.FLEET))


HOLD = """
import sqlite3, sys
held = sqlite3.connect(sys.argv[1], isolation_level=None)
held.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
sys.stdin.read()
"""


class Running:
    """A `dbslo run` in a process of its own, with what it said."""

    def __init__(self, folder: Path, *args: str, **env: str) -> None:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("DBSLO_")}
        self.store = f"sqlite:///{folder}/run.sqlite"
        self.log = folder / "log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "dbslo", "run", "--json", *args],
                cwd=ROOT,
                env=kept
                | {
                    "DBSLO_INVENTORY": str(FOLDER / "inventory.yaml"),
                    "DBSLO_SPECS": str(FOLDER / "slos.yaml"),
                    "DBSLO_METRICS_LISTEN": "127.0.0.1:0",
                    "DBSLO_STORE": self.store,
                    **env,
                },
                stderr=log,
                stdout=log,
            )

    def said(self, pattern: str) -> str:
        """Wait for a line, and take the first group of it."""
        return until(lambda: re.search(pattern, self.log.read_text()), self)[1]

    def lines(self) -> list[dict]:
        """The log's JSON lines."""
        text = self.log.read_text().splitlines()
        return [json.loads(line) for line in text if line.startswith("{")]

    def scrape(self, name: str, **labels: str) -> list[float]:
        """The values of a metric with these labels."""
        with urlopen(self.said(r"metrics +(\S+)"), timeout=10) as answer:
            text = answer.read().decode()
        return [
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        ]


def until(holds: Callable[[], object], running: Running, seconds: float = 30.0):
    """Wait until something holds, as long as the process lives."""
    give_up_at = time.monotonic() + seconds
    while not (found := holds()):
        assert running.process.poll() is None, running.log.read_text()
        assert time.monotonic() < give_up_at, running.log.read_text()
        time.sleep(0.05)
    return found


@pytest.fixture
def running(tmp_path) -> Iterator[Running]:
    """A run that pages a stand-in for PagerDuty."""
    with PagerDutyServer() as server:
        found = Running(
            tmp_path,
            DBSLO_PAGERDUTY_URL=server.url,
            DBSLO_PAGERDUTY_KEY="0" * 32,
        )
        found.server = server
        try:
            yield found
        finally:
            found.process.kill()
            found.process.wait()


def lag(minute_ms: int, value: float) -> bytes:
    own = {"DBInstanceIdentifier": "payments-1-r1"}
    return wire.datum("ReplicaLag", own, minute_ms, wire.single(value), "Seconds")


def test_records_from_outside_become_counts_a_page_and_metrics_and_it_ends_cleanly(
    running,
):
    broker = running.said(r"kafka +(\S+) \(in this process\)")
    until(lambda: running.scrape("dbslo_build_info"), running)
    now = time.time_ns() // 1_000_000
    producer = Producer({"bootstrap.servers": broker})
    for minutes_ago in range(40, 2, -1):
        start = (now // MINUTE - minutes_ago) * MINUTE
        producer.produce("cloudwatch", lag(start, -1.0 if minutes_ago < 20 else 0.4))
    producer.produce("cloudwatch", b"{broken")
    producer.flush(10)
    own = {"slo": "rds-replicas-fresh", "resource": "payments-1-r1"}
    until(
        lambda: running.scrape("dbslo_events_total", result="bad", **own) == [17.0],
        running,
    )
    assert running.scrape("dbslo_events_total", result="good", **own) == [21.0]
    assert sum(running.scrape("dbslo_records_total", result="malformed")) == 1
    until(lambda: running.server.incidents, running)
    (incident,) = running.server.incidents
    assert incident["dedup_key"] == "dbslo/prod/databases/payments"
    assert running.scrape("dbslo_incidents_open") == [1.0]
    until(
        lambda: running.scrape(
            "dbslo_notify_total", target="pagerduty", outcome="sent"
        ),
        running,
    )
    health = running.said(r"metrics +(\S+)").replace("/metrics", "/healthz")
    with urlopen(health, timeout=10) as answer:
        assert answer.read() == b"ok\n"
    assert 0 <= running.scrape("dbslo_checkpoint_age_seconds")[0] < 30
    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(30) == 0, running.log.read_text()
    events = [line["event"] for line in running.lines()]
    assert {"batch", "verdict", "delivery"} <= set(events)
    verdict = next(
        one
        for one in running.lines()
        if one["event"] == "verdict" and one["to"] == "page"
    )
    assert verdict["slo"] == "rds-replicas-fresh"
    assert "0" * 32 not in running.log.read_text()


def test_a_dead_letter_of_a_run_that_is_up_is_written_again_through_its_address(
    running,
):
    broker = running.said(r"kafka +(\S+) \(in this process\)")
    producer = Producer({"bootstrap.servers": broker})
    producer.produce("cloudwatch", b"{broken", partition=0)
    producer.flush(10)

    def malformed() -> float:
        return sum(running.scrape("dbslo_records_total", result="malformed"))

    until(lambda: malformed() == 1, running)
    (letter,) = until(lambda: dead_letters(running), running)
    retry = ["deadletter", "retry", letter["number"], "--store", running.store]
    alone = CliRunner().invoke(main, retry, env={})
    assert alone.exit_code == 1
    assert "set DBSLO_KAFKA to the address that it printed" in alone.stderr
    found = CliRunner().invoke(main, retry, env={"DBSLO_KAFKA": broker})
    assert found.exit_code == 0, found.stderr
    assert "was written again" in found.stdout
    until(lambda: malformed() == 2, running)
    (again,) = until(
        lambda: [
            one for one in dead_letters(running) if one["offset"] != letter["offset"]
        ],
        running,
    )
    assert (again["offset"], again["sha256"]) == (1, letter["sha256"])
    assert len(dead_letters(running)) == 1, "what was retried is forgotten"


def test_a_retry_does_not_write_what_another_broker_holds_there(tmp_path, running):
    broker = running.said(r"kafka +(\S+) \(in this process\)")
    producer = Producer({"bootstrap.servers": broker})
    producer.produce("cloudwatch", b"{broken", partition=0)
    producer.flush(10)
    (letter,) = until(lambda: dead_letters(running), running)
    (tmp_path / "two").mkdir()
    second = Running(tmp_path / "two")
    try:
        other = second.said(r"kafka +(\S+) \(in this process\)")
        producer = Producer({"bootstrap.servers": other})
        producer.produce("cloudwatch", lag(MINUTE, 0.4), partition=0)
        producer.flush(10)
        retry = ["deadletter", "retry", letter["number"], "--store", running.store]
        found = CliRunner().invoke(main, retry, env={"DBSLO_KAFKA": other})
    finally:
        second.process.kill()
        second.process.wait()
    assert found.exit_code == 1
    assert "it is not that run's broker" in found.stderr


def dead_letters(running: Running) -> list[dict]:
    listing = ["deadletter", "list", "--json", "--store", running.store]
    return json.loads(CliRunner().invoke(main, listing, env={}).stdout)


def test_a_second_run_goes_on_from_the_store_of_the_first(tmp_path):
    now = time.time_ns() // 1_000_000
    start = (now // MINUTE - 5) * MINUTE
    own = {"slo": "rds-replicas-fresh", "resource": "payments-1-r1", "result": "good"}
    for run in (1, 2):
        one = Running(tmp_path)
        try:
            broker = one.said(r"kafka +(\S+) \(in this process\)")
            producer = Producer({"bootstrap.servers": broker})
            producer.produce("cloudwatch", lag(start, 0.4))
            producer.produce("cloudwatch", lag(start + run * MINUTE, 0.4))
            producer.flush(10)
            until(
                lambda one=one, run=run: (
                    one.scrape("dbslo_events_total", **own) == [1.0 + run]
                ),
                one,
            )
            one.process.send_signal(signal.SIGINT)
            assert one.process.wait(30) == 0, one.log.read_text()
        finally:
            one.process.kill()
            one.process.wait()


def test_health_says_what_is_wrong_when_the_store_is_gone(running):
    health = running.said(r"metrics +(\S+)").replace("/metrics", "/readyz")
    database = Path(running.store.removeprefix("sqlite:///"))

    def wrong() -> str:
        try:
            with urlopen(health, timeout=10) as answer:
                return "" if answer.read() == b"ok\n" else "?"
        except HTTPError as error:
            with error:
                return error.read().decode()

    assert until(lambda: wrong() == "", running)
    blocker = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(database)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert blocker.stdout is not None
        assert blocker.stdout.readline() == b"held\n"
        found = until(wrong, running, seconds=60)
        assert "the last commit is" in found
    finally:
        blocker.communicate()
    assert until(lambda: wrong() == "", running, seconds=60)


def test_an_address_that_is_taken_ends_it_with_an_error(tmp_path, running):
    taken = running.said(r"metrics +http://(\S+)/metrics")
    (tmp_path / "two").mkdir()
    second = Running(tmp_path / "two", DBSLO_METRICS_LISTEN=taken)
    second.process.wait(30)
    assert taken.rpartition(":")[2] in second.log.read_text()
    assert "Traceback" not in second.log.read_text()
    assert second.process.returncode == 2


def test_of_two_runs_on_one_store_the_first_says_so_and_ends(tmp_path, running):
    running.said(r"kafka +(\S+) \(in this process\)")
    (tmp_path / "two").mkdir()
    second = Running(tmp_path / "two", "--store", running.store)
    try:
        assert running.process.wait(60) == 1
        said = running.log.read_text()
        assert "another dbslo run uses this store" in said
        assert "Traceback" not in said
        now = time.time_ns() // 1_000_000 // MINUTE * MINUTE
        broker = second.said(r"kafka +(\S+) \(in this process\)")
        producer = Producer({"bootstrap.servers": broker})
        producer.produce("cloudwatch", lag(now - 5 * MINUTE, 0.4))
        producer.flush(10)
        own = {"slo": "rds-replicas-fresh", "resource": "payments-1-r1"}
        until(
            lambda: second.scrape("dbslo_events_total", result="good", **own) == [1.0],
            second,
        )
    finally:
        second.process.kill()
        second.process.wait()


def test_a_topic_that_nobody_reads_is_said_and_counted(running):
    broker = running.said(r"kafka +(\S+) \(in this process\)")
    said = running.log.read_text()
    assert re.search(
        r"^watches +\d+ SLOs in \d+ series, on \d+ resources", said, re.MULTILINE
    )
    assert re.search(r"^pages +PagerDuty at 127\.0\.0\.1:\d+$", said, re.MULTILINE)
    producer = Producer({"bootstrap.servers": broker})
    producer.produce("cloudwtach", lag(MINUTE, 0.4))
    own = {"DBInstanceIdentifier": "not-ours"}
    now = time.time_ns() // 1_000_000 // MINUTE * MINUTE
    stranger = wire.datum("ReplicaLag", own, now, wire.single(0.4), "Seconds")
    producer.produce("cloudwatch", stranger)
    producer.flush(10)
    running.said(r"(nobody reads the topic cloudwtach: is cloudwatch meant\?)")
    running.said(r"(a resource that is in no inventory.*not-ours)")
    labels = {"source": "topics", "reason": "unknown_topic"}
    assert running.scrape("dbslo_refused_total", **labels) == [1.0]


def test_a_kafka_that_does_not_answer_is_one_line(tmp_path):
    free = socket.socket()
    free.bind(("127.0.0.1", 0))
    address = f"127.0.0.1:{free.getsockname()[1]}"  # bound, and nobody listens
    with free:
        running = Running(tmp_path, DBSLO_KAFKA=address)
        try:
            assert running.process.wait(60) == 1
        finally:
            running.process.kill()
            running.process.wait()
    logged = running.log.read_text().splitlines()
    (line,) = [one for one in logged if "rdkafka" in one or one.startswith(("{", "%"))]
    assert json.loads(line)["error"] == (
        f"Kafka at {address} does not answer:"
        " check DBSLO_KAFKA, and security.protocol in DBSLO_KAFKA_OPTIONS"
    )
