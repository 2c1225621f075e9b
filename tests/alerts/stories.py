"""Stories for the generated rules: what is scraped, and when each alert fires.

They come from the plan: whatever the SLOs and the policy, each alert of each SLO is
taken just over and just under each of its limits. What happens to one series while
nothing else does is told of many series of one world at once, by their resources.
"""

import json
import subprocess
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from slo import names
from slo.contract import period
from slo.model import MINUTE, SLO, Budgeting, Series, Urgency
from slo.names import PERIOD, TIER, WINDOW, duration
from slo.policy import Tier, reachable
from slo.verdict import Verdict
from tests.alerts.plans import around, fleet, only, series_of
from tests.alerts.world import HOT_FLOOR, STEP_MS, Value, World, selector

START = 4  # the step at which every story begins
UNKNOWN = names.STATE_VALUES["unknown"]

BURN = {
    "DbSloErrorBudgetBurn": Verdict.PAGE,
    "DbSloErrorBudgetBurnSlow": Verdict.TICKET,
}


class Story(NamedTuple):
    """A world, and for one alert the steps at which it fires and does not."""

    name: str
    world: World
    alert: str
    labels: dict[str, str]
    fires: tuple[int, ...]
    silent: tuple[int, ...]

    def expressions(self) -> list[dict[str, Any]]:
        """As promtool wants them: one for each step."""
        firing = {"alertname": self.alert, "alertstate": "firing"}
        here = {k: v for k, v in self.labels.items() if k in ("slo", "resource")}
        labels = selector("ALERTS", firing | self.labels)
        return [
            {
                "expr": selector("ALERTS", firing | here),
                "eval_time": duration(step * STEP_MS) if step else "0s",
                "exp_samples": [{"labels": labels, "value": 1}]
                if step in self.fires
                else [],
            }
            for step in sorted({*self.fires, *self.silent})
        ]


def unit_tests(stories: Iterable[Story]) -> list[dict[str, Any]]:
    """A promtool test for each world, with the stories that happen in it in a row."""
    return [
        {
            "name": ", ".join(dict.fromkeys(story.name for story in told)),
            "interval": "1m",
            "input_series": told[0].world.input_series(),
            "promql_expr_test": [e for story in told for e in story.expressions()],
        }
        for _, group in groupby(stories, key=lambda story: id(story.world))
        for told in [list(group)]
    ]


def steps(ms: int) -> int:
    return ms // STEP_MS


def labels_of(series: Series, severity: str) -> dict[str, str]:
    team = series.slo.labels.get("team") or series.cluster.labels["team"]
    return series.labels | {"severity": severity, "team": team}


def severity_of(slo: SLO, verdict: Verdict) -> str:
    """What an SLO's urgency lets a verdict be, as a label."""
    return (
        "page" if slo.urgency is Urgency.PAGE and verdict is Verdict.PAGE else "ticket"
    )


def tiers_of(slo: SLO, alert: str) -> list[Tier]:
    return [
        tier
        for tier in fleet().policy.tiers
        if tier.severity is BURN[alert] and reachable(tier, slo.target, slo.period_ms)
    ]


def hold_of(alert: str) -> tuple[int, int]:
    """Wait and keep, in steps, as the design's table says for the default policy."""
    wait, keep = {
        "DbSloErrorBudgetBurn": (2 * MINUTE, 10 * MINUTE),
        "DbSloErrorBudgetBurnSlow": (15 * MINUTE, 60 * MINUTE),
    }[alert]
    return steps(wait), steps(keep)


def burn_stories(slo: SLO) -> Iterator[Story]:
    for alert in BURN:
        for tier in tiers_of(slo, alert):
            yield from tier_stories(slo, alert, tier)


class Change(NamedTuple):
    """What differs from a burn that fires: one value, too little by just enough."""

    name: str
    metric: str
    further: dict[str, str]
    value: Value


def tier_stories(slo: SLO, alert: str, tier: Tier) -> Iterator[Story]:
    """One tier burns, alone: it fires on time and resets; held back it never does."""
    series = series_of(slo)[0]
    changes = held_back(slo, tier)
    twins = {change.name: twin(series, change.name) for change in changes}
    wait, keep = hold_of(alert)
    end = START + wait + 6
    during, on_time = (START, end), START + wait
    world = World(around(series, *twins.values()), end + keep + 2)
    title = f"{slo.name}: {alert}: {tier.name}"

    def told(one: Series, fires: tuple[int, ...], silent: tuple[int, ...]) -> Story:
        labels = labels_of(one, severity_of(slo, tier.severity))
        return Story(title, world, alert, labels, fires, silent)

    world.burn(slo, series, tier, during)
    fires = (on_time, end - 1, end, end + keep - 1)
    yield told(series, fires, (0, START, on_time - 1, end + keep))
    for change in changes:
        one = twins[change.name]
        world.burn(slo, one, tier, during)
        labels = one.labels | change.further
        world.set(change.metric, labels, change.value, during)
        yield told(one, (), (0, START, on_time, end - 1, end, end + keep))


