"""The boards against Grafana's own types, and through Grafana's own SDK.

The schemas are made from the TypeScript types of two releases (`grafana_types.py`);
they are closed: a key that Grafana does not know is an error. They do not prove that
a Grafana server draws the board, which cannot be had here; they prove that it holds
nothing which that release has no name for.
"""

import json
import warnings
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest

from dashboards.boards import boards
from dashboards.findings import drawn_panels, leaves
from tests.dashboards.grafana_types import KINDS, SCHEMAS, VERSIONS
from tests.fleet import PLAN

with warnings.catch_warnings():  # the SDK would rather have version 2 of the schema
    warnings.simplefilter("ignore", DeprecationWarning)
    from grafana_foundation_sdk.cog.encoder import JSONEncoder
    from grafana_foundation_sdk.cog.plugins import register_default_plugins
    from grafana_foundation_sdk.models.dashboard import Dashboard

register_default_plugins()

BOARDS = {
    f"{uid} of {name}": board
    for name, plan in (("nothing", None), ("a plan", PLAN))
    for uid, board in boards(plan).items()
}

ALLOWED = {
    # The type is that of Grafana's built-in source ("TODO.. this should just be a
    # normal query target"); the Prometheus source reads these, Grafana 13 keeps them.
    "annotations.list.target": "AnnotationTarget is typed for the built-in source alone",
    "annotations.list.titleFormat": "read by the Prometheus source, not in the type",
}


@pytest.fixture(scope="module", params=VERSIONS)
def types(request) -> dict[str, Any]:
    return json.loads((SCHEMAS / f"{request.param}.json").read_text())


def faults(schema: Any, tree: Any) -> Iterator[tuple[str, str]]:
    for error in jsonschema.Draft7Validator(schema).iter_errors(tree):
        path = ".".join(str(p) for p in error.absolute_path if not isinstance(p, int))
        yield path, error.message


def unexplained(found: Iterator[tuple[str, str]]) -> list[tuple[str, str]]:
    return [
        (path, message)
        for path, message in found
        if path not in ALLOWED
        and not (
            path == "annotations.list" and "'titleFormat' was unexpected" in message
        )
    ]


@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
def test_a_board_is_of_grafanas_types(board, types):
    assert unexplained(faults(types["dashboard"], board)) == []


@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
def test_a_panels_options_are_of_its_kinds_types(board, types):
    for panel in drawn_panels(board):
        schema = types["options"][panel["type"].replace("-", "")]
        assert list(faults(schema, panel["options"])) == [], panel["title"]


@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
def test_a_panels_own_field_configuration_is_of_its_kinds_types(board, types):
    for panel in drawn_panels(board):
        kind = panel["type"].replace("-", "")
        custom = panel["fieldConfig"]["defaults"].get("custom")
        assert (custom is None) == (kind not in types["fields"]), panel["title"]
        if custom is not None:
            assert list(faults(types["fields"][kind], custom)) == [], panel["title"]


@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
def test_an_overrides_own_fields_are_of_its_kinds_types(board, types):
    """Overrides are untyped in the board; put together they must make a field."""
    for panel in drawn_panels(board):
        schema = types["fields"].get(panel["type"].replace("-", ""))
        for override in panel["fieldConfig"]["overrides"]:
            own = {
                one["id"].removeprefix("custom."): one["value"]
                for one in override["properties"]
                if one["id"].startswith("custom.")
            }
            plain = panel["fieldConfig"]["defaults"].get("custom", {})
            assert not own or list(faults(schema, plain | own)) == [], panel["title"]


def test_the_types_are_strict_enough_to_refuse_what_grafanalib_writes(types):
    """grafanalib's own stat panel, untouched: the oracle must be able to say no."""
    board = json.loads(json.dumps(boards()["dbslo-overview"]))
    panel = next(drawn_panels(board))
    panel["height"] = None
    panel["options"]["fieldOptions"] = {"calcs": ["mean"]}
    assert unexplained(faults(types["dashboard"], board))
    assert list(faults(types["options"]["stat"], panel["options"]))


def test_every_kind_of_panel_that_is_drawn_has_a_schema():
    kinds = {
        p["type"].replace("-", "") for b in BOARDS.values() for p in drawn_panels(b)
    }
    assert kinds == set(KINDS)


@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
def test_grafanas_sdk_reads_and_writes_a_board_without_loss(board):
    """It may add what is the default; it may neither drop nor change a thing."""
    written = json.loads(JSONEncoder().encode(Dashboard.from_json(board)))
    after = dict(leaves(written))
    for path, value in leaves(board):
        assert path in after, f"{path} is lost"
        assert after[path] == value, path
