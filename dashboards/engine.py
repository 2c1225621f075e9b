"""The engine's own panels: whether what the boards say can be trusted.

Kept beside the fleet, because a quiet board and a stalled engine look alike.
"""

from dashboards.layout import CHART, QUARTER, Size
from dashboards.looks import About, Link, Look, Query
from dashboards.panels import Lines, ModernPanel, chart, tile
from dashboards.policy_lines import GREEN, YELLOW, Step, any_is, seconds_steps
from dashboards.scope import leads_to
from slo import contract, names
from slo.names import RESULT, SOURCE

LAG_TITLE = "Records waiting in Kafka"
RESULTS_TITLE = "Records by what became of them"
REFUSED_TITLE = "Facts refused"
BATCH_TITLE = "Time to work a batch, p99"
NOTICES_TITLE = "Notices sent"

BARS = Lines(bars=True, stacked=True)


def _to(title: str) -> tuple[Link]:
    return leads_to(names.BOARD_OVERVIEW, title)


def panels() -> list[tuple[Size, ModernPanel]]:
    """The row's panels with their sizes."""
    return [
        (QUARTER, _checkpoint()),
        (QUARTER, _outbox()),
        (QUARTER, _unknown_resources()),
        (QUARTER, _versions()),
        (CHART, _lag()),
        (CHART, records_by_result(RESULTS_TITLE)),
        (CHART, _refused()),
        (CHART, _adjusted()),
        (CHART, _batch_time()),
        (CHART, _notices()),
    ]


def _checkpoint() -> ModernPanel:
    about = About(
        "the longest time since any partition's counts and offset were committed"
        " together.",
        "a few seconds.",
        "an evaluate worker is stuck or its store is not reachable: its log names"
        " which; restarting it loses nothing.",
    )
    query = Query(f"max({names.CHECKPOINT_AGE_SECONDS})", "age")
    look = Look(
        unit="s", decimals=0, steps=seconds_steps(30, 120), links=_to(BATCH_TITLE)
    )
    return tile("Oldest checkpoint", about, query, look)


def _outbox() -> ModernPanel:
    about = About(
        "how long the oldest page or ticket has been waiting to be sent.",
        "0: nothing waits.",
        "PagerDuty or the network refuses us: see the notices below by outcome,"
        " and `dbslo deadletter list` for what was refused for good.",
    )
    query = Query(f"max({names.OUTBOX_OLDEST_SECONDS})", "waiting")
    look = Look(
        unit="s", decimals=0, steps=seconds_steps(60, 300), links=_to(NOTICES_TITLE)
    )
    return tile("Oldest notice not sent", about, query, look)


def _unknown_resources() -> ModernPanel:
    about = About(
        "resources that send data and stand in no inventory: counted, not judged.",
        "0.",
        "add them to the inventory; their history begins when they are added.",
    )
    query = Query(f"max({names.UNKNOWN_RESOURCES})", "resources")
    look = Look(unit="none", steps=any_is(YELLOW), links=_to(RESULTS_TITLE))
    return tile("Resources in no inventory", about, query, look)


def _versions() -> ModernPanel:
    about = About(
        "how many versions of dbslo export metrics at this moment.",
        "1.",
        "a rolling upgrade is under way or has stopped half-way.",
    )
    versions = f"count by ({contract.VERSION}) ({names.BUILD_INFO})"
    look = Look(unit="none", steps=(Step(None, GREEN), Step(2.0, YELLOW)))
    return tile(
        "Versions running", about, Query(f"count({versions})", "versions"), look
    )


def _lag() -> ModernPanel:
    about = About(
        "records that wait in Kafka behind our position, by topic.",
        "close to 0, with short humps at each minute's delivery.",
        "a line that keeps rising: add ingest workers, or look for one that is"
        " refused a partition. Verdicts are late by as much, never wrong.",
    )
    expr = f"sum by ({contract.TOPIC}) ({names.CONSUMER_LAG_MESSAGES})"
    queries = [Query(expr, "{{topic}}")]
    return chart(
        LAG_TITLE, about, queries, Look(unit="none", low=0.0, links=_to(BATCH_TITLE))
    )


