"""OpenSLO in, SLOs or faults out: what is understood, and how it is refused."""

from datetime import date
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from dbslo.load import load, load_plan
from slo.durations import DurationError, duration_ms, quantity
from slo.faults import SpecificationError
from slo.model import (
    DAY,
    HOUR,
    MINUTE,
    SECOND,
    Budgeting,
    Part,
    SliKind,
    Stat,
    Urgency,
)
from slo.policy import DEFAULT, reachable
from slo.resources import (
    ResourceKind,
)
from tests.slo.written import (
    BY_REFERENCE,
    COMMITS,
    LAG,
    PROXY,
    TRANSACTIONS,
    Outcome,
    spoilt,
)


class TestWhatIsUnderstood:
    def test_a_specification_becomes_an_slo_with_every_field(self) -> None:
        slo = Outcome(LAG).slo
        assert slo.name == "readers-fresh"
        assert slo.display_name == "Readers are fresh"
        assert slo.description == "Readers are at most a second behind."
        assert slo.service == "databases"
        assert slo.indicator.id == "aurora.replica_lag"
        assert slo.indicator.threshold == 0.5
        assert slo.selector == {"cluster": "orders"}
        assert slo.target == Fraction(995, 1000)
        assert slo.budgeting is Budgeting.TIMESLICES
        assert slo.slice_ms == MINUTE
        assert slo.slice_target == Fraction(9, 10)
        assert slo.period_ms == 30 * DAY
        assert slo.urgency is Urgency.PAGE
        assert (slo.min_total, slo.min_bad) == (0, 3)
        assert slo.labels == {"journey": "checkout,returns"}
        assert slo.annotations == {"runbook": "https://runbooks.example.com/lag"}
        assert (slo.place.file, slo.place.line) == ("slos-0.yaml", 2)
        assert len(slo.revision) == 12

    def test_what_it_leaves_out_comes_from_the_catalogue(self) -> None:
        text = """
        apiVersion: openslo/v1
        kind: SLO
        metadata: {name: connections}
        spec:
          service: databases
          indicator: {spec: {ratioMetric: {rawType: success, raw: {metricSource: {type: dbslo, spec: {sli: connect.success_ratio, selector: {cluster: orders}}}}}}}
        """
        slo = Outcome(text).slo
        assert slo.target == Fraction(999, 1000)
        assert slo.budgeting is Budgeting.RATIO_TIMESLICES
        assert slo.slice_ms == MINUTE
        assert slo.period_ms == 30 * DAY
        assert (slo.min_total, slo.min_bad) == (100, 10)
        assert slo.urgency is Urgency.PAGE

    def test_annotations_override_urgency_and_guards(self) -> None:
        annotated = spoilt(
            LAG,
            "annotations: {",
            'annotations: {dbslo/urgency: board, dbslo/min-bad: "7", dbslo/min-total: 90, ',
        )
        slo = Outcome(annotated).slo
        assert slo.urgency is Urgency.BOARD
        assert (slo.min_bad, slo.min_total) == (7, 90)

    def test_an_indicator_may_stand_further_down_or_in_another_file(self) -> None:
        sli = """
        apiVersion: openslo/v1
        kind: SLI
        metadata: {name: shared}
        spec: {ratioMetric: {rawType: success, raw: {metricSource: {type: dbslo, spec: {sli: cdc.liveness, selector: {cluster: returns}}}}}}
        """
        slo = """
        apiVersion: openslo/v1
        kind: SLO
        metadata: {name: alive}
        spec: {service: databases, indicatorRef: shared, budgetingMethod: Timeslices}
        """
        assert Outcome(slo, sli).slo.indicator.id == "cdc.liveness"
        assert Outcome(f"{slo}---{sli}").slo.indicator.id == "cdc.liveness"

    def test_a_document_may_be_a_list_of_objects(self) -> None:
        listed = yaml.safe_dump([yaml.safe_load(LAG), yaml.safe_load(TRANSACTIONS)])
        outcome = Outcome(listed)
        assert not outcome.faults
        assert [slo.name for slo in outcome.read.slos] == [
            "readers-fresh",
            "transactions",
        ]

    def test_json_is_yaml(self) -> None:
        text = yaml.safe_dump(yaml.safe_load(LAG), default_flow_style=True, width=10**6)
        assert Outcome(text).slo.target == Fraction(995, 1000)

    def test_services_are_kept_with_their_descriptions(self) -> None:
        service = """
        apiVersion: openslo/v1
        kind: Service
        metadata: {name: databases, labels: {tier: one}}
        spec: {description: All of them.}
        """
        outcome = Outcome(service, LAG)
        assert not outcome.faults
        assert not outcome.warnings
        assert outcome.read.services == {"databases": "All of them."}

    def test_every_row_may_be_an_event_for_end_to_end_freshness(self) -> None:
        rows = spoilt(
            TRANSACTIONS, "transactions.success_ratio", "cdc.end_to_end_freshness"
        )
        assert Outcome(rows).slo.budgeting is Budgeting.OCCURRENCES


