"""One specification, a fleet: what a selector matches, and what can be fed there."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbslo.load import catalogue
from slo.fleet import fed_by, feeds_of
from slo.resources import (
    Cluster,
    Engine,
    ResourceKind,
)
from tests.slo.written import FLEET, Outcome, spoilt

SLO = """
apiVersion: openslo/v1
kind: SLO
metadata: {name: it}
spec:
  service: databases
  indicator: {spec: {ratioMetric: {rawType: success, raw: {metricSource: {type: dbslo, spec: {sli: SLI, selector: SELECTOR}}}}}}
"""


def of(sli: str, selector: str, fleet: str = FLEET) -> Outcome:
    """One SLO of an SLI, over a selector."""
    return Outcome(
        SLO.replace("SLI, ", f"{sli}, ").replace("SELECTOR", selector), fleet=fleet
    )


MATCHES = {
    "a label": ("cdc.liveness", "{team: ship}", ["it/returns"]),
    "a cluster by its name": ("cdc.liveness", "{cluster: orders}", ["it/orders-cdc"]),
    "an engine": ("cdc.liveness", "{engine: postgres}", ["it/returns"]),
    "several values in a list": (
        "cdc.liveness",
        "{cluster: [orders, returns]}",
        ["it/orders-cdc", "it/returns"],
    ),
    "several values with commas": (
        "cdc.liveness",
        '{cluster: "orders, returns"}',
        ["it/orders-cdc", "it/returns"],
    ),
    "all labels, not any": ("cdc.liveness", "{env: prod, team: ship}", ["it/returns"]),
    "one resource": ("aurora.replica_lag", "{resource: orders-b}", ["it/orders-b"]),
    "everything, where nothing is asked": (
        "cdc.liveness",
        "{}",
        ["it/orders-cdc", "it/returns"],
    ),
    "instances and proxies, where both are fed": (
        "connect.success_ratio",
        "{cluster: orders}",
        ["it/orders-a", "it/orders-b", "it/orders-proxy"],
    ),
}


@pytest.mark.parametrize("what", MATCHES)
def test_a_selector_matches(what: str) -> None:
    sli, selector, keys = MATCHES[what]
    outcome = of(sli, selector)
    assert not outcome.faults, [str(fault) for fault in outcome.faults]
    assert [series.key for series in outcome.series] == keys


def test_a_label_of_several_values_bears_each() -> None:
    fleet = spoilt(FLEET, "team: ship", "team: [ship, search]")
    outcome = of("cdc.liveness", "{team: search}", fleet)
    assert [series.key for series in outcome.series] == ["it/returns"]


class TestWordsOfASelector:
    def test_each_that_no_cluster_bears_is_a_fault_beside_those_that_match(
        self,
    ) -> None:
        outcome = of(
            "cdc.liveness",
            "{env: [prod, prodd], engine: [postgres, postgress], team: ship}",
        )
        assert [(f.key.rpartition(".")[2], f.remedy) for f in outcome.faults] == [
            ("env", "No env is prodd. Did you mean prod?"),
            ("engine", "No engine is postgress. Did you mean postgres?"),
        ]

    def test_all_of_them_are_told_where_nothing_matches(self) -> None:
        outcome = of("cdc.liveness", "{env: [stagin, tst], tier: gold}")
        assert [fault.reason.split(" of ")[0] for fault in outcome.faults] == [
            "{env: stagin}",
            "{env: tst}",
            "{tier: gold}",
        ]

    def test_the_line_of_the_label_is_named(self) -> None:
        text = SLO.replace("SLI, ", "cdc.liveness, ").replace(
            "SELECTOR", "{cluster: orders,\n env: [prod, tst]}"
        )
        assert Outcome(text).fault.place.line == 8


DOUBTFUL = """
clusters:
- name: orders
  engine: aurora-mysql
  labels: {env: prod}
  instances: [orders-a]
- name: returns
  engine: postgre
  labels: {env: staging}
  instances: [returns-1]
