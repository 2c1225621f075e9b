"""The servers that other tests stand on are what they claim to be."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from confluent_kafka import Consumer, Message, Producer

from tests.real.servers.alertmanager import Alertmanager
from tests.real.servers.connect import Connect, mariadb_connector, postgres_connector
from tests.real.servers.kafka import Kafka
from tests.real.servers.mariadb import MariaDB
from tests.real.servers.postgres import Postgres
from tests.real.servers.process import run
from tests.real.servers.prometheus import Prometheus


def _consumer(kafka: Kafka, topic: str, **settings: Any) -> Consumer:
    consumer = Consumer(
        {
            "bootstrap.servers": kafka.bootstrap,
            "group.id": f"{topic}-{settings}",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "topic.metadata.refresh.interval.ms": 200,
            **settings,
        }
    )
    consumer.subscribe([topic])
    return consumer


def _read_to_end(kafka: Kafka, topic: str, isolation: str) -> list[bytes | None]:
    settings = {"enable.partition.eof": True, "isolation.level": isolation}
    consumer = _consumer(kafka, topic, **settings)
    values: list[bytes | None] = []
    while True:
        for message in consumer.consume(100, 1):
            if message.error() is not None:
                consumer.close()
                return values
            values.append(message.value())


def _transaction(producer: Producer, topic: str, value: str) -> None:
    producer.begin_transaction()
    producer.produce(topic, value)
    producer.flush()


class TestKafka:
    def test_a_reader_of_committed_records_never_sees_an_aborted_one(
        self, kafka: Kafka
    ) -> None:
        topic = kafka.topic("transactions")
        settings = {"bootstrap.servers": kafka.bootstrap, "transactional.id": topic}
        producer = Producer(settings)
        producer.init_transactions()

        _transaction(producer, topic, "kept")
        producer.commit_transaction()
        _transaction(producer, topic, "dropped")
        producer.abort_transaction()
        _transaction(producer, topic, "kept too")
        producer.commit_transaction()

        committed = _read_to_end(kafka, topic, "read_committed")
        everything = _read_to_end(kafka, topic, "read_uncommitted")
        assert committed == [b"kept", b"kept too"]
        assert everything == [b"kept", b"dropped", b"kept too"]

    def test_a_broker_that_is_stopped_comes_back_with_its_records(
        self, fresh_kafka: Kafka
    ) -> None:
        topic = fresh_kafka.topic("durable")
        producer = Producer({"bootstrap.servers": fresh_kafka.bootstrap, "acks": "all"})
        producer.produce(topic, b"still here")
        assert producer.flush(30) == 0

        fresh_kafka.stop()
        fresh_kafka.start()

        records = _read_to_end(fresh_kafka, topic, "read_committed")
        assert records == [b"still here"]


class TestPostgres:
    def test_it_is_postgresql_and_decodes_its_log(self, postgres: Postgres) -> None:
        database = postgres.database()
        with psycopg.connect(postgres.dsn(database), autocommit=True) as connection:
            slot = "SELECT pg_create_logical_replication_slot('s', 'test_decoding')"
            connection.execute(slot)
            connection.execute("CREATE TABLE t (id int PRIMARY KEY)")
            connection.execute("INSERT INTO t VALUES (7)")
            seen = "SELECT data FROM pg_logical_slot_get_changes('s', NULL, NULL)"
            changes = [row[0] for row in connection.execute(seen)]
            connection.execute("SELECT pg_drop_replication_slot('s')")

            assert connection.info.server_version >= 13_00_00
            assert "table public.t: INSERT: id[integer]:7" in changes

    def test_a_server_that_is_killed_comes_back_with_what_was_committed(
        self, fresh_postgres: Postgres
    ) -> None:
        with psycopg.connect(fresh_postgres.dsn()) as connection:
            connection.execute("CREATE TABLE t (id int)")
            connection.execute("INSERT INTO t VALUES (1)")

        fresh_postgres.kill()
        fresh_postgres.start()

        with psycopg.connect(fresh_postgres.dsn()) as connection:
            assert connection.execute("SELECT id FROM t").fetchall() == [(1,)]


class TestMariaDB:
    def test_it_is_mariadb_and_logs_rows(self, mariadb: MariaDB) -> None:
        mariadb.execute("CREATE DATABASE rows_logged")
        mariadb.execute("CREATE TABLE t (id int PRIMARY KEY)", "rows_logged")
        mariadb.execute("INSERT INTO t VALUES (1), (2)", "rows_logged")

        (settings,) = mariadb.execute(
            "SELECT VERSION(), @@binlog_format, @@binlog_row_image, @@server_id"
        )
        assert "MariaDB" in settings[0]
        assert settings[1:] == ["ROW", "FULL", "7"]
        log, *_ = mariadb.execute("SHOW MASTER STATUS")[0]
        events = [row[2] for row in mariadb.execute(f"SHOW BINLOG EVENTS IN '{log}'")]
        assert events[-3:] == ["Table_map", "Write_rows_v1", "Xid"]

    def test_a_server_that_is_stopped_comes_back_with_its_rows(
        self, fresh_mariadb: MariaDB
    ) -> None:
        fresh_mariadb.execute("CREATE DATABASE kept")
        fresh_mariadb.execute("CREATE TABLE t (id int)", "kept")
        fresh_mariadb.execute("INSERT INTO t VALUES (3)", "kept")

        fresh_mariadb.stop()
        fresh_mariadb.start()

        assert fresh_mariadb.execute("SELECT id FROM t", "kept") == [["3"]]


RULE = """
groups:
  - name: one
    interval: 1s
    rules: [{record: "two", expr: "1 + 1"}]