class TestMetricsOfOnesOwn:
    def test_good_and_total_make_a_ratio_on_the_proxies(self) -> None:
        outcome = Outcome(PROXY)
        entry = outcome.slo.indicator
        assert entry.id == "custom/proxy-backends"
        assert entry.kind is SliKind.RATIO
        (feed,) = entry.feeds
        assert (feed.source, feed.resource) == ("cloudwatch", ResourceKind.PROXY)
        assert (feed.cadence_ms, feed.arrival_lag_ms) == (MINUTE, 3 * MINUTE)
        assert [(part.part, part.metrics, part.stat) for part in feed.inputs] == [
            (Part.GOOD, ("DatabaseConnectionsSetupSucceeded",), Stat.SUM),
            (Part.TOTAL, ("DatabaseConnectionRequests",), Stat.SUM),
        ]
        assert {part.namespace for part in feed.inputs} == {"AWS/RDS"}
        assert (outcome.slo.min_total, outcome.slo.min_bad) == (1_000, 10)
        assert [series.key for series in outcome.series] == ["backends/orders-proxy"]

    def test_one_metric_against_a_threshold_is_measured_in_si_units(self) -> None:
        outcome = Outcome(COMMITS)
        entry = outcome.slo.indicator
        assert (entry.kind, entry.unit, entry.threshold) == (
            SliKind.THRESHOLD,
            "s",
            0.02,
        )
        (part,) = entry.feeds[0].inputs
        assert (part.part, part.scale, part.stat) == (Part.VALUE, 0.001, Stat.AVERAGE)
        assert [series.resource.name for series in outcome.series] == [
            "orders-a",
            "orders-b",
        ]

    def test_one_series_may_span_clusters(self) -> None:
        outcome = Outcome(
            spoilt(COMMITS, "selector: {cluster: orders}", "across: clusters")
        )
        assert not outcome.faults
        (series,) = outcome.series
        assert series.key == f"{outcome.slo.name}/all"
        assert series.labels["cluster"] == f"all:{outcome.slo.name}"
        assert series.labels["env"] == "prod"
        assert [(one.cluster.name, one.resource.name) for one in series.members] == [
            ("orders", "orders-a"),
            ("orders", "orders-b"),
        ]

    def test_a_datadog_rate_with_preferred_names_and_sentinels(self) -> None:
        spelt = spoilt(
            COMMITS,
            "{source: cloudwatch, metric: CommitLatency, dimensions: [DBInstanceIdentifier], unit: Milliseconds, stat: average, engines: [aurora-mysql], selector: {cluster: orders}, threshold: 20ms}",
            "{source: datadog, metric: [mysql.a, mysql.b], rate: true, scale: 0.5, cadence: 20s, arrivalLag: 40s,"
            " sentinels: [{value: -1, outcome: bad, meaning: broken}], valid: [0, 10], selector: {cluster: orders}, threshold: 3}",
        )
        (feed,) = Outcome(spelt).slo.indicator.feeds
        (part,) = feed.inputs
        assert (feed.cadence_ms, feed.arrival_lag_ms) == (20 * SECOND, 40 * SECOND)
        assert part.metrics == ("mysql.a", "mysql.b")
        assert (part.rate, part.scale, part.valid) == (True, 0.5, (0.0, 10.0))
        assert [(s.value, s.outcome) for s in part.sentinels] == [(-1.0, "bad")]


