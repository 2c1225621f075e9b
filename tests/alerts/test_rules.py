"""Every generated alert, judged by promtool: it fires when it must and only then.

The cases come from the plan: whatever the SLOs and the policy, each alert of each
SLO is taken just over and just under each of its limits.
"""

import json
import re
import subprocess
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import promql_parser
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from alerts.promql import decimal
from alerts.rules import Addresses, rules, unreachable
from slo import names
from slo.contract import METRICS, period
from slo.model import MINUTE, SLO, Budgeting, Series, Urgency, Verdict
from slo.names import PERIOD, TIER, WINDOW, duration
from slo.policy import DEFAULT, Tier, compressed, reachable
from tests.alerts.plans import around, fleet, only, series_of
from tests.alerts.world import HOT_FLOOR, STEP_MS, World, selector

RUNBOOKS = Path(__file__).parents[2] / "docs" / "runbooks"
VERSIONS = ("2", "3")
START = 4  # the step at which every story begins
UNKNOWN = names.STATE_VALUES["unknown"]

BURN = {
    "DbSloErrorBudgetBurn": Verdict.PAGE,
    "DbSloErrorBudgetBurnSlow": Verdict.TICKET,
}
ALERTING = [slo for slo in fleet().slos if slo.urgency is not Urgency.BOARD]


@pytest.fixture(params=VERSIONS)
def promtool(request, promtools) -> str:
    return promtools[request.param]


def slo_named(name: str) -> SLO:
    (found,) = (slo for slo in fleet().slos if slo.name == name)
    return found


def written(text: str) -> list[dict[str, Any]]:
    """Every rule of a rule file, in order."""
    return [rule for group in yaml.safe_load(text)["groups"] for rule in group["rules"]]


# -- stories: what is scraped, and when an alert fires ---------------------------------


class Story(NamedTuple):
    """A world, and for one alert the steps at which it fires and does not."""

    name: str
    world: World
    alert: str
    labels: dict[str, str]
    fires: tuple[int, ...]
    silent: tuple[int, ...]

    def tests(self) -> Iterator[dict[str, Any]]:
        """As promtool wants it: one test with an expression for each step."""
        firing = {"alertstate": "firing"} | self.labels
        here = {k: v for k, v in self.labels.items() if k in ("slo", "resource")}
        asked = selector(
            "ALERTS", {"alertname": self.alert, "alertstate": "firing"} | here
        )
        expected = [
            {
                "labels": selector("ALERTS", {"alertname": self.alert} | firing),
                "value": 1,
            }
        ]
        yield {
            "name": self.name,
            "interval": "1m",
            "input_series": self.world.input_series(),
            "promql_expr_test": [
                {
                    "expr": asked,
                    "eval_time": duration(step * STEP_MS) if step else "0s",
                    "exp_samples": expected if step in self.fires else [],
                }
                for step in sorted((*self.fires, *self.silent))
            ],
        }


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


def tier_stories(slo: SLO, alert: str, tier: Tier) -> Iterator[Story]:
    """One tier burns, alone: it fires on time and resets; held back it never does."""
    series = series_of(slo)[0]
    labels = labels_of(series, severity_of(slo, tier.severity))
    wait, keep = hold_of(alert)
    end = START + wait + 6
    during = (START, end)
    on_time = START + wait

    title = f"{slo.name}: {alert}: {tier.name}"

    def burning(length: int) -> World:
        world = World(around(series), length)
        world.burn(slo, series, tier, during)
        return world

    fires = (on_time, end - 1, end, end + keep - 1)
    silent = (0, START, on_time - 1, end + keep)
    world = burning(end + keep + 2)
    yield Story(f"{title}: on time, and over", world, alert, labels, fires, silent)
    for name, change in held_back(slo, series, tier, during):
        world = burning(end + 1)
        change(world)
        every = (0, START, on_time, end - 1, end)
        yield Story(f"{title}: {name}", world, alert, labels, (), every)


