"""The fleet of the benchmark: 500 Aurora MySQL instances, 20 metrics each.

Ten of the metrics feed eight SLOs, the other ten feed none. Beside them stand the
clusters whose pages are timed, with one SLO of their own.
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

PROD = {"env": "prod"}

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


def plan(instances: int = INSTANCES) -> Plan:
    """Eight SLOs over all instances, read from YAML as anybody's would be."""
    with TemporaryDirectory() as folder:
        specs, inventory = written(Path(folder), instances)
        return load_plan([specs], inventory)


def written(
    folder: Path, instances: int = INSTANCES, paged: int = 0
) -> tuple[Path, Path]:
    """The files of specifications and inventory, with so many clusters to be paged."""
    specs, inventory = folder / "slos.yaml", folder / "inventory.yaml"
    specs.write_text(yaml.safe_dump_all(_specs() + ([_paging()] if paged else [])))
    clusters = [_cluster(f"shop-{n:03d}", "prod") for n in range(instances)]
    clusters += [_cluster(f"paged-{n:03d}", "paged") for n in range(paged)]
    inventory.write_text(yaml.safe_dump({"clusters": clusters}))
    return specs, inventory


def _cluster(name: str, env: str) -> dict[str, object]:
    return {
        "name": name,
        "engine": "aurora-mysql",
        "labels": {"env": env},
        "instances": [f"{name}-writer"],
    }


def _specs() -> list[dict[str, object]]:
    shipped = [
        _slo(
            name,
            method,
            {"raw": _source({"sli": sli, "selector": PROD}), "rawType": "success"},
        )
        for sli, (name, method) in CATALOGUE.items()
    ]
    own = [_of_attempts(name, metric, PROD) for name, metric in OF_ATTEMPTS.items()]
    return shipped + own


def _paging() -> dict[str, object]:
    made = _of_attempts("pages", "AbortedClients", {"env": "paged"}, target=0.9995)
    named = {"name": "pages", "annotations": {"dbslo/urgency": "page"}}
    return {**made, "metadata": named}


def _of_attempts(
    name: str, metric: str, selector: dict[str, str], target: float = 0.995
) -> dict[str, object]:
    ratio: dict[str, object] = {
        "bad": _source({**_metric(metric), "selector": selector}),
        "total": _source({**_metric("ConnectionAttempts"), "selector": selector}),
    }
    return _slo(name, "Occurrences", ratio, target)


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


def _slo(
    name: str, method: str, ratio: dict[str, object], target: float = 0.995
) -> dict[str, object]:
    objective: dict[str, object] = {"target": target}
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