REFUSED = {
    # a sentence: (text, passage, what stands there instead, key, words of the reason, words of the remedy)
    "a target of one leaves no budget": (
        LAG, "target: 0.995", "target: 1", "spec.objectives[0].target", "leaves no error budget", "0.9999"),
    "a target shows as less than 100 %": (
        LAG, "target: 0.995", "target: 0.9999999999", "spec.objectives[0].target", "0.9999999999 is so close to 1 that it shows as 100 %", "9 decimals"),
    "a target in percent shows as less than 100 %": (
        LAG, "target: 0.995", "targetPercent: 99.99999999", "spec.objectives[0].targetPercent", "shows as 100 %", "9 decimals"),
    "a target of zero asks for nothing": (
        LAG, "target: 0.995", "target: 0", "spec.objectives[0].target", "asks for nothing", "0.999"),
    "a negative target asks for nothing": (
        LAG, "target: 0.995", "target: -0.5", "spec.objectives[0].target", "asks for nothing", "0.999"),
    "a percentage is not a ratio": (
        LAG, "target: 0.995", "target: 99.5", "spec.objectives[0].target", "no ratio", "targetPercent: 99.5"),
    "a hundred per cent is too much": (
        LAG, "target: 0.995", "targetPercent: 100", "spec.objectives[0].targetPercent", "no error budget", ""),
    "more than everything is too much": (
        LAG, "target: 0.995", "target: 250", "spec.objectives[0].target", "more than everything", "less"),
    "a target in quotes is text": (
        LAG, "target: 0.995", 'target: "0.995"', "spec.objectives[0].target", "must be a number", "without quotes"),
    "not-a-number is no target": (
        LAG, "target: 0.995", "target: .nan", "spec.objectives[0].target", "must be a number", ""),
    "an absurd exponent is no target": (
        LAG, "target: 0.995", "target: 1e-900", "spec.objectives[0].target", "must be a number", ""),
    "target and targetPercent contradict each other": (
        LAG, "target: 0.995", "target: 0.995, targetPercent: 99", "spec.objectives[0].targetPercent", "beside target", "Keep one"),
    "two objectives are two SLOs": (
        LAG, "objectives: [", "objectives: [{target: 0.9}, ", "spec.objectives", "2 objectives", "for each"),
    "op belongs to another kind of metric": (
        LAG, "displayName: main,", "op: lte,", "spec.objectives[0].op", "thresholdMetric", "Remove"),
    "composite weights are not evaluated": (
        LAG, "displayName: main,", "compositeWeight: 2,", "spec.objectives[0].compositeWeight", "composite", "for each"),
    "a slice must be whole buckets": (
        LAG, "timeSliceWindow: 1m", "timeSliceWindow: 15s", "spec.objectives[0].timeSliceWindow", "multiple of 10s", "1m"),
    "a slice must fit the shortest alert window": (
        LAG, "timeSliceWindow: 1m", "timeSliceWindow: 1h", "spec.objectives[0].timeSliceWindow", "5m", "1m"),
    "a slice must be filled by its source": (
        LAG, "timeSliceWindow: 1m", "timeSliceWindow: 10s", "spec.objectives[0].timeSliceWindow", "every 1m", "1m"),
    "a slice target is a ratio": (
        LAG, "timeSliceTarget: 0.9", "timeSliceTarget: 90", "spec.objectives[0].timeSliceTarget", "no ratio", "0.95"),
    "slices of events need a target": (
        TRANSACTIONS, "budgetingMethod: Occurrences", "budgetingMethod: Timeslices", "spec.objectives[0].timeSliceTarget", "is missing", "0.95"),
    "a window is no longer than a year": (
        LAG, "duration: 30d", "duration: 500d", "spec.timeWindow[0].duration", "longer than a year", "365d"),
    "a slice target belongs to Timeslices": (
        TRANSACTIONS, "target: 0.999", "target: 0.999, timeSliceTarget: 0.9", "spec.objectives[0].timeSliceTarget", "Timeslices", "Remove"),
    "a slice window belongs to slices": (
        TRANSACTIONS, "target: 0.999", "target: 0.999, timeSliceWindow: 1m", "spec.objectives[0].timeSliceWindow", "Timeslices", "Remove"),
    "a month has no fixed length": (
        LAG, "duration: 30d", "duration: 1M", "spec.timeWindow[0].duration", "no fixed length", "30d"),
    "a minute is not a month": (
        LAG, "duration: 30d", "duration: 1m", "spec.timeWindow[0].duration", "shorter", "minutes; write 30d"),
    "a window must hold the policy's windows": (
        LAG, "duration: 30d", "duration: 2d", "spec.timeWindow[0].duration", "3d", "30d"),
    "a window that does not roll is not evaluated": (
        LAG, "isRolling: true", "isRolling: false", "spec.timeWindow[0].isRolling", "only rolling", "true"),
    "a calendar is not evaluated": (
        LAG, "isRolling: true", "isRolling: false, calendar: {startTime: 2022-01-01 12:00:00, timeZone: UTC}", "spec.timeWindow[0].calendar", "only rolling", "isRolling: true"),
    "an SLO has one time window": (
        LAG, "timeWindow: [", "timeWindow: [{duration: 7d, isRolling: true}, ", "spec.timeWindow", "2 windows", "for each"),
    "a budgeting method is one of three": (
        LAG, "budgetingMethod: Timeslices", "budgetingMethod: TimeSlice", "spec.budgetingMethod", "not one of", "Did you mean Timeslices?"),
    "an age has no events to count": (
        TRANSACTIONS, "transactions.success_ratio", "cdc.liveness", "spec.budgetingMethod", "no events", "Timeslices"),
    "a heartbeat's age has no events to count": (
        TRANSACTIONS, "transactions.success_ratio", "replica.freshness_heartbeat", "spec.budgetingMethod", "no events", "Timeslices"),
    "an SLI is one of the catalogue": (
        LAG, "sli: aurora.replica_lag", "sli: aurora.replicalag", "spec.indicator.spec.ratioMetric.raw.metricSource.spec.sli", "not in the catalogue", "Did you mean aurora.replica_lag?"),
    "a threshold needs a unit that fits": (
        LAG, "threshold: 500ms", "threshold: 5GB", "spec.indicator.spec.ratioMetric.raw.metricSource.spec.threshold", "no unit", "500ms"),
    "a threshold cannot be negative": (
        LAG, "threshold: 500ms", "threshold: -1", "spec.indicator.spec.ratioMetric.raw.metricSource.spec.threshold", "quantity", "1s"),
    "a ratio has no threshold": (
        TRANSACTIONS, "selector:", "threshold: 3, selector:", "spec.indicator.spec.ratioMetric.raw.metricSource.spec.threshold", "no threshold", "Remove"),
    "an unknown parameter is not ignored": (
        LAG, "threshold: 500ms", "treshold: 500ms", "spec.indicator.spec.ratioMetric.raw.metricSource.spec.treshold", "not a known key", "Did you mean threshold?"),
    "an unknown key of spec is not ignored": (
        LAG, "  service: databases", "  service: databases\n  alerting: {}", "spec.alerting", "not a known key", ""),
    "another vendor's query cannot be run": (
        LAG, "type: dbslo", "type: Prometheus", "spec.indicator.spec.ratioMetric.raw.metricSource.type", "reads events from Kafka", "type: dbslo"),
    "a share of failures is not read": (
        LAG, "rawType: success", "rawType: failure", "spec.indicator.spec.ratioMetric.rawType", "shares of good", "success"),
    "a series spans clusters, and nothing else": (
        LAG, "selector: {cluster: orders}", "across: regions", "spec.indicator.spec.ratioMetric.raw.metricSource.spec.across", "not one of clusters", "clusters"),
    "a selector is a mapping": (
        LAG, "selector: {cluster: orders}", "selector: [orders]", "spec.indicator.spec.ratioMetric.raw.metricSource.spec.selector", "mapping", "env: prod"),
    "a selector that matches nothing has a typing error": (
        LAG, "cluster: orders", "cluster: order", "spec.indicator.spec.ratioMetric.raw.metricSource.spec.selector.cluster", "matches nothing", "Did you mean orders?"),
    "a label that nobody bears is named": (
        LAG, "{cluster: orders}", "{environment: prod}", "spec.indicator.spec.ratioMetric.raw.metricSource.spec.selector.environment", "matches nothing", "No cluster has a label environment"),
    "an engine that cannot feed is refused": (
        LAG, "cluster: orders", "cluster: returns", "spec.indicator.spec.ratioMetric.raw.metricSource.spec.sli", "no source can feed aurora.replica_lag", "cloudwatch on instances of aurora-mysql, aurora-postgresql"),
    "an urgency is one of three": (
        LAG, "annotations: {", "annotations: {dbslo/urgency: pager, ", "metadata.annotations.dbslo/urgency", "not one of", "Did you mean page?"),
    "a guard is a count": (
        LAG, "annotations: {", "annotations: {dbslo/min-bad: few, ", "metadata.annotations.dbslo/min-bad", "whole number", "10"),
    "a guard cannot be negative": (
        LAG, "annotations: {", "annotations: {dbslo/min-total: -3, ", "metadata.annotations.dbslo/min-total", "whole number", "10"),
    "an annotation of ours is known": (
        LAG, "annotations: {", "annotations: {dbslo/urgancy: page, ", "metadata.annotations.dbslo/urgancy", "no annotation of dbslo", "dbslo/urgency"),
    "a name is a DNS label": (
        LAG, "name: readers-fresh", "name: Readers fresh", "metadata.name", "not a name", "lower-case"),
    "a name must be there": (
        LAG, "  name: readers-fresh\n", "", "metadata.name", "is missing", "name"),
    "a service must be there": (
        LAG, "  service: databases\n", "", "spec.service", "is missing", "service"),
    "an empty service is not a service": (
        LAG, "service: databases", "service:", "spec.service", "is empty", "service"),
    "a kind is one of OpenSLO's": (
        LAG, "kind: SLO", "kind: SLOO", "kind", "no kind", "Did you mean SLO?"),
    "a version is one that we read": (
        LAG, "openslo/v1", "openslo/v1alpha", "apiVersion", "not read", "openslo/v1"),
    "a display name is text": (
        LAG, "displayName: Readers are fresh", "displayName: 5", "metadata.displayName", "must be text", "quotes"),
    "a label is text": (
        LAG, "labels: {journey: [checkout, returns]}", "labels: {journey: true}", "metadata.labels.journey", "must be text", "quotes"),
    "an indicator must be there": (
        BY_REFERENCE, "indicatorRef: shared, ", "", "spec.indicator", "is missing", "indicatorRef"),
    "a reference must say something": (
        BY_REFERENCE, "indicatorRef: shared", 'indicatorRef: " "', "spec.indicatorRef", "is empty", "indicatorRef"),
    "a reference must lead somewhere": (
        BY_REFERENCE, "indicatorRef: shared", "indicatorRef: shard", "spec.indicatorRef", "no SLI shard", "Did you mean shared?"),
    "an indicator stands inline or elsewhere": (
        LAG, "  indicator:\n", "  indicatorRef: reader-lag\n  indicator:\n", "spec.indicatorRef", "beside indicator", "Keep one"),
    "an annotation is text": (
        LAG, "annotations: {", "annotations: {owner: [a], ", "metadata.annotations.owner", "must be text, is a list", "text"),
    "a guard has an end": (
        LAG, "annotations: {", "annotations: {dbslo/min-bad: 9999999999, ", "metadata.annotations.dbslo/min-bad", "up to 1,000,000,000", "10"),
    "a flag is true or false": (
        LAG, "isRolling: true", "isRolling: yes", "spec.timeWindow[0].isRolling", "true or false, is the text 'yes'", "true or false"),
    "a window is whole slices": (
        LAG, "30d, isRolling: true}]", "300001s, isRolling: true}]", "spec.timeWindow", "no multiple", "whole slices"),
    "raw stands alone": (
        LAG, "        raw:", "        good: {}\n        raw:", "spec.indicator.spec.ratioMetric.good", "beside raw", "Keep one"),
    "an age is not zero": (
        TRANSACTIONS, "transactions.success_ratio,", "cdc.end_to_end_freshness, threshold: 0,", "spec.indicator.spec.ratioMetric.raw.metricSource.spec.threshold", "as low as 0", "30s"),
    "a threshold metric is not read": (
        LAG, "      ratioMetric:", "      thresholdMetric: {metricSource: {type: dbslo}}\n      ratioMetric:", "spec.indicator.spec.thresholdMetric", "is not read", "sli: ..."),
    "labels that no cluster bears together": (
        LAG, "{cluster: orders}", "{team: ship, engine: aurora-mysql}", "spec.indicator.spec.ratioMetric.raw.metricSource.spec.selector", "matches nothing", "No single cluster"),
    "an engine of the selector has a typing error": (
        LAG, "{cluster: orders}", "{engine: aurora_mysql}", "spec.indicator.spec.ratioMetric.raw.metricSource.spec.selector.engine", "matches nothing", "Did you mean aurora-mysql?"),
    "a resource of the selector has a typing error": (
        LAG, "{cluster: orders}", "{resource: orders-aa}", "spec.indicator.spec.ratioMetric.raw.metricSource.spec.selector.resource", "matches nothing", "Did you mean orders-a?"),
    "rows are no metric": (
        COMMITS, "source: cloudwatch", "source: cdc", "spec.indicator.spec.ratioMetric.raw.metricSource.spec.source", "rows, not of metrics", "cdc.liveness"),
    "good and bad beside total are one too many": (
        PROXY, "        total: {", "        bad: {metricSource: {type: dbslo, spec: {source: cloudwatch, metric: X, dimensions: [ProxyName]}}}\n        total: {", "spec.indicator.spec.ratioMetric.good", "one of good and bad", "Keep one"),
    "good and total are about the same resources": (
        PROXY, "metric: DatabaseConnectionRequests,", "metric: DatabaseConnectionRequests, selector: {env: prod},", "spec.indicator.spec.ratioMetric.total", "another selector", "once"),
    "a metric of one's own says its dimensions": (
        COMMITS, "dimensions: [DBInstanceIdentifier], ", "", "spec.indicator.spec.ratioMetric.raw.metricSource.spec.dimensions", "count twice", "ProxyName"),
    "a metric of one's own has no default objective": (
        COMMITS, "target: 0.99, ", "", "spec.objectives[0].target", "no default", "target"),
    "a source is one of three": (
        COMMITS, "source: cloudwatch", "source: cloudwacht", "spec.indicator.spec.ratioMetric.raw.metricSource.spec.source", "no source", "Did you mean cloudwatch?"),
    "an engine is one of five": (
        COMMITS, "engines: [aurora-mysql]", "engines: [aurora-mysql, oracle]", "spec.indicator.spec.ratioMetric.raw.metricSource.spec.engines", "oracle is no engine", "Known"),
    "good and total come from one source": (
        PROXY, "total: {metricSource: {type: dbslo, spec: {source: cloudwatch", "total: {metricSource: {type: dbslo, spec: {cadence: 5m, source: cloudwatch", "spec.indicator.spec.ratioMetric.total", "differs", "one source"),
    "good alone has no total": (
        PROXY, "        total: {metricSource: {type: dbslo, spec: {source: cloudwatch, metric: DatabaseConnectionRequests, dimensions: [ProxyName]}}}\n", "", "spec.indicator.spec.ratioMetric.total", "is missing", "total"),
    "a metric is named": (
        PROXY, "metric: DatabaseConnectionRequests, ", "", "spec.indicator.spec.ratioMetric.total.metricSource.spec.metric", "is missing", "metric"),
}  # fmt: skip


