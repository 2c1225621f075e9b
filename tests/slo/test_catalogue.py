"""The catalogue is data: the figures of each entry, and laws that hold for all."""

from decimal import Decimal
from fractions import Fraction

import pytest

from dbslo.load import catalogue
from dbslo.trees import read_bytes
from slo.entries import SOURCES, read_catalogue
from slo.fleet import feeds_of
from slo.model import (
    BUCKET_MS,
    MINUTE,
    SECOND,
    Budgeting,
    Entry,
    Outcome,
    Part,
    SliKind,
    Stat,
    Urgency,
)
from slo.policy import DEFAULT, reachable
from slo.reading import Findings
from slo.resources import (
    Cluster,
    Engine,
    ResourceKind,
)

ENTRIES = catalogue()

# code: id, kind, objective, budgeting, urgency, threshold, min_total, min_bad
SHIPPED = {
    "A1": ("connect.success_ratio", "ratio", "0.999", "RatioTimeslices", "page", None, 100, 10),
    "C1": ("replica.freshness_heartbeat", "freshness", "0.995", "Timeslices", "page", 15.0, 0, 3),
    "C2": ("aurora.replica_lag", "threshold", "0.995", "Timeslices", "page", 1.0, 0, 3),
    "C3": ("rds.replica_lag", "threshold", "0.995", "Timeslices", "page", 60.0, 0, 3),
    "D1": ("locks.wait_share", "threshold", "0.995", "Timeslices", "ticket", 1.0, 0, 3),
    "D2": ("locks.blocked_transactions", "threshold", "0.995", "Timeslices", "ticket", 5.0, 0, 3),
    "D3": ("deadlock_ratio", "ratio", "0.9999", "Occurrences", "board", None, 1_000, 10),
    "E1": ("transactions.success_ratio", "ratio", "0.999", "Occurrences", "board", None, 1_000, 10),
    "E2": ("server_fault_ratio", "ratio", "0.999", "Occurrences", "page", None, 1_000, 10),
    "K1": ("cdc.end_to_end_freshness", "freshness", "0.995", "Timeslices", "ticket", 30.0, 0, 3),
    "K2": ("cdc.liveness", "freshness", "0.995", "Timeslices", "ticket", 30.0, 0, 3),
}  # fmt: skip


def test_the_shipped_entries_and_their_defaults() -> None:
    found = {
        e.code: (
            e.id,
            e.kind.value,
            str(e.objective),
            e.budgeting.value,
            e.urgency.value,
            e.threshold,
            e.min_total,
            e.min_bad,
        )
        for e in ENTRIES.values()
    }
    assert found == SHIPPED


# engine: the sources that feed an entry on its instances (i), proxies (p), connectors (c)
FED = {
    "A1": {
        "aurora-mysql": "i:cloudwatch+datadog p:cloudwatch",
        "aurora-postgresql": "p:cloudwatch",
        "mysql": "i:datadog p:cloudwatch",
        "mariadb": "i:datadog p:cloudwatch",
        "postgres": "p:cloudwatch",
    },
    "C1": dict.fromkeys(Engine, "c:cdc"),
    "C2": {"aurora-mysql": "i:cloudwatch", "aurora-postgresql": "i:cloudwatch"},
    "C3": {
        "aurora-mysql": "i:cloudwatch+datadog",
        "mysql": "i:cloudwatch+datadog+datadog",
        "mariadb": "i:cloudwatch+datadog+datadog",
        "postgres": "i:cloudwatch+datadog+datadog",
    },
    "D1": {
        "aurora-mysql": "i:cloudwatch+datadog",
        "mysql": "i:datadog",
        "mariadb": "i:datadog",
    },
    "D2": {
        "aurora-mysql": "i:cloudwatch+datadog",
        "aurora-postgresql": "i:datadog",
        "mysql": "i:datadog",
        "mariadb": "i:datadog",
        "postgres": "i:datadog",
    },
    "D3": {
        "aurora-mysql": "i:cloudwatch+datadog",
        "aurora-postgresql": "i:cloudwatch+datadog",
        "mysql": "i:datadog",
        "mariadb": "i:datadog",
        "postgres": "i:datadog",
    },
    "E1": dict.fromkeys(Engine, "i:datadog"),
    "E2": {"aurora-mysql": "i:datadog", "mysql": "i:datadog", "mariadb": "i:datadog"},
    "K1": dict.fromkeys(Engine, "c:cdc"),
    "K2": dict.fromkeys(Engine, "c:cdc"),
}


