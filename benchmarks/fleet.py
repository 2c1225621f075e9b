"""The fleet of the benchmark: 500 Aurora MySQL instances, 20 metrics each.

Ten of the metrics feed eight SLOs, the other ten feed none.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

import yaml

from dbslo.load import load_plan
from slo.plan import Plan

INSTANCES = 500

CATALOGUE = {
    "aurora.replica_lag": ("reader-fresh", "Timeslices"),
    "locks.wait_share": ("lock-waits", "Timeslices"),
    "locks.blocked_transactions": ("blocked", "Timeslices"),
    "deadlock_ratio": ("deadlocks", "Occurrences"),
    "connect.success_ratio": ("connect", "RatioTimeslices"),
}
OF_ATTEMPTS = {
    "clean-ends": "AbortedClients",
    "quick-handshakes": "AuroraSlowHandshakeCount",
    "quick-connections": "AuroraSlowConnectionHandleCount",
}

RELEVANT = {
    "AuroraReplicaLag": "Milliseconds",
    "RowLockTime": "Milliseconds",
    "BlockedTransactions": "Count/Second",
    "Deadlocks": "Count/Second",
    "CommitThroughput": "Count/Second",
    "ConnectionAttempts": "Count",
    "LoginFailures": "Count/Second",
    "AbortedClients": "Count",
    "AuroraSlowHandshakeCount": "Count",
    "AuroraSlowConnectionHandleCount": "Count",
}
IRRELEVANT = {
    "CPUUtilization": "Percent",
    "FreeableMemory": "Bytes",
    "SwapUsage": "Bytes",
    "NetworkThroughput": "Bytes/Second",
    "EngineUptime": "Seconds",
    "BufferCacheHitRatio": "Percent",
    "SelectLatency": "Milliseconds",
    "CommitLatency": "Milliseconds",
    "DiskQueueDepth": "Count",
    "FreeLocalStorage": "Bytes",
}


def instance(number: int) -> str:
    """The name of an instance."""
    return f"shop-{number:03d}-writer"


def plan() -> Plan:
    """Eight SLOs over all instances, read from YAML as anybody's would be."""
    with TemporaryDirectory() as folder:
        specs, inventory = Path(folder) / "slos.yaml", Path(folder) / "inventory.yaml"
        specs.write_text(yaml.safe_dump_all(_specs()))
        inventory.write_text(yaml.safe_dump({"clusters": _clusters()}))
        return load_plan([specs], inventory)


def _clusters() -> list[dict[str, object]]:
    return [
        {
            "name": f"shop-{number:03d}",
            "engine": "aurora-mysql",
            "labels": {"env": "prod"},
            "instances": [instance(number)],
        }
        for number in range(INSTANCES)
    ]


def _specs() -> list[dict[str, object]]:
    selector = {"env": "prod"}
    shipped = [
        _slo(
            name,
            method,
            {"raw": _source({"sli": sli, "selector": selector}), "rawType": "success"},
        )
        for sli, (name, method) in CATALOGUE.items()
    ]
    own = [
        _slo(
            name,
            "Occurrences",
            {
                "bad": _source({**_metric(metric), "selector": selector}),
                "total": _source(
                    {**_metric("ConnectionAttempts"), "selector": selector}
                ),
            },
        )
        for name, metric in OF_ATTEMPTS.items()
    ]
    return shipped + own


def _source(spec: dict[str, object]) -> dict[str, object]:
    return {"metricSource": {"type": "dbslo", "spec": spec}}


def _metric(name: str) -> dict[str, object]:
    return {
        "source": "cloudwatch",
        "metric": name,
        "namespace": "AWS/RDS",
        "dimensions": ["DBInstanceIdentifier"],
        "stat": "sum",
    }


def _slo(name: str, method: str, ratio: dict[str, object]) -> dict[str, object]:
    objective: dict[str, object] = {"target": 0.995}
    if method == "Timeslices":
        objective |= {"timeSliceTarget": 0.9, "timeSliceWindow": "1m"}
    if method == "RatioTimeslices":
        objective |= {"timeSliceWindow": "1m"}
    return {
        "apiVersion": "openslo/v1",
        "kind": "SLO",
        "metadata": {"name": name},
        "spec": {
            "service": "databases",
            "indicator": {
                "metadata": {"name": f"{name}-sli"},
                "spec": {"ratioMetric": {"counter": True, **ratio}},
            },
            "timeWindow": [{"duration": "30d", "isRolling": True}],
            "budgetingMethod": method,
            "objectives": [objective],
        },
    }