SLICED = spoilt(
    spoilt(TRANSACTIONS, "Occurrences", "Timeslices"),
    "target: 0.999",
    "target: 0.999, timeSliceTarget: 0.9, timeSliceWindow: 1m",
)

METHODS = {
    # what is wrong with the method: (text, passage, instead, key of the only fault)
    "its key is misspelt": (
        LAG, "budgetingMethod: Timeslices", "budgettingMethod: Timeslices", "spec.budgettingMethod"),
    "its key is misspelt, and its SLI counts events": (
        SLICED, "budgetingMethod: Timeslices", "budgettingMethod: Timeslices", "spec.budgettingMethod"),
    "its value is misspelt, and its SLI counts events": (
        SLICED, "budgetingMethod: Timeslices", "budgetingMethod: Timeslice", "spec.budgetingMethod"),
    "it is missing, and its SLI counts events": (
        SLICED, "  budgetingMethod: Timeslices\n", "", "spec.budgetingMethod"),
    "it is misspelt, and the slices are left out": (
        TRANSACTIONS, "budgetingMethod: Occurrences", "budgetingMethod: Occurrence", "spec.budgetingMethod"),
}  # fmt: skip


@pytest.mark.parametrize("what", METHODS)
def test_a_wrong_method_is_one_fault_and_makes_no_others(what: str) -> None:
    text, old, new, key = METHODS[what]
    assert Outcome(spoilt(text, old, new)).fault.key == key


