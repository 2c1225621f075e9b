"""The package: what it stands on, what its first page promises."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())[
    "project"
]
NAME = re.compile(r"^[A-Za-z0-9_.-]+")


def _names(requirements: list[str]) -> list[str]:
    return [match[0] for text in requirements if (match := NAME.match(text))]


def _documented(heading: str) -> list[str]:
    page = (ROOT / "docs/dependencies.md").read_text()
    section = page.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `([^`]+)` \| (.+) \|$", section, re.MULTILINE)
    return [name for name, reason in rows if reason.strip()]


class TestDependencies:
    @pytest.mark.parametrize(
        ("heading", "requirements"),
        [
            ("At run time", PROJECT["dependencies"]),
            ("By choice", PROJECT["optional-dependencies"]["msk"]),
            ("For development", PROJECT["optional-dependencies"]["dev"]),
        ],
    )
    def test_each_has_its_reason_and_each_reason_its_dependency(
        self, heading: str, requirements: list[str]
    ) -> None:
        assert _documented(heading) == _names(requirements)

    def test_each_has_a_lower_bound_that_was_tried(self) -> None:
        unbound = [r for r in PROJECT["dependencies"] if ">=" not in r]
        assert unbound == []


class TestReadme:
    def test_its_first_two_commands_are_the_demo_and_the_tests(self) -> None:
        readme = (ROOT / "README.md").read_text()
        blocks = re.findall(r"^```sh\n(.*?)^```", readme, re.MULTILINE | re.DOTALL)
        assert [block.strip() for block in blocks[:2]] == ["make demo", "make test"]

    def test_every_make_target_named_in_a_page_exists(self) -> None:
        makefile = (ROOT / "Makefile").read_text()
        targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
        pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
        named = {
            target
            for page in pages
            for target in re.findall(
                r"(?:^|`)make ([a-z]+)", page.read_text(), re.MULTILINE
            )
        }
        assert named
        assert named <= targets