def twin(series: Series, what: str) -> Series:
    """Another series of the SLO, called after what happens to it."""
    resource = msgspec.structs.replace(series.resource, name=what)
    return msgspec.structs.replace(series, resource=resource)


def held_back(slo: SLO, tier: Tier) -> list[Change]:
    """Each way in which a tier that burns must be silent."""
    in_long = {WINDOW: duration(tier.long_ms)}
    in_short = {WINDOW: duration(tier.short_ms)}
    of_tier = {TIER: tier.name}
    burn, factor = names.BURN_RATE, float(tier.factor(slo.period_ms))
    few, little = slo.min_bad - 1, slo.min_total - 1
    found = [
        Change("exactly at the long limit", burn, in_long, factor),
        Change("exactly at the short limit", burn, in_short, factor),
        Change("the long window alone", burn, in_short, 0),
        Change("the short window alone", burn, in_long, 0),
        Change("one bad event short", names.WINDOW_BAD_EVENTS, in_long, few),
        Change("the tier is unknown", names.ALERT_STATE, of_tier, UNKNOWN),
        Change("the series is unknown", names.ALERT_STATE, {}, UNKNOWN),
        Change("nothing is scraped", burn, in_long, None),
    ]
    if slo.min_total:
        metric = names.WINDOW_TOTAL_EVENTS
        found.append(Change("little traffic", metric, in_long, little))
    if tier.severity is Verdict.PAGE:
        cold = HOT_FLOOR - 1
        found.append(Change("a second too cool", names.HOT_SECONDS, of_tier, cold))
    return found


def budget_stories(slo: SLO) -> Iterator[Story]:
    """What is left, and which alert that is."""
    left = {0.0999: "Low", 0.1: "", 0.0001: "Low", 0.0: "Exhausted", -3.0: "Exhausted"}
    on = START + steps(30 * MINUTE)
    end = on + 6
    series = series_of(slo)[0]
    twins = {value: twin(series, f"{value} left") for value in left}
    world = World(around(series, *twins.values()), end + 3)
    rolling = {PERIOD: period(slo.period_ms)}
    for value, which in left.items():
        labels = twins[value].labels | rolling
        world.set(names.BUDGET_REMAINING_RATIO, labels, value, (START, end))
        for alert in ("Low", "Exhausted"):
            fires = (on, end - 1) if alert == which else ()
            silent = tuple({0, on - 1, on, end - 1, end} - set(fires))
            told = labels_of(twins[value], "ticket")
            name = f"{slo.name}: DbSloBudget{alert}"
            yield Story(name, world, f"DbSloBudget{alert}", told, fires, silent)


def silent_after(slo: SLO) -> int:
    feeds = [feed for series in series_of(slo) for feed in series.feeds]
    return max(feed.arrival_lag_ms + 3 * feed.cadence_ms for feed in feeds) // 1000


def missing_stories(slo: SLO) -> Iterator[Story]:
    """Silence of the first series, of all of them, or of less than it takes."""
    every = list(around(series_of(slo)[0]).series)
    labels = labels_of(every[0], "ticket")
    wait = steps(10 * MINUTE)
    end = START + wait + 6
    on = START + wait
    row_events = slo.budgeting is Budgeting.OCCURRENCES and slo.name == "rows-fresh"
    follows_role = slo.indicator.id.endswith(".replica_lag")
    limit = silent_after(slo)
    for name, ages, coverage, fires in (
        ("all silent", (limit + 1, limit + 1), 0.89, not row_events),
        ("one silent", (limit + 1, limit), 0.89, not (row_events or follows_role)),
        ("late, not silent", (limit, limit), 0.89, False),
        (
            "old but covered",
            (limit + 1, limit + 1),
            0.9,
            not (slo.sliced or row_events),
        ),
        ("a gap that is over", (0, 0), 0.5, False),
    ):
        world = World(around(series_of(slo)[0]), end + 3)
        for series, age in zip(every, ages, strict=False):
            own, during = series.labels, (START, end)
            world.set(names.SOURCE_AGE_SECONDS, own, age, during)
            world.set(names.COVERAGE_RATIO, own, coverage, during)
            world.set(names.ALERT_STATE, own, UNKNOWN, during)
        title = f"{slo.name}: DbSloDataMissing: {name}"
        when = (on, end - 1) if fires else ()
        silent = (0, on - 1, end) if fires else (0, on - 1, on, end - 1, end)
        yield Story(title, world, "DbSloDataMissing", labels, when, silent)


def unseen_story(slo: SLO) -> Story:
    """What never sent anything is unconfigured: neither good nor bad."""
    series = series_of(slo)[0]
    world = World(around(series), 60)
    world.set(names.SOURCE_AGE_SECONDS, series.labels, None, (0, 60))
    world.set(names.ALERT_STATE, series.labels, UNKNOWN, (0, 60))
    title = f"{slo.name}: DbSloDataMissing: never seen"
    labels = labels_of(series, "ticket")
    return Story(title, world, "DbSloDataMissing", labels, (), tuple(range(0, 60, 3)))