@pytest.mark.parametrize("sentence", REFUSED)
def test_it_is_refused_that(sentence: str) -> None:
    text, old, new, key, reason, remedy = REFUSED[sentence]
    fault = Outcome(spoilt(text, old, new)).fault
    assert fault.key == key
    assert reason in fault.reason
    assert remedy in fault.remedy
    assert fault.place.file == "slos-0.yaml"
    assert str(fault).startswith(f"slos-0.yaml:{fault.place.line}: {key}: ")


def test_the_line_is_the_one_that_the_fault_is_in() -> None:
    fault = Outcome(spoilt(LAG, "service: databases", "service: Data bases")).fault
    assert fault.place.line == LAG.splitlines().index("  service: databases") + 1
    assert fault.key == "spec.service"


def test_a_specification_without_a_spec_says_so() -> None:
    text = "apiVersion: openslo/v1\nkind: SLO\nmetadata: {name: a, labels: {b: }}"
    assert Outcome(text).fault.key == "spec"


def test_two_metrics_that_cannot_be_queried_are_two_faults() -> None:
    text = PROXY.replace("type: dbslo", "type: Prometheus")
    assert [fault.key for fault in Outcome(text).faults] == [
        "spec.indicator.spec.ratioMetric.good.metricSource.type",
        "spec.indicator.spec.ratioMetric.total.metricSource.type",
    ]


