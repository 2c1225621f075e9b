"""Every query of every board on a real Prometheus that holds the engine's own scrapes.

No panel may be empty for a fleet that has an incident: an empty panel at 03:00 is
worse than none.
"""

import math
import urllib.parse
from typing import Any

import pytest

from dashboards.boards import boards
from dashboards.findings import drawn_panels, variables
from slo.model import MINUTE, SECOND
from slo.names import BOARD_OVERVIEW, BOARD_SLO_DETAIL, STATE_VALUES
from tests.dashboards.promql import FLEET, one, substituted
from tests.dashboards.scene import END, LENGTH, NAMES
from tests.real.servers.http import call

pytestmark = pytest.mark.real

FLEET_PANELS = [p for p in drawn_panels(boards()[BOARD_OVERVIEW]) if p.get("targets")]
ONE_PANELS = [p for p in drawn_panels(boards()[BOARD_SLO_DETAIL]) if p.get("targets")]


def title(panel: dict[str, Any]) -> str:
    return panel["title"]


def found(server, target: dict[str, Any], values: dict[str, str]) -> list[Any]:
    """The series that a target draws over the scene, each a list of numbers."""
    expr = substituted(target["expr"], values)
    if target["instant"]:
        answer = server.query(expr, END / SECOND)
        return [(one["metric"], [float(one["value"][1])]) for one in answer]
    asked = {
        "query": expr,
        "start": (END - LENGTH + 2 * MINUTE) / SECOND,
        "end": END / SECOND,
        "step": 60,
    }
    url = f"{server.url}/api/v1/query_range?{urllib.parse.urlencode(asked)}"
    answer = call(url)["data"]["result"]
    return [(s["metric"], [float(v) for _, v in s["values"]]) for s in answer]


def panel(panels: list[dict[str, Any]], name: str) -> dict[str, Any]:
    return next(one for one in panels if one["title"] == name)


def last(server, name: str, panels: list[Any], values: dict[str, str]) -> float:
    (series,) = found(server, panel(panels, name)["targets"][0], values)
    return series[1][-1]


def assert_drawn(server, panel: dict[str, Any], values: dict[str, str]) -> None:
    for target in panel["targets"]:
        series = found(server, target, values)
        numbers = [number for _, ns in series for number in ns]
        assert numbers, f"{panel['title']}: {target['expr']} finds nothing"
        assert any(math.isfinite(number) for number in numbers), panel["title"]


@pytest.mark.parametrize("panel", FLEET_PANELS, ids=title)
def test_no_panel_of_the_fleet_is_empty(panel, recorded):
    assert_drawn(recorded, panel, FLEET)


@pytest.mark.parametrize("panel", ONE_PANELS, ids=title)
def test_no_panel_of_a_paging_series_is_empty(panel, recorded):
    assert_drawn(recorded, panel, one("paging"))


@pytest.mark.parametrize("panel", ONE_PANELS, ids=title)
def test_a_healthy_series_lacks_nothing_but_the_end_of_its_budget(panel, recorded):
    if panel["title"] == "Budget gone in":
        assert found(recorded, panel["targets"][0], one("well")) == []
        assert "not at this rate" in panel["fieldConfig"]["defaults"]["noValue"]
    else:
        assert_drawn(recorded, panel, one("well"))


def test_the_tiles_count_what_the_scene_holds(recorded):
    tiles = {
        name: last(recorded, name, FLEET_PANELS, FLEET)
        for name in ("SLO series", "Paging", "Ticketing", "Unknown", "Budget exhausted")
    }
    assert tiles == {
        "SLO series": 5,
        "Paging": 1,
        "Ticketing": 1,
        "Unknown": 1,
        "Budget exhausted": 0,
    }


def test_a_choice_of_another_cluster_leaves_no_number_rather_than_a_green_zero(
    recorded,
):
    elsewhere = FLEET | {"cluster": "no-such-cluster"}
    for name in ("Paging", "Ticketing", "Unknown", "Budget exhausted"):
        assert found(recorded, panel(FLEET_PANELS, name)["targets"][0], elsewhere) == []


def test_every_state_and_so_every_colour_appears_on_the_timeline(recorded):
    target = panel(FLEET_PANELS, "States over time")["targets"][0]
    series = found(recorded, target, FLEET)
    assert {metric["resource"] for metric, _ in series} == set(NAMES)
    seen = {number for _, numbers in series for number in numbers}
    assert seen == set(map(float, STATE_VALUES.values()))


