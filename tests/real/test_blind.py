"""The store is away while `dbslo evaluate` runs: paged without it, nothing lost."""

import urllib.request
from collections.abc import Iterator

import pytest

from alerts.testing.pagerduty import ROUTING_KEY, PagerDutyServer
from tests.real.servers.process import free_ports
from tests.real.test_cli_kafka import Programs, lag, minutes

pytestmark = pytest.mark.real

BLIND = "dbslo/prod/dbslo/blind"
LIMIT_S = 8


@pytest.fixture
def pagerduty() -> Iterator[PagerDutyServer]:
    with PagerDutyServer() as made:
        yield made


@pytest.fixture
def programs(fresh_kafka, fresh_postgres, pagerduty, tmp_path) -> Programs:
    for topic in ("cloudwatch", "datadog"):
        fresh_kafka.create(topic, 2)
    made = Programs(fresh_kafka.bootstrap, tmp_path)
    made.env |= {
        "DBSLO_STORE": fresh_postgres.url(fresh_postgres.database()),
        "DBSLO_BLIND_SECONDS": str(LIMIT_S),
        "DBSLO_PAGERDUTY_KEY": ROUTING_KEY,
        "DBSLO_PAGERDUTY_URL": pagerduty.url,
    }
    return made


def told(pagerduty: PagerDutyServer) -> list[str]:
    """What PagerDuty heard of our own blindness."""
    return [
        event["event_action"]
        for event in pagerduty.events
        if event["dedup_key"] == BLIND
    ]


def age_seconds(port: int) -> float:
    """The oldest checkpoint, as Prometheus would read it."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=9) as page:
        lines = page.read().decode().splitlines()
    name = "dbslo_checkpoint_age_seconds{"
    return max(float(one.split()[1]) for one in lines if one.startswith(name))


def test_a_store_that_is_away_is_paged_and_resolved_and_a_restart_changes_nothing(
    programs, fresh_postgres, pagerduty
):
    starts = minutes(6)
    (port,) = free_ports(1)
    with programs.worker("ingest"):
        programs.env["DBSLO_METRICS_LISTEN"] = f"127.0.0.1:{port}"
        with programs.worker("evaluate"):
            programs.produce(*(lag(start, 0.4) for start in starts[:3]))
            programs.until(lambda: len(programs.ledger()) == 3)
            assert told(pagerduty) == []
            fresh_postgres.kill()
            programs.produce(*(lag(start, -1.0) for start in starts[3:]))
            programs.until(lambda: told(pagerduty) == ["trigger"])
            assert age_seconds(port) > LIMIT_S
        with programs.worker("evaluate"):  # it starts, and the store is still away
            programs.until(lambda: told(pagerduty) == ["trigger", "trigger"])
            fresh_postgres.start()
            programs.until(lambda: told(pagerduty)[-1] == "resolve")
            programs.until(lambda: len(programs.ledger()) == 6)
            assert age_seconds(port) < LIMIT_S
    assert [good for good, _ in programs.ledger().values()] == [1, 1, 1, 0, 0, 0]
    blind = [one for one in pagerduty.incidents if one["dedup_key"] == BLIND]
    assert [one["status"] for one in blind] == ["resolved"], "joined, and one incident"