class TestNoFaultHidesAnother:
    def test_every_fault_of_every_document_at_once(self) -> None:
        broken = LAG
        for old, new in (
            ("name: readers-fresh", "name: Readers"),
            ("service: databases", "servcie: databases"),
            ("threshold: 500ms", "threshold: soon"),
            ("duration: 30d", "duration: 1Q"),
            ("budgetingMethod: Timeslices", "budgetingMethod: Slices"),
            ("target: 0.995", "target: 2"),
            ("timeSliceWindow: 1m", "timeSliceWindow: 7s"),
            ("annotations: {", "annotations: {dbslo/urgency: loud, "),
        ):
            broken = spoilt(broken, old, new)
        other = spoilt(TRANSACTIONS, "target: 0.999", "target: 1")
        outcome = Outcome(broken, other)
        assert {fault.key for fault in outcome.faults} == {
            "metadata.name",
            "metadata.annotations.dbslo/urgency",
            "spec.service",
            "spec.servcie",
            "spec.indicator.spec.ratioMetric.raw.metricSource.spec.threshold",
            "spec.timeWindow[0].duration",
            "spec.budgetingMethod",
            "spec.objectives[0].target",
            "spec.objectives[0].timeSliceWindow",
        }
        assert {fault.place.file for fault in outcome.faults} == {
            "slos-0.yaml",
            "slos-1.yaml",
        }

    def test_a_broken_objective_does_not_hide_that_nothing_can_feed_it(self) -> None:
        text = spoilt(LAG, "cluster: orders", "cluster: returns")
        text = spoilt(text, "target: 0.995", "target: 1")
        assert [fault.key for fault in Outcome(text).faults] == [
            "spec.objectives[0].target",
            "spec.indicator.spec.ratioMetric.raw.metricSource.spec.sli",
        ]

    def test_a_broken_indicator_does_not_hide_a_broken_objective(self) -> None:
        text = spoilt(LAG, "type: dbslo", "type: Prometheus")
        text = spoilt(text, "target: 0.995", "target: 1")
        assert [fault.key for fault in Outcome(text).faults] == [
            "spec.indicator.spec.ratioMetric.raw.metricSource.type",
            "spec.objectives[0].target",
        ]

    def test_missing_metadata_does_not_hide_a_broken_spec(self) -> None:
        document = yaml.safe_load(LAG)
        del document["metadata"]
        document["spec"]["objectives"][0]["target"] = 3
        keys = [fault.key for fault in Outcome(yaml.safe_dump(document)).faults]
        assert keys == ["metadata", "spec.objectives[0].target"]

    def test_a_wrong_type_is_one_fault_and_not_one_for_each_field_below(self) -> None:
        text = spoilt(
            LAG,
            "spec: {sli: aurora.replica_lag, selector: {cluster: orders}, threshold: 500ms}",
            "spec: aurora.replica_lag",
        )
        assert Outcome(text).fault.reason.startswith("must be a mapping")

    def test_a_syntax_error_keeps_the_documents_before_it(self) -> None:
        broken = spoilt(TRANSACTIONS, "target: 0.999", "target: 1")
        outcome = Outcome(f"{broken}---\nkind: [\n")
        assert [fault.key for fault in outcome.faults] == [
            "(file)",
            "spec.objectives[0].target",
        ]

    def test_a_second_slo_of_one_name_is_a_fault_and_so_is_what_is_wrong_in_it(
        self,
    ) -> None:
        outcome = Outcome(LAG, spoilt(LAG, "target: 0.995", "target: 1"))
        assert [fault.key for fault in outcome.faults] == [
            "metadata.name",
            "spec.objectives[0].target",
        ]
        assert "slos-0.yaml:2" in outcome.faults[0].reason


