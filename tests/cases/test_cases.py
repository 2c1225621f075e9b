"""Every case of DBSLO_CASES, through the command line as anybody would run it."""

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from dbslo.cli import main
from tests.cases.judge import Seen, complaints

FOLDER = os.environ.get("DBSLO_CASES")
NAMES = sorted(p.parent.name for p in Path(FOLDER or ".").glob("*/expect.json"))


def seen_of(case: Path, tmp_path: Path) -> Seen:
    """Replay a case into a store of its own and dump the ledger to the last record."""
    tmp_path.mkdir(exist_ok=True)
    store = f"sqlite:///{tmp_path / case.name}.db"
    fleet = [
        "--specs",
        str(case / "slos.yaml"),
        "--inventory",
        str(case / "inventory.yaml"),
    ]
    told = _run(
        "replay", str(case / "capture.ndjson"), *fleet, "--store", store, "--json"
    )
    lines = (case / "capture.ndjson").read_text().splitlines()
    last = max(json.loads(line)["timestamp_ms"] for line in lines)
    dump = _run("ledger", "--dump", "--until", str(last), *fleet, "--store", store)
    return Seen([json.loads(line) for line in told.splitlines()], dump.splitlines())


def _run(*arguments: str) -> str:
    result = CliRunner().invoke(main, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.stderr
    return result.stdout


def test_the_folder_of_cases_holds_cases(cases):
    assert NAMES, f"no */expect.json in {cases}"


@pytest.mark.parametrize("name", NAMES)
def test_a_case_does_what_it_expects(name, cases, tmp_path):
    case = cases / name
    expect = json.loads((case / "expect.json").read_text())
    seen = seen_of(case, tmp_path)
    twin_name = expect.get("same_ledger_as")
    twin = seen_of(cases / twin_name, tmp_path / "twin") if twin_name else None
    assert complaints(expect, seen, twin) == []
