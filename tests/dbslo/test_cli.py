"""The command line: help, exit codes, faults, and what commands say of a store."""

import json
import subprocess
import sys
import tomllib
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from dbslo import __version__, output
from dbslo.cli import COMMANDS, commands, main
from dbslo.load import load_plan
from dbslo.options import TIME
from dbslo.reference import PAGES
from slo.saying import promise
from tests.slo.written import FLEET, LAG

ROOT = Path(__file__).parents[2]
EVERY = dict(commands(main))
EXAMPLES = ["--inventory", "examples/inventory.yaml", "--specs", "examples/slos"]


@pytest.fixture
def run(monkeypatch):
    """Run dbslo in this process, from the repository's root, with a clean environment."""
    monkeypatch.chdir(ROOT)

    def call(*args: str, env: dict[str, str] | None = None):
        return CliRunner().invoke(main, list(args), env=env or {})

    return call


# -- help and reference -----------------------------------------------------------


def test_every_command_has_a_file_and_every_file_is_a_command():
    files = {path.stem for path in (ROOT / "dbslo" / "commands").glob("[a-z]*.py")}
    assert files == set(COMMANDS)


@pytest.mark.parametrize("path", [p for p in EVERY if p != "dbslo"])
def test_every_command_has_help_and_examples(path):
    command = EVERY[path]
    assert command.help
    assert command.short_help or command.get_short_help_str()
    if not isinstance(command, click.Group):
        assert "Examples:" in (command.epilog or "")
        assert f"{path}" in command.epilog


def test_every_option_says_what_it_is_for():
    for path, command in EVERY.items():
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert parameter.help, f"{path} {parameter.opts}"


@pytest.mark.parametrize("name", PAGES)
def test_the_reference_pages_are_current(name):
    page = ROOT / "docs" / "reference" / name
    assert page.read_text() == PAGES[name](), "run `make docs`"


def test_the_reference_names_every_command_and_option():
    text = (ROOT / "docs" / "reference" / "cli.md").read_text()
    for path, command in EVERY.items():
        assert f"# {path}\n" in text
        for parameter in command.params:
            for name in parameter.opts if isinstance(parameter, click.Option) else ():
                assert name in text


def test_one_version_everywhere():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == __version__
    found = CliRunner().invoke(main, ["--version"])
    assert found.output == f"dbslo, version {__version__}\n"


# -- exit codes --------------------------------------------------------------------


@pytest.mark.parametrize(
    "args",
    [
        pytest.param(["frobnicate"], id="an unknown command"),
        pytest.param(["status", "--frobnicate"], id="an unknown option"),
        pytest.param(["explain"], id="a missing argument"),
        pytest.param(["replay", "no-such-file"], id="a file that is not there"),
        pytest.param(["ledger", "--until", "1"], id="--until without --dump"),
        pytest.param(["ledger", "--dump", "--until", "soon"], id="a time that is none"),
        pytest.param(["demo", "--incident", "atlantis"], id="an unknown incident"),
        pytest.param(["status", "--store", "mongodb://x"], id="a store that is none"),
        pytest.param(["rules", "--check", *EXAMPLES], id="--check without a file"),
        pytest.param(["status", "--inventory", "no-such-file"], id="no inventory"),
        pytest.param(["ingest", *EXAMPLES], id="ingest without Kafka"),
        pytest.param(["evaluate", *EXAMPLES], id="evaluate without Kafka"),
    ],
)
def test_wrong_usage_and_wrong_configuration_exit_with_2(run, args):
    found = run(*args)
    assert found.exit_code == 2, found.output
    assert found.stderr
    assert "Traceback" not in found.output


def test_a_store_without_history_says_so(run, tmp_path):
    missing = f"sqlite:///{tmp_path}/none.sqlite"
    found = run("status", *EXAMPLES, "--store", missing)
    assert found.exit_code == 1
    assert "no such file" in found.stderr
    assert not list(tmp_path.iterdir()), "looking must not make a database"


