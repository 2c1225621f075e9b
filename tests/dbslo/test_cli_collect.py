"""`dbslo collect cloudwatch` against moto's CloudWatch: to stdout, and to a broker."""

import json
import time
from datetime import UTC, datetime
from pathlib import Path

import boto3
import pytest
from click.testing import CliRunner
from confluent_kafka import Consumer, TopicPartition
from moto import mock_aws

from dbslo.cli import main
from dbslo.demo import fleet
from slo.model import MINUTE, SECOND
from streams.runtimes.mock import MockBroker
from tests.slo.written import COMMITS, spoilt
from tests.slo.written import FLEET as ORDERS

FOLDER = Path(str(fleet.FLEET))
FLEET = [
    "--inventory",
    str(FOLDER / "inventory.yaml"),
    "--specs",
    str(FOLDER / "slos.yaml"),
]
REGION = "eu-west-1"
ACCOUNT = "123456789012"


def call(*args: str, **env: str):
    return CliRunner().invoke(main, ["collect", "cloudwatch", *args, *FLEET], env=env)


@pytest.fixture
def aws(monkeypatch):
    """An account with three minutes of one replica's lag, seven minutes ago and later."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    now = time.time_ns() // 1_000_000
    first = (now // MINUTE - 7) * MINUTE
    with mock_aws():
        client = boto3.client("cloudwatch", region_name=REGION)
        for number, value in enumerate((0.4, -1.0, 7.0)):
            client.put_metric_data(
                Namespace="AWS/RDS",
                MetricData=[
                    {
                        "MetricName": "ReplicaLag",
                        "Dimensions": [
                            {"Name": "DBInstanceIdentifier", "Value": "payments-1-r1"}
                        ],
                        "Timestamp": datetime.fromtimestamp(
                            (first + number * MINUTE) / SECOND, UTC
                        ),
                        "Value": value,
                        "Unit": "Seconds",
                    }
                ],
            )
        yield first


def test_printed_documents_are_those_of_a_metric_stream(aws):
    found = call("--region", REGION, "--once", "--print")
    assert found.exit_code == 0, found.output
    documents = [json.loads(line) for line in found.stdout.splitlines()]
    assert [one["timestamp"] for one in documents] == [
        aws + number * MINUTE for number in range(3)
    ]
    first = documents[0]
    assert first["account_id"] == ACCOUNT
    assert first["dimensions"] == {"DBInstanceIdentifier": "payments-1-r1"}
    assert first["value"] == {"max": 0.4, "min": 0.4, "sum": 0.4, "count": 1.0}
    assert documents[1]["value"]["max"] == -1.0


def test_a_poll_reaches_the_raw_topic_and_says_what_it_did(aws):
    broker = MockBroker()
    broker.start()
    try:
        broker.create("cloudwatch")
        found = call("--region", REGION, "--once", DBSLO_KAFKA=broker.bootstrap)
        assert found.exit_code == 0, found.output
        assert "poll" in found.stderr
        assert "data=3" in found.stderr
        assert len(values(broker.bootstrap)) == 3
    finally:
        broker.close()


def values(bootstrap: str) -> list[dict]:
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "test",
            "enable.partition.eof": True,
        }
    )
    consumer.assign([TopicPartition("cloudwatch", n, 0) for n in range(4)])
    found, ended = [], 0
    try:
        while ended < 4:
            message = consumer.poll(10)
            assert message is not None
            if message.error():
                ended += 1
            else:
                found.append(json.loads(message.value()))
    finally:
        consumer.close()
    return found


def test_a_price_needs_no_credentials():
    found = call("--region", REGION, "--estimate", "--json")
    assert found.exit_code == 0, found.output
    told = json.loads(found.stdout)
    assert told["metrics"] > 5
    assert told["metrics_per_month"] == told["metrics"] * 43_200
    assert told["usd_per_month"] == pytest.approx(told["metrics_per_month"] * 1e-5)
    assert "USD a month" in call("--region", REGION, "--estimate").stdout


def test_what_no_price_is_given_for_is_named(tmp_path):
    specs = tmp_path / "slos.yaml"
    specs.write_text(
        spoilt(
            COMMITS,
            "dimensions: [DBInstanceIdentifier]",
            "dimensions: [DBInstanceIdentifier, EngineName]",
        )
    )
    inventory = tmp_path / "inventory.yaml"
    inventory.write_text(ORDERS)
    files = ["--inventory", str(inventory), "--specs", str(specs)]
    args = ["collect", "cloudwatch", "--region", REGION, "--estimate", *files]
    told = CliRunner().invoke(main, args).stdout.splitlines()
    assert told[-2:] == [
        "left out, needs a metric stream: AWS/RDS CommitLatency of"
        f" {instance} by DBInstanceIdentifier, EngineName"
        for instance in ("orders-a", "orders-b")
    ]


@pytest.mark.parametrize("region", ["cn-north-1", "us-gov-west-1", "ap-southeast-5"])
def test_every_partitions_regions_are_known(region):
    assert call("--region", region, "--estimate").exit_code == 0


@pytest.mark.parametrize(
    ("args", "code", "reason"),
    [
        pytest.param(["--once"], 2, "--region", id="no region"),
        pytest.param(
            ["--region", "nowhere", "--estimate"],
            2,
            "'nowhere' is no AWS region",
            id="a region that is none",
        ),
        pytest.param(
            ["--region", "eu-wset-1", "--once"],
            2,
            "Did you mean eu-west-1?",
            id="a misspelt region",
        ),
        pytest.param(
            ["--region", REGION, "--account", ACCOUNT, "--once"],
            2,
            "DBSLO_KAFKA",
            id="no Kafka",
        ),
    ],
)
def test_wrong_usage_is_told(args, code, reason):
    found = call(*args)
    assert found.exit_code == code
    assert reason in found.stderr
