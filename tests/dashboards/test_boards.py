"""The boards as a reader of the repository meets them: stable, current, documented."""

import json
import re
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboards import check, write
from dashboards.boards import boards, render
from dashboards.findings import drawn_panels, every_panel
from dashboards.lint import lint
from dashboards.normalise import panel_id
from dashboards.page import boards_page
from dashboards.policy_lines import burn_steps
from slo import names
from slo.model import DAY, HOUR
from slo.policy import DEFAULT, compressed
from tests.fleet import PLAN

ROOT = Path(__file__).parents[2]
GENERATED = ROOT / "dashboards" / "generated"


def titled(board: dict, title: str) -> dict:
    return next(panel for panel in every_panel(board) if panel["title"] == title)


def test_two_drawings_of_one_plan_are_the_same_bytes():
    assert render(PLAN) == render(PLAN)
    assert render() == render()


def test_the_committed_boards_are_those_that_would_be_drawn_today():
    assert check(GENERATED) == []


def test_the_page_of_boards_is_the_one_that_would_be_written_today():
    assert (ROOT / "docs" / "boards.md").read_text(encoding="utf-8") == boards_page()


def test_both_boards_are_there_under_the_names_that_alerts_link_to():
    assert set(boards()) == {names.BOARD_OVERVIEW, names.BOARD_SLO_DETAIL}


def test_writing_twice_changes_nothing_the_second_time(tmp_path):
    out = tmp_path / "deep" / "boards"
    assert len(write(out)) == 2
    assert write(out) == []
    assert check(out) == []


def test_an_edited_a_missing_and_a_forgotten_board_are_each_reported(tmp_path):
    write(tmp_path)
    overview = tmp_path / f"{names.BOARD_OVERVIEW}.json"
    overview.write_bytes(overview.read_bytes().replace(b"Paging", b"Pagers"))
    (tmp_path / f"{names.BOARD_SLO_DETAIL}.json").unlink()
    (tmp_path / "dbslo-old.json").write_text("{}")
    (tmp_path / "someone-elses.json").write_text("{}")
    found = check(tmp_path)
    assert len(found) == 3
    assert any("dbslo-overview.json: is not what would be drawn" in f for f in found)
    assert any("dbslo-slo-detail.json: is missing" in f for f in found)
    assert any("dbslo-old.json: no board of this name" in f for f in found)
    write(tmp_path)
    assert check(tmp_path) == []
    assert (tmp_path / "someone-elses.json").exists()


def test_a_panel_that_is_added_moves_no_other_panels_id():
    before = {p["title"]: p["id"] for p in every_panel(boards()["dbslo-slo-detail"])}
    for title, number in before.items():
        assert number == panel_id("dbslo-slo-detail", title)


@given(st.text(max_size=60), st.text(max_size=60))
def test_a_panel_id_is_one_that_javascript_and_grafana_can_hold(uid, title):
    assert 1 <= panel_id(uid, title) < 2**31
    assert panel_id(uid, title) == panel_id(uid, title)


def test_a_plan_puts_its_objectives_on_the_detail_board():
    text = titled(boards(PLAN)["dbslo-slo-detail"], "How to read this")
    for slo in PLAN.slos:
        assert f"**{slo.name}** ({slo.service})" in text["options"]["content"]
    assert "99.9 % / 30d" in text["options"]["content"]


def test_a_plan_of_many_objectives_does_not_make_a_board_that_is_too_large():
    slos = tuple(
        msgspec.structs.replace(PLAN.slos[0], name=f"lag-{n}") for n in range(3_000)
    )
    drawn = boards(msgspec.structs.replace(PLAN, slos=slos))
    assert lint(drawn) == []
    text = titled(drawn["dbslo-slo-detail"], "How to read this")
    assert "… and 2960 more." in text["options"]["content"]


@pytest.mark.parametrize("days", [1, 7, 28, 90])
def test_lines_follow_the_period_of_the_plan(days):
    slos = tuple(
        msgspec.structs.replace(slo, period_ms=days * DAY) for slo in PLAN.slos
    )
    plan = msgspec.structs.replace(PLAN, slos=slos)
    drawn = boards(plan)
    assert lint(drawn, plan.policy, days * DAY) == []
    factor = float(DEFAULT.tiers[0].factor(days * DAY))
    steps = titled(drawn["dbslo-slo-detail"], "Burn rate by window (\u00d7)")
    last = steps["fieldConfig"]["defaults"]["thresholds"]["steps"][-1]
    assert last == {"color": "red", "value": factor}
    assert factor == pytest.approx(0.02 * days * 24)


def test_a_compressed_policy_is_drawn_with_its_own_windows():
    policy = compressed(DEFAULT, 60)
    plan = msgspec.structs.replace(PLAN, policy=policy)
    drawn = boards(plan)
    assert lint(drawn, policy, 30 * DAY) == []
    burn = titled(drawn["dbslo-slo-detail"], "Burn rate by window (\u00d7)")
    asked = " ".join(target["expr"] for target in burn["targets"])
    windows = re.findall(r'dbslo_burn_rate\{[^}]*window="(\w+)"', asked)
    assert windows == ["5s", "1m", "6m", "24m", "72m"]


def test_the_default_policys_lines_are_those_of_the_workbook():
    """Google SRE Workbook, table 5-8: 14.4, 6, 3 (ticket at 10 %) and 1."""
    drawn = {
        window: [step.at for step in burn_steps(DEFAULT, window, 30 * DAY)]
        for window in (HOUR, 6 * HOUR, DAY, 3 * DAY)
    }
    assert drawn == {
        HOUR: [None, 1, pytest.approx(14.4)],
        6 * HOUR: [None, 1, 6],
        DAY: [None, 1, 3],
        3 * DAY: [None, 1],
    }


def test_no_panel_of_a_verdict_shows_green_where_nothing_is_exported():
    """`or vector(0)` would turn a dead engine into a healthy fleet."""
    for board in boards().values():
        for panel in drawn_panels(board):
            for target in panel.get("targets", []):
                assert "vector(" not in target["expr"], panel["title"]
                assert "absent" not in target["expr"], panel["title"]


def test_the_unknown_state_is_never_green():
    state = titled(boards()["dbslo-slo-detail"], "State")
    options = state["fieldConfig"]["defaults"]["mappings"][0]["options"]
    assert options["4"] == {"color": "purple", "index": 4, "text": "UNKNOWN"}
    greens = [value for value, shown in options.items() if shown["color"] == "green"]
    assert greens == ["0"]


def test_every_file_ends_in_a_newline_and_is_sorted():
    for data in render().values():
        text = data.decode()
        assert text.endswith("}\n")
        tree = json.loads(text)
        assert (
            text
            == json.dumps(tree, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
        )
