"""Checks of meaning: titles, descriptions, units, thresholds, lines, links."""

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs

from grafanalib import formatunits

from dashboards.findings import (
    Boards,
    Finding,
    Json,
    drawn_panels,
    every_panel,
    leaves,
    variables,
)
from dashboards.policy_lines import QUIET, burn_steps, drawn_windows, tier_color
from dashboards.scope import DEFAULT_PERIOD_MS
from slo import names
from slo.names import duration
from slo.policy import Policy

LONGEST_TITLE = 48
SHORTEST_DESCRIPTION = 40
DESCRIBED = ("**What:**", "**Good:**", "**If bad:**")
UNITS = frozenset(
    value for name, value in vars(formatunits).items() if not name.startswith("_")
)
GRAFANA_DEFAULT = (None, 80)
"""Red at 80, whatever is measured: Grafana's default, and never meant."""
FOREIGN = re.compile(r"https?://|\b\d{1,3}(\.\d{1,3}){3}\b|\blocalhost\b|[0-9a-f]{32}")
LINKED_BOARD = re.compile(r"^/d/([\w-]+)\?(.*)$")


def d07_title(uid: str, board: Json) -> Iterator[Finding]:
    """Every panel has a title that fits its head."""
    for panel in every_panel(board):
        if not 0 < len(panel["title"]) <= LONGEST_TITLE:
            message = f"{len(panel['title'])} characters of at most {LONGEST_TITLE}"
            yield Finding("D07", uid, panel["title"], message)


def d07_description(uid: str, board: Json) -> Iterator[Finding]:
    """Every panel says what it shows, what good is, what to do where it is bad."""
    for panel in drawn_panels(board):
        text = panel.get("description", "")
        missing = [part for part in DESCRIBED if part not in text]
        if missing or len(text) < SHORTEST_DESCRIPTION:
            message = f"the description lacks {', '.join(missing) or 'words'}"
            yield Finding("D07", uid, panel["title"], message)


def d07_unit(uid: str, board: Json) -> Iterator[Finding]:
    """Every value has one of Grafana's units, and never the empty `short`."""
    for panel in drawn_panels(board):
        for unit in (value for _, value in _properties(panel, "unit")):
            if unit not in UNITS or unit == "short":
                yield Finding("D07", uid, panel["title"], f"unit {unit!r}")
        if "unit" not in panel["fieldConfig"]["defaults"]:
            yield Finding("D07", uid, panel["title"], "has no unit")


def d07_thresholds(uid: str, board: Json) -> Iterator[Finding]:
    """Steps rise from minus infinity; one step alone is the neutral mark."""
    for panel in drawn_panels(board):
        for field, thresholds in _properties(panel, "thresholds"):
            fault = _fault(thresholds["steps"])
            if fault:
                yield Finding("D07", uid, panel["title"], f"{field}: {fault}")


def _fault(steps: list[Json]) -> str:
    values = [step["value"] for step in steps]
    if not values or values[0] is not None:
        return "the first step is not minus infinity"
    if len(values) == 1:
        neutral = steps[0]["color"] == QUIET
        return "" if neutral else f"one step alone must be {QUIET!r}"
    if values[1:] != sorted(values[1:]):
        return f"steps do not rise: {values[1:]}"
    return "Grafana's default steps" if tuple(values) == GRAFANA_DEFAULT else ""


def _properties(panel: Json, name: str) -> Iterator[tuple[str, Any]]:
    """A field property of a panel: its default, then each override's."""
    config = panel["fieldConfig"]
    if name in config["defaults"]:
        yield "default", config["defaults"][name]
    for override in config["overrides"]:
        for found in override["properties"]:
            if found["id"] == name:
                yield override["matcher"]["options"], found["value"]


def d08_tier_lines(
    boards: Boards, policy: Policy, period_ms: int | None
) -> Iterator[Finding]:
    """Burn steps and the colours of tier lines are those of the policy table."""
    period = period_ms or DEFAULT_PERIOD_MS
    wanted = {
        duration(length): [list(step) for step in burn_steps(policy, length, period)]
        for length in drawn_windows(policy)
    }
    colors = {tier.name: tier_color(tier) for tier in policy.tiers}
    for uid, board in boards.items():
        for panel in drawn_panels(board):
            for message in (*_burn_faults(panel, wanted), *_line_faults(panel, colors)):
                yield Finding("D08", uid, panel["title"], message)


def _burn_faults(panel: Json, wanted: dict[str, list[Any]]) -> Iterator[str]:
    for field, thresholds in _properties(panel, "thresholds"):
        window = field.removeprefix("Burn ").split(" ")[0]
        if window not in wanted:
            continue
        steps = [[step["value"], step["color"]] for step in thresholds["steps"]]
        if steps != wanted[window]:
            yield f"{field}: steps {steps}, the policy has {wanted[window]}"


def _line_faults(panel: Json, colors: dict[str, str]) -> Iterator[str]:
    asked = [target["expr"] for target in panel.get("targets", [])]
    if not any(names.ALERT_THRESHOLD in expr for expr in asked):
        return
    found = {
        field.removesuffix(" fires"): color["fixedColor"]
        for field, color in _properties(panel, "color")
        if field.endswith(" fires")
    }
    if found != colors:
        yield f"tier lines {found}, the policy has {colors}"


def d13_links(boards: Boards) -> Iterator[Finding]:
    """Every link leads to a board, a panel and variables that exist."""
    for uid, board in boards.items():
        for path, value in leaves(board):
            if path.endswith(".url") and value:
                for message in _link_faults(value, boards):
                    yield Finding("D13", uid, "", f"{value}: {message}")


def _link_faults(url: str, boards: Boards) -> Iterator[str]:
    found = LINKED_BOARD.match(url)
    if not found or found[1] not in boards:
        yield "leads to no board of ours"
        return
    target = boards[found[1]]
    query = parse_qs(found[2].replace("${", "{"), keep_blank_values=True)
    known = {variable["name"] for variable in variables(target)}
    asked = {key.removeprefix("var-") for key in query if key.startswith("var-")}
    yield from (f"the board has no variable {name}" for name in sorted(asked - known))
    ids = {str(panel["id"]) for panel in drawn_panels(target)}
    for number in query.get("viewPanel", []):
        if number not in ids:
            yield f"the board has no panel {number}"


def d14_annotations(uid: str, board: Json) -> Iterator[Finding]:
    """Pages, tickets and unknowns are marked, in the form with a target."""
    listed = board["annotations"]["list"]
    missing = {"Page", "Ticket", "Unknown"} - {one["name"] for one in listed}
    for name in sorted(missing):
        yield Finding("D14", uid, "", f"no annotation {name!r}")
    for one in listed:
        if "expr" in one or "expr" not in one.get("target", {}):
            yield Finding("D14", uid, "", f"{one['name']}: the target holds the query")


def d16_no_hosts(uid: str, board: Json) -> Iterator[Finding]:
    """No host, address, key or token: a board serves every installation."""
    for path, value in leaves(board):
        if isinstance(value, str) and FOREIGN.search(value):
            yield Finding("D16", uid, "", f"{path} names something of one place")
