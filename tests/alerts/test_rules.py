"""Every generated alert, judged by promtool: it fires when it must and only then.

The cases come from the plan: whatever the SLOs and the policy, each alert of each
SLO is taken just over and just under each of its limits.
"""

import json
import re
import subprocess
from collections.abc import Iterator
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import promql_parser
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from alerts.promql import decimal
from alerts.rules import Addresses, rules, unreachable
from slo.contract import METRICS
from slo.model import Urgency
from slo.policy import DEFAULT, compressed
from tests.alerts.plans import fleet, only, series_of, slo_named
from tests.alerts.stories import (
    BURN,
    ENGINE,
    PAGING,
    START,
    Story,
    engine_stories,
    hold_of,
    labels_of,
    run,
    run_tests,
    stories_of,
    tiers_of,
    unit_tests,
)
from tests.alerts.world import World

RUNBOOKS = Path(__file__).parents[2] / "docs" / "runbooks"
VERSIONS = ("2", "3")
ALERTING = [slo for slo in fleet().slos if slo.urgency is not Urgency.BOARD]


@pytest.fixture(params=VERSIONS)
def promtool(request, promtools) -> str:
    return promtools[request.param]


def written(text: str) -> list[dict[str, Any]]:
    """Every rule of a rule file, in order."""
    return [rule for group in yaml.safe_load(text)["groups"] for rule in group["rules"]]


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
    every = tuple(range(0, 150, 7))
    story = Story("healthy", World(fleet(), 150), "", {}, (), every)
    (test,) = unit_tests([story])
    for one in test["promql_expr_test"]:
        one["expr"] = 'ALERTS{alertname!="Watchdog"}'
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
    as_mutants = [
        story._replace(alert=one["alert"]) for story in stories for one in renamed
    ]
    text = json.dumps({"groups": [{"name": "mutants", "rules": renamed}]})
    said = run(promtool, folder, text, as_mutants)
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
