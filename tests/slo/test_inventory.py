"""The fleet as it is written down, and how mistakes in it are told."""

import pytest

from slo.reading import Findings, nearest
from slo.resources import (
    Engine,
    Inventory,
    ResourceKind,
)
from tests.slo.written import FLEET, Outcome, spoilt


def read(text: str) -> tuple[Inventory, Findings]:
    """An inventory alone."""
    outcome = Outcome(fleet=text)
    return outcome.fleet, outcome.findings


class TestTheFleet:
    def test_every_field_of_a_cluster(self) -> None:
        text = """
        clusters:
        - name: orders
          engine: aurora-mysql
          labels: {env: prod, team: [payments, checkout]}
          instances: [orders-a, orders-b]
          proxies: [orders-proxy]
          cdc_prefixes: [shop.orders]
          connect: connect-1
          datadog_tags: ["service:orders"]
        """
        inventory, findings = read(text)
        assert not findings.faults
        assert not findings.warnings
        (cluster,) = inventory.clusters
        assert cluster.name == "orders"
        assert cluster.engine is Engine.AURORA_MYSQL
        assert cluster.env == "prod"
        assert cluster.labels["team"] == "payments,checkout"
        assert cluster.connect == "connect-1"
        assert cluster.datadog_tags == ("service:orders",)
        assert [(r.kind, r.name, r.key) for r in cluster.resources] == [
            (ResourceKind.INSTANCE, "orders-a", "instance:orders-a"),
            (ResourceKind.INSTANCE, "orders-b", "instance:orders-b"),
            (ResourceKind.PROXY, "orders-proxy", "proxy:orders-proxy"),
            (ResourceKind.CDC, "shop.orders", "cdc:shop.orders"),
        ]

    def test_the_same_name_may_stand_for_things_of_different_kinds(self) -> None:
        text = (
            "clusters: [{name: returns, engine: postgres, labels: {env: prod},"
            " instances: [returns], cdc_prefixes: [returns]}]"
        )
        inventory, findings = read(text)
        assert not findings.faults
        assert len(inventory.clusters[0].resources) == 2

    def test_several_documents_make_one_fleet(self) -> None:
        one = "clusters: [{name: a, engine: mysql, labels: {env: x}, instances: [a-1]}]"
        other = (
            "clusters: [{name: b, engine: mariadb, labels: {env: x}, instances: [b-1]}]"
        )
        inventory, findings = read(f"{one}\n---\n{other}")
        assert not findings.faults
        assert [cluster.name for cluster in inventory.clusters] == ["a", "b"]

    def test_a_cluster_without_env_is_warned_about(self) -> None:
        inventory, findings = read(
            "clusters: [{name: a, engine: mysql, instances: [a-1]}]"
        )
        assert inventory.clusters[0].env == ""
        assert "no env label" in findings.warnings[0].reason


REFUSED = {
    # a sentence: (passage, what stands there instead, key, words of the reason, of the remedy)
    "an engine must be known": (
        "engine: aurora-mysql", "engine: aurora_mysql", "clusters[0].engine", "not one of", "Did you mean aurora-mysql?"),
    "an engine must be there": (
        "  engine: aurora-mysql\n", "", "clusters[0].engine", "is missing", "aurora-mysql"),
    "a cluster has a name": (
        "name: orders\n", "name:\n", "clusters[0].name", "is empty", "name"),
    "a name holds no slash": (
        "name: orders\n", "name: a/b\n", "clusters[0].name", "not a name", "letters"),
    "a name of an instance holds no blank": (
        "[orders-a, orders-b]", "[orders-a, orders b]", "clusters[0].instances", "'orders b' is not a name", "letters"),
    "an instance is text": (
        "[orders-a, orders-b]", "[orders-a, 17]", "clusters[0].instances[1]", "must be text, is the number 17", "Quote"),
    "a key is known": (
        "proxies: [orders-proxy]", "proxys: [orders-proxy]", "clusters[0].proxys", "not a known key", "Did you mean proxies?"),
    "a label does not bear a reserved name": (
        "team: payments", "cluster: payments", "clusters[0].labels.cluster", "reserved", "otherwise"),
    "a label's name is a word": (
        "team: payments", "a-b: payments", "clusters[0].labels.a-b", "not a label name", "underscores"),
    "a label is text": (
        "team: payments", "team: 17", "clusters[0].labels.team", "must be text", "quotes"),
    "two clusters do not share a name": (
        "name: returns\n", "name: orders\n", "clusters[1].name", "cluster name orders is taken", "one name"),
    "two clusters do not share an instance": (
        "[returns-1]", "[orders-a]", "clusters[1].instances", "instance name orders-a is taken by cluster orders", "one name"),
    "a cluster does not list an instance twice": (
        "[orders-a, orders-b]", "[orders-a, orders-a]", "clusters[0].instances", "orders-a is listed twice in cluster orders", "List it once"),
    "two clusters do not share a connector": (
        "[returns]", "[orders-cdc]", "clusters[1].cdc_prefixes", "cdc name orders-cdc is taken", "one name"),
    "a connector is not called like a topic of another source": (
        "[returns]", "[cloudwatch]", "clusters[1].cdc_prefixes", "topic of another source", "topic.prefix"),
    "a connector's prefix does not take in our own topics": (
        "[returns]", "[dbslo]", "clusters[1].cdc_prefixes", "dbslo itself writes", "topic.prefix"),
    "a cluster is a mapping": (
        "- name: returns\n  engine: postgres\n  labels: {env: prod, team: ship}\n  instances: [returns-1]\n  cdc_prefixes: [returns]\n", "- returns\n", "clusters[1]", "must be a mapping", "key: value"),
    "a tag has a key and a value": (
        "proxies: [orders-proxy]", "proxies: [orders-proxy]\n  datadog_tags: [orders]", "clusters[0].datadog_tags", "not a tag", "key:value"),
}  # fmt: skip


