"""Every rule of the lint finds the one defect that it is there for."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from dashboards.boards import boards
from dashboards.findings import drawn_panels, every_panel
from dashboards.lint import BOARD_RULES, FLEET_RULES, lint

Board = dict[str, Any]
UID = "dbslo-slo-detail"


def panel(board: Board, title: str) -> Board:
    return next(one for one in every_panel(board) if one["title"] == title)


def line(board: Board, name: str) -> Board:
    """The colour of a line of the burn panel."""
    overrides = panel(board, "Burn rate by window (\u00d7)")["fieldConfig"]["overrides"]
    (found,) = [one for one in overrides if one["matcher"]["options"] == name]
    return next(one for one in found["properties"] if one["id"] == "color")


def first(board: Board) -> Board:
    return panel(board, "State")


def at(path: str, value: Any) -> Callable[[Board], None]:
    """A defect: a value of the *State* panel, by its dotted path, is another one."""

    def defect(board: Board) -> None:
        *parents, last = path.split(".")
        node: Any = first(board)
        for name in parents:
            node = node[int(name) if name.isdigit() else name]
        node[last] = value

    return defect


def query(expr: str) -> Callable[[Board], None]:
    """A defect: the *State* panel asks this instead."""
    return at("targets.0.expr", expr)


def steps(*values: float | None, color: str = "green") -> Callable[[Board], None]:
    listed = [{"color": color, "value": value} for value in values]
    return at("fieldConfig.defaults.thresholds.steps", listed)


def variable(position: int, **changed: Any) -> Callable[[Board], None]:
    return lambda board: board["templating"]["list"][position].update(changed)


ONE = 'env="$env",cluster="$cluster",service="$service",slo="$slo",resource="$resource"'

DEFECTS = {
    "an old schema version is found": ("D04", lambda b: b.update(schemaVersion=12)),
    "a null is found": ("D04", at("transparent", None)),
    "a null threshold that is not the first is found": ("D04", steps(None, None)),
    "a panel kind that is gone is found": ("D04", at("type", "singlestat")),
    "a foreign uid is found": ("D05", lambda b: b.update(uid="SLO Detail")),
    "two panels of one title are found": ("D05", at("title", "Objective")),
    "an id that is not of its title is found": ("D05", at("id", 7)),
    "a panel beyond the grid is found": ("D06", at("gridPos.x", 21)),
    "a panel on another one is found": ("D06", at("gridPos.x", 12)),
    "an empty grid row is found": (
        "D06",
        lambda b: b["panels"][-1]["gridPos"].update(y=500),
    ),
    "a crowded first screen is found": (
        "D06",
        lambda b: [p["gridPos"].update(y=p["gridPos"]["y"] // 3) for p in b["panels"]],
    ),
    "a board without a heading is found": ("D06", lambda b: b["panels"].pop(0)),
    "a heading without panels is found": (
        "D06",
        lambda b: b["panels"].insert(0, {**b["panels"][0], "title": "Nothing"}),
    ),
    "too many panels are found": (
        "D06",
        lambda b: b["panels"].extend([first(b)] * 20),
    ),
    "a repeat without a bound is found": ("D15", at("repeat", "slo")),
    "a board that is too large is found": ("D20", at("description", "x" * 300_000)),
    "a title that does not fit is found": ("D07", at("title", "S" * 49)),
    "a panel without a description is found": ("D07", at("description", "State")),
    "a description without a remedy is found": (
        "D07",
        at("description", "**What:** the verdict of this series **Good:** it is OK"),
    ),
    "an unknown unit is found": ("D07", at("fieldConfig.defaults.unit", "furlongs")),
    "the empty unit is found": ("D07", at("fieldConfig.defaults.unit", "short")),
    "a panel without a unit is found": (
        "D07",
        lambda b: first(b)["fieldConfig"]["defaults"].pop("unit"),
    ),
    "steps that do not begin at minus infinity are found": ("D07", steps(0.0, 1.0)),
    "steps that fall are found": ("D07", steps(None, 2.0, 1.0)),
    "one step that is not neutral is found": ("D07", steps(None)),
    "Grafana's own red at 80 is found": ("D07", steps(None, 80)),
    "a burn line that somebody typed is found": (
        "D08",
        lambda b: panel(b, "Burn rate now (\u00d7)")["fieldConfig"]["overrides"][0][
            "properties"
        ][1]["value"].update(steps=[{"color": "green", "value": None}]),
    ),
    "a tier line in another colour is found": (
        "D08",
        lambda b: line(b, "page-slow fires")["value"].update(fixedColor="blue"),
    ),
    "a counter drawn bare is found": ("D09", query(f"dbslo_events_total{{{ONE}}}")),
    "a rate of a gauge is found": (
        "D09",
        query(f"rate(dbslo_burn_rate{{{ONE}}}[$__rate_interval])"),
    ),
    "a delta of a counter is found": (
        "D09",
        query(f"delta(dbslo_events_total{{{ONE}}}[1h])"),
    ),
    "a rate over a fixed time is found": (
        "D09",
        query(f"rate(dbslo_events_total{{{ONE}}}[5m])"),
    ),
    "a metric that nobody exports is found": ("D10", query(f"dbslo_mood{{{ONE}}}")),
    "a label that the metric lacks is found": (
        "D10",
        query(f'dbslo_coverage_ratio{{{ONE},window="1h"}}'),
    ),
    "a group by a label that nobody has is found": (
        "D10",
        query(f"sum by (region) (dbslo_coverage_ratio{{{ONE}}})"),
    ),
    "a legend of a label that nobody has is found": (
        "D10",
        at("targets.0.legendFormat", "{{region}}"),
    ),
    "a metric that is on no board is found": (
        "D10",
        lambda b: (
            panel(b, "Budget left, as outage")["targets"].clear()
            or panel(b, "Budget left, in outage time")["targets"].clear()
        ),
    ),
    "a data source that does not come first is found": (
        "D11",
        lambda b: b["templating"]["list"].reverse(),
    ),
    "a variable that does not refresh is found": ("D11", variable(1, refresh=1)),
    "a choice that asks for a later one is found": (
        "D11",
        variable(1, query={"query": 'label_values(dbslo_slo_info{slo="$slo"}, env)'}),
    ),
    "an undeclared variable is found": (
        "D11",
        query('dbslo_coverage_ratio{env="$environment"}'),
    ),
    "an unused variable is found": (
        "D11",
        lambda b: b["templating"]["list"].append(
            {**b["templating"]["list"][1], "name": "team"}
        ),
    ),
    "a data source by name is found": ("D12", at("datasource", {"uid": "prod"})),
    "a link to a board that is not ours is found": (
        "D13",
        at("fieldConfig.defaults.links", [{"url": "/d/dbslo-nothing?var-slo=x"}]),
    ),
    "a link to a panel that is not there is found": (
        "D13",
        at(
            "fieldConfig.defaults.links",
            [{"url": "/d/dbslo-overview?viewPanel=1&var-env=x"}],
        ),
    ),
    "a link that sets an unknown variable is found": (
        "D13",
        at("fieldConfig.defaults.links", [{"url": "/d/dbslo-overview?var-mood=x"}]),
    ),
    "a board without marks of pages is found": (
        "D14",
        lambda b: b["annotations"]["list"].pop(0),
    ),
    "a mark whose query is not in its target is found": (
        "D14",
        lambda b: b["annotations"]["list"][0].update(expr="up"),
    ),
    "a host is found": ("D16", at("description", "see https://grafana.example/d/1")),
    "an address is found": ("D16", at("description", "see 10.1.2.3")),
    "a key is found": ("D16", at("description", "0123456789abcdef" * 2)),
    "two boards of one title are found": (
        "D05",
        lambda b: b.update(title="dbslo / Fleet"),
    ),
}


@pytest.mark.parametrize("sentence", DEFECTS)
def test_a_defect_is_found_by_its_rule(sentence):
    rule, defect = DEFECTS[sentence]
    drawn = copy.deepcopy(boards())
    defect(drawn[UID])
    found = lint(drawn)
    assert rule in {finding.rule for finding in found}, [str(one) for one in found]


def test_the_boards_as_drawn_have_no_defect():
    assert [str(finding) for finding in lint(boards())] == []


def test_every_rule_has_a_defect_in_this_table():
    numbered = {r.__name__[:3].upper() for r in (*BOARD_RULES, *FLEET_RULES)} | {"D08"}
    assert numbered == {rule for rule, _ in DEFECTS.values()}


def test_three_panels_of_five_lead_somewhere():
    linked = total = 0
    for board in boards().values():
        for one in drawn_panels(board):
            total += 1
            linked += '"url"' in str(one).replace("'", '"')
    assert linked / total >= 0.6, f"{linked} of {total}"
