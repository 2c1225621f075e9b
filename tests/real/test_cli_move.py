"""`dbslo move` as a program, on a real broker."""

import json

import pytest

from streams.kafka import Connection
from streams.runtimes.survey import Kafka, undrained
from streams.store import Store
from tests.real.test_cli_kafka import Programs, lag, minutes

pytestmark = pytest.mark.real


@pytest.fixture
def programs(fresh_kafka, tmp_path) -> Programs:
    for topic in ("cloudwatch", "datadog"):
        fresh_kafka.create(topic, 2)
    return Programs(fresh_kafka.bootstrap, tmp_path)


def test_a_move_is_shown_refused_and_done_and_the_engine_goes_on(programs):
    starts = minutes(4)
    with programs.worker("ingest"), programs.worker("evaluate"):
        programs.produce(*(lag(start, 0.4) for start in starts[:2]))
        programs.until(lambda: len(programs.ledger()) == 2)
        busy = programs.ask("move", "--partitions", "8", "--yes")
        assert busy.returncode == 1, busy.stderr
        assert "Stop every `dbslo evaluate`" in busy.stderr
    with programs.worker("evaluate"):
        programs.until(lambda: drained(programs))
    before = programs.ask("ledger", "--dump").stdout
    told = json.loads(programs.ask("move", "--partitions", "8", "--json").stdout)
    assert told["partitions"] == {"from": 2, "to": 8}
    assert told["moves"]
    done = programs.ask("move", "--partitions", "8", "--yes")
    assert done.returncode == 0, done.stderr
    assert "done: start ingest and evaluate again" in done.stdout
    assert programs.ask("ledger", "--dump").stdout == before
    assert "nothing to move" in programs.ask("move").stdout
    with programs.worker("run"):
        programs.produce(*(lag(start, 0.4) for start in starts[2:]))
        programs.until(lambda: len(programs.ledger()) == 4)


def drained(programs: Programs) -> bool:
    """Whether the store has applied all that ingest wrote."""
    store = Store(programs.env["DBSLO_STORE"])
    try:
        heads = {n: store.progress(n).next for n in store.partitions()}
        kafka = Kafka(Connection(programs.env["DBSLO_KAFKA"]))
        return not list(undrained(kafka, heads))
    finally:
        store.close()


def test_a_move_without_kafka_is_a_wrong_configuration(tmp_path):
    programs = Programs("", tmp_path)
    (tmp_path / "store.sqlite").touch()
    found = programs.ask("move")
    assert found.returncode == 2
    assert "DBSLO_KAFKA" in found.stderr
