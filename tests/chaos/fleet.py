"""The fleet under fire: four clusters on four observations partitions, and their SLOs.

The inventory and the objectives are written as an operator would write them; the count
by hand reads the same tables.
"""

import json
from pathlib import Path
from typing import Any

from dbslo.load import load_plan
from slo.plan import Plan
from slo.policy import DEFAULT, compressed

PARTITIONS = 4
RAW_PARTITIONS = 4
ENV = "chaos"
SERVICE = "databases"
BLIND = f"dbslo/{ENV}/dbslo/blind"
"""The key under which dbslo says that it does not see."""

MINUTE = 60_000

FLEET: list[dict[str, Any]] = [
    {
        "name": "shop",
        "engine": "mysql",
        "labels": {"env": ENV},
        "instances": [f"shop-{n}" for n in range(20)],
        "cdc_prefixes": ["shop"],
    },
    {
        "name": "ledger",
        "engine": "postgres",
        "labels": {"env": ENV},
        "instances": [f"ledger-{n}" for n in range(4)],
        "cdc_prefixes": ["ledger"],
    },
    {
        "name": "orders",
        "engine": "aurora-mysql",
        "labels": {"env": ENV},
        "instances": [f"orders-{n}" for n in range(20)],
        "proxies": ["orders-proxy"],
        "cdc_prefixes": ["orders"],
    },
    {
        "name": "returns",
        "engine": "postgres",
        "labels": {"env": ENV},
        "instances": [f"returns-{n}" for n in range(4)],
    },
]

ROW_LIMIT_S = 5
SLOS: list[dict[str, Any]] = [
    {
        "name": "rows",
        "sli": "cdc.end_to_end_freshness",
        "method": "Occurrences",
        "threshold": ROW_LIMIT_S,
        "urgency": "page",
    },
    {
        "name": "transactions",
        "sli": "transactions.success_ratio",
        "method": "Occurrences",
        "urgency": "page",
    },
    {"name": "changes", "sli": "cdc.end_to_end_freshness", "method": "Timeslices"},
    {"name": "alive", "sli": "cdc.liveness", "method": "Timeslices"},
    {"name": "replica-lag", "sli": "rds.replica_lag", "method": "Timeslices"},
    {"name": "reader-lag", "sli": "aurora.replica_lag", "method": "Timeslices"},
    {"name": "lock-waits", "sli": "locks.wait_share", "method": "Timeslices"},
    {"name": "blocked", "sli": "locks.blocked_transactions", "method": "Timeslices"},
    {"name": "deadlocks", "sli": "deadlock_ratio", "method": "Occurrences"},
    {"name": "connects", "sli": "connect.success_ratio", "method": "RatioTimeslices"},
]
"""`urgency` is board where none is given: the late truth of metrics pages nobody."""

FORMATS = {"cloudwatch": "cloudwatch", "datadog": "datadog"}

SPECIFICATION = """
apiVersion: openslo/v1
kind: SLO
metadata: {{name: {name}, annotations: {{dbslo/urgency: {urgency}}}}}
spec:
  service: {service}
  indicator:
    metadata: {{name: {name}}}
    spec:
      ratioMetric:
        rawType: success
        raw:
          metricSource: {{type: dbslo, spec: {{sli: {sli}, selector: {{env: {env}}}{more}}}}}
  timeWindow: [{{duration: 30d, isRolling: true}}]
  budgetingMethod: {method}
  objectives: [{{target: 0.995{slices}}}]
"""
SLICES = {
    "Timeslices": ", timeSliceWindow: 1m, timeSliceTarget: 1",
    "RatioTimeslices": ", timeSliceWindow: 1m",
    "Occurrences": "",
}


def cdc_topics() -> dict[str, str]:
    """The topic of each change stream by its prefix."""
    schemas = {"shop": "app", "ledger": "public", "orders": "app"}
    return {prefix: f"{prefix}.{schema}.rows" for prefix, schema in schemas.items()}


def topics() -> list[str]:
    """Every raw topic."""
    beats = [f"__debezium-heartbeat.{prefix}" for prefix in cdc_topics()]
    return [*FORMATS, *cdc_topics().values(), *beats]


def key_of(cluster: str) -> str:
    """The dedup key under which a cluster pages."""
    return f"dbslo/{ENV}/{SERVICE}/{cluster}"


def write(folder: Path) -> tuple[Path, Path]:
    """Inventory and specifications as files; their paths."""
    inventory, specs = folder / "inventory.yaml", folder / "slos.yaml"
    inventory.write_text(json.dumps({"clusters": FLEET}))
    specs.write_text("---".join(map(_specification, SLOS)))
    return inventory, specs


def _specification(slo: dict[str, Any]) -> str:
    threshold = slo.get("threshold")
    return SPECIFICATION.format(
        name=slo["name"],
        sli=slo["sli"],
        method=slo["method"],
        urgency=slo.get("urgency", "board"),
        service=SERVICE,
        env=ENV,
        more=f", threshold: {threshold}s" if threshold else "",
        slices=SLICES[slo["method"]],
    )


def plan(folder: Path, divisor: int) -> Plan:
    """The plan of what `write` wrote, under an alert policy whose time is divided."""
    policy = compressed(DEFAULT, divisor)
    return load_plan([folder / "slos.yaml"], folder / "inventory.yaml", policy)
