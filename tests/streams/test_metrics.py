"""A scrape over HTTP, read with the real parser, against the contract."""

from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from urllib.request import urlopen

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from dbslo.reference import metrics_page
from slo import names
from slo.contract import METRICS, Type
from slo.evaluation import Timing, evaluate
from slo.ledger import SeriesLedger
from slo.model import (
    HOUR,
    MINUTE,
    SECOND,
    SLO,
    Budgeting,
    Counts,
    Entry,
    Feed,
    Series,
    SliKind,
    Urgency,
)
from slo.policy import DEFAULT, Policy
from slo.resources import (
    Cluster,
    Engine,
    Resource,
    ResourceKind,
)
from slo.verdict import Alert
from streams.listener import Listener
from streams.metrics import EngineCollector, Figures
from streams.timing import Timings
from streams.view import SeriesView

NOW = 1_794_000_000_000
CLUSTER = Cluster(
    "orders",
    Engine.AURORA_MYSQL,
    labels={"env": "prod", "team": "payments"},
    instances=("orders-b",),
)
FEED = Feed(
    "cloudwatch", (Engine.AURORA_MYSQL,), ResourceKind.INSTANCE, (), MINUTE, 3 * MINUTE
)
ENTRY = Entry(
    id="aurora.replica_lag",
    code="C2",
    title="Aurora replica lag",
    kind=SliKind.THRESHOLD,
    unit="seconds",
    feeds=(FEED,),
    objective=Decimal("0.995"),
    budgeting=Budgeting.TIMESLICES,
    urgency=Urgency.PAGE,
)
OBJECTIVE = SLO(
    name="reader-fresh",
    service="databases",
    indicator=ENTRY,
    target=Fraction(995, 1000),
    budgeting=Budgeting.TIMESLICES,
    urgency=Urgency.PAGE,
    min_bad=3,
    annotations={"owner": "dba", "runbook": "https://runbooks/reader"},
    revision="1a2b3c",
)
SERIES = Series(
    OBJECTIVE,
    Resource("orders-b", ResourceKind.INSTANCE, "orders"),
    CLUSTER,
    (FEED,),
)
OWN = SERIES.labels


def view(
    ledger: SeriesLedger,
    age_ms: int | None = 90 * SECOND,
    series: Series = SERIES,
    policy: Policy = DEFAULT,
) -> SeriesView:
    status = evaluate(
        series,
        ledger,
        policy=policy,
        timing=Timing(MINUTE, 3 * MINUTE),
        now_ms=NOW,
    )
    held = ledger.window(0, NOW).counts
    return SeriesView(
        series=series,
        status=status,
        alert=Alert(series.key),
        first_known=Counts(ledger.known_good, ledger.known_good + ledger.known_bad),
        now_known=held,
        now_ms=NOW,
        revisions=ledger.revisions,
        source_age_ms=age_ms,
    )


def outage() -> SeriesLedger:
    """Two hours of minutes: the last ten are bad, one of them restated to good."""
    ledger = SeriesLedger()
    for minute in range(120):
        start = NOW - 2 * HOUR + minute * MINUTE
        ledger.put(start, Counts(0 if minute >= 110 else 1, 1))
    ledger.put(NOW - 5 * MINUTE, Counts(1, 1))
    return ledger


FIGURES = Figures(
    records={("cloudwatch", "ok"): 12, ("cloudwatch", "malformed"): 1},
    refused={("cloudwatch", "in the future"): 2},
    lag={("cloudwatch", 0): 7},
    checkpoints_ms={0: NOW - 3 * SECOND},
    notified={("pagerduty", "sent"): 4},
    outbox_oldest_ms=NOW - 30 * SECOND,
    incidents_open=1,
    unknown_resources=2,
    adjusted={"clamped": 3, "outweighed": 5},
    lost={("cloudwatch", 1): 11},
    refused_partitions=1,
)


class Scrape:
    """A scrape as a person reads it: name and labels to value."""

    def __init__(self, text: str) -> None:
        self.families = {f.name: f for f in text_string_to_metric_families(text)}
        self.samples: dict[str, list[tuple[dict[str, str], float]]] = defaultdict(list)
        for family in self.families.values():
            for sample in family.samples:
                self.samples[sample.name].append((sample.labels, sample.value))

    def value(self, name: str, **labels: str) -> float:
        found = [
            value
            for have, value in self.samples[name]
            if all(have.get(k) == v for k, v in labels.items())
        ]
        assert len(found) == 1, (name, labels, self.samples[name])
        return found[0]


