"""CloudWatch by GetMetricData, for teams without a metric stream.

Writes what a metric stream would have written, into the same raw topic: one JSON
document for each period of each metric, with count, sum, minimum and maximum. Only
closed periods are read. CloudWatch completes a period for minutes after its end, so
each poll reads the last few again; restatements are joined downstream.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final, Protocol

import msgspec
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

from slo.model import SECOND
from slo.plan import Plan
from streams.collectors.wanted import STATISTICS, Metric, batches, wanted

MAX_PAGES: Final = 1_000
ATTEMPTS: Final = 6
FIRST_PAUSE_SECONDS: Final = 0.5
THROTTLED: Final = frozenset(
    {"RequestLimitExceeded", "Throttling", "ThrottlingException", "TooManyRequests"}
)
NAMED: Final = 5
"""As many metrics are named in an error or warning."""


class Client(Protocol):
    """What is used of boto3's CloudWatch client."""

    def get_metric_data(self, **arguments: Any) -> Mapping[str, Any]:
        """One page of values."""


class Account(msgspec.Struct, frozen=True):
    """Whose metrics are read: 12 digits, and a region.

    `overlap` is how many closed periods each poll reads; the first poll after a
    break may ask for more. `stream` names us where a metric stream has its name.
    """

    account_id: str
    region: str
    overlap: int = 5
    stream: str = "dbslo-collect"


class Collected(msgspec.Struct, frozen=True):
    """What one poll did. `silent` are the metrics that had no datum at all."""

    metrics: int
    requests: int
    data: int
    silent: tuple[str, ...]


class CollectError(Exception):
    """A poll did not read everything; what it did read was produced.

    `retry`: whether the next poll may succeed without anybody doing anything.
    """

    def __init__(self, text: str, *, retry: bool) -> None:
        super().__init__(text)
        self.retry = retry


def collect(
    plan: Plan,
    account: Account,
    client: Client,
    produce: Callable[[bytes], None],
    now_ms: int,
    pause: Callable[[float], None],
) -> Collected:
    """Read the last closed periods of every wanted metric and produce them.

    `pause` waits seconds where AWS throttles. Raises CollectError where anything
    could not be read, after all that could be was produced.
    """
    metrics = wanted(plan, account.region)
    requests = data = 0
    silent: list[str] = []
    failed: list[str] = []
    for batch in batches(metrics):
        answer = _read(client, batch, account.overlap, now_ms, pause)
        requests += answer.requests
        for index, metric in enumerate(batch):
            lines = list(_data(metric, answer.of(index), account, now_ms))
            for line in lines:
                produce(line)
            data += len(lines)
            why = answer.failure(index)
            if why:
                failed.append(f"{metric}: {why}")
            elif not lines:
                silent.append(str(metric))
    if failed:
        text = f"{len(failed)} of {len(metrics)} metrics could not be read"
        raise CollectError(f"{text}: {_some(failed)}", retry=True)
    return Collected(len(metrics), requests, data, tuple(silent))


def _some(texts: list[str]) -> str:
    more = len(texts) - NAMED
    return "; ".join(texts[:NAMED]) + (f"; and {more} more" if more > 0 else "")


# -- one batch ------------------------------------------------------------------------


class _Answer:
    """The pages of one batch, merged: values by metric, period start and statistic."""

    def __init__(self) -> None:
        self.requests = 0
        self._states: dict[str, str] = {}
        self._values: dict[int, dict[int, dict[str, float]]] = {}

    def add(self, page: Mapping[str, Any]) -> None:
        """Take a page in; of a query's states the last one holds."""
        self.requests += 1
        for result in page["MetricDataResults"]:
            query = result["Id"]
            self._states[query] = result["StatusCode"]
            times = self._values.setdefault(int(query[1:]), {})
            statistic = STATISTICS[query[0]][1]
            for at, value in zip(result["Timestamps"], result["Values"], strict=True):
                times.setdefault(_epoch_ms(at), {})[statistic] = value

    def of(self, index: int) -> dict[int, dict[str, float]]:
        """The values of one metric by period start, ms."""
        return self._values.get(index, {})

    def failure(self, index: int) -> str:
        """Why a metric was not read to its end, "" where it was."""
        states = (self._states.get(f"{s}{index}", "no result") for s in STATISTICS)
        return next((state for state in states if state != "Complete"), "")