def test_every_fault_is_told_at_once_with_its_place(run, tmp_path):
    specs = tmp_path / "slos.yaml"
    specs.write_text(
        "apiVersion: openslo/v1\nkind: SLO\nmetadata: {name: One}\nspec:\n"
        "  service: databases\n  budgetingMethod: Sometimes\n"
    )
    inventory = tmp_path / "inventory.yaml"
    inventory.write_text("clusters:\n- {name: orders, engine: oracle}\n")
    given = ["--inventory", str(inventory), "--specs", str(specs)]
    found = run("validate", *given)
    assert found.exit_code == 2
    assert found.stdout == ""
    for part in (f"{specs}:3:", f"{specs}:6:", f"{inventory}:2:", "oracle"):
        assert part in found.stderr
    as_json = run("validate", *given, "--json")
    assert as_json.exit_code == 2
    told = json.loads(as_json.stdout)
    assert not told["ok"]
    keys = ("file", "line", "key", "reason", "remedy")
    assert all(all(fault[key] for key in keys) for fault in told["faults"])
    assert len(told["faults"]) == len(found.stderr.splitlines()) - 1


SETTINGS_AND_FILES = {
    # what is wrong with the settings: (environment, keys that are told of them)
    "a store": ({"DBSLO_STORE": "mysql://x"}, ["DBSLO_STORE"]),
    "several": (
        {"DBSLO_STORE": "mysql://x", "DBSLO_RUNTIME": "flink"},
        ["DBSLO_RUNTIME", "DBSLO_STORE"],
    ),
}


@pytest.mark.parametrize("command", ["validate", "run", "status", "rules"])
@pytest.mark.parametrize("what", SETTINGS_AND_FILES)
def test_a_wrong_setting_hides_no_fault_of_the_files(run, tmp_path, what, command):
    env, keys = SETTINGS_AND_FILES[what]
    inventory, specs = tmp_path / "inventory.yaml", tmp_path / "slos.yaml"
    inventory.write_text(FLEET.replace("engine: postgres", "engine: postgre"))
    specs.write_text(LAG.replace("target: 0.995", "target: 1"))
    files = ["--inventory", str(inventory), "--specs", str(specs)]
    found = run(command, *files, env=env)
    assert found.exit_code == 2
    for key in (*keys, "clusters[1].engine", "spec.objectives[0].target"):
        assert f": {key}: " in found.stderr


@pytest.mark.parametrize("line", ["specs: {a: b}", "spces: slos", "specs: slos: x"])
def test_a_wrong_file_of_settings_makes_no_faults_of_what_it_should_name(
    run, tmp_path, line
):
    file = tmp_path / "dbslo.yaml"
    file.write_text(f"{line}\n")
    inventory = tmp_path / "inventory.yaml"
    inventory.write_text(FLEET)
    args = ["validate", "--json", "--inventory", str(inventory)]
    found = run(*args, env={"DBSLO_CONFIG": str(file)})
    (fault,) = json.loads(found.stdout)["faults"]
    assert fault["file"] == str(file)


def test_where_the_settings_do_not_say_what_to_read_only_that_is_told(run, tmp_path):
    missing = {"DBSLO_SPECS_FILE": str(tmp_path / "none")}
    found = run("validate", "--json", *EXAMPLES[:2], env=missing)
    (fault,) = json.loads(found.stdout)["faults"]
    assert fault["key"] == "DBSLO_SPECS_FILE"
    missing = {"DBSLO_INVENTORY_FILE": str(tmp_path / "none")}
    found = run("validate", "--json", *EXAMPLES[2:], env=missing)
    (fault,) = json.loads(found.stdout)["faults"]
    assert fault["key"] == "DBSLO_INVENTORY_FILE"


@pytest.mark.parametrize("digits", ["0.999999999", "0.9999999", "0.999", "0.5"])
def test_no_target_is_shown_rounded(run, tmp_path, digits):
    inventory, specs = tmp_path / "inventory.yaml", tmp_path / "slos.yaml"
    inventory.write_text(FLEET)
    specs.write_text(LAG.replace("target: 0.995", f"target: {digits}"))
    found = run("validate", "--inventory", str(inventory), "--specs", str(specs))
    percent = f"{(Decimal(digits) * 100).normalize():f}"
    assert f" {percent}% " in found.stdout
    (slo,) = load_plan([specs], inventory).slos
    assert f" {percent} %" in promise(slo)


def test_every_bad_line_of_every_capture_is_named(run, tmp_path):
    good = '{"topic": "t", "partition": 0, "offset": 0, "timestamp_ms": 1}'
    bad = ["{", "[]", '{"topic": 1}', good.replace("}", ', "value_b64": "?"}'), "x"]
    first, other = tmp_path / "a.ndjson", tmp_path / "b.ndjson"
    first.write_text("\n".join([good, *bad, good]))
    other.write_text(f"{good}\n" + "no\n" * 60)
    found = run("replay", *EXAMPLES, str(first), str(other))
    assert found.exit_code == 2
    for line in range(2, 7):
        assert f"{first}:{line}: capture: " in found.stderr
    assert found.stderr.count(": capture: ") == 51
    assert "15 more lines are wrong" in found.stderr