def test_each_line_of_the_table_is_one_series_with_all_its_columns(recorded):
    table = panel(FLEET_PANELS, "Series, fastest burn first")
    lines: dict[str, int] = {}
    for target in table["targets"]:
        answer = found(recorded, target, FLEET)
        resources = [metric["resource"] for metric, _ in answer]
        assert len(resources) == len(set(resources)), target["expr"]
        for metric, _ in answer:
            assert set(metric) == {"env", "cluster", "resource", "service", "slo"}
            lines[metric["resource"]] = lines.get(metric["resource"], 0) + 1
    assert set(lines) == set(NAMES)
    assert lines["paging"] == len(table["targets"])


def test_the_tiers_timeline_shows_the_verdict_first_and_then_its_tiers(recorded):
    verdict, tiers = panel(ONE_PANELS, "Verdict and tiers")["targets"]
    assert verdict["legendFormat"] == "verdict"
    (series,) = found(recorded, verdict, one("paging"))
    assert "tier" not in series[0]
    assert {metric["tier"] for metric, _ in found(recorded, tiers, one("paging"))} == {
        "page-fast",
        "page-slow",
        "ticket-fast",
        "ticket-slow",
    }


def test_windows_are_drawn_from_the_shortest_to_the_longest(recorded):
    for name in ("Burn rate by window (\u00d7)", "Burn rate now (\u00d7)"):
        drawn = [
            metric["window"]
            for target in panel(ONE_PANELS, name)["targets"]
            for metric, _ in found(recorded, target, one("paging"))
            if "window" in metric
        ]
        assert drawn == ["5m", "1h", "6h", "1d", "3d"], name


def test_the_least_budget_comes_first(recorded):
    """A range query would forget the order of `sort`."""
    (target,) = panel(FLEET_PANELS, "Budget left, least first")["targets"]
    left = [numbers[0] for _, numbers in found(recorded, target, FLEET)]
    assert left == sorted(left)
    assert left[0] < left[-1]


def test_the_sli_over_the_period_is_what_the_budget_says(recorded):
    """25 bad minutes of a 30-day period that began with the first one, all good."""
    attained = last(recorded, "SLI over the period", ONE_PANELS, one("paging"))
    assert attained == pytest.approx(1 - 25 / (30 * 24 * 60), abs=1e-9)


def test_lines_to_compare_with_are_drawn_by_their_override(recorded):
    """An override by name that matches no series is a line without its colour."""
    for shown in ONE_PANELS:
        legends = {
            substitute(target.get("legendFormat", ""), metric)
            for target in shown["targets"]
            for metric, _ in found(recorded, target, one("paging"))
        }
        for override in shown["fieldConfig"]["overrides"]:
            name = override["matcher"]["options"]
            assert name in legends, f"{shown['title']}: no series is called {name!r}"


def substitute(legend: str, metric: dict[str, str]) -> str:
    for label, value in metric.items():
        legend = legend.replace(f"{{{{{label}}}}}", value)
    return legend


@pytest.mark.parametrize("uid", [BOARD_OVERVIEW, BOARD_SLO_DETAIL])
def test_every_choice_finds_values(uid, recorded):
    """A variable is a question to Prometheus, too: which values has this label?"""
    chosen = FLEET if uid == BOARD_OVERVIEW else one("paging")
    for variable in variables(boards()[uid])[1:]:
        asked = variable["query"]["query"]
        selector, label = asked[len("label_values(") : -1].rsplit(", ", 1)
        series = recorded.query(substituted(selector, chosen), END / SECOND)
        assert label == variable["name"]
        assert {metric["metric"][label] for metric in series}, asked


def test_a_window_of_which_nothing_was_seen_has_no_burn_rather_than_none(recorded):
    """`silent` has had no data for three hours: a burn of 0 would look like health."""
    for target in panel(ONE_PANELS, "Burn rate now (\u00d7)")["targets"][:2]:
        asked = substituted(target["expr"], one("silent"))
        assert recorded.query(asked, END / SECOND) == []
    table = panel(FLEET_PANELS, "Series, fastest burn first")
    burns = [t for t in table["targets"] if "dbslo_burn_rate" in t["expr"]]
    shown = {metric["resource"] for metric, _ in found(recorded, burns[0], FLEET)}
    assert shown == set(NAMES) - {"silent"}
    for override in table["fieldConfig"]["overrides"]:
        if override["matcher"]["options"].startswith("Burn"):
            mapped = {one["id"]: one["value"] for one in override["properties"]}
            assert mapped["mappings"][0]["options"]["match"] == "null"
            assert mapped["mappings"][0]["options"]["result"]["color"] == "purple"