def records_by_result(title: str) -> ModernPanel:
    """What stage 1 did with each record; drawn on both boards."""
    about = About(
        "records read from the raw topics, per second, by what became of them. All"
        " clusters, whatever is chosen above.",
        "ok, irrelevant, dup, snapshot and tombstone only.",
        "malformed or refused: `dbslo deadletter list` shows each with its reason;"
        " unknown_resource: it stands in no inventory; late: the source is behind.",
    )
    expr = f"sum by ({RESULT}) (rate({names.RECORDS_TOTAL}[$__rate_interval]))"
    return chart(title, about, [Query(expr, "{{result}}")], Look(unit="ops"), BARS)


def _refused() -> ModernPanel:
    about = About(
        "facts that could not be judged, per second, by source and reason: neither"
        " good nor bad, so they lower the coverage.",
        "none.",
        "the reason says which: a time in the wrong unit, a value outside its"
        " bounds, a resource in no inventory.",
    )
    by = f"{SOURCE}, {contract.REASON}"
    expr = f"sum by ({by}) (rate({names.REFUSED_TOTAL}[$__rate_interval]))"
    queries = [Query(expr, "{{source}}: {{reason}}")]
    return chart(REFUSED_TITLE, about, queries, Look(unit="ops"), BARS)


def _adjusted() -> ModernPanel:
    about = About(
        "records that Kafka dropped unread, and statements that count"
        " otherwise than stated; beside them the partitions that are not read.",
        "nothing lost, nothing unread, few statements outweighed or clamped.",
        "*lost*: retention is shorter than we were away, and those hours stay without"
        " data; *not read*: readiness names the partition and what its saved marks"
        " lack; *clamped*: a source's good and total contradict each other.",
    )
    lost = f"sum(increase({names.LOST_TOTAL}[$__rate_interval]))"
    adjusted = f"sum by ({contract.REASON}) (increase({names.ADJUSTED_TOTAL}[$__rate_interval]))"
    unread = f"sum({names.REFUSED_PARTITIONS})"
    queries = [
        Query(lost, "lost"),
        Query(adjusted, "{{reason}}"),
        Query(unread, "partitions not read"),
    ]
    look = Look(unit="none", low=0.0, links=_to(RESULTS_TITLE))
    return chart("Lost, not read, adjusted", about, queries, look)


def _batch_time() -> ModernPanel:
    about = About(
        "the time that 99 of 100 batches stay under, by stage.",
        "well below a second.",
        "ingest: the machine is short of CPU; evaluate: the store is slow to commit.",
    )
    rate = f"rate({names.PROCESSING_SECONDS}_bucket[$__rate_interval])"
    expr = f"histogram_quantile(0.99, sum by (le, {contract.STAGE}) ({rate}))"
    look = Look(unit="s", low=0.0, steps=seconds_steps(0.5, 1))
    return chart(BATCH_TITLE, about, [Query(expr, "{{stage}}")], look)


def _notices() -> ModernPanel:
    about = About(
        "notices by receiver and outcome, per second.",
        "sent, in step with the incidents.",
        "retry: the receiver throttles or fails, we wait and go on; dead: it"
        " refused for good, see `dbslo deadletter list`; changed: the wanted state"
        " moved on while we sent, so it is sent again.",
    )
    by = f"{contract.TARGET}, {contract.OUTCOME}"
    expr = f"sum by ({by}) (rate({names.NOTIFY_TOTAL}[$__rate_interval]))"
    queries = [Query(expr, "{{target}}: {{outcome}}")]
    return chart(NOTICES_TITLE, about, queries, Look(unit="ops"), BARS)