def test_wrong_settings_are_told_with_the_secret_left_out(run):
    secret = "hunter2"
    found = run(
        "validate",
        *EXAMPLES,
        env={
            "DBSLO_STORE": f"mysql://user:{secret}@host/x",
            "DBSLO_METRICS_LISTEN": "nowhere",
            "DBSLO_PARTITONS": "3",
        },
    )
    assert found.exit_code == 2
    assert secret not in found.output
    for name in ("DBSLO_STORE", "DBSLO_METRICS_LISTEN", "DBSLO_PARTITONS"):
        assert name in found.stderr


def test_what_holds_is_told_in_numbers(run):
    found = run("validate", *EXAMPLES, "--json")
    assert found.exit_code == 0, found.stderr
    told = json.loads(found.stdout)
    assert told["ok"]
    assert told["slos"] == len(told["series"]) > 10


# -- generated files ----------------------------------------------------------------


def test_dashboards_are_written_once_and_checked(run, tmp_path):
    out = ["--out", str(tmp_path)]
    assert run("dashboards", "--check", *out).exit_code == 1
    first = run("dashboards", *out)
    assert first.exit_code == 0
    assert len(list(tmp_path.glob("*.json"))) == first.stdout.count("wrote")
    assert run("dashboards", *out).stdout == f"{tmp_path} is current\n"
    assert run("dashboards", "--check", *out).exit_code == 0
    next(tmp_path.glob("*.json")).write_text("{}")
    stale = run("dashboards", "--check", "--json", *out)
    assert stale.exit_code == 1
    assert len(json.loads(stale.stdout)["wrong"]) == 1


def test_rules_are_written_the_same_twice_and_checked(run, tmp_path):
    out = tmp_path / "deep" / "rules.yaml"
    check = ("rules", *EXAMPLES, "--out", str(out), "--check")
    assert run(*check).exit_code == 1
    assert run("rules", *EXAMPLES, "--out", str(out)).exit_code == 0
    assert run(*check).exit_code == 0
    assert run("rules", *EXAMPLES).stdout == out.read_text()


# -- words ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("1794000000000", 1_794_000_000_000),
        ("2026-11-06T22:40:00Z", 1_794_004_800_000),
        ("2026-11-06T23:40:00+01:00", 1_794_004_800_000),
        ("2026-11-06T22:40:00.250", 1_794_004_800_250),
    ],
)
def test_a_time_is_epoch_ms_or_rfc_3339(text, ms):
    assert TIME.convert(text, None, None) == ms


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (0, "0s"),
        (999, "1s"),
        (61_000, "1m 1s"),
        (3_600_000, "1h"),
        (3_605_000, "1h"),
        (90_000_000, "1d 1h"),
        (-12_300_000, "-3h 25m"),
    ],
)
def test_a_duration_reads_in_its_two_largest_units(ms, text):
    assert output.span(ms) == text


def test_a_table_without_a_terminal_is_aligned_and_plain(capsys):
    columns = (output.Column("name"), output.Column("n", right=True))
    output.table(columns, [("a", "1"), ("long-name", "1,000")])
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["name           n", "a              1", "long-name  1,000"]
    assert all(len(a) == len(b) for a, b in pairwise(lines))


def test_the_installed_module_runs_as_a_program():
    found = subprocess.run(
        [sys.executable, "-m", "dbslo", "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in COMMANDS:
        assert f"\n  {name} " in found.stdout
    assert found.stderr == ""


def test_pages_that_would_carry_no_links_are_warned_of(run):
    key = {"DBSLO_PAGERDUTY_KEY": "0" * 32}
    bare = run("validate", *EXAMPLES, env=key)
    assert bare.exit_code == 0
    assert (
        "DBSLO_GRAFANA_URL: is not set: pages carry no link to a board" in bare.stderr
    )
    assert "DBSLO_RUNBOOK_URL: is not set" in bare.stderr
    links = {"DBSLO_GRAFANA_URL": "https://g", "DBSLO_RUNBOOK_URL": "https://r"}
    for env in (key | links, {}):
        found = run("validate", *EXAMPLES, env=env)
        assert "is not set" not in found.stderr