@pytest.mark.parametrize("code", SHIPPED)
def test_which_source_feeds_it_on_which_engine(code: str) -> None:
    entry = ENTRIES[SHIPPED[code][0]]
    for engine in Engine:
        found = []
        for kind in ResourceKind:
            feeds = feeds_of(entry, Cluster("a", engine), kind)
            if feeds:
                sources = "+".join(feed.source for feed in feeds)
                found.append(f"{kind.value[0]}:{sources}")
        assert " ".join(found) == FED[code].get(engine, ""), engine


class TestUnitsAndSentinels:
    def test_aurora_lag_comes_in_milliseconds_and_is_kept_in_seconds(self) -> None:
        (feed,) = ENTRIES["aurora.replica_lag"].feeds
        (part,) = feed.inputs
        assert (part.unit, part.scale, part.stat) == ("Milliseconds", 0.001, Stat.MAX)
        assert part.dimensions == ("DBInstanceIdentifier",)

    def test_minus_one_is_broken_replication_where_aws_publishes_it(self) -> None:
        feeds = ENTRIES["rds.replica_lag"].feeds
        saying = {
            metric: [(s.value, s.outcome) for s in part.sentinels]
            for feed in feeds
            for part in feed.inputs
            for metric in part.metrics
            if part.sentinels
        }
        assert sorted(saying) == [
            "AuroraBinlogReplicaLag",
            "ReplicaLag",
            "aws.rds.replica_lag",
        ]
        assert all(said == [(-1.0, Outcome.BAD)] for said in saying.values())

    def test_crawled_copies_of_a_cloudwatch_metric_come_last_and_late(self) -> None:
        crawled = ENTRIES["rds.replica_lag"].feeds[-1]
        assert crawled.inputs[0].metrics == ("aws.rds.replica_lag",)
        assert crawled.arrival_lag_ms == 900 * SECOND

    def test_the_lag_name_that_newer_agents_send_is_preferred(self) -> None:
        feeds = ENTRIES["rds.replica_lag"].feeds
        metrics = [feed.inputs[0].metrics for feed in feeds]
        assert (
            "mysql.replication.seconds_behind_source",
            "mysql.replication.seconds_behind_master",
        ) in metrics

    def test_proxy_figures_are_summed_over_the_hosts_behind_them(self) -> None:
        feed = ENTRIES["connect.success_ratio"].feeds[0]
        assert feed.resource is ResourceKind.PROXY
        assert {part.dimensions for part in feed.inputs} == {("ProxyName",)}
        assert {part.stat for part in feed.inputs} == {Stat.SUM}

    def test_what_is_published_per_second_says_so(self) -> None:
        per_second = {
            metric
            for entry in ENTRIES.values()
            for feed in entry.feeds
            for part in feed.inputs
            for metric in part.metrics
            if part.rate
        }
        assert {"LoginFailures", "Deadlocks", "CommitThroughput"} <= per_second
        assert {"postgresql.commits", "postgresql.rollbacks"} <= per_second
        assert "ConnectionAttempts" not in per_second

    def test_signals_of_the_change_stream(self) -> None:
        def signals(sli: str) -> list[tuple[str, str]]:
            (feed,) = ENTRIES[sli].feeds
            return [(part.part.value, *part.metrics) for part in feed.inputs]

        assert signals("cdc.end_to_end_freshness") == [("value", "event")]
        assert signals("cdc.liveness") == [("value", "alive")]
        assert signals("replica.freshness_heartbeat") == [
            ("value", "heartbeat_row"),
            ("alive", "alive"),
        ]


