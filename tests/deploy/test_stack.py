"""The stack of the Compose file without Docker: the same settings, on loopback.

A real broker, a real PostgreSQL and a real Prometheus around the engine's own command,
started with the environment of its service. Docker itself cannot be had here.
"""

import re
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from slo.contract import METRICS
from slo.names import DEAD_LETTER_TOPIC, OBSERVATIONS_TOPIC
from tests.deploy.compose import ROOT, mounted, services
from tests.deploy.test_compose import told
from tests.real.servers.http import ok
from tests.real.servers.process import Process, free_ports


class Engine:
    """The `dbslo` service of the file, as a process."""

    def __init__(self, process: Process, port: int) -> None:
        self.process = process
        self.url = f"http://127.0.0.1:{port}"

    def well(self) -> bool:
        return ok(f"{self.url}/healthz")


@pytest.fixture
def engine(fresh_kafka, postgres, tmp_path: Path) -> Iterator[Engine]:
    (port,) = free_ports(1)
    (script,) = services()["kafka-init"]["command"]
    wanted = re.search(r"for topic in ([\w ]+);", script)
    assert wanted is not None
    for topic in wanted[1].split():
        fresh_kafka.create(topic, 2)
    environment = told(tmp_path) | {
        "DBSLO_KAFKA": fresh_kafka.bootstrap,
        "DBSLO_METRICS_LISTEN": f"127.0.0.1:{port}",
        "DBSLO_WEBHOOK_URL": "",
        "PYTHONPATH": str(ROOT),
    }
    (tmp_path / "secrets" / "store_url").write_text(postgres.url(postgres.database()))
    command = [sys.executable, "-m", "dbslo", *services()["dbslo"]["command"]]
    process = Process(command, tmp_path / "log", env=environment)
    try:
        yield Engine(process, port)
    finally:
        process.stop()


def test_the_engine_of_the_file_is_well_is_seen_and_ends_in_time(
    engine, fresh_kafka, prometheus
):
    engine.process.wait_until(engine.well, 60)
    with urllib.request.urlopen(f"{engine.url}/metrics", timeout=30) as answer:
        served = answer.read().decode()
    for name in METRICS:
        assert f"# TYPE {name.removesuffix('_total')}" in served, name
    topics = fresh_kafka.admin().list_topics(timeout=10).topics
    assert {OBSERVATIONS_TOPIC, DEAD_LETTER_TOPIC} <= set(topics)

    config = mounted("prometheus", "/etc/prometheus/prometheus.yml").read_text()
    rules = mounted("prometheus", "/etc/prometheus/rules/rules.yaml").read_text()
    here = (
        config.replace("dbslo:9466", engine.url.removeprefix("http://"))
        .replace("rules/rules.yaml", "rules.yaml")
        .replace("scrape_interval: 15s", "scrape_interval: 1s")
        .replace("scrape_timeout: 10s", "scrape_timeout: 1s")
    )
    server = prometheus(here, {"rules.yaml": rules})
    end = time.monotonic() + 30
    while not server.query('up{job="dbslo"} == 1'):
        assert time.monotonic() < end, "Prometheus has not scraped the engine"
        time.sleep(0.1)
    (series,) = server.query("count(dbslo_slo_info)")
    assert float(series["value"][1]) > 0

    grace = int(services()["dbslo"]["stop_grace_period"].removesuffix("s"))
    begun = time.monotonic()
    engine.process.stop(seconds=grace)
    assert time.monotonic() - begun < grace