class TestWhatIsOnlyWarnedAbout:
    @pytest.mark.parametrize(
        "kind",
        ["DataSource", "AlertPolicy", "AlertCondition", "AlertNotificationTarget"],
    )
    def test_kinds_that_nothing_acts_upon(self, kind: str) -> None:
        other = f"apiVersion: openslo/v1\nkind: {kind}\nmetadata: {{name: x}}\nspec: {{anything: 1}}"
        outcome = Outcome(f"{LAG}---\n{other}")
        assert "not acted upon" in outcome.warning.reason
        assert kind in outcome.warning.reason
        assert outcome.read.slos

    def test_alert_policies_of_an_slo(self) -> None:
        text = spoilt(
            LAG, "  timeWindow", "  alertPolicies: [{alertPolicyRef: x}]\n  timeWindow"
        )
        assert Outcome(text).warning.key == "spec.alertPolicies"

    def test_tiers_that_a_total_outage_cannot_reach(self) -> None:
        outcome = Outcome(spoilt(LAG, "target: 0.995", "target: 0.93"))
        warning = outcome.warning
        assert "page-fast" in warning.reason
        assert "can never fire" in warning.reason
        tier = DEFAULT.tiers[0]
        assert not reachable(tier, outcome.slo.target, outcome.slo.period_ms)

    def test_tiers_that_would_fire_within_budget(self) -> None:
        warning = Outcome(spoilt(LAG, "duration: 30d", "duration: 28d")).warning
        assert "ticket-slow fires above 0.933333x" in warning.reason

    def test_an_slo_of_a_service_that_is_not_declared(self) -> None:
        service = "apiVersion: openslo/v1\nkind: Service\nmetadata: {name: database}"
        warning = Outcome(LAG, service).warning
        assert "no Service databases" in warning.reason
        assert "Did you mean database?" in warning.remedy

    def test_an_indicator_that_no_slo_uses(self) -> None:
        sli = """
        apiVersion: openslo/v1
        kind: SLI
        metadata: {name: lonely}
        spec: {ratioMetric: {rawType: success, raw: {metricSource: {type: dbslo, spec: {sli: cdc.liveness}}}}}
        """
        assert "used by no SLO" in Outcome(LAG, sli).warning.reason

    def test_a_data_source_that_a_metric_refers_to(self) -> None:
        text = spoilt(
            LAG, "type: dbslo", "metricSourceRef: thanos\n            type: dbslo"
        )
        assert Outcome(text).warning.key.endswith("metricSourceRef")


class TestExactness:
    @given(st.integers(1, 10**12 - 1_000))
    def test_a_target_is_kept_to_the_last_digit(self, parts: int) -> None:
        written = f"0.{parts:012d}"
        outcome = Outcome(spoilt(TRANSACTIONS, "target: 0.999", f"target: {written}"))
        assert outcome.slo.target == Fraction(parts, 10**12)

    @given(st.integers(1, 99_999))
    def test_a_percentage_means_the_ratio(self, thousandths: int) -> None:
        percent = Decimal(thousandths) / 1_000
        text = spoilt(TRANSACTIONS, "target: 0.999", f"targetPercent: {percent}")
        assert Outcome(text).slo.target == Fraction(thousandths, 100_000)

    def test_a_target_that_no_double_holds(self) -> None:
        text = spoilt(TRANSACTIONS, "target: 0.999", "target: 0.99912345678901234567")
        assert Outcome(text).slo.target == Fraction(99912345678901234567, 10**20)


