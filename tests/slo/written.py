"""Specifications and inventories as text, for tests that spoil one thing in them."""

from textwrap import dedent

from dbslo.load import catalogue
from dbslo.trees import read_bytes
from slo.faults import Fault
from slo.fleet import expand
from slo.inventory import read_inventory
from slo.model import (
    SLO,
    Series,
)
from slo.reading import Findings
from slo.resources import (
    Inventory,
)
from slo.specification import Read, read_specifications

FLEET = """
clusters:
- name: orders
  engine: aurora-mysql
  labels: {env: prod, team: payments}
  instances: [orders-a, orders-b]
  proxies: [orders-proxy]
  cdc_prefixes: [orders-cdc]
- name: returns
  engine: postgres
  labels: {env: prod, team: ship}
  instances: [returns-1]
  cdc_prefixes: [returns]
"""

LAG = """
apiVersion: openslo/v1
kind: SLO
metadata:
  name: readers-fresh
  displayName: Readers are fresh
  labels: {journey: [checkout, returns]}
  annotations: {runbook: "https://runbooks.example.com/lag"}
spec:
  service: databases
  description: Readers are at most a second behind.
  indicator:
    metadata: {name: reader-lag}
    spec:
      ratioMetric:
        counter: true
        rawType: success
        raw:
          metricSource:
            type: dbslo
            spec: {sli: aurora.replica_lag, selector: {cluster: orders}, threshold: 500ms}
  timeWindow: [{duration: 30d, isRolling: true}]
  budgetingMethod: Timeslices
  objectives: [{displayName: main, target: 0.995, timeSliceTarget: 0.9, timeSliceWindow: 1m}]
"""

TRANSACTIONS = """
apiVersion: openslo/v1
kind: SLO
metadata: {name: transactions}
spec:
  service: databases
  indicator:
    spec:
      ratioMetric:
        rawType: success
        raw: {metricSource: {type: dbslo, spec: {sli: transactions.success_ratio, selector: {cluster: returns}}}}
  budgetingMethod: Occurrences
  objectives: [{target: 0.999}]
"""

PROXY = """
apiVersion: openslo/v1
kind: SLO
metadata: {name: backends}
spec:
  service: databases
  indicator:
    metadata: {name: proxy-backends}
    spec:
      ratioMetric:
        counter: true
        good: {metricSource: {type: dbslo, spec: {source: cloudwatch, metric: DatabaseConnectionsSetupSucceeded, dimensions: [ProxyName], selector: {cluster: orders}}}}
        total: {metricSource: {type: dbslo, spec: {source: cloudwatch, metric: DatabaseConnectionRequests, dimensions: [ProxyName]}}}
  budgetingMethod: Occurrences
  objectives: [{target: 0.999}]
"""

COMMITS = """
apiVersion: openslo/v1
kind: SLO
metadata: {name: commits}
spec:
  service: databases
  indicator:
    metadata: {name: commit-latency}
    spec:
      ratioMetric:
        rawType: success
        raw: {metricSource: {type: dbslo, spec: {source: cloudwatch, metric: CommitLatency, dimensions: [DBInstanceIdentifier], unit: Milliseconds, stat: average, engines: [aurora-mysql], selector: {cluster: orders}, threshold: 20ms}}}
  budgetingMethod: Timeslices
  objectives: [{target: 0.99, timeSliceWindow: 1m}]
"""

BY_REFERENCE = """
apiVersion: openslo/v1
kind: SLO
metadata: {name: alive}
spec: {indicatorRef: shared, service: databases}
---
apiVersion: openslo/v1
kind: SLI
metadata: {name: shared}
spec: {ratioMetric: {rawType: success, raw: {metricSource: {type: dbslo, spec: {sli: cdc.liveness}}}}}
"""


def spoilt(text: str, old: str, new: str) -> str:
    """The text with one passage replaced, which must be there exactly once."""
    assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times"
    return text.replace(old, new)


class Outcome:
    """What reading specifications over a fleet comes to."""

    def __init__(self, *texts: str, fleet: str = FLEET) -> None:
        self.findings = Findings()
        self.fleet = self._fleet(fleet)
        documents = []
        for number, text in enumerate(texts):
            trees = read_bytes(dedent(text).encode(), f"slos-{number}.yaml")
            documents += trees.documents
            self.findings.faults += trees.faults
        self.read: Read = read_specifications(documents, catalogue(), self.findings)
        self.series: tuple[Series, ...] = expand(self.read.specified, self.fleet)

    def _fleet(self, text: str) -> Inventory:
        trees = read_bytes(dedent(text).encode(), "inventory.yaml")
        self.findings.faults += trees.faults
        return read_inventory(trees.documents, self.findings)

    @property
    def faults(self) -> list[Fault]:
        """The faults, in the order in which they were found."""
        return self.findings.faults

    @property
    def warnings(self) -> list[Fault]:
        """The warnings likewise."""
        return self.findings.warnings

    @property
    def slo(self) -> SLO:
        """The only SLO."""
        assert not self.faults, [str(fault) for fault in self.faults]
        (slo,) = self.read.slos
        return slo

    @property
    def fault(self) -> Fault:
        """The only fault."""
        assert len(self.faults) == 1, [str(fault) for fault in self.faults]
        return self.faults[0]

    @property
    def warning(self) -> Fault:
        """The only warning, where there is no fault."""
        assert not self.faults, [str(fault) for fault in self.faults]
        assert len(self.warnings) == 1, [str(fault) for fault in self.warnings]
        return self.warnings[0]
