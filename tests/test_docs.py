"""Documentation executed: what a page shows is what happens."""

import fnmatch
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import click
import pytest

from dbslo.cli import commands, main

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")],
    key=lambda path: path.relative_to(ROOT).as_posix(),
)
EVERY = dict(commands(main))
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(#[^)]*)?\)")
FILE = re.compile(r"`([\w./-]+\.(?:ya?ml|ndjson))`")
GENERATED = "docs/reference/cli.md"


class Block(NamedTuple):
    """A fenced block: its language, its text, and the prose between it and the last."""

    language: str
    text: str
    before: str


def blocks(page: Path) -> list[Block]:
    found, at, text = [], 0, page.read_text()
    for match in FENCE.finditer(text):
        found.append(Block(match[1], match[2], text[at : match.start()]))
        at = match.end()
    return found


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def calls(page: Path) -> Iterator[list[str]]:
    """Every call of dbslo that a page shows, in blocks and in the text."""
    text = page.read_text()
    shown = [b.text for b in blocks(page) if b.language in ("sh", "console")]
    shown += re.findall(r"`(dbslo [^`]+)`", FENCE.sub("", text))
    for line in "\n".join(shown).replace("\\\n", " ").splitlines():
        call = re.search(
            r"(?:^|[\s&/$])(dbslo(?: .*)?)$", line.partition("#")[0].rstrip()
        )
        if call:
            yield shlex.split(call[1].partition("|")[0].partition(" > ")[0])


# -- names that pages give ---------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_leads_somewhere(page):
    for target, _ in LINK.findall(FENCE.sub("", page.read_text())):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_every_page_is_reached_from_the_first():
    seen, todo = set(), [ROOT / "README.md"]
    while todo:
        page = todo.pop()
        if page in seen or page.suffix != ".md":
            continue
        seen.add(page)
        targets = [t for t, _ in LINK.findall(page.read_text()) if "://" not in t]
        todo += [(page.parent / target).resolve() for target in targets]
    runbooks = {p for p in PAGES if p.parent.name == "runbooks"}  # alerts link there
    lost = set(PAGES) - seen - runbooks - {ROOT / "CHANGELOG.md"}
    assert {name(page) for page in lost} == set()


def words_of(call: list[str]) -> tuple[str, list[str]]:
    """The command that a call means, and the words after it."""
    path, rest = "dbslo", call[1:]
    while rest and f"{path} {rest[0]}" in EVERY:
        path, rest = f"{path} {rest[0]}", rest[1:]
    return path, rest


@pytest.mark.parametrize("page", [p for p in PAGES if name(p) != GENERATED], ids=name)
def test_every_command_and_option_that_a_page_shows_exists(page):
    for call in calls(page):
        path, rest = words_of(call)
        command = EVERY[path]
        if isinstance(command, click.Group):
            # `budget`, `explain` alone are words of a list; an option must exist
            assert not [w for w in rest if w.startswith("--") and w != "--help"], call
            assert not rest or not rest[0].isalpha() or rest[0] == "COMMAND", call
            continue
        known = {o for p in command.params for o in (*p.opts, *p.secondary_opts)}
        options = {w.partition("=")[0] for w in rest if w.startswith("--")}
        assert options <= known | {"--help"}, call


def test_every_command_is_shown_on_some_page():
    shown = {" ".join(call) for page in PAGES for call in calls(page)}
    for path, command in EVERY.items():
        if not isinstance(command, click.Group):
            assert any(call.startswith(path) for call in shown), path


@pytest.mark.parametrize(
    "page", [ROOT / "ARCHITECTURE.md", ROOT / "CONTRIBUTING.md"], ids=name
)
def test_every_file_that_a_page_names_exists(page):
    named = re.findall(
        r"`((?:slo|streams|alerts|dashboards|dbslo|tests|docs)/[^`*{]*)`",
        page.read_text(),
    )
    assert named
    for path in named:
        assert (ROOT / path).exists(), path


def test_architecture_is_read_in_ten_minutes():
    assert len((ROOT / "ARCHITECTURE.md").read_text().splitlines()) <= 150


# -- what pages show, done ------------------------------------------------------------


def written(page: Path, folder: Path) -> None:
    """The files that a page shows: a YAML block under the name given just above it."""
    for block in blocks(page):
        names = FILE.findall(block.before)
        if block.language == "yaml" and names:
            path = folder / names[-1]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text)


def sessions() -> list[tuple[Path, str]]:
    return [
        (page, block.text)
        for page in PAGES
        for block in blocks(page)
        if block.language == "console"
    ]


def dbslo(words: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("DBSLO_")}
    return subprocess.run(
        [sys.executable, "-m", "dbslo", *words],
        cwd=folder,
        env=kept | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_there_are_sessions_to_try():
    assert len(sessions()) >= 2


@pytest.mark.parametrize(
    ("page", "session"),
    [pytest.param(*one, id=f"{name(one[0])}-{n}") for n, one in enumerate(sessions())],
)
def test_a_session_prints_what_its_page_shows(page, session, tmp_path):
    written(page, tmp_path)
    for part in re.split(r"^\$ ", session, flags=re.MULTILINE)[1:]:
        line, _, shown = part.partition("\n")
        found = dbslo(shlex.split(line)[1:], tmp_path)
        wanted = shown.rstrip("\n").splitlines()
        printed = found.stdout.rstrip("\n").splitlines()
        if wanted and wanted[-1] == "...":
            wanted, printed = wanted[:-1], printed[: len(wanted) - 1]
        assert printed == wanted, found.stderr


def test_the_excerpt_of_the_first_page_is_from_a_real_run(tmp_path):
    """Digits may differ by a step of the clock; every word, and the order, may not."""
    excerpt = next(b.text for b in blocks(ROOT / "README.md") if b.language == "text")
    found = dbslo(["demo"], tmp_path)
    assert found.returncode == 0, found.stdout + found.stderr
    printed = iter([masked(line) for line in found.stdout.splitlines()])
    for line in excerpt.splitlines():
        assert any(fnmatch.fnmatchcase(one, masked(line)) for one in printed), line


def masked(line: str) -> str:
    return re.sub(r"\d+(\.\d+)?", "0", line).replace("[", "(")


def test_every_gap_names_a_test_that_there_is():
    page = ROOT / "docs" / "crashes.md"
    rows = re.findall(
        r"\]\((\S+\.py)\) `(test_\w+)` \|$", page.read_text(), re.MULTILINE
    )
    assert len(rows) > 20
    for file, test in rows:
        text = (page.parent / file).read_text()
        assert re.search(rf"^\s*def {test}\(", text, re.MULTILINE), (file, test)
    lines = [li for li in page.read_text().splitlines() if li.startswith("| ")]
    assert len(rows) == sum("gap |" not in line for line in lines)