class TestRevision:
    def test_comments_layout_and_key_order_do_not_count(self) -> None:
        tidy = yaml.safe_dump(yaml.safe_load(LAG), sort_keys=True)
        assert Outcome(f"# note\n{tidy}").slo.revision == Outcome(LAG).slo.revision

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ("target: 0.995", "target: 0.99"),
            ("threshold: 500ms", "threshold: 400ms"),
            ("cluster: orders", "env: prod"),
        ],
    )
    def test_whatever_is_written_does(self, old: str, new: str) -> None:
        changed = Outcome(spoilt(LAG, old, new)).slo.revision
        assert changed != Outcome(LAG).slo.revision

    def test_a_change_of_a_shared_indicator_counts(self) -> None:
        slo = """
        apiVersion: openslo/v1
        kind: SLO
        metadata: {name: alive}
        spec: {service: databases, indicatorRef: shared}
        """
        sli = """
        apiVersion: openslo/v1
        kind: SLI
        metadata: {name: shared}
        spec: {ratioMetric: {rawType: success, raw: {metricSource: {type: dbslo, spec: {sli: cdc.liveness, threshold: 30s}}}}}
        """
        one = Outcome(slo, sli).slo
        other = Outcome(slo, spoilt(sli, "30s", "40s")).slo
        assert one.revision != other.revision


class TestDurations:
    @pytest.mark.parametrize(
        ("text", "length"),
        [
            ("10s", 10 * SECOND),
            ("1m", MINUTE),
            ("6h", 6 * HOUR),
            ("30d", 30 * DAY),
            ("4w", 28 * DAY),
            (" 5m ", 5 * MINUTE),
        ],
    )
    def test_it_is_as_long_as_it_says(self, text: str, length: int) -> None:
        assert duration_ms(text) == length

    @pytest.mark.parametrize(
        "text", ["", "0d", "5", "d", "1.5h", "-1d", "1M", "1Q", "1Y", "1 day", "٣d"]
    )
    def test_what_is_no_length_of_time_is_refused(self, text: str) -> None:
        with pytest.raises(DurationError) as caught:
            duration_ms(text)
        assert caught.value.remedy.startswith("Write ")

    @pytest.mark.parametrize(
        ("text", "unit", "value"),
        [
            ("1s", "s", 1.0),
            ("500ms", "s", 0.5),
            ("100us", "s", 0.0001),
            ("0.1", "s", 0.1),
            ("2m", "s", 120.0),
            ("5%", "ratio", 0.05),
            ("3", "sessions", 3.0),
            ("3 sessions", "sessions", 3.0),
        ],
    )
    def test_a_threshold_is_in_si_units(
        self, text: str, unit: str, value: float
    ) -> None:
        assert quantity(text, unit) == value

    @pytest.mark.parametrize(
        ("text", "unit"),
        [("fast", "s"), ("1s", "sessions"), ("-1s", "s"), ("5%", "s"), ("1e3", "s")],
    )
    def test_a_threshold_of_another_kind_is_refused(self, text: str, unit: str) -> None:
        with pytest.raises(DurationError):
            quantity(text, unit)


class TestWhatOthersPublished:
    """OpenSLO's own examples: read to the end, refused with the reason."""

    def test_files_that_its_own_sdk_refuses(
        self, samples: Path, tmp_path: Path
    ) -> None:
        inventory = tmp_path / "inventory.yaml"
        inventory.write_text("clusters: [{name: a, engine: mysql, instances: [a-1]}]")
        files = sorted((samples / "openslo" / "examples").rglob("*.yaml"))
        assert files
        for file in files:
            with pytest.raises(SpecificationError) as caught:
                load_plan([file], inventory)
            keys = [fault.key for fault in caught.value.faults]
            assert "spec.objectives[0].op" in keys, file
            assert not any("not a known key" in f.reason for f in caught.value.faults)

    def test_what_its_validator_complains_of(
        self, samples: Path, tmp_path: Path
    ) -> None:
        inventory = tmp_path / "inventory.yaml"
        inventory.write_text("clusters: [{name: a, engine: mysql, instances: [a-1]}]")
        folder = samples / "openslo" / "test" / "inputs" / "validate"
        expected = {
            "v1.yaml": {"spec.objectives[0].op", "metadata.name"},
            "unknown-field.yaml": {"spec.markdown", "metadata.name"},
            "invalid-apiversion.yaml": {"apiVersion"},
        }
        for name, keys in expected.items():
            with pytest.raises(SpecificationError) as caught:
                load_plan([folder / name], inventory)
            assert keys <= {fault.key for fault in caught.value.faults}, name

    def test_every_case_loads_and_expands(self, cases: Path) -> None:
        folders = sorted(path.parent for path in cases.glob("*/slos.yaml"))
        assert folders
        for folder in folders:
            loaded = load([folder / "slos.yaml"], folder / "inventory.yaml")
            assert loaded.plan.series, folder
            assert loaded.warnings == (), folder


def test_today_is_no_label() -> None:
    """YAML 1.1 would make a date of it, and `no` a boolean."""
    text = spoilt(
        LAG,
        "labels: {journey: [checkout, returns]}",
        f"labels: {{since: {date(2026, 11, 24)}, norway: no}}",
    )
    assert Outcome(text).slo.labels == {"since": "2026-11-24", "norway": "no"}


def test_nine_nines_are_a_target() -> None:
    slo = Outcome(spoilt(LAG, "target: 0.995", "target: 0.999999999")).slo
    assert 1 - slo.target == Fraction(1, 10**9)