"""

IN_DOUBT = {
    # what: (the SLI, selector, what is said of it in spite of the broken cluster)
    "a value that no cluster bears": (
        "aurora.replica_lag", "{env: [prod, tst]}", ["{env: tst}"]),
    "a value of the broken cluster alone": (
        "aurora.replica_lag", "{env: [prod, staging]}", []),
    "an engine that the broken one may have": (
        "aurora.replica_lag", "{engine: [aurora-mysql, postgres]}", []),
    "only an engine that the broken one may have": (
        "server_fault_ratio", "{engine: mariadb}", []),
    "an engine that there is not": (
        "aurora.replica_lag", "{engine: [aurora-mysql, msql]}", ["{engine: msql}"]),
    "labels that the broken one cannot have": (
        "aurora.replica_lag", "{env: staging, cluster: orders}", ["{env: staging, cluster: orders}"]),
    "nothing that could feed it, but perhaps the broken one": (
        "locks.wait_share", "{env: staging}", []),
    "nothing that could feed it": (
        "cdc.liveness", "{cluster: orders}", ["no source can feed cdc.liveness"]),
}  # fmt: skip


@pytest.mark.parametrize("what", IN_DOUBT)
def test_a_broken_cluster_hides_no_fault_and_makes_none(what: str) -> None:
    sli, selector, said = IN_DOUBT[what]
    engine, *others = of(sli, selector, DOUBTFUL).faults
    assert engine.key == "clusters[1].engine"
    assert [fault.reason.split(" of it")[0] for fault in others] == said


UNREADABLE = {
    "labels": ("labels: {env: staging}", "lables: {env: staging}"),
    "a label": ("labels: {env: staging}", "labels: {env: 17}"),
    "the name": ("name: returns", "name: ''"),
    "instances": ("instances: [returns-1]", "instances: [17]"),
}


@pytest.mark.parametrize("what", UNREADABLE)
def test_what_cannot_be_read_of_a_cluster_may_be_what_is_selected(what: str) -> None:
    fleet = spoilt(DOUBTFUL, "postgre", "aurora-mysql")
    fleet = spoilt(fleet, *UNREADABLE[what])
    selectors = {
        "labels": "{tier: gold}",
        "a label": "{env: gold}",
        "the name": "{cluster: gold}",
        "instances": "{resource: gold}",
    }
    whole = of("aurora.replica_lag", selectors[what], DOUBTFUL)
    assert len(whole.faults) == 2
    assert len(of("aurora.replica_lag", selectors[what], fleet).faults) == 1


class TestWhatCannotBeFed:
    @pytest.mark.parametrize(
        ("sli", "cluster", "remedy"),
        [
            ("server_fault_ratio", "returns", "datadog on instances of aurora-mysql, mysql, mariadb"),
            ("connect.success_ratio", "returns", "cloudwatch on proxies of"),
            ("locks.wait_share", "returns", "cloudwatch on instances of aurora-mysql"),
            ("aurora.replica_lag", "returns", "aurora-postgresql"),
        ],
    )  # fmt: skip
    def test_it_is_refused_with_the_sources_that_would_feed_it(
        self, sli: str, cluster: str, remedy: str
    ) -> None:
        outcome = of(sli, f"{{cluster: {cluster}}}")
        assert outcome.fault.key.endswith(".sli")
        assert f"no source can feed {sli}" in outcome.fault.reason
        assert f"{cluster} (postgres)" in outcome.fault.reason
        assert remedy in outcome.fault.remedy
        assert outcome.series == ()

    def test_a_fleet_that_can_be_fed_in_part_is_warned_about(self) -> None:
        outcome = of("aurora.replica_lag", "{env: prod}")
        assert "returns (postgres)" in outcome.warning.reason
        assert [s.key for s in outcome.series] == ["it/orders-a", "it/orders-b"]

    def test_a_proxy_is_not_an_instance(self) -> None:
        outcome = of("aurora.replica_lag", "{resource: orders-proxy}")
        assert "no source can feed" in outcome.fault.reason

    def test_a_long_list_of_clusters_is_counted(self) -> None:
        clusters = "".join(
            f"- {{name: c{n}, engine: postgres, labels: {{env: prod}}, instances: [c{n}-1]}}\n"
            for n in range(20)
        )
        outcome = of("server_fault_ratio", "{env: prod}", f"clusters:\n{clusters}")
        assert "c2 (postgres) and 17 more" in outcome.fault.reason


def test_an_idle_database_may_reach_the_threshold_by_itself() -> None:
    warned = of("rds.replica_lag", "{cluster: returns}").warning
    assert "climbs to 300 s" in warned.reason
    assert "above 300" in warned.remedy
    calm = SLO.replace("SLI", "rds.replica_lag, threshold: 6m").replace(
        "SELECTOR", "{cluster: returns}"
    )
    assert Outcome(calm).warnings == []


def test_two_resources_of_one_name_do_not_share_a_ledger() -> None:
    fleet = spoilt(FLEET, "proxies: [orders-proxy]", "proxies: [orders-a]")
    outcome = of("connect.success_ratio", "{cluster: orders}", fleet)
    assert "both instance and proxy" in outcome.fault.reason
    assert "Rename" in outcome.fault.remedy


class TestFeeds:
    def test_they_stand_in_order_of_preference(self) -> None:
        entry = catalogue()["rds.replica_lag"]
        cluster = Cluster("a", Engine.MYSQL, instances=("a-1",))
        feeds = feeds_of(entry, cluster, ResourceKind.INSTANCE)
        assert [(feed.source, feed.inputs[0].metrics[0]) for feed in feeds] == [
            ("cloudwatch", "ReplicaLag"),
            ("datadog", "mysql.replication.seconds_behind_source"),
            ("datadog", "aws.rds.replica_lag"),
        ]

    @given(
        st.sampled_from(sorted(catalogue())),
        st.sampled_from(Engine),
        st.sampled_from(ResourceKind),
    )
    def test_they_fit_engine_and_kind_or_are_none(
        self, sli: str, engine: Engine, kind: ResourceKind
    ) -> None:
        entry = catalogue()[sli]
        found = feeds_of(entry, Cluster("a", engine), kind)
        rest = [feed for feed in entry.feeds if feed not in found]
        assert all(engine in feed.engines and feed.resource is kind for feed in found)
        assert not any(
            engine in feed.engines and feed.resource is kind for feed in rest
        )

    @pytest.mark.parametrize("sli", sorted(catalogue()))
    def test_a_refusal_can_name_a_source_for_every_sli(self, sli: str) -> None:
        assert " on " in fed_by(catalogue()[sli])
