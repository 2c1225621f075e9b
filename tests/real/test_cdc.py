"""Real CDC: two databases, Debezium, Kafka and dbslo as processes, and what breaks.

One story, told once: the connectors are stopped, started again, then killed so that
they send rows twice.
"""

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from confluent_kafka import Consumer, TopicPartition

from alerts.testing.pagerduty import ROUTING_KEY, PagerDutyServer
from dbslo.load import load_plan
from slo.policy import DEFAULT, compressed
from slo.verdict import Verdict
from streams.reading import views
from streams.store import Store
from streams.topics import topics_of
from streams.view import SeriesView
from tests.real.servers.connect import Connect, mariadb_connector, postgres_connector
from tests.real.servers.kafka import Kafka
from tests.real.servers.mariadb import MariaDB
from tests.real.servers.postgres import Postgres
from tests.real.servers.process import Process

ROOT = Path(__file__).parents[2]
CONNECTORS = ("returns", "orders")
INVENTORY = """
clusters:
- {name: returns-db, engine: postgres, labels: {env: test}, instances: [r-1], cdc_prefixes: [returns]}
- {name: orders-db, engine: mariadb, labels: {env: test}, instances: [o-1], cdc_prefixes: [orders]}
"""
SLO = """
---
apiVersion: openslo/v1
kind: SLO
metadata: {{name: {name}, annotations: {{dbslo/urgency: {urgency}}}}}
spec:
  service: cdc
  indicator:
    metadata: {{name: {name}-sli}}
    spec:
      ratioMetric:
        counter: true
        rawType: success
        raw: {{metricSource: {{type: dbslo, spec: {{sli: {sli}, selector: {{env: test}}, threshold: {threshold}}}}}}}
  timeWindow: [{{duration: 30d, isRolling: true}}]
  budgetingMethod: {method}
"""
SLICES = "  objectives: [{target: 0.995, timeSliceTarget: 1.0, timeSliceWindow: 10s}]\n"
EVENTS = "  objectives: [{target: 0.995}]\n"
SPECS = (
    SLO.format(
        name="alive",
        urgency="page",
        sli="cdc.liveness",
        threshold="10s",
        method="Timeslices",
    )
    + SLICES
    + SLO.format(
        name="fresh",
        urgency="ticket",
        sli="cdc.end_to_end_freshness",
        threshold="15s",
        method="Timeslices",
    )
    + SLICES
    + SLO.format(
        name="rows",
        urgency="board",
        sli="cdc.end_to_end_freshness",
        threshold="10s",
        method="Occurrences",
    )
    + EVENTS
    + SLO.format(
        name="heartbeat",
        urgency="page",
        sli="replica.freshness_heartbeat",
        threshold="10s",
        method="Timeslices",
    )
    + SLICES
)
DIVISOR = 30  # the policy's hours become double minutes


