"""The metric contract: type, labels and meaning of every exported metric, once.

The engine's collector, boards, rules and documentation read this table; tests
hold a scrape and every generated query against it.

Two rules that the table cannot say. `dbslo_alert_state` without a tier (the
label is empty) is the verdict of the whole series; with a tier it is the state
of that tier. `period` is `rolling<duration>`, such as `rolling30d`.
"""

from enum import StrEnum
from typing import NamedTuple

from slo import names
from slo.names import PERIOD, RESULT, SERIES_LABELS, SOURCE, TIER, WINDOW, duration


class Type(StrEnum):
    """The type of a metric, as Prometheus spells it."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Metric(NamedTuple):
    """One row of the contract; `labels` in the order in which they are exported."""

    type: Type
    labels: tuple[str, ...]
    help: str


TOPIC = "topic"
PARTITION = "partition"
STAGE = "stage"
REASON = "reason"
TARGET = "target"
OUTCOME = "outcome"
VERSION = "version"
INFO_LABELS = ("team", "owner", "sli_type", "runbook", "spec_rev")


def period(period_ms: int) -> str:
    """The `period` label of a rolling budget period."""
    return f"rolling{duration(period_ms)}"


def _series(meaning: str, *further: str) -> Metric:
    return Metric(Type.GAUGE, (*SERIES_LABELS, *further), meaning)


def _engine(meaning: str, *labels: str) -> Metric:
    return Metric(Type.GAUGE, labels, meaning)


def _count(meaning: str, *labels: str) -> Metric:
    return Metric(Type.COUNTER, labels, meaning)


METRICS: dict[str, Metric] = {
    names.EVENTS_TOTAL: _count(
        "Events (or slices) as first known, by result (good, bad); never decreases.",
        *SERIES_LABELS,
        RESULT,
    ),
    names.RESTATED_EVENTS: _series(
        "Events as known now less those first known, by result.", RESULT
    ),
    names.SLI_RATIO: _series("Good share of the window, 0 to 1.", WINDOW),
    names.BURN_RATE: _series("Bad share of the window over the budget.", WINDOW),
    names.OBJECTIVE_RATIO: _series("The objective, 0 to 1.", PERIOD),
    names.WINDOW_SECONDS: _series("Length of the budget's period.", PERIOD),
    names.BUDGET_REMAINING_RATIO: _series(
        "Error budget left: 1 untouched, below 0 overspent.", PERIOD
    ),
    names.BUDGET_REMAINING_SECONDS: _series(
        "Error budget left, as seconds of total outage.", PERIOD
    ),
    names.BUDGET_SPENT_RATIO: _series("Error budget spent, 1 is all of it.", PERIOD),
    names.EXHAUSTION_SECONDS: _series(
        "Until the budget is gone at the window's burn; absent: not at this rate.",
        WINDOW,
    ),
    names.ALERT_THRESHOLD: _series("The burn rate above which the tier fires.", TIER),
    names.ALERT_STATE: _series(
        "0 ok, 1 watch, 2 ticket, 3 page, 4 unknown; no tier: the whole series.", TIER
    ),
    names.HOT_SECONDS: _series(
        "Time of the long window that is itself above the tier's burn.", TIER
    ),
    names.HOT_FLOOR_SECONDS: _series("The hot time that a page needs."),
    names.WINDOW_BAD_EVENTS: _series("Bad events of the window.", WINDOW),
    names.WINDOW_TOTAL_EVENTS: _series("Events of the window.", WINDOW),
    names.MIN_BAD_EVENTS: _series("The bad events that an alert needs."),
    names.MIN_TOTAL_EVENTS: _series("The events that an alert needs."),
    names.COVERAGE_RATIO: _series("Observed share of the fastest tier's long window."),
    names.WINDOW_COVERAGE_RATIO: _series("Observed share of the window.", WINDOW),
    names.SOURCE_AGE_SECONDS: _series("Age of the newest judged data at now."),
    names.WATERMARK_SECONDS: _series("The engine's now for the series, epoch seconds."),
    names.REVISIONS_TOTAL: _count(
        "Buckets that late or restated data changed.", *SERIES_LABELS
    ),
    names.SLO_INFO: _series("Always 1; what is known about the SLO.", *INFO_LABELS),
    names.RECORDS_TOTAL: _count("Records read, by what became of them.", TOPIC, RESULT),
    names.CONSUMER_LAG_MESSAGES: _engine(
        "Records that wait in Kafka behind our position.", TOPIC, PARTITION
    ),
    names.PROCESSING_SECONDS: Metric(
        Type.HISTOGRAM, (STAGE,), "Time to work one batch."
    ),
    names.CHECKPOINT_AGE_SECONDS: _engine(
        "Since the store last committed counts and offset together.", PARTITION
    ),
    names.REFUSED_TOTAL: _count("Facts refused, by reason.", SOURCE, REASON),
    names.NOTIFY_TOTAL: _count("Notices sent or not, by outcome.", TARGET, OUTCOME),
    names.OUTBOX_OLDEST_SECONDS: _engine("Age of the oldest notice not yet sent."),
    names.INCIDENTS_OPEN: _engine("Incidents that are open now."),
    names.UNKNOWN_RESOURCES: _engine("Resources seen that no inventory names."),
    names.ADJUSTED_TOTAL: _count(
        "Statements that count otherwise than stated: outweighed by another of the same"
        " cell, clamped to their total.",
        REASON,
    ),
    names.LOST_TOTAL: _count(
        "Records that Kafka dropped before they were read.", TOPIC, PARTITION
    ),
    names.REFUSED_PARTITIONS: _engine(
        "Source partitions that are not read: what was saved of them cannot be read."
    ),
    names.BUILD_INFO: _engine("Always 1; the version that runs.", VERSION),
}
