"""The broker's configuration on a real broker, and the topics that are made for it."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic

from tests.deploy.compose import mounted, services
from tests.ground.cache import Missing
from tests.ground.jars import jars
from tests.real.servers.java import java
from tests.real.servers.process import Process, folder, free_ports, run

CONFIG = mounted("kafka", "/mnt/shared/config/server.properties").read_text()
SETTINGS = dict(
    line.split("=", 1) for line in CONFIG.splitlines() if line and line[0] != "#"
)
QUIET = {"log_level": 0}


def moved(where: Path, inside: int, outside: int, controller: int) -> str:
    """The configuration with the ports and the folder that this machine has free."""
    changes = {
        r"\b19092\b": str(inside),
        r"\b9092\b": str(outside),
        r"\b9093\b": str(controller),
        r"://kafka:": "://localhost:",
        r"://:": "://127.0.0.1:",
        re.escape("/var/lib/kafka/data"): str(where / "data"),
    }
    text = CONFIG
    for pattern, value in changes.items():
        text = re.sub(pattern, value, text)
    return text


@pytest.fixture(scope="module")
def broker() -> Iterator[AdminClient]:
    """A real broker, formatted as the image does it: without --standalone."""
    ports = free_ports(3)
    with folder("compose-kafka") as where:
        path = where / "server.properties"
        path.write_text(moved(where, *ports))
        try:
            libraries = jars("kafka")
            cluster = services()["kafka"]["environment"]["CLUSTER_ID"]
            wanted = ("format", f"--cluster-id={cluster}", "-c", str(path))
            run(java(libraries, "kafka.tools.StorageTool", *wanted, heap_mb=64))
            command = java(libraries, "kafka.Kafka", str(path))
        except Missing as missing:
            pytest.skip(str(missing))
        admin = AdminClient({"bootstrap.servers": f"127.0.0.1:{ports[1]}", **QUIET})
        process = Process(command, where / "log")
        try:
            process.wait_until(lambda: answers(admin), 60)
            yield admin
        finally:
            process.kill()


def answers(admin: AdminClient) -> bool:
    try:
        return bool(admin.list_topics(timeout=1).brokers)
    except KafkaException:
        return False


@pytest.mark.real
def test_a_real_broker_takes_every_setting_of_the_file(broker):
    resource = ConfigResource(ConfigResource.Type.BROKER, "1")
    (answer,) = broker.describe_configs([resource]).values()
    known = {name: entry.value for name, entry in answer.result(30).items()}
    for name, value in SETTINGS.items():
        assert name in known, f"{name} is no setting of Kafka"
        if "listeners" not in name and "voters" not in name and name != "log.dirs":
            assert str(known[name]).lower() == value.lower(), name


@pytest.mark.real
def test_the_topics_can_be_made_and_others_are_not_made_by_themselves(broker):
    (script,) = services()["kafka-init"]["command"]
    topics = re.search(r"for topic in ([\w ]+);", script)[1].split()
    partitions = int(re.search(r"--partitions (\d+)", script)[1])
    factor = int(re.search(r"--replication-factor (\d+)", script)[1])
    wanted = [NewTopic(name, partitions, factor) for name in topics]
    for made in broker.create_topics(wanted).values():
        made.result(30)
    seen = broker.list_topics(timeout=10).topics
    assert {name: len(seen[name].partitions) for name in topics} == dict.fromkeys(
        topics, partitions
    )
    assert broker.list_topics("clodwatch", timeout=10).topics["clodwatch"].error


def test_each_listener_is_advertised_where_its_clients_are():
    advertised = dict(
        listener.split("://")
        for listener in SETTINGS["advertised.listeners"].split(",")
    )
    assert advertised["INTERNAL"] == services()["dbslo"]["environment"]["DBSLO_KAFKA"]
    (port,) = services()["kafka"]["ports"]
    assert port == f"{advertised['EXTERNAL']}:9092"


def test_the_health_check_asks_the_listener_that_the_engine_uses():
    asked = services()["kafka"]["healthcheck"]["test"][-1]
    inside = services()["dbslo"]["environment"]["DBSLO_KAFKA"].split(":")[1]
    assert asked.endswith(f"/{inside}")


def test_data_lie_on_the_volume():
    targets = [v.split(":")[1] for v in services()["kafka"]["volumes"]]
    assert SETTINGS["log.dirs"] in targets