@pytest.mark.parametrize("entry", ENTRIES.values(), ids=list(ENTRIES))
class TestLawsOfEveryEntry:
    def test_the_objective_leaves_a_budget_and_every_tier_can_fire(
        self, entry: Entry
    ) -> None:
        assert Decimal(0) < entry.objective < Decimal(1)
        period_ms = 30 * 86_400_000
        assert all(
            reachable(tier, Fraction(entry.objective), period_ms)
            for tier in DEFAULT.tiers
        )

    def test_thresholds_are_there_exactly_where_something_is_measured(
        self, entry: Entry
    ) -> None:
        assert (entry.threshold is None) is (entry.kind is SliKind.RATIO)

    def test_its_parts_make_a_ratio_a_value_or_an_age(self, entry: Entry) -> None:
        wanted = {
            SliKind.RATIO: [
                {Part.GOOD, Part.TOTAL},
                {Part.BAD, Part.TOTAL},
                {Part.GOOD, Part.BAD},
            ],
            SliKind.THRESHOLD: [{Part.VALUE}],
            SliKind.FRESHNESS: [{Part.VALUE}, {Part.VALUE, Part.ALIVE}],
        }
        for feed in entry.feeds:
            assert {part.part for part in feed.inputs} in wanted[entry.kind]

    def test_every_source_is_known_and_speaks_once_a_slice(self, entry: Entry) -> None:
        assert entry.slice_ms % BUCKET_MS == 0
        for feed in entry.feeds:
            assert feed.source in SOURCES
            assert feed.cadence_ms <= entry.slice_ms
            assert feed.arrival_lag_ms >= feed.cadence_ms

    def test_cloudwatch_names_one_dimension_set_and_its_namespace(
        self, entry: Entry
    ) -> None:
        for feed in entry.feeds:
            for part in feed.inputs:
                if feed.source == "cloudwatch":
                    assert part.namespace == "AWS/RDS"
                    assert part.dimensions in (
                        ("DBInstanceIdentifier",),
                        ("ProxyName",),
                    )
                    assert part.unit
                else:
                    assert part.dimensions == ()

    def test_it_explains_itself(self, entry: Entry) -> None:
        assert len(entry.description) > 60
        assert entry.pitfalls
        assert all(feed.idle for feed in entry.feeds)
        assert all(
            s.meaning for f in entry.feeds for p in f.inputs for s in p.sentinels
        )

    def test_events_that_page_need_enough_of_them(self, entry: Entry) -> None:
        if entry.kind is SliKind.RATIO:
            assert entry.min_total >= 100
            assert entry.min_bad >= 10
        else:
            assert entry.min_bad >= 3

    def test_no_metric_is_read_twice_by_the_same_engine(self, entry: Entry) -> None:
        for engine in Engine:
            for kind in ResourceKind:
                names = [
                    metric
                    for feed in feeds_of(entry, Cluster("a", engine), kind)
                    for part in feed.inputs
                    for metric in part.metrics
                ]
                assert len(names) == len(set(names))


class TestFaultsInData:
    GOOD = """
    id: x.y
    code: X1
    title: Something
    kind: threshold
    unit: s
    threshold: 1s
    objective: 0.99
    budgeting: Timeslices
    urgency: ticket
    feeds:
    - source: cloudwatch
      engines: [mysql]
      resource: instance
      inputs: [{part: value, metrics: [M], dimensions: [D]}]
    """

    def read(self, text: str) -> Findings:
        findings = Findings()
        trees = read_bytes(text.encode(), "x.yaml")
        read_catalogue(trees.documents, findings)
        return findings

    def test_an_entry_is_read(self) -> None:
        assert self.read(self.GOOD).faults == []

    @pytest.mark.parametrize(
        ("old", "new", "key"),
        [
            ("kind: threshold", "kind: gauge", "kind"),
            ("part: value", "part: valeu", "feeds[0].inputs[0].part"),
            ("source: cloudwatch", "source: prometheus", "feeds[0].source"),
            ("engines: [mysql]", "engines: [oracle]", "feeds[0].engines"),
            ("metrics: [M]", "metric: [M]", "feeds[0].inputs[0].metric"),
            ("metrics: [M]", "metrics: [M], valid: [5, 1]", "feeds[0].inputs[0].valid"),
            ("metrics: [M]", "metrics: [M], scale: 0", "feeds[0].inputs[0].scale"),
            ("metrics: [M]", "metrics: [M], absent: nothing", "feeds[0].inputs[0].absent"),
            ("metrics: [M]", "metrics: [M], sentinels: [{value: -1}]", "feeds[0].inputs[0].sentinels[0].outcome"),
            ("urgency: ticket", "urgency: loud", "urgency"),
            ("urgency: ticket", "urgency: ticket\n    min_bad: -1", "min_bad"),
            ("urgency: ticket", "urgency: ticket\n    min_total: 1.5", "min_total"),
            ("threshold: 1s", "threshold: 1GB", "threshold"),
        ],
    )  # fmt: skip
    def test_a_slip_is_told(self, old: str, new: str, key: str) -> None:
        assert key in [
            fault.key for fault in self.read(self.GOOD.replace(old, new)).faults
        ]

    def test_two_entries_do_not_share_an_id(self) -> None:
        findings = self.read(f"{self.GOOD}\n---\n{self.GOOD}")
        assert "written twice" in findings.faults[0].reason


def test_urgencies_follow_the_rule_that_causes_page_nobody() -> None:
    pages = {e.code for e in ENTRIES.values() if e.urgency is Urgency.PAGE}
    assert pages == {"A1", "C1", "C2", "C3", "E2"}


def test_budgeting_and_slices_of_connections() -> None:
    entry = ENTRIES["connect.success_ratio"]
    assert (entry.budgeting, entry.slice_ms) == (Budgeting.RATIO_TIMESLICES, MINUTE)