@pytest.mark.parametrize("sentence", REFUSED)
def test_it_is_refused_that(sentence: str) -> None:
    old, new, key, reason, remedy = REFUSED[sentence]
    _, findings = read(spoilt(FLEET, old, new))
    (fault,) = findings.faults
    assert fault.key == key
    assert reason in fault.reason
    assert remedy in fault.remedy
    assert fault.place.file == "inventory.yaml"


def test_a_cluster_on_which_nothing_can_be_measured() -> None:
    _, findings = read("clusters: [{name: a, engine: mysql, labels: {env: prod}}]")
    (fault,) = findings.faults
    assert "nothing can be measured" in fault.reason


@pytest.mark.parametrize("text", ["cluster: []", "[]", "orders", "clusters: {a: b}"])
def test_what_is_no_inventory_is_told(text: str) -> None:
    inventory, findings = read(text)
    assert findings.faults
    assert inventory.clusters == ()
    assert inventory.doubts


def test_no_fault_hides_another() -> None:
    text = spoilt(FLEET, "engine: aurora-mysql", "engine: aurora")
    text = spoilt(text, "instances: [returns-1]", "instance: [returns-1]")
    text = spoilt(text, "team: ship", "resource: ship")
    _, findings = read(text)
    assert [fault.key for fault in findings.faults] == [
        "clusters[0].engine",
        "clusters[1].labels.resource",
        "clusters[1].instance",
    ]


SPOILT_IN_THREE_WAYS = """clusters:
- name: orders
  engine: aurora-mysqll
  labels: {env: prod}
  instances:
  - orders-a
  - orders-b
  - orders-a
- name: orders
  engine: postgres
  labels: {env: prod}
  instances: [orders-b]
"""


def test_a_broken_engine_hides_no_name_that_is_taken() -> None:
    _, findings = read(SPOILT_IN_THREE_WAYS)
    assert [(f.place.line, f.key, f.reason.split(",")[0]) for f in findings.faults] == [
        (3, "clusters[0].engine", "is the text 'aurora-mysqll'"),
        (8, "clusters[0].instances", "orders-a is listed twice in cluster orders"),
        (9, "clusters[1].name", "the cluster name orders is taken by cluster orders"),
        (
            12,
            "clusters[1].instances",
            "the instance name orders-b is taken by cluster orders",
        ),
    ]
    assert findings.faults[1].reason.endswith("inventory.yaml:6")


def test_a_list_that_two_clusters_share_by_alias_is_taken_twice() -> None:
    _, findings = read(
        "clusters:\n"
        "- {name: a, engine: mysql, labels: {env: x}, instances: &all [a-1]}\n"
        "- {name: b, engine: mysql, labels: {env: x}, instances: *all}\n"
    )
    (fault,) = findings.faults
    assert "instance name a-1 is taken by cluster a" in fault.reason


def test_a_misspelt_list_of_instances_is_one_fault() -> None:
    _, findings = read(
        "clusters: [{name: a, engine: mysql, labels: {env: x}, instnaces: [a-1]}]"
    )
    assert [fault.key for fault in findings.faults] == ["clusters[0].instnaces"]


def test_of_many_known_names_a_few_are_listed():
    said = nearest("zzz", [f"database-{n:03d}" for n in range(500)])

    assert said.startswith("Known: database-000, ")
    assert said.endswith(" and 480 more")
    assert len(said) < 400