def _read(
    client: Client,
    batch: list[Metric],
    overlap: int,
    now_ms: int,
    pause: Callable[[float], None],
) -> _Answer:
    period_ms = batch[0].period_ms
    end_ms = now_ms // period_ms * period_ms
    arguments: dict[str, Any] = {
        "MetricDataQueries": _queries(batch),
        "StartTime": datetime.fromtimestamp((end_ms - overlap * period_ms) / 1000, UTC),
        "EndTime": datetime.fromtimestamp(end_ms / 1000, UTC),
        "ScanBy": "TimestampAscending",
    }
    answer = _Answer()
    for _ in range(MAX_PAGES):
        page = _patiently(client, arguments, pause)
        answer.add(page)
        token = page.get("NextToken")
        if not token:
            return answer
        arguments["NextToken"] = token
    raise CollectError(f"GetMetricData did not end after {MAX_PAGES} pages", retry=True)


def _queries(batch: list[Metric]) -> list[dict[str, Any]]:
    """One query for each statistic of each metric, named by its place in the batch."""
    return [
        {
            "Id": f"{letter}{index}",
            "MetricStat": _metric_stat(metric, statistic),
            "ReturnData": True,
        }
        for index, metric in enumerate(batch)
        for letter, (statistic, _) in STATISTICS.items()
    ]


def _metric_stat(metric: Metric, statistic: str) -> dict[str, Any]:
    """The unit is asked for, so that a datum in another one is missed, not misread."""
    found: dict[str, Any] = {
        "Metric": {
            "Namespace": metric.namespace,
            "MetricName": metric.name,
            "Dimensions": [{"Name": metric.dimension, "Value": metric.resource}],
        },
        "Period": metric.period_ms // SECOND,
        "Stat": statistic,
    }
    return found | ({"Unit": metric.unit} if metric.unit else {})


def _epoch_ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)


def _patiently(
    client: Client, arguments: dict[str, Any], pause: Callable[[float], None]
) -> Mapping[str, Any]:
    """One request; where AWS throttles or fails, again after ever longer pauses."""
    for attempt in range(ATTEMPTS):
        try:
            return client.get_metric_data(**arguments)
        except ClientError as error:
            _refused(error)
        except NoCredentialsError:
            text = "no AWS credentials were found. Configure them as for the AWS CLI"
            raise CollectError(text, retry=False) from None
        except BotoCoreError as error:
            text = f"CloudWatch did not answer ({type(error).__name__})"
            raise CollectError(text, retry=True) from error
        pause(FIRST_PAUSE_SECONDS * 2**attempt)
    raise CollectError(f"CloudWatch put {ATTEMPTS} attempts off", retry=True)


def _refused(error: ClientError) -> None:
    """Raises CollectError, unless the same request may succeed later."""
    code = error.response.get("Error", {}).get("Code", "")
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code in THROTTLED or status >= 500:
        return
    text = f"CloudWatch refused GetMetricData ({code or f'HTTP {status}'})"
    if code.startswith("AccessDenied"):
        text += ". Allow the action cloudwatch:GetMetricData"
    raise CollectError(text, retry=False) from None


def _data(
    metric: Metric,
    values: dict[int, dict[str, float]],
    account: Account,
    now_ms: int,
) -> Iterator[bytes]:
    """The documents of a metric, oldest first: closed periods with all statistics.

    A period of which a statistic has not come yet is read again by the next poll.
    """
    for start_ms, value in sorted(values.items()):
        if start_ms + metric.period_ms > now_ms or len(value) < len(STATISTICS):
            continue
        yield msgspec.json.encode(
            {
                "metric_stream_name": account.stream,
                "account_id": account.account_id,
                "region": account.region,
                "namespace": metric.namespace,
                "metric_name": metric.name,
                "dimensions": {metric.dimension: metric.resource},
                "timestamp": start_ms,
                "value": {key: value[key] for key in ("max", "min", "sum", "count")},
                "unit": metric.unit or "None",
            }
        )