"""


class TestPrometheus:
    def test_it_evaluates_the_rules_that_it_was_given(
        self, prometheus: Callable[..., Prometheus]
    ) -> None:
        server = prometheus("rule_files: [rules.yml]", {"rules.yml": RULE})

        (two,) = _eventually(lambda: server.query("two"))

        assert two["value"][1] == "2"

    def test_promtool_is_there_in_both_versions_that_users_have(
        self, promtools: dict[str, str]
    ) -> None:
        for major, path in promtools.items():
            assert f"version {major}." in run([path, "--version"])


RECEIVER = """
route: {receiver: nobody}
receivers: [{name: nobody}]
"""


class TestAlertmanager:
    def test_it_holds_the_alerts_that_it_is_sent(
        self, alertmanager: Callable[[str], Alertmanager]
    ) -> None:
        server = alertmanager(RECEIVER)
        server.send([{"labels": {"alertname": "Burning"}}])

        (alert,) = _eventually(server.alerts)

        assert alert["labels"] == {"alertname": "Burning"}
        assert alert["receivers"] == [{"name": "nobody"}]

    def test_amtool_is_there_in_both_versions_that_users_have(
        self, amtools: dict[str, str]
    ) -> None:
        told = {name: run([path, "--version"]) for name, path in amtools.items()}
        assert "version 0.2" in told["Debian's"]
        assert "version 0.3" in told["newer"]


class TestConnect:
    """Debezium reads a heartbeat table of real databases into real Kafka."""

    def test_it_streams_the_rows_of_postgresql(
        self, kafka: Kafka, connect: Connect, postgres: Postgres
    ) -> None:
        database = postgres.database("shop")
        beat = "UPDATE heartbeat SET at_ms = at_ms + 1"
        with psycopg.connect(postgres.dsn(database), autocommit=True) as connection:
            connection.execute("CREATE TABLE heartbeat (id int PRIMARY KEY, at_ms int)")
            connection.execute("INSERT INTO heartbeat VALUES (1, 100)")
            config = postgres_connector(postgres, database, "pg-smoke")
            connect.create("pg-smoke", config)
            connect.wait_running("pg-smoke")
            changes = _changes(kafka, "pg-smoke.public.heartbeat")
            assert next(changes)["op"] == "r"
            connection.execute(beat)
            assert _row(next(changes)) == ("u", 101, "postgresql")

            connect.stop()
            connection.execute(beat)
            connect.start()

            assert _row(next(changes)) == ("u", 102, "postgresql")
        connect.delete("pg-smoke")

    def test_it_streams_the_rows_of_mariadb(
        self, kafka: Kafka, connect: Connect, mariadb: MariaDB
    ) -> None:
        mariadb.execute("CREATE DATABASE beats")
        beat = "UPDATE heartbeat SET at_ms = at_ms + 1"
        table = "CREATE TABLE heartbeat (id int PRIMARY KEY, at_ms int)"
        mariadb.execute(f"{table}; INSERT INTO heartbeat VALUES (1, 100)", "beats")
        config = mariadb_connector(
            mariadb, "my-smoke", kafka.bootstrap, database_include_list="beats"
        )
        connect.create("my-smoke", config)
        connect.wait_running("my-smoke")
        changes = _changes(kafka, "my-smoke.beats.heartbeat")
        assert next(changes)["op"] == "r"
        mariadb.execute(beat, "beats")
        assert _row(next(changes)) == ("u", 101, "mariadb")

        connect.pause("my-smoke")
        _eventually(lambda: connect.states("my-smoke") == {"PAUSED"})
        mariadb.execute(beat, "beats")
        connect.resume("my-smoke")

        assert _row(next(changes)) == ("u", 102, "mariadb")

    def test_a_connector_that_fails_says_why(
        self, connect: Connect, postgres: Postgres
    ) -> None:
        config = postgres_connector(postgres, "no_such_database", "pg-none")
        with pytest.raises(RuntimeError, match="no_such_database"):
            connect.create("pg-none", config)


def _changes(kafka: Kafka, topic: str) -> Iterator[dict[str, Any]]:
    consumer = _consumer(kafka, topic)
    end = time.monotonic() + 60
    while time.monotonic() < end:
        for message in consumer.consume(1, 0.2):
            if message.error() is None and message.value():
                yield json.loads(_value(message))
    pytest.fail(f"no further change on {topic}")


def _value(message: Message) -> bytes:
    value = message.value()
    assert isinstance(value, bytes)
    return value


def _row(change: dict[str, Any]) -> tuple[str, int, str]:
    return change["op"], change["after"]["at_ms"], change["source"]["connector"]


def _eventually(look: Callable[[], Any], seconds: float = 30) -> Any:
    end = time.monotonic() + seconds
    while not (seen := look()):
        assert time.monotonic() < end, "it never came"
        time.sleep(0.05)
    return seen
