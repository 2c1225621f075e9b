"""Topics that nobody reads or that are missing, and names that nobody knows."""

import logging
from pathlib import Path

import pytest

from dbslo.banner import banner, store_text
from dbslo.demo import fleet
from dbslo.given import Given
from dbslo.load import load
from dbslo.noticing import (
    Noticing,
    distance,
    missing_sentences,
    unread,
    unread_sentences,
)
from dbslo.settings import read_settings
from streams.runtimes.mock import MockBroker
from streams.topics import Topics

TOPICS = Topics(
    {"cloudwatch": "cloudwatch", "datadog": "datadog"}, {"orders": "orders"}
)
FOLDER = Path(str(fleet.FLEET))


@pytest.mark.parametrize(
    ("one", "other", "apart"),
    [
        ("", "", 0),
        ("", "abc", 3),
        ("cloudwatch", "cloudwatch", 0),
        ("cloudwtach", "cloudwatch", 2),
        ("cloud-watch", "cloudwatch", 1),
        ("kitten", "sitting", 3),
    ],
)
def test_distance(one: str, other: str, apart: int) -> None:
    assert distance(one, other) == distance(other, one) == apart


def test_what_nobody_reads_is_neither_ours_nor_kafkas() -> None:
    existing = {
        "cloudwatch",
        "orders.shop.items",
        "__debezium-heartbeat.orders",
        "__consumer_offsets",
        "dbslo.observations",
        "dbslo.dead-letters",
        "cloudwtach",
        "billing",
    }
    found = unread(TOPICS, existing)
    assert found == {"cloudwtach", "billing"}
    assert list(unread_sentences(TOPICS, found)) == [
        "nobody reads the topic billing: DBSLO_TOPICS reads cloudwatch, datadog",
        "nobody reads the topic cloudwtach: is cloudwatch meant?",
    ]


def test_on_kafka_what_is_missing_is_said_and_what_is_strange_is_not() -> None:
    existing = {"cloudwtach", "billing"}
    slip, absent = missing_sentences(TOPICS, existing)
    assert slip.startswith("topic cloudwtach exists, cloudwatch does not: a typo in")
    assert (
        absent == "topic datadog does not exist (DBSLO_TOPICS): nothing comes from it"
    )
    assert list(missing_sentences(TOPICS, {"cloudwatch", "datadog", "datadg"})) == []


def test_each_is_said_once_and_not_too_many_names(
    caplog: pytest.LogCaptureFixture,
) -> None:
    broker = MockBroker()
    broker.start()
    try:
        for topic in ("cloudwatch", "cloudwtach"):
            broker.create(topic)
        names = {f"instance:n{number}" for number in range(30)}
        found = Noticing(TOPICS, lambda: names, own_broker=True)
        with caplog.at_level(logging.INFO, "dbslo"):
            found.look(broker.connection)
            found.look(broker.connection)
        assert found.unread == {"cloudwtach"}
    finally:
        broker.close()
    said = [record.getMessage() for record in caplog.records]
    assert said.count("nobody reads the topic cloudwtach: is cloudwatch meant?") == 1
    assert sum(line.startswith("a resource that is in no inv") for line in said) == 20
    assert sum(line.startswith("more such resources") for line in said) == 1
    assert len(said) == 22


def test_a_banner_says_what_runs_and_keeps_secrets() -> None:
    environ = {
        "DBSLO_STORE": "postgresql+psycopg://dbslo:hunter2@db:5433/slo?x=hunter2",
        "DBSLO_PAGERDUTY_KEY": "0123456789abcdef0123456789abcdef",
        "DBSLO_WEBHOOK_URL": "https://u:hunter2@hooks.example.com:8443/hunter2",
    }
    settings = read_settings(environ, Path("none.yaml"))
    loaded = load([FOLDER / "slos.yaml"], FOLDER / "inventory.yaml")
    found = dict(banner(Given(settings, loaded.plan, ()), evaluates=True))
    assert found["store"] == "postgresql://db:5433/slo"
    assert found["pages"] == "PagerDuty at events.pagerduty.com"
    assert found["tickets"] == "the webhook at hooks.example.com:8443, and the log"
    assert found["topics"].startswith("cloudwatch (cloudwatch), datadog (datadog), ")
    assert f"in {len(loaded.plan.series)} series" in found["watches"]
    everything = " ".join(found.values())
    assert "hunter2" not in everything
    assert environ["DBSLO_PAGERDUTY_KEY"] not in everything
    alone = read_settings({}, Path("none.yaml"))
    quiet = dict(banner(Given(alone, loaded.plan, ()), evaluates=True))
    assert quiet["pages"].startswith("nobody: DBSLO_PAGERDUTY_KEY is not set")
    assert store_text("sqlite:///a.sqlite") == "sqlite:///a.sqlite"
