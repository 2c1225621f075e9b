"""Every metric, label and topic name of dbslo, once.

Code, rules, boards and documentation import from here; a test scrapes the
engine and compares.
"""

# -- labels of every SLO series, in this order ----------------------------------
SERIES_LABELS = ("env", "cluster", "resource", "service", "slo")

WINDOW = "window"
TIER = "tier"
RESULT = "result"
PERIOD = "period"
SOURCE = "source"

# -- metrics of SLO series --------------------------------------------------------
EVENTS_TOTAL = "dbslo_events_total"
RESTATED_EVENTS = "dbslo_restated_events"
SLI_RATIO = "dbslo_sli_ratio"
BURN_RATE = "dbslo_burn_rate"
OBJECTIVE_RATIO = "dbslo_objective_ratio"
WINDOW_SECONDS = "dbslo_window_seconds"
BUDGET_REMAINING_RATIO = "dbslo_budget_remaining_ratio"
BUDGET_REMAINING_SECONDS = "dbslo_budget_remaining_seconds"
BUDGET_SPENT_RATIO = "dbslo_budget_spent_ratio"
EXHAUSTION_SECONDS = "dbslo_exhaustion_seconds"
ALERT_THRESHOLD = "dbslo_alert_threshold"
ALERT_STATE = "dbslo_alert_state"
HOT_SECONDS = "dbslo_hot_seconds"
HOT_FLOOR_SECONDS = "dbslo_hot_floor_seconds"
WINDOW_BAD_EVENTS = "dbslo_window_bad_events"
WINDOW_TOTAL_EVENTS = "dbslo_window_total_events"
MIN_BAD_EVENTS = "dbslo_min_bad_events"
MIN_TOTAL_EVENTS = "dbslo_min_total_events"
COVERAGE_RATIO = "dbslo_coverage_ratio"
WINDOW_COVERAGE_RATIO = "dbslo_window_coverage_ratio"
SOURCE_AGE_SECONDS = "dbslo_source_age_seconds"
WATERMARK_SECONDS = "dbslo_watermark_seconds"
SLO_INFO = "dbslo_slo_info"

# -- metrics of the engine itself --------------------------------------------------
RECORDS_TOTAL = "dbslo_records_total"
CONSUMER_LAG_MESSAGES = "dbslo_consumer_lag_messages"
PROCESSING_SECONDS = "dbslo_processing_seconds"
CHECKPOINT_AGE_SECONDS = "dbslo_checkpoint_age_seconds"
REVISIONS_TOTAL = "dbslo_revisions_total"
REFUSED_TOTAL = "dbslo_refused_total"
NOTIFY_TOTAL = "dbslo_notify_total"
OUTBOX_OLDEST_SECONDS = "dbslo_outbox_oldest_seconds"
INCIDENTS_OPEN = "dbslo_incidents_open"
UNKNOWN_RESOURCES = "dbslo_unknown_resources"
ADJUSTED_TOTAL = "dbslo_adjusted_total"
LOST_TOTAL = "dbslo_lost_messages_total"
REFUSED_PARTITIONS = "dbslo_refused_partitions"
BUILD_INFO = "dbslo_build_info"

# -- values of `dbslo_alert_state` ---------------------------------------------------
STATE_VALUES = {"ok": 0, "watch": 1, "ticket": 2, "page": 3, "unknown": 4}

# -- topics -----------------------------------------------------------------------
OBSERVATIONS_TOPIC = "dbslo.observations"
DEAD_LETTER_TOPIC = "dbslo.dead-letters"
CLOUDWATCH_TOPIC = "cloudwatch"
DATADOG_TOPIC = "datadog"
DEBEZIUM_HEARTBEAT_PREFIX = "__debezium-heartbeat."

# -- consumer groups and board ids ----------------------------------------------------
INGEST_GROUP = "dbslo-ingest"
EVALUATE_GROUP = "dbslo-evaluate"
STORE_SESSIONS = "dbslo"  # `application_name`, where the URL does not say another
BOARD_OVERVIEW = "dbslo-overview"
BOARD_SLO_DETAIL = "dbslo-slo-detail"

WINDOW_NAMES = ("5m", "30m", "1h", "2h", "6h", "1d", "3d")
"""The windows of the default policy, as label values, shortest first."""


def duration(ms: int) -> str:
    """A duration as a label value: the largest of d, h, m, s, ms that divides it."""
    for unit, size in (
        ("d", 86_400_000),
        ("h", 3_600_000),
        ("m", 60_000),
        ("s", 1_000),
    ):
        if ms and ms % size == 0:
            return f"{ms // size}{unit}"
    return f"{ms}ms"