def get(url: str) -> str:
    with urlopen(url, timeout=5) as answer:
        return answer.read().decode()


def serve(views: list[SeriesView], figures: Figures = FIGURES) -> Listener:
    timings = Timings()
    timings.observe("ingest", 0.004)
    timings.observe("ingest", 0.3)
    collector = EngineCollector(
        lambda: views,
        lambda: figures,
        timings,
        policy=DEFAULT,
        clock=lambda: NOW,
        version="0.1.0",
    )
    return Listener("127.0.0.1", 0, collector, {})


@pytest.fixture
def scrape() -> Iterator[Scrape]:
    with serve([view(outage())]) as listener:
        yield Scrape(get(f"{listener.url}/metrics"))


def test_every_metric_of_the_contract_is_scraped_and_no_other(scrape):
    wanted = {
        name.removesuffix("_total") if metric.type is Type.COUNTER else name
        for name, metric in METRICS.items()
    }
    assert set(scrape.families) == wanted
    assert all(family.samples for family in scrape.families.values())


def test_every_name_in_slo_names_is_in_the_contract():
    declared = {
        value
        for value in vars(names).values()
        if isinstance(value, str) and value.startswith("dbslo_")
    }
    assert declared == set(METRICS)


def test_type_help_and_labels_are_those_of_the_contract(scrape):
    for name, metric in METRICS.items():
        bare = name.removesuffix("_total") if metric.type is Type.COUNTER else name
        family = scrape.families[bare]
        assert family.type == metric.type.value
        assert family.documentation == metric.help
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == set(metric.labels)


def test_what_was_seen_comes_out_as_it_went_in(scrape):
    ledger_says = {
        # 109 + 1 minutes were first known good; one of ten bad ones was restated
        (names.EVENTS_TOTAL, "good"): 110,
        (names.EVENTS_TOTAL, "bad"): 10,
        (names.RESTATED_EVENTS, "good"): 1,
        (names.RESTATED_EVENTS, "bad"): -1,
    }
    for (name, result), value in ledger_says.items():
        assert scrape.value(name, result=result, **OWN) == value
    assert scrape.value(names.SLI_RATIO, window="1h") == pytest.approx(51 / 60)
    assert scrape.value(names.BURN_RATE, window="1h") == pytest.approx(30)
    assert scrape.value(names.WINDOW_BAD_EVENTS, window="1h") == 9
    assert scrape.value(names.WINDOW_TOTAL_EVENTS, window="6h") == 360
    assert scrape.value(names.REVISIONS_TOTAL) == 1
    assert scrape.value(names.SOURCE_AGE_SECONDS) == 90
    assert scrape.value(names.WATERMARK_SECONDS) == NOW / SECOND


def test_the_verdict_has_no_tier_and_each_tier_has_its_own_state(scrape):
    assert scrape.value(names.ALERT_STATE, tier="") == names.STATE_VALUES["page"]
    assert scrape.value(names.ALERT_STATE, tier="page-fast") == 3
    assert scrape.value(names.ALERT_STATE, tier="ticket-slow") == 0
    assert scrape.value(names.ALERT_THRESHOLD, tier="page-fast") == pytest.approx(14.4)
    assert scrape.value(names.HOT_SECONDS, tier="page-fast") == 9 * 60
    assert scrape.value(names.HOT_FLOOR_SECONDS) == 180


def test_budget_and_exhaustion_follow_from_the_burn(scrape):
    left = scrape.value(names.BUDGET_REMAINING_RATIO, period="rolling30d")
    spent = scrape.value(names.BUDGET_SPENT_RATIO, period="rolling30d")
    # nine bad minutes of the 216 that 99.5 % of 30 days allow
    assert spent == pytest.approx(9 / 216)
    assert left == pytest.approx(1 - spent)
    gone = scrape.value(names.EXHAUSTION_SECONDS, window="1h")
    assert gone == pytest.approx(left * 30 * 86_400 / 30)


