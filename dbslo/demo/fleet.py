"""The demo's fleet at rest: which metrics each resource sends, and their usual values."""

from importlib.resources import files
from typing import NamedTuple
from zlib import crc32

from slo.resources import (
    Cluster,
    Engine,
    Resource,
    ResourceKind,
)

FLEET = files("dbslo") / "demo" / "fleet"


class Meter(NamedTuple):
    """A metric at rest: `usual` give or take `sway` (a share of it)."""

    metric: str
    unit: str
    usual: float
    sway: float = 0.2

    def at(self, resource: str, t_s: float) -> float:
        """The value at a time: the same for the same resource, metric and second."""
        noise = crc32(f"{resource}/{self.metric}/{t_s:.0f}".encode()) / 0xFFFFFFFF
        return self.usual * (1 + self.sway * (2 * noise - 1))


INSTANCE = (
    Meter("CPUUtilization", "Percent", 35),
    Meter("DatabaseConnections", "Count", 420, 0.05),
    Meter("FreeableMemory", "Bytes", 9.2e9, 0.02),
    Meter("ReadLatency", "Seconds", 0.0007),
    Meter("WriteLatency", "Seconds", 0.0012),
)
AURORA = (
    Meter("CommitLatency", "Milliseconds", 2.1),
    Meter("CommitThroughput", "Count/Second", 880),
    Meter("Deadlocks", "Count/Second", 0, 0),
)
AURORA_MYSQL = (
    Meter("RowLockTime", "Milliseconds", 900),
    Meter("BlockedTransactions", "Count/Second", 0.4),
    Meter("SelectLatency", "Milliseconds", 0.8),
)
XIDS = (Meter("MaximumUsedTransactionIDs", "Count", 2.1e8, 0.001),)
OF_ENGINE = {
    Engine.AURORA_MYSQL: (*INSTANCE, *AURORA, *AURORA_MYSQL),
    Engine.AURORA_POSTGRESQL: (*INSTANCE, *AURORA, *XIDS),
    Engine.MYSQL: INSTANCE,
    Engine.MARIADB: INSTANCE,
    Engine.POSTGRES: (*INSTANCE, *XIDS),
}
AURORA_LAG = Meter("AuroraReplicaLag", "Milliseconds", 18)
RDS_LAG = Meter("ReplicaLag", "Seconds", 0.4)
CONNECT_ATTEMPTS = Meter("ClientConnectionsReceived", "Count", 60, 0.1)
"""Connection attempts of a proxy, per minute."""

DATADOG_INTERVAL_S = 20
DATADOG = {
    Engine.POSTGRES: (
        (Meter("postgresql.commits", "", 500), 2),
        (Meter("postgresql.rollbacks", "", 0.05), 2),
        (Meter("postgresql.deadlocks.count", "", 0, 0), 1),
        (Meter("postgresql.waiting_queries", "", 0.5), 3),
        (Meter("postgresql.connections", "", 85), 3),
    ),
    Engine.MYSQL: (
        (Meter("mysql.innodb.row_lock_time", "", 12), 3),
        (Meter("mysql.innodb.row_lock_current_waits", "", 0.3), 3),
        (Meter("mysql.performance.questions", "", 2400), 3),
    ),
}
"""What an agent sends of a cluster's writer, with Datadog's type of each."""


def meters(cluster: Cluster, resource: Resource) -> tuple[Meter, ...]:
    """The CloudWatch metrics of an instance; only readers have a lag."""
    if resource.kind is not ResourceKind.INSTANCE:
        return ()
    if resource.name == cluster.instances[0]:
        return OF_ENGINE[cluster.engine]
    return (*OF_ENGINE[cluster.engine], lag_of(cluster.engine))


def lag_of(engine: Engine) -> Meter:
    """The lag metric of an engine's readers."""
    aurora = engine in (Engine.AURORA_MYSQL, Engine.AURORA_POSTGRESQL)
    return AURORA_LAG if aurora else RDS_LAG
