"""The rules of the house, held by machine."""

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from slo import names
from tests.ground import figures

ROOT = figures.ROOT
VAGUE = re.compile(  # but for the names that http.server and socketserver ask for
    r"^_?(process|handle(?!_error$)|do(?!_[A-Z]+$))_|(Manager|Helper|Util|Utils)$"
)


def _tracked() -> list[Path]:
    """The repository's text files, as git lists them; all that ship with a clone."""
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        listed = [str(p.relative_to(ROOT)) for p in ROOT.rglob("*") if p.is_file()]
    else:
        command = [git, "-C", str(ROOT), "ls-files", "-z"]
        printed = subprocess.run(command, check=True, capture_output=True, text=True)
        listed = printed.stdout.split("\0")
    return [ROOT / name for name in listed if name and (ROOT / name).is_file()]


class TestSize:
    def test_no_module_is_longer_than_one_sitting(self) -> None:
        lines = {f: len(f.read_text().splitlines()) for f in figures.modules()}
        too_long = {
            str(file.relative_to(ROOT)): count
            for file, count in lines.items()
            if count > figures.MODULE_LINES
        }
        assert too_long == {}

    def test_no_function_is_longer_than_a_screen(self) -> None:
        found = [f for file in figures.modules() for f in figures.functions(file)]
        assert [f for f in found if f.lines > figures.LONGEST_LINES] == []


class TestNames:
    def test_no_name_is_vague(self) -> None:
        kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
        vague = [
            f"{file.relative_to(ROOT)}: {node.name}"
            for file in figures.modules()
            for node in ast.walk(ast.parse(file.read_text()))
            if isinstance(node, kinds) and VAGUE.search(node.name)
        ]
        assert vague == []

    def test_every_metric_that_has_a_name_has_a_row_in_its_page(self) -> None:
        page = (ROOT / "docs/reference/metrics.md").read_text()
        rows = set(re.findall(r"^\| `(dbslo_\w+)` \|", page, re.MULTILINE))
        named = {
            value
            for value in vars(names).values()
            if isinstance(value, str) and value.startswith("dbslo_")
        }
        assert named
        assert named - rows == set()


class TestImports:
    def test_the_contracts_hold(self) -> None:
        linter = Path(sys.executable).with_name("lint-imports")
        done = subprocess.run(
            [linter, "--no-cache"],
            check=False,
            capture_output=True,
            text=True,
            cwd=ROOT,
        )
        assert done.returncode == 0, done.stdout


class TestPages:
    def test_every_file_that_the_architecture_names_exists(self) -> None:
        page = (ROOT / "ARCHITECTURE.md").read_text()
        named = set(
            re.findall(r"`([\w.-]*[a-z]/[\w./-]*|[\w/-]+\.(?:py|md|yaml))`", page)
        )
        there = ["/" + str(file.relative_to(ROOT)) for file in _tracked()]
        gone = {
            name
            for name in named
            if not any(
                f"/{name}" in path if name[-1] == "/" else path.endswith(f"/{name}")
                for path in there
            )
        }
        assert named
        assert gone == set()


# Split, so that this file does not find itself.
PRIVATE = {
    "a path of a machine": r"(?<![\w.])/(?:" + r"work|farm|home/\w+|Users/\w+|root)/",
    "a shell job's folder": "bash_" + "jobs",
    "a registry's host": r"pypi\.org/" + r"|registry\.npmjs|repo1?\.maven|proxy\.golang"
    r"|deb\.debian|files\.pythonhosted",
}
BESIDE = r"\.\./" + "shared"  # captures that only CI knows the place of


class TestWhatTheRepositoryTells:
    @pytest.mark.parametrize("what", PRIVATE)
    def test_no_file_names(self, what: str) -> None:
        assert _finds(PRIVATE[what]) == []

    def test_only_ci_knows_the_folder_beside_the_clone(self) -> None:
        assert [
            line for line in _finds(BESIDE) if not line.startswith(".ci/run:")
        ] == []


def _finds(pattern: str) -> list[str]:
    found = []
    for file in _tracked():
        try:
            lines = file.read_text().splitlines()
        except UnicodeDecodeError:  # a capture in binary form
            continue
        found += [
            f"{file.relative_to(ROOT)}:{number}: {line.strip()[:120]}"
            for number, line in enumerate(lines, 1)
            if re.search(pattern, line)
        ]
    return found
