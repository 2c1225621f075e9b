"""The second opinion agrees: Prometheus, on what the engine exports, alerts when it does.

A ledger lives through a story, minute by minute. Each minute the engine judges it and
exports it; promtool evaluates the generated rules over the exported series, without
their waits, and must say what the engine said, each minute.
"""

import random
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from alerts.rules import rules
from slo.evaluation import Timing, evaluate
from slo.ledger import SeriesLedger
from slo.model import DAY, MILLIONTHS, MINUTE, SECOND, Budgeting, Counts, Series
from slo.verdict import Alert, Status, Verdict
from streams.metrics import EngineCollector, Figures
from streams.timing import Timings
from streams.view import SeriesView
from tests.alerts.plans import around, fleet, series_of, slo_named
from tests.alerts.stories import BURN, labels_of, run_tests, severity_of
from tests.alerts.world import selector

T0 = 1_700_000_000_000 // DAY * DAY
STEPS = 100
Shares = Callable[[int], float | None]
"""The bad share of a minute of the story; None: no data came."""


def outage(minute: int) -> float | None:
    return 1.0 if 20 <= minute < 45 else 0.0


def blip(minute: int) -> float | None:
    return 1.0 if minute in (20, 21) else 0.0


def flapping(minute: int) -> float | None:
    return 1.0 if minute >= 10 and minute % 7 < 3 else 0.0


def gap_in_an_outage(minute: int) -> float | None:
    return None if 30 <= minute < 50 else outage(minute)


def slow_burn(minute: int) -> float | None:
    return 1.0 if minute % 13 == 0 else 0.0


def silence(minute: int) -> float | None:
    return 0.0 if minute < 10 else None


def noise(minute: int) -> float | None:
    found = random.Random(minute).random()
    return None if found < 0.1 else max(0.0, found - 0.85) * 4


STORIES = (outage, blip, flapping, gap_in_an_outage, slow_burn, silence, noise)


def counts_of(series: Series, bad_share: float, events: int) -> tuple[Counts, Counts]:
    """The counts of a minute and the events behind them."""
    bad = round(bad_share * events)
    behind = Counts(events - bad, events)
    match series.slo.budgeting:
        case Budgeting.OCCURRENCES:
            return behind, behind
        case Budgeting.TIMESLICES:
            return Counts(0 if bad_share > 0.5 else 1, 1), behind
        case Budgeting.RATIO_TIMESLICES:
            good = MILLIONTHS * (events - bad) // events
            return Counts(good, MILLIONTHS), behind


def life(series: Series, shares: Shares, history_ms: int) -> Iterator[Status]:
    """The engine's status at the end of each minute of a story."""
    ledger = SeriesLedger()
    for start in range(T0 - history_ms, T0, MINUTE):
        ledger.put(start, *counts_of(series, 0.0, 100))
    for minute in range(STEPS):
        start = T0 + minute * MINUTE
        share = shares(minute)
        if share is not None:
            ledger.put(start, *counts_of(series, share, 100))
        yield evaluate(
            series,
            ledger,
            policy=fleet().policy,
            timing=Timing(MINUTE, 30 * SECOND),
            now_ms=start + MINUTE,
        )


def scraped(series: Series, statuses: list[Status]) -> list[dict[str, str]]:
    """What the engine exports of them, as promtool's input."""
    found: dict[str, list[str]] = defaultdict(lambda: ["_"] * len(statuses))
    for step, status in enumerate(statuses):
        view = SeriesView(
            series, status, Alert(""), Counts(), Counts(), status.at_ms, 0, 0
        )
        collector = EngineCollector(
            lambda view=view: [view],
            Figures,
            Timings(),
            policy=fleet().policy,
            clock=lambda: 0,
            version="1",
        )
        for family in collector.collect():
            for sample in family.samples:
                if "slo" in sample.labels:
                    labels = {k: v for k, v in sample.labels.items() if v}
                    found[selector(sample.name, labels)][step] = repr(sample.value)
    return [{"series": name, "values": " ".join(v)} for name, v in found.items()]


def says_the_engine(status: Status, severity: Verdict) -> bool:
    """Whether a tier of a severity fires, and the verdict is not unknown."""
    fires = any(tier.verdict is severity for tier in status.tiers)
    return fires and status.verdict is not Verdict.UNKNOWN


def expectations(series: Series, statuses: list[Status]) -> Iterator[dict]:
    for alert, severity in BURN.items():
        told = severity_of(series.slo, severity)
        firing = {"alertname": alert, "alertstate": "firing"}
        for step, status in enumerate(statuses):
            labels = selector("ALERTS", firing | labels_of(series, told))
            fires = says_the_engine(status, severity)
            yield {
                "expr": selector("ALERTS", firing),
                "eval_time": f"{step}m",
                "exp_samples": [{"labels": labels, "value": 1}] if fires else [],
            }


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
@pytest.mark.parametrize("name", ["readers-fresh", "statements-succeed", "connections"])
@pytest.mark.parametrize("history_ms", [0, 4 * DAY], ids=["young", "grown"])
def test_prometheus_says_each_minute_what_the_engine_says(
    name, story, history_ms, promtools, tmp_path: Path
):
    series = series_of(slo_named(name))[0]
    statuses = list(life(series, story, history_ms))
    plan = around(series)
    test = {
        "name": f"{name}: {story.__name__}",
        "interval": "1m",
        "input_series": scraped(series, statuses),
        "promql_expr_test": list(expectations(series, statuses)),
    }
    plan = msgspec.structs.replace(plan, series=(series,))
    assert run_tests(promtools["2"], tmp_path, rules(plan, holds=False), [test]) == ""


def test_the_stories_hold_every_verdict():
    """Else they would agree on nothing that matters."""
    seen = set()
    for name in ("readers-fresh", "statements-succeed", "connections"):
        series = series_of(slo_named(name))[0]
        for story in STORIES:
            for history_ms in (0, 4 * DAY):
                seen |= {status.verdict for status in life(series, story, history_ms)}
    assert seen == set(Verdict)