def held_back(
    slo: SLO, series: Series, tier: Tier, during: tuple[int, int]
) -> Iterator[tuple[str, Callable[[World], None]]]:
    """Each way in which a tier that burns must be silent."""
    own = series.labels
    long, short = duration(tier.long_ms), duration(tier.short_ms)
    factor = float(tier.factor(slo.period_ms))

    def put(metric: str, further: dict[str, str], value: float | None):
        return lambda world: world.set(metric, own | further, value, during)

    in_long, of_tier = {WINDOW: long}, {TIER: tier.name}
    yield "exactly at the long limit", put(names.BURN_RATE, in_long, factor)
    yield "exactly at the short limit", put(names.BURN_RATE, {WINDOW: short}, factor)
    yield "the long window alone", put(names.BURN_RATE, {WINDOW: short}, 0)
    yield "the short window alone", put(names.BURN_RATE, in_long, 0)
    yield "one bad event short", put(names.WINDOW_BAD_EVENTS, in_long, slo.min_bad - 1)
    if slo.min_total:
        low = slo.min_total - 1
        yield "little traffic", put(names.WINDOW_TOTAL_EVENTS, in_long, low)
    if tier.severity is Verdict.PAGE:
        cold = HOT_FLOOR - 1
        yield "a second of hot time short", put(names.HOT_SECONDS, of_tier, cold)
    yield "the tier is unknown", put(names.ALERT_STATE, of_tier, UNKNOWN)
    yield "the series is unknown", put(names.ALERT_STATE, {}, UNKNOWN)
    yield "nothing is scraped", put(names.BURN_RATE, in_long, None)


def budget_stories(slo: SLO) -> Iterator[Story]:
    series = series_of(slo)[0]
    labels = labels_of(series, "ticket")
    wait = steps(30 * MINUTE)
    end = START + wait + 6
    left = series.labels | {PERIOD: period(slo.period_ms)}
    on = START + wait
    for alert, value, fires in (
        ("DbSloBudgetLow", 0.0999, True),
        ("DbSloBudgetLow", 0.1, False),
        ("DbSloBudgetLow", 0.0001, True),
        ("DbSloBudgetLow", 0.0, False),
        ("DbSloBudgetExhausted", 0.0, True),
        ("DbSloBudgetExhausted", -3.0, True),
        ("DbSloBudgetExhausted", 0.0001, False),
    ):
        world = World(around(series_of(slo)[0]), end + 3)
        world.set(names.BUDGET_REMAINING_RATIO, left, value, (START, end))
        title = f"{slo.name}: {alert}: {value} left"
        when = (on, end - 1) if fires else ()
        silent = (0, on - 1, end) if fires else (0, on - 1, on, end - 1, end)
        yield Story(title, world, alert, labels, when, silent)


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


# -- running promtool ---------------------------------------------------------------------


def run(promtool: str, folder: Path, text: str, stories: Iterable[Story]) -> str:
    """What promtool has to say; "" where every story ends as it must."""
    tests = [test for story in stories for test in story.tests()]
    return run_tests(promtool, folder, text, tests)


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


@cache
def generated() -> str:
    return rules(fleet())


@pytest.mark.parametrize("slo", ALERTING, ids=lambda slo: slo.name)
def test_every_alert_fires_on_time_resets_and_is_silent_when_held_back(
    slo, promtool, tmp_path
):
    stories = stories_of(slo)
    assert sum(bool(story.fires) for story in stories) >= 5
    assert run(promtool, tmp_path, rules(only(slo.name)), stories) == ""


def test_the_engines_own_alerts_fire_on_time_and_are_silent_below(promtool, tmp_path):
    stories = list(engine_stories())
    assert run(promtool, tmp_path, rules(only(PAGING)), stories) == ""


def test_the_watchdog_always_fires(promtool, tmp_path):
    labels = ENGINE | {"severity": "none"}
    story = Story("Watchdog", World(only(PAGING), 9), "Watchdog", labels, (0, 4, 8), ())
    assert run(promtool, tmp_path, rules(only(PAGING)), [story]) == ""


def test_a_healthy_fleet_is_silent(promtool, tmp_path):
    world = World(fleet(), 150)
    asked = 'ALERTS{alertname!="Watchdog"}'
    every = tuple(range(0, 150, 7))
    story = Story("healthy", world, "", {}, (), every)._replace(labels={})
    (test,) = story.tests()
    for one in test["promql_expr_test"]:
        one["expr"] = asked
    assert run_tests(promtool, tmp_path, generated(), [test]) == ""


