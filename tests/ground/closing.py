"""The closing lines of a run: how many real-part tests ran, what was skipped and why.

A test is a real-part test if it is marked `real` or asks for a real server's fixture.
Under CI=true a skipped test is a failed one.
"""

import os
from collections import Counter
from collections.abc import Generator
from typing import Any

import pytest

REAL = {
    "kafka": "Kafka",
    "fresh_kafka": "Kafka",
    "postgres": "PostgreSQL",
    "fresh_postgres": "PostgreSQL",
    "mariadb": "MariaDB",
    "fresh_mariadb": "MariaDB",
    "prometheus": "Prometheus",
    "alertmanager": "Alertmanager",
    "connect": "Kafka Connect",
    "promtools": "promtool",
    "amtools": "amtool",
}
RAN: Counter[str] = Counter()  # real part -> tests that ran with it
SKIPPED: Counter[str] = Counter()  # reason -> tests
REAL_TESTS: Counter[str] = Counter()  # outcome -> real-part tests


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks tests that use a real server, so that `-m "not real"` leaves them out."""
    for item in items:
        if REAL.keys() & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.real)


def pytest_deselected(items: list[pytest.Item]) -> None:
    """Counts the real-part tests that `-m "not real"` leaves to `make test`."""
    REAL_TESTS["left out"] += sum("real" in item.keywords for item in items)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Counts what ran and what was skipped; under CI=true a skip fails."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail"):
        _skipped(report, real="real" in item.keywords)
    elif report.when == "call" and "real" in item.keywords:
        REAL_TESTS["ran"] += 1
        RAN.update(_parts(item))
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """A module that skips itself is counted as one test."""
    report = yield
    if report.skipped:
        _skipped(report, real="real" in str(collector.path))
    return report


def _parts(item: pytest.Item) -> set[str]:
    """The real parts of a test: by its fixtures, their values, or its parameter."""
    asked = REAL.keys() & set(getattr(item, "fixturenames", ()))
    given = {type(value).__name__.lower() for value in _values(item)} & REAL.keys()
    parameter = str(getattr(getattr(item, "callspec", None), "id", "")).lower()
    named = {part for part in REAL.values() if part.lower() in parameter}
    return {REAL[name] for name in asked | given} | named or {"other"}


def _values(item: pytest.Item) -> list[object]:
    return list(getattr(item, "funcargs", {}).values())


def _skipped(report: Any, *, real: bool) -> None:
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else "?"
    reason = str(reason).removeprefix("Skipped: ")
    SKIPPED[reason] += 1
    REAL_TESTS["skipped"] += real
    if os.environ.get("CI") == "true":
        report.outcome = "failed"
        report.longrepr = f"skipped, which CI=true does not allow: {reason}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says at the end what a green run has not shown."""
    parts = ", ".join(f"{name} {count}" for name, count in sorted(RAN.items()))
    terminalreporter.section("real parts")
    terminalreporter.line(
        f"real-part tests: {REAL_TESTS['ran']} ran ({parts or 'none'}), "
        f"{REAL_TESTS['skipped']} skipped, {REAL_TESTS['left out']} left out"
    )
    for reason, count in SKIPPED.most_common():
        terminalreporter.line(f"skipped {count}: {reason}")
