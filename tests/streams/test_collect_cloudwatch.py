"""CloudWatch by GetMetricData: what it asks for, what it produces, what it costs."""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import boto3
import msgspec
import pytest
from botocore.exceptions import (
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
)
from moto import mock_aws

from slo.model import DAY, MINUTE, SECOND
from slo.plan import Plan
from streams.collectors.cloudwatch import (
    ATTEMPTS,
    Account,
    Client,
    Collected,
    CollectError,
    collect,
)
from streams.collectors.wanted import STATISTICS, batches, estimate, wanted
from streams.ingest import Ingest
from streams.slab import Slab
from streams.topics import topics_of
from tests.alerts.plans import fleet, only

NOW = 1_700_000_040_000 + 17 * SECOND  # 17 s into a minute
THIS_MINUTE = NOW - NOW % MINUTE
ACCOUNT = Account("012345678901", "eu-west-1")


def readers() -> Plan:
    """Aurora reader lag of orders-a and orders-b: one metric each."""
    return only("readers-fresh")


class Poll:
    """One poll: what it produced, how long it paused, what it says of itself."""

    def __init__(self, client: Client, plan: Plan, account: Account = ACCOUNT) -> None:
        self.client = client
        self.plan = plan
        self.account = account
        self.lines: list[bytes] = []
        self.pauses: list[float] = []

    def run(self, now_ms: int = NOW) -> Collected:
        return collect(
            self.plan,
            self.account,
            self.client,
            self.lines.append,
            now_ms,
            self.pauses.append,
        )

    @property
    def data(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines]