def test_promtool_accepts_the_rules_with_every_lint(promtool, tmp_path):
    (tmp_path / "rules.yml").write_text(generated())
    subprocess.run(
        [promtool, "check", "rules", "--lint=all", "--lint-fatal", "rules.yml"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )


# -- mutation: what these stories are worth --------------------------------------------

FLIPS = {" > ": " < ", " >= ": " > ", " < ": " > ", " <= ": " < ", " == 4": " == 3"}


def mutants(rule: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """A rule with one change: a comparison, a limit, a term or a duration."""
    for hold in {"for", "keep_firing_for"} & set(rule):
        yield f"no {hold}", {k: v for k, v in rule.items() if k != hold}
    lines = rule["expr"].splitlines()
    for number, line in enumerate(lines):
        for what, changed in _changed(line):
            text = "\n".join([*lines[:number], changed, *lines[number + 1 :]])
            yield f"{what}: {line.strip()}", rule | {"expr": text}


def _changed(line: str) -> Iterator[tuple[str, str]]:
    for operator, other in FLIPS.items():
        if operator in line:
            yield "flipped", line.replace(operator, other, 1)
    for match in re.finditer(r"(?<=[<>=] )\d+(\.\d+)?(?=\)?$)", line):
        limit = float(match[0]) * 1.05 or 3.0
        yield "other limit", f"{line[: match.start()]}{limit}{line[match.end() :]}"
    if line.lstrip().startswith(("and ", "unless ")):
        yield "dropped", ""


def rejected(promtool: str, folder: Path, rule: Any, stories: list[Story]) -> list[str]:
    """The mutants of a rule that no story notices; all of them in one run."""
    found = list(mutants(rule))
    renamed = [
        changed | {"alert": f"{rule['alert']}M{number}M"}
        for number, (_, changed) in enumerate(found)
    ]
    tests = []
    for story in stories:
        as_mutants = [
            test
            for one in renamed
            for test in story._replace(alert=one["alert"]).tests()
        ]
        every = [e for test in as_mutants for e in test["promql_expr_test"]]
        tests.append(as_mutants[0] | {"promql_expr_test": every})
    text = json.dumps({"groups": [{"name": "mutants", "rules": renamed}]})
    said = run_tests(promtool, folder, text, tests)
    noticed = {int(number) for number in re.findall(r"M(\d+)M", said)}
    assert len(found) >= 3
    return [what for number, (what, _) in enumerate(found) if number not in noticed]


# "connections" has every guard, "readers-fresh" the silence that follows a role.
MUTATED = [
    *(
        rule
        for rule in written(rules(only("connections")))
        if rule["expr"] != "vector(1)"
    ),
    *(
        rule
        for rule in written(rules(only("readers-fresh")))
        if rule["alert"] == "DbSloDataMissing"
    ),
]


@pytest.mark.parametrize("rule", MUTATED, ids=lambda rule: rule["alert"])
def test_no_change_of_a_rule_goes_unnoticed(rule, promtools, tmp_path):
    name = rule["labels"]["slo"]
    every = engine_stories() if name == "dbslo" else stories_of(slo_named(name))
    stories = [story for story in every if story.alert == rule["alert"]]
    assert rejected(promtools["2"], tmp_path, rule, stories) == []


# -- what can be read off the rules -------------------------------------------------------------


def test_the_group_of_an_slo_is_the_same_whatever_stands_beside_it():
    groups = {g["name"]: g for g in yaml.safe_load(generated())["groups"]}
    for slo in ALERTING:
        alone = yaml.safe_load(rules(only(slo.name)))["groups"][0]
        assert alone == groups[alone["name"]]


def test_the_same_plan_gives_the_same_bytes_whatever_the_order_of_its_slos():
    backwards = msgspec.structs.replace(fleet(), slos=fleet().slos[::-1])
    assert rules(backwards) == rules(fleet())


def test_only_an_slo_that_may_page_has_a_rule_that_pages():
    for rule in written(generated()):
        name = rule["labels"]["slo"]
        if rule["labels"]["severity"] == "page" and name != "dbslo":
            assert slo_named(name).urgency is Urgency.PAGE


def test_an_slo_that_is_only_drawn_has_no_rule():
    assert "commits" not in {rule["labels"]["slo"] for rule in written(generated())}


def test_a_fleet_that_pages_nobody_pages_nobody_about_the_engine_either():
    quiet = msgspec.structs.replace(
        fleet(), slos=tuple(s for s in fleet().slos if s.urgency is not Urgency.PAGE)
    )
    found = {rule["labels"]["severity"] for rule in written(rules(quiet))}
    assert found == {"ticket", "none"}


def test_every_rule_is_labelled_described_and_has_its_runbook():
    for rule in written(generated()):
        assert set(rule["labels"]) == {"service", "severity", "slo", "team"}
        assert rule["labels"]["severity"] in ("page", "ticket", "none")
        assert "$" not in "".join(rule["labels"].values())
        assert re.fullmatch(r"[A-Z][A-Za-z]+", rule["alert"])
        told = rule["annotations"]
        assert len(told["summary"]) <= 120
        page = (RUNBOOKS / f"{rule['alert']}.md").read_text()
        assert told["runbook_url"] == f"docs/runbooks/{rule['alert']}.md"
        for heading in ("Meaning", "Impact", "Diagnosis", "Mitigation"):
            assert f"\n## {heading}\n" in page


def test_no_two_rules_of_one_group_and_team_bear_one_name():
    seen = [
        (rule["labels"]["slo"], rule["labels"]["team"], rule["alert"])
        for rule in written(generated())
    ]
    assert len(seen) == len(set(seen))


def test_addresses_lead_to_runbooks_and_boards():
    there = Addresses("https://runbooks.example/dbslo/", "https://grafana.example/")
    first = written(rules(fleet(), there))[0]["annotations"]
    assert first["runbook_url"] == (
        "https://runbooks.example/dbslo/DbSloErrorBudgetBurn.md"
    )
    assert first["dashboard_url"].startswith(
        "https://grafana.example/d/dbslo-slo-detail?var-env={{ $labels.env | urlquery }}&"
    )


def test_the_runbook_that_an_slo_names_goes_before_the_alerts_own_page():
    slo = msgspec.structs.replace(
        slo_named("readers-fresh"), annotations={"runbook": "https://wiki.example/lag"}
    )
    plan = msgspec.structs.replace(only(slo.name), slos=(slo,))
    found = {
        rule["alert"]: rule["annotations"]["runbook_url"]
        for rule in written(rules(plan))
    }
    assert found["DbSloErrorBudgetBurn"] == "https://wiki.example/lag"
    assert found["DbSloErrorBudgetBurnSlow"] == "https://wiki.example/lag"
    assert found["DbSloDataMissing"] == "docs/runbooks/DbSloDataMissing.md"


def test_every_metric_and_label_is_one_that_the_engine_exports():
    for rule in written(generated()):
        for found in _selectors(promql_parser.parse(rule["expr"])):
            known = METRICS[found.name]
            used = {matcher.name for matcher in found.matchers.matchers}
            assert used <= set(known.labels), (rule["alert"], found.name)


def _selectors(node: Any) -> Iterator[Any]:
    if isinstance(node, promql_parser.VectorSelector):
        yield node
    for attribute in ("lhs", "rhs", "expr", "vector_selector", "args", "param"):
        child = getattr(node, attribute, None)
        for one in child if isinstance(child, list) else [child]:
            if one is not None:
                yield from _selectors(one)


def test_burn_limits_are_the_policys_factors():
    for slo in ALERTING:
        for alert in BURN:
            wanted = [decimal(t.factor(slo.period_ms)) for t in tiers_of(slo, alert)]
            for rule in written(generated()):
                if (rule["labels"]["slo"], rule["alert"]) == (slo.name, alert):
                    found = re.findall(r"burn_rate\{[^}]*\} > (\S+)", rule["expr"])
                    assert found == [limit for limit in wanted for _ in range(2)]


def test_another_policy_gives_other_windows_and_waits():
    plan = msgspec.structs.replace(fleet(), policy=compressed(DEFAULT, 60))
    first = written(rules(plan))[0]
    assert (first["for"], first["keep_firing_for"]) == ("2s", "10s")
    assert 'window="1m"' in first["expr"]


def test_rules_without_holds_differ_in_nothing_else():
    bare = written(rules(fleet(), holds=False))
    held = written(generated())
    for rule in held:
        rule.pop("for", None)
        rule.pop("keep_firing_for", None)
    assert bare == held


def test_a_tier_that_no_outage_could_reach_is_left_out_and_named():
    modest = slo_named("modest")
    (line,) = unreachable(modest, fleet().policy)
    assert line.startswith(
        "modest: page-fast is left out: a total outage burns 14.28571"
    )
    assert f"# {line}\n" in generated()
    assert [tier.name for tier in tiers_of(modest, "DbSloErrorBudgetBurn")] == [
        "page-slow"
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Fraction(72, 5), "14.4"),
        (Fraction(336, 25), "13.44"),
        (Fraction(6), "6"),
        (Fraction(100), "100"),
        (Fraction(-1, 8), "-0.125"),
        (Fraction(0), "0"),
        (Fraction(14, 15), "0.9333333333333333"),
    ],
)
def test_numbers_are_written_as_exact_decimals_where_they_have_an_end(value, text):
    assert decimal(value) == text


@given(value=st.fractions(max_denominator=10**6))
def test_a_written_number_is_read_back_as_the_nearest_float(value):
    assert float(decimal(value)) == float(value)


def test_a_team_that_looks_like_a_template_is_taken_at_its_word(promtools, tmp_path):
    team = 'search "{{ x }}"'
    slo = slo_named("statements-succeed")
    (series,) = (s for s in series_of(slo) if s.resource.name == "catalog-1")
    assert labels_of(series, "page")["team"] == team
    tier = tiers_of(slo, "DbSloErrorBudgetBurn")[0]
    world = World(only(slo.name), 20)
    world.burn(slo, series, tier, (START, 20))
    wait, _ = hold_of("DbSloErrorBudgetBurn")
    story = Story(
        "team",
        world,
        "DbSloErrorBudgetBurn",
        labels_of(series, "page"),
        (START + wait,),
        (),
    )
    assert run(promtools["2"], tmp_path, rules(only(slo.name)), [story]) == ""