ENGINE = {"severity": "page", "service": "dbslo", "slo": "dbslo", "team": "dbslo"}
ENGINE_WAIT = steps(5 * MINUTE)
FRESH = steps(5 * MINUTE)  # a sample speaks for five minutes, unless it is marked stale
PAGING = "readers-fresh"


class Fault(NamedTuple):
    """A value that makes an alert about the engine fire, and one that does not yet."""

    name: str
    alert: str
    labels: dict[str, str]  # of the alert, beside the engine's own
    metric: str
    of: dict[str, str]
    bad: float
    not_yet: float


FAULTS = (
    Fault(
        "checkpoints stop",
        "DbSloPipelineStale",
        {"partition": "0"},
        names.CHECKPOINT_AGE_SECONDS,
        {"partition": "0"},
        121,
        120,
    ),
    Fault(
        "a notice waits",
        "DbSloNotifyFailing",
        {},
        names.OUTBOX_OLDEST_SECONDS,
        {},
        301,
        300,
    ),
)


def engine_stories() -> Iterator[Story]:
    for fault in FAULTS:
        yield from fault_stories(fault)
    yield late_story()
    yield gone_story()
    yield refused_story("dead", fires=True)
    yield refused_story("retry", fires=False)


def fault_stories(fault: Fault) -> Iterator[Story]:
    on, end = START + ENGINE_WAIT, START + ENGINE_WAIT + 4
    for value, fires in ((fault.bad, (on, end - 1)), (fault.not_yet, ())):
        world = World(only(PAGING), end + 3)
        world.set(fault.metric, fault.of, value, (START, end))
        silent = tuple({0, on - 1, on, end - 1, end} - set(fires))
        name = f"dbslo: {fault.name}: {value}"
        yield Story(name, world, fault.alert, fault.labels | ENGINE, fires, silent)


def late_story() -> Story:
    """Now stands still, and at START is a second more than two minutes old."""
    plan = only(PAGING)
    on, end = START + ENGINE_WAIT, START + ENGINE_WAIT + 4
    world = World(plan, end + 3)
    for series in plan.series:
        stood = START * STEP_MS / 1000 - 121
        world.set(names.WATERMARK_SECONDS, series.labels, stood, (START, end))
    cluster = {key: plan.series[0].labels[key] for key in ("env", "cluster")}
    labels = cluster | ENGINE
    silent = (0, on - 1, end)
    title = "dbslo: now stands still"
    return Story(title, world, "DbSloPipelineStale", labels, (on, end - 1), silent)


def gone_story() -> Story:
    """The engine is no longer there to be scraped."""
    on = START + FRESH + ENGINE_WAIT
    world = World(only(PAGING), on + 6)
    world.set(names.BUILD_INFO, {"version": "1"}, None, (START, on + 6))
    silent = (0, START, on - 2)
    title = "dbslo: the engine is gone"
    return Story(title, world, "DbSloPipelineStale", ENGINE, (on + 2,), silent)


def refused_story(outcome: str, *, fires: bool) -> Story:
    """A notice that was refused for ever is told; one that is retried is not."""
    on = START + ENGINE_WAIT
    world = World(only(PAGING), on + 6)
    labels = {"target": "pagerduty", "outcome": outcome}
    world.add(names.NOTIFY_TOTAL, labels, 0)
    world.set(names.NOTIFY_TOTAL, labels, 1, (START, on + 6))
    when = (on, on + 4) if fires else ()
    silent = (0, on - 1) if fires else (0, on - 1, on, on + 4)
    told = {"target": "pagerduty"} | ENGINE
    title = f"dbslo: a notice ended as {outcome}"
    return Story(title, world, "DbSloNotifyFailing", told, when, silent)


def stories_of(slo: SLO) -> list[Story]:
    return [
        *burn_stories(slo),
        *budget_stories(slo),
        *missing_stories(slo),
        unseen_story(slo),
    ]


# -- running promtool ------------------------------------------------------------------


def run(promtool: str, folder: Path, text: str, stories: Iterable[Story]) -> str:
    """What promtool has to say; "" where every story ends as it must."""
    return run_tests(promtool, folder, text, unit_tests(stories))


def run_tests(
    promtool: str, folder: Path, text: str, tests: list[dict[str, Any]]
) -> str:
    (folder / "rules.yml").write_text(text)
    unit = {"rule_files": ["rules.yml"], "evaluation_interval": "1m", "tests": tests}
    (folder / "tests.yml").write_text(json.dumps(unit))
    done = subprocess.run(
        [promtool, "test", "rules", "tests.yml"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    return "" if done.returncode == 0 else done.stdout + done.stderr