def test_a_series_that_was_never_seen_has_zero_counters_and_is_unknown():
    with serve([view(SeriesLedger(), age_ms=None)]) as listener:
        scrape = Scrape(get(f"{listener.url}/metrics"))
    for result in ("good", "bad"):
        assert scrape.value(names.EVENTS_TOTAL, result=result) == 0
    assert scrape.value(names.ALERT_STATE, tier="") == 4
    for absent in (
        names.SLI_RATIO,
        names.BURN_RATE,
        names.BUDGET_REMAINING_RATIO,
        names.BUDGET_REMAINING_SECONDS,
        names.BUDGET_SPENT_RATIO,
        names.EXHAUSTION_SECONDS,
        names.SOURCE_AGE_SECONDS,
    ):
        assert scrape.samples[absent] == [], absent
    assert scrape.value(names.OBJECTIVE_RATIO) == pytest.approx(0.995)
    assert len(scrape.samples[names.SLO_INFO]) == 1


def test_the_counter_never_decreases_whatever_is_restated():
    ledger = outage()
    views = [view(ledger)]
    with serve(views) as listener:
        before = Scrape(get(f"{listener.url}/metrics"))
        for minute in range(30):
            ledger.put(NOW - HOUR + minute * MINUTE, Counts(minute % 2, 1))
        ledger.remove(NOW - 2 * HOUR)
        views[0] = view(ledger)
        after = Scrape(get(f"{listener.url}/metrics"))
    for result in ("good", "bad"):
        earlier = before.value(names.EVENTS_TOTAL, result=result)
        assert after.value(names.EVENTS_TOTAL, result=result) == earlier
        restated = after.value(names.RESTATED_EVENTS, result=result)
        held = getattr(ledger.window(0, NOW).counts, result)
        assert earlier + restated == held


def test_the_engine_speaks_of_itself(scrape):
    assert scrape.value(names.RECORDS_TOTAL, topic="cloudwatch", result="ok") == 12
    assert scrape.value(names.REFUSED_TOTAL, reason="in the future") == 2
    assert scrape.value(names.CONSUMER_LAG_MESSAGES, partition="0") == 7
    assert scrape.value(names.CHECKPOINT_AGE_SECONDS, partition="0") == 3
    assert scrape.value(names.NOTIFY_TOTAL, target="pagerduty", outcome="sent") == 4
    assert scrape.value(names.OUTBOX_OLDEST_SECONDS) == 30
    assert scrape.value(names.INCIDENTS_OPEN) == 1
    assert scrape.value(names.UNKNOWN_RESOURCES) == 2
    assert scrape.value(names.ADJUSTED_TOTAL, reason="outweighed") == 5
    assert scrape.value(names.LOST_TOTAL, topic="cloudwatch", partition="1") == 11
    assert scrape.value(names.REFUSED_PARTITIONS) == 1
    assert scrape.value(names.BUILD_INFO, version="0.1.0") == 1


def test_batches_are_timed_into_cumulative_buckets(scrape):
    buckets = f"{names.PROCESSING_SECONDS}_bucket"
    assert scrape.value(buckets, stage="ingest", le="0.005") == 1
    assert scrape.value(buckets, stage="ingest", le="0.25") == 1
    assert scrape.value(buckets, stage="ingest", le="0.5") == 2
    assert scrape.value(buckets, stage="ingest", le="+Inf") == 2
    total = scrape.value(f"{names.PROCESSING_SECONDS}_sum", stage="ingest")
    assert total == pytest.approx(0.304)


def test_labels_with_quotes_and_newlines_survive_the_scrape():
    odd = msgspec.structs.replace(
        OBJECTIVE, annotations={"owner": 'the "night"\nshift\\team'}
    )
    one = view(outage())
    views = [
        msgspec.structs.replace(one, series=msgspec.structs.replace(SERIES, slo=odd))
    ]
    with serve(views) as listener:
        scrape = Scrape(get(f"{listener.url}/metrics"))
    assert scrape.value(names.SLO_INFO, owner='the "night"\nshift\\team') == 1


def test_the_reference_page_is_current():
    page = Path(__file__).parents[2] / "docs" / "reference" / "metrics.md"
    assert page.read_text() == metrics_page()
