"""Measures the product's code and fails where it has grown (`make lint`)

Lines of a function run from its `def` to its end, without docstrings and blanks.
Tests, benchmarks and tools are not product code.
"""

import ast
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PRODUCT = ("slo", "streams", "alerts", "dashboards", "dbslo")
MEDIAN_LINES = 9
P90_LINES = 30
LONGEST_LINES = 40
MODULE_LINES = 300


class Function(NamedTuple):
    """One function or method, and how long it is."""

    where: str
    lines: int


def modules() -> list[Path]:
    """Every file of product code."""
    return sorted(file for part in PRODUCT for file in (ROOT / part).rglob("*.py"))


def functions(file: Path) -> Iterator[Function]:
    """Every function of a file, nested ones too."""
    text = file.read_text()
    code = text.splitlines()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            where = f"{os.path.relpath(file, ROOT)}: {node.name}"
            yield Function(where, _length(node, code))


def _length(function: ast.FunctionDef | ast.AsyncFunctionDef, code: list[str]) -> int:
    counted = set(range(function.lineno, (function.end_lineno or 0) + 1))
    for node in ast.walk(function):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            counted -= _docstring(node)
    return sum(1 for line in counted if code[line - 1].strip())


def _docstring(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> set[int]:
    first = node.body[0]
    if ast.get_docstring(node, clean=False) is None:
        return set()
    return set(range(first.lineno, (first.end_lineno or 0) + 1))


def percentile(lines: list[int], share: float) -> int:
    """The nearest-rank percentile of a non-empty list."""
    rank = -(-len(lines) * share // 1)
    return sorted(lines)[int(rank) - 1]


def main() -> int:
    """Prints the figures; 1 where a limit is passed."""
    files = modules()
    found = [function for file in files for function in functions(file)]
    lines = [function.lines for function in found]
    longest = max(found, key=lambda function: function.lines)
    median, p90 = percentile(lines, 0.5), percentile(lines, 0.9)
    print(
        f"product code: {len(files)} files, {len(found)} functions; "
        f"lines per function: median {median} (at most {MEDIAN_LINES}), "
        f"p90 {p90} (at most {P90_LINES}), longest {longest.lines} ({longest.where})"
    )
    return int(median > MEDIAN_LINES or p90 > P90_LINES)


if __name__ == "__main__":
    sys.exit(main())