def at(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


# -- moto's CloudWatch ---------------------------------------------------------------


@pytest.fixture
def aws() -> Iterator[Any]:
    with mock_aws():
        yield boto3.client(
            "cloudwatch",
            region_name="eu-west-1",
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
        )


def put(aws, resource: str, start_ms: int, *values: float, unit="Milliseconds") -> None:
    """Samples of AuroraReplicaLag within one minute."""
    aws.put_metric_data(
        Namespace="AWS/RDS",
        MetricData=[
            {
                "MetricName": "AuroraReplicaLag",
                "Dimensions": [{"Name": "DBInstanceIdentifier", "Value": resource}],
                "Timestamp": at(start_ms + n * SECOND),
                "Value": value,
                "Unit": unit,
            }
            for n, value in enumerate(values)
        ],
    )


def test_a_closed_minute_becomes_what_a_metric_stream_would_have_written(aws):
    put(aws, "orders-b", THIS_MINUTE - MINUTE, 10.0, 30.0, 20.0)
    poll = Poll(aws, readers())
    assert poll.run().data == 1
    assert poll.data == [
        {
            "metric_stream_name": "dbslo-collect",
            "account_id": "012345678901",
            "region": "eu-west-1",
            "namespace": "AWS/RDS",
            "metric_name": "AuroraReplicaLag",
            "dimensions": {"DBInstanceIdentifier": "orders-b"},
            "timestamp": THIS_MINUTE - MINUTE,
            "value": {"max": 30.0, "min": 10.0, "sum": 60.0, "count": 3.0},
            "unit": "Milliseconds",
        }
    ]


def test_the_minute_that_is_not_over_is_left_for_later(aws):
    put(aws, "orders-b", THIS_MINUTE, 10.0)
    poll = Poll(aws, readers())
    assert poll.run().data == 0
    assert poll.run(THIS_MINUTE + MINUTE).data == 1


def test_a_restated_minute_is_told_again_and_an_old_one_no_more(aws):
    for back in range(1, 8):
        put(aws, "orders-b", THIS_MINUTE - back * MINUTE, float(back))
    poll = Poll(aws, readers())
    poll.run()
    starts = [one["timestamp"] for one in poll.data]
    assert starts == [THIS_MINUTE - back * MINUTE for back in (5, 4, 3, 2, 1)]
    poll.lines.clear()
    put(aws, "orders-b", THIS_MINUTE - MINUTE, 9.0)  # one more sample of it arrives
    poll.run()
    assert poll.data[-1]["value"] == {"max": 9.0, "min": 1.0, "sum": 10.0, "count": 2.0}


def test_a_first_poll_may_reach_further_back(aws):
    put(aws, "orders-b", THIS_MINUTE - 60 * MINUTE, 1.0)
    assert Poll(aws, readers()).run().data == 0
    far = msgspec.structs.replace(ACCOUNT, overlap=60)
    assert Poll(aws, readers(), far).run().data == 1


def test_a_metric_without_data_is_named_and_nothing_is_made_up_for_it(aws):
    put(aws, "orders-b", THIS_MINUTE - MINUTE, 10.0)
    poll = Poll(aws, readers())
    assert poll.run() == Collected(
        metrics=2,
        requests=1,
        data=1,
        silent=("AWS/RDS AuroraReplicaLag of orders-a",),
    )


def test_a_datum_in_another_unit_is_missed_not_misread(aws):
    put(aws, "orders-b", THIS_MINUTE - MINUTE, 5.0, unit="Seconds")
    assert Poll(aws, readers()).run().data == 0


def test_what_is_collected_is_decoded_into_the_cells_that_the_plan_wants(aws):
    put(aws, "orders-b", THIS_MINUTE - MINUTE, 10.0, 30.0)
    put(aws, "orders-a", THIS_MINUTE - 2 * MINUTE, 1_500.0)
    poll = Poll(aws, readers())
    poll.run()
    ingest = Ingest(readers(), topics_of(readers().inventory), worker="w", partitions=1)
    ingest.assigned("cloudwatch", 0, None)
    count = len(poll.lines)
    values: list[bytes | None] = [*poll.lines]
    slab = Slab("cloudwatch", 0, [*range(count)], [NOW] * count, [None] * count, values)
    ingest.add(slab, NOW)
    cells = {
        (batch.routes[cell[0]].resource, *cell[1:])
        for _, batch in ingest.flush([], {"cloudwatch": 1}, NOW).batches
        for cell in batch.cells
    }
    assert cells == {
        ("instance:orders-b", THIS_MINUTE - MINUTE, NOW, 2.0, 0.04, 0.01, 0.03),
        ("instance:orders-a", THIS_MINUTE - 2 * MINUTE, NOW, 1.0, 1.5, 1.5, 1.5),
    }
    assert ingest.records == {("cloudwatch", "ok"): 2}


# -- a CloudWatch that pages, throttles and fails -------------------------------------


class Pages:
    """Answers with pages or errors in order; keeps what it was asked for."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.asked: list[dict[str, Any]] = []

    def get_metric_data(self, **arguments: Any) -> Mapping[str, Any]:
        self.asked.append(dict(arguments))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def result(query: str, state: str = "Complete", **values: float) -> dict[str, Any]:
    """One result; `m1=2.0` is the value of the minute that began one minute ago."""
    return {
        "Id": query,
        "Label": query,
        "StatusCode": state,
        "Timestamps": [at(THIS_MINUTE - int(name[1:]) * MINUTE) for name in values],
        "Values": list(values.values()),
    }


def page(*results: dict[str, Any], token: str | None = None) -> dict[str, Any]:
    found: dict[str, Any] = {"MetricDataResults": list(results), "Messages": []}
    return found | ({"NextToken": token} if token else {})


def whole(index: int, **values: float) -> list[dict[str, Any]]:
    """All four statistics of a metric, of one sample a minute."""
    ones = dict.fromkeys(values, 1.0)
    return [
        result(f"c{index}", **ones),
        *(result(f"{s}{index}", **values) for s in "snx"),
    ]


def refusal(code: str, status: int = 400) -> ClientError:
    response: Any = {
        "Error": {"Code": code, "Message": "no"},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    return ClientError(response, "GetMetricData")


def test_pages_are_merged_by_query():
    client = Pages(
        page(
            result("c0", "PartialData", m2=1.0),
            result("s0", "PartialData", m2=4.0),
            *whole(1, m1=5.0),
            token="more",
        ),
        page(
            result("c0", m1=1.0),
            result("s0", m1=6.0),
            result("n0", m2=4.0, m1=6.0),
            result("x0", m2=4.0, m1=6.0),
        ),
    )
    poll = Poll(client, readers())
    assert poll.run().requests == 2
    assert client.asked[1]["NextToken"] == "more"
    first = {k: v for k, v in client.asked[0].items() if k != "NextToken"}
    assert {k: v for k, v in client.asked[1].items() if k != "NextToken"} == first
    found = [
        (d["dimensions"]["DBInstanceIdentifier"], d["timestamp"], d["value"]["sum"])
        for d in poll.data
    ]
    assert found == [
        ("orders-a", THIS_MINUTE - 2 * MINUTE, 4.0),
        ("orders-a", THIS_MINUTE - MINUTE, 6.0),
        ("orders-b", THIS_MINUTE - MINUTE, 5.0),
    ]


def test_a_minute_of_which_a_statistic_is_missing_is_not_told():
    some = [r for r in whole(0, m1=5.0) if r["Id"] != "n0"]
    client = Pages(page(*some, result("n0"), *whole(1, m1=5.0)))
    poll = Poll(client, readers())
    assert poll.run().data == 1
    assert poll.data[0]["dimensions"] == {"DBInstanceIdentifier": "orders-b"}


@pytest.mark.parametrize("state", ["InternalError", "Forbidden", "PartialData"])
def test_a_metric_that_fails_is_an_error_and_its_neighbours_are_told(state):
    client = Pages(page(result("c0", state), *whole(0, m1=1.0)[1:], *whole(1, m1=5.0)))
    poll = Poll(client, readers())
    with pytest.raises(CollectError) as caught:
        poll.run()
    assert str(caught.value) == (
        "1 of 2 metrics could not be read:"
        f" AWS/RDS AuroraReplicaLag of orders-a: {state}"
    )
    assert caught.value.retry
    assert [d["dimensions"]["DBInstanceIdentifier"] for d in poll.data] == ["orders-b"]


def test_a_metric_that_is_not_answered_at_all_is_an_error():
    poll = Poll(Pages(page(*whole(1, m1=5.0))), readers())
    with pytest.raises(CollectError, match="orders-a: no result"):
        poll.run()
    assert len(poll.lines) == 1


@pytest.mark.parametrize(
    "error",
    [
        refusal("Throttling"),
        refusal("RequestLimitExceeded"),
        refusal("InternalServiceFault", 500),
    ],
)
def test_throttling_is_waited_out_ever_longer(error):
    client = Pages(error, error, error, page(*whole(0, m1=1.0), *whole(1, m1=1.0)))
    poll = Poll(client, readers())
    assert poll.run().data == 2
    assert poll.pauses == [0.5, 1.0, 2.0]


def test_throttling_without_end_is_an_error_that_the_next_poll_may_not_meet():
    poll = Poll(Pages(*[refusal("ThrottlingException")] * ATTEMPTS), readers())
    with pytest.raises(CollectError, match="put 6 attempts off") as caught:
        poll.run()
    assert caught.value.retry
    assert all(2 * a == b for a, b in pairwise(poll.pauses))


@pytest.mark.parametrize(
    ("error", "retry", "text"),
    [
        (refusal("AccessDenied"), False, "Allow the action cloudwatch:GetMetricData"),
        (refusal("ExpiredToken"), False, "refused GetMetricData (ExpiredToken)"),
        (refusal("InvalidParameterValue"), False, "(InvalidParameterValue)"),
        (NoCredentialsError(), False, "Configure them as for the AWS CLI"),
        (
            EndpointConnectionError(endpoint_url="https://x"),
            True,
            "did not answer (EndpointConnectionError)",
        ),
        (
            ConnectTimeoutError(endpoint_url="https://x"),
            True,
            "did not answer (ConnectTimeoutError)",
        ),
    ],
)
def test_an_error_says_who_may_retry_and_what_to_do(error, retry, text):
    poll = Poll(Pages(error), readers())
    with pytest.raises(CollectError) as caught:
        poll.run()
    assert text in str(caught.value)
    assert caught.value.retry == retry
    assert poll.pauses == []


def test_an_answer_without_end_is_an_error():
    client = Pages(*[page(token="again")] * 1_000)
    with pytest.raises(CollectError, match="did not end after 1000 pages"):
        Poll(client, readers()).run()


# -- what is asked for -------------------------------------------------------------------


def test_it_asks_for_four_statistics_of_closed_minutes_oldest_first():
    client = Pages(page(*whole(0), *whole(1)))
    Poll(client, readers()).run()
    (asked,) = client.asked
    assert asked["StartTime"] == at(THIS_MINUTE - 5 * MINUTE)
    assert asked["EndTime"] == at(THIS_MINUTE)
    assert asked["ScanBy"] == "TimestampAscending"
    first = asked["MetricDataQueries"][:4]
    assert [q["MetricStat"]["Stat"] for q in first] == [
        "SampleCount",
        "Sum",
        "Minimum",
        "Maximum",
    ]
    assert first[0]["MetricStat"]["Metric"] == {
        "Namespace": "AWS/RDS",
        "MetricName": "AuroraReplicaLag",
        "Dimensions": [{"Name": "DBInstanceIdentifier", "Value": "orders-a"}],
    }
    assert {q["MetricStat"]["Period"] for q in first} == {60}
    assert {q["MetricStat"]["Unit"] for q in first} == {"Milliseconds"}


def test_only_metrics_that_a_cloudwatch_feed_wants_are_asked_for_and_each_once():
    found = [(metric.name, metric.resource) for metric in wanted(fleet(), "eu-west-1")]
    assert found == [
        ("AuroraReplicaLag", "orders-a"),
        ("AuroraReplicaLag", "orders-b"),
        ("ClientConnectionsReceived", "orders-proxy"),
        ("ClientConnectionsSetupSucceeded", "orders-proxy"),
        ("ConnectionAttempts", "orders-a"),
        ("ConnectionAttempts", "orders-b"),
        ("LoginFailures", "orders-a"),
        ("LoginFailures", "orders-b"),
        ("ReplicaLag", "catalog-1"),
        ("ReplicaLag", "catalog-2"),
        ("RowLockTime", "orders-a"),
        ("RowLockTime", "orders-b"),
    ]


def in_region(region: str) -> Plan:
    plan = readers()
    series = tuple(
        msgspec.structs.replace(
            one,
            cluster=msgspec.structs.replace(
                one.cluster, labels=one.cluster.labels | {"region": region}
            ),
        )
        for one in plan.series
    )
    return msgspec.structs.replace(plan, series=series)


def test_a_cluster_of_another_region_is_left_to_that_regions_collector():
    assert len(wanted(in_region("eu-west-1"), "eu-west-1")) == 2
    assert wanted(in_region("us-east-1"), "eu-west-1") == []
    assert collect(
        in_region("us-east-1"), ACCOUNT, Pages(), print, NOW, print
    ) == Collected(0, 0, 0, ())


def large(instances: int, cadence_ms: int = MINUTE) -> Plan:
    """Reader lag on many instances."""
    plan = readers()
    first = plan.series[0]
    feeds = tuple(
        msgspec.structs.replace(feed, cadence_ms=cadence_ms) for feed in first.feeds
    )
    series = tuple(
        msgspec.structs.replace(
            first,
            feeds=feeds,
            resource=msgspec.structs.replace(first.resource, name=f"db-{n:03}"),
        )
        for n in range(instances)
    )
    return msgspec.structs.replace(plan, series=series)


def test_no_request_holds_more_than_500_queries_and_none_splits_a_metric():
    client = Pages(
        page(*[r for n in range(125) for r in whole(n, m1=float(n))]),
        page(*[r for n in range(125) for r in whole(n, m1=float(n))]),
        page(*[r for n in range(50) for r in whole(n, m1=float(n))]),
    )
    poll = Poll(client, large(300))
    assert poll.run() == Collected(metrics=300, requests=3, data=300, silent=())
    sizes = [len(asked["MetricDataQueries"]) for asked in client.asked]
    assert sizes == [500, 500, 200]
    by_instance = {
        d["dimensions"]["DBInstanceIdentifier"]: d["value"]["sum"] for d in poll.data
    }
    assert by_instance == {f"db-{n:03}": float(n % 125) for n in range(300)}


def test_metrics_of_different_periods_are_asked_for_apart():
    plan = msgspec.structs.replace(
        readers(), series=large(2).series + large(1, 5 * MINUTE).series
    )
    other = msgspec.structs.replace(
        plan.series[2],
        resource=msgspec.structs.replace(plan.series[2].resource, name="slow"),
    )
    plan = msgspec.structs.replace(plan, series=(*plan.series[:2], other))
    found = [[m.period_ms for m in batch] for batch in batches(wanted(plan, "r"))]
    assert found == [[MINUTE, MINUTE], [5 * MINUTE]]
    client = Pages(page(*whole(0), *whole(1)), page(*whole(0)))
    Poll(client, plan).run()
    assert client.asked[1]["EndTime"] == at(NOW - NOW % (5 * MINUTE))
    assert client.asked[1]["MetricDataQueries"][0]["MetricStat"]["Period"] == 300


def test_where_two_feeds_differ_in_cadence_the_shorter_holds():
    plan = msgspec.structs.replace(
        readers(), series=large(1, 5 * MINUTE).series + large(1).series
    )
    assert [metric.period_ms for metric in wanted(plan, "r")] == [MINUTE]


# -- what it costs ---------------------------------------------------------------------------


def test_the_price_counts_a_metric_once_whatever_its_statistics():
    found = estimate(large(300), "eu-west-1")
    minutes = 30 * DAY // MINUTE
    assert found.metrics == 300
    assert found.metrics_per_month == 300 * minutes == 12_960_000
    assert found.requests_per_month == 3 * minutes
    assert found.usd_per_month == pytest.approx(129.60)
    assert len(STATISTICS) <= 5


def test_nothing_wanted_costs_nothing():
    found = estimate(in_region("us-east-1"), "eu-west-1")
    assert (found.metrics, found.usd_per_month, found.left_out) == (0, 0.0, ())


def test_a_metric_of_several_dimensions_is_left_out_and_named():
    plan = large(1)
    (series,) = plan.series
    (feed,) = series.feeds
    (part,) = feed.inputs
    both = msgspec.structs.replace(part, dimensions=("DBClusterIdentifier", "Role"))
    feed = msgspec.structs.replace(feed, inputs=(both,))
    series = msgspec.structs.replace(series, feeds=(feed,))
    plan = msgspec.structs.replace(plan, series=(series,))
    assert wanted(plan, "r") == []
    assert estimate(plan, "r").left_out == (
        "AWS/RDS AuroraReplicaLag of db-000 by DBClusterIdentifier, Role",
    )