def until(what: str, holds: Callable[[], Any], seconds: float = 90) -> None:
    """Return when a condition holds; fail with its name when it does not in time."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds:g} s: {what}")
        time.sleep(0.2)


class Databases:
    """A heartbeat table and a table of orders in each of the two."""

    def __init__(self, postgres: Postgres, mariadb: MariaDB) -> None:
        self.postgres, self.mariadb = postgres, mariadb
        self.name = postgres.database("returns")
        self._connection = psycopg.connect(postgres.dsn(self.name), autocommit=True)
        tables = (
            "CREATE TABLE heartbeat (id int PRIMARY KEY, beat int)",
            "CREATE TABLE purchase (id int PRIMARY KEY)",
            "INSERT INTO heartbeat VALUES (1, 0)",
        )
        mariadb.execute("CREATE DATABASE cdc_orders")
        self._both(*tables)
        self._stop = threading.Event()
        self._beats = threading.Thread(target=self._beat)
        self._last = 0

    def _both(self, *statements: str) -> None:
        for statement in statements:
            self._connection.execute(statement)
        self.mariadb.execute("; ".join(statements), "cdc_orders")

    def purchases(self, count: int) -> None:
        """Write rows, several in one statement."""
        ids = ", ".join(f"({n})" for n in range(self._last + 1, self._last + count + 1))
        self._last += count
        self._both(f"INSERT INTO purchase VALUES {ids}")

    def _beat(self) -> None:
        with psycopg.connect(self.postgres.dsn(self.name), autocommit=True) as own:
            while not self._stop.wait(1):
                own.execute("UPDATE heartbeat SET beat = beat + 1")
                self.mariadb.execute(
                    "UPDATE heartbeat SET beat = beat + 1", "cdc_orders"
                )

    @contextmanager
    def beating(self) -> Iterator[None]:
        """Heartbeats, one a second, for as long as the block runs."""
        self._beats.start()
        try:
            yield
        finally:
            self._stop.set()
            self._beats.join()
            self._connection.close()


class Engine:
    """`dbslo run` as a process, and its store seen from outside."""

    def __init__(self, folder: Path, kafka: Kafka, pagerduty: PagerDutyServer) -> None:
        self.folder = folder
        specs, inventory = folder / "slos.yaml", folder / "inventory.yaml"
        specs.write_text(SPECS)
        inventory.write_text(INVENTORY)
        key = folder / "key"
        key.write_text(ROUTING_KEY)
        self.plan = load_plan([specs], inventory, compressed(DEFAULT, DIVISOR))
        self.topics = topics_of(self.plan.inventory, {})
        self.store_url = f"sqlite:///{folder}/store.db"
        self.environment = {
            "PYTHONPATH": str(ROOT),
            "DBSLO_KAFKA": kafka.bootstrap,
            "DBSLO_STORE": self.store_url,
            "DBSLO_SPECS": str(specs),
            "DBSLO_INVENTORY": str(inventory),
            "DBSLO_PAGERDUTY_URL": pagerduty.url,
            "DBSLO_PAGERDUTY_KEY_FILE": str(key),
            "DBSLO_METRICS_LISTEN": "127.0.0.1:0",
            "DBSLO_POLICY_DIVISOR": str(DIVISOR),
        }

    @contextmanager
    def running(self) -> Iterator[None]:
        """The process, ended in good order."""
        command = [sys.executable, "-m", "dbslo", "run"]
        process = Process(command, self.folder / "log", env=self.environment)
        self.store = Store(self.store_url)
        try:
            yield
        finally:
            process.stop()
            self.store.close()
            sys.stderr.write((self.folder / "log").read_text()[-5_000:])

    def view(self, name: str, resource: str) -> SeriesView:
        """One series as it was last committed."""
        found = {v.series.key: v for v in views(self.plan, self.store, self.topics)}
        return found[f"{name}/{resource}"]

    def said(self, name: str, resource: str) -> list[str]:
        """The verdicts that a series went through."""
        return [
            change.to
            for _, change in self.store.changes()
            if (change.slo, change.resource) == (name, resource)
        ]

    def verdicts(self, name: str) -> set[str]:
        """The last verdict on both connectors."""
        return {(self.said(name, r) or ["unknown"])[-1] for r in CONNECTORS}


def sent(kafka: Kafka, prefix: str) -> tuple[int, int]:
    """Streamed rows of a connector in Kafka: all of them, and how many are distinct."""
    reader = Consumer({"bootstrap.servers": kafka.bootstrap, "group.id": "brute-force"})
    try:
        topics = reader.list_topics(timeout=10).topics
        rows = [
            row
            for name in topics
            if name.startswith(f"{prefix}.") and name.count(".") == 2
            for row in _rows(reader, name)
        ]
    finally:
        reader.close()
    return len(rows), len(set(rows))


def _rows(reader: Consumer, topic: str) -> Iterator[str]:
    place = TopicPartition(topic, 0, 0)
    _, high = reader.get_watermark_offsets(TopicPartition(topic, 0), timeout=10)
    reader.assign([place])
    at = 0
    while at < high:
        message = reader.poll(10)
        assert message is not None
        at = message.offset() + 1
        row = json.loads(message.value()) if message.value() else None
        if (
            row
            and row.get("op") in ("c", "u", "d")
            and row["source"]["snapshot"] == "false"
        ):
            source = row["source"]
            where = [source.get(k) for k in ("lsn", "txId", "file", "pos", "row")]
            yield json.dumps([where, topic, row["before"], row["after"]])


@pytest.mark.real
def test_a_stopped_connector_pages_blames_no_database_and_counts_nothing_twice(
    fresh_kafka: Kafka, postgres: Postgres, mariadb: MariaDB, tmp_path: Path
):
    kafka = fresh_kafka
    databases = Databases(postgres, mariadb)
    with (
        Connect.running(kafka.bootstrap) as connect,
        PagerDutyServer() as pagerduty,
        databases.beating(),
    ):
        connect.create(
            "returns", postgres_connector(postgres, databases.name, "returns")
        )
        include = {"database_include_list": "cdc_orders"}
        connect.create(
            "orders", mariadb_connector(mariadb, "orders", kafka.bootstrap, **include)
        )
        for name in CONNECTORS:
            connect.wait_running(name)
        engine = Engine(tmp_path, kafka, pagerduty)
        with engine.running():
            _flows(engine, databases)
            _stopped(engine, databases, connect, pagerduty)
            _started_again(engine, kafka, connect, pagerduty)
            _killed(engine, databases, kafka, connect)


def _flows(engine: Engine, databases: Databases) -> None:
    databases.purchases(30)
    until(
        "every SLI is good",
        lambda: all(
            engine.verdicts(name) == {"ok"}
            for name in ("alive", "fresh", "rows", "heartbeat")
        ),
    )
    for name in CONNECTORS:
        assert engine.view("fresh", name).now_known.good > 0


def _stopped(
    engine: Engine, databases: Databases, connect: Connect, pagerduty: PagerDutyServer
) -> None:
    bad = {r: engine.view("heartbeat", r).now_known.bad for r in CONNECTORS}
    connect.stop()
    databases.purchases(20)
    until("K2 pages", lambda: engine.verdicts("alive") == {"page"})
    until("PagerDuty has both", lambda: len(_open(pagerduty)) == 2)
    until("C1 is unknown", lambda: engine.verdicts("heartbeat") == {"unknown"})
    for resource in CONNECTORS:
        assert "page" not in engine.said("heartbeat", resource)
        view = engine.view("heartbeat", resource)
        assert view.status.verdict is Verdict.UNKNOWN
        assert view.now_known.bad == bad[resource], "a database was blamed"


def _started_again(
    engine: Engine, kafka: Kafka, connect: Connect, pagerduty: PagerDutyServer
) -> None:
    connect.start()
    until("the incidents resolve", lambda: not _open(pagerduty), seconds=180)
    assert len(pagerduty.incidents) == 2, (
        "one incident for each cluster, never a second"
    )
    until("every row is counted", lambda: _agrees(engine, kafka))
    for resource in CONNECTORS:
        assert engine.view("rows", resource).now_known.bad >= 20, "late rows are bad"


def _killed(
    engine: Engine, databases: Databases, kafka: Kafka, connect: Connect
) -> None:
    again: set[str] = set()
    for _ in range(6):
        end = time.monotonic() + 3
        while time.monotonic() < end:  # offsets are kept once a second: some never are
            databases.purchases(5)
        connect.kill()
        connect.start()
        for name in CONNECTORS:
            connect.wait_running(name)
        databases.purchases(1)
        until("every row is counted", lambda: _agrees(engine, kafka))
        again |= {n for n in CONNECTORS if sent(kafka, n)[0] > sent(kafka, n)[1]}
        if again == set(CONNECTORS):
            return
    raise AssertionError(f"only {again or 'no connector'} sent rows twice: no test")


def _open(pagerduty: PagerDutyServer) -> list[dict[str, Any]]:
    return [one for one in pagerduty.incidents if one["status"] == "triggered"]


def _agrees(engine: Engine, kafka: Kafka) -> bool:
    """Whether the ledger holds every distinct row once; heartbeats go on meanwhile."""
    for name in CONNECTORS:
        _, least = sent(kafka, name)
        counted = engine.view("rows", name).now_known.total
        _, most = sent(kafka, name)
        if not least <= counted <= most:
            return False
    return True
