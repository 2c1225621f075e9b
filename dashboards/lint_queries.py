"""Checks of queries: the metric contract both ways, rates, variables, data source.

Without a parser of PromQL, which only tests have: names and labels are found by
their form, which our own queries keep to.
"""

import re
from collections.abc import Iterator

from dashboards.findings import Boards, Finding, Json, expressions, leaves, variables
from dashboards.normalise import DATASOURCE
from slo.contract import METRICS, Type

METRIC = re.compile(r"\bdbslo_[a-z0-9_]+")
MATCHED = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"")
GROUPED = re.compile(r"\b(?:by|on|without|ignoring)\s*\(([^)]*)\)")
LEGEND = re.compile(r"\{\{\s*(\w+)\s*\}\}")
RATED = re.compile(r"\b(?:rate|increase|irate)\s*\(\s*(dbslo_\w+)")
DIFFERED = re.compile(r"\b(?:delta|deriv|idelta)\s*\(\s*(dbslo_\w+)")
RATE_RANGE = re.compile(r"\b(?:rate|increase|irate)\s*\([^\[]*\[([^\]]+)\]")
VARIABLE = re.compile(r"\$\{?(\w+)")
BUILT_IN = re.compile(r"^__")
SUFFIXES = ("_bucket", "_sum", "_count")


def d09_counters(uid: str, board: Json) -> Iterator[Finding]:
    """Rates are taken of counters alone, and no counter is drawn bare."""
    for title, expr in expressions(board):
        rated, differed = set(RATED.findall(expr)), set(DIFFERED.findall(expr))
        for name in _used(expr):
            counts = _counts(name)
            if counts and name not in rated:
                yield Finding("D09", uid, title, f"{name} is a counter, drawn bare")
            if not counts and name in rated:
                yield Finding("D09", uid, title, f"{name} is no counter: no rate")
            if counts and name in differed:
                yield Finding("D09", uid, title, f"{name} is a counter: no delta")


def d09_rate_interval(uid: str, board: Json) -> Iterator[Finding]:
    """Rates are taken over the interval that fits scrape and zoom."""
    for title, expr in expressions(board):
        for interval in RATE_RANGE.findall(expr):
            if interval != "$__rate_interval":
                yield Finding("D09", uid, title, f"a rate over {interval}")


def d10_names(uid: str, board: Json) -> Iterator[Finding]:
    """Every metric that is drawn stands in the contract."""
    for title, expr in expressions(board):
        for name in _used(expr):
            if base(name) not in METRICS:
                yield Finding("D10", uid, title, f"{name} is exported by nobody")


def d10_labels(uid: str, board: Json) -> Iterator[Finding]:
    """Every label that is matched, grouped or written is one of the metric's."""
    for title, expr in expressions(board):
        known = {label for name in _used(expr) for label in _labels(name)}
        for label in sorted(_asked(expr) - known):
            yield Finding("D10", uid, title, f"no metric here has the label {label}")
    for title, expr, legend in _legends(board):
        known = {label for name in _used(expr) for label in _labels(name)}
        for label in sorted(set(LEGEND.findall(legend)) - known):
            yield Finding("D10", uid, title, f"the legend's {label} is no label")


def _legends(board: Json) -> Iterator[tuple[str, str, str]]:
    for panel in board["panels"]:
        for one in (panel, *panel.get("panels", [])):
            for target in one.get("targets", []):
                yield one["title"], target["expr"], target.get("legendFormat", "")


def d10_every_metric_drawn(boards: Boards) -> Iterator[Finding]:
    """Every metric of the contract is on a board: what nobody sees, nobody needs."""
    drawn = {
        base(name)
        for board in boards.values()
        for _, expr in expressions(board)
        for name in _used(expr)
    }
    for name in sorted(METRICS.keys() - drawn):
        yield Finding("D10", "", "", f"{name} is on no board")


def d11_variables(uid: str, board: Json) -> Iterator[Finding]:
    """The data source comes first; each choice refreshes, and narrows the next."""
    listed = variables(board)
    if [v["type"] for v in listed[:1]] != ["datasource"]:
        yield Finding("D11", uid, "", "the first variable is not the data source")
    before: set[str] = {"datasource"}
    for variable in listed[1:]:
        asked = set(VARIABLE.findall(_question(variable)))
        if asked - before:
            message = f"${variable['name']} asks for {sorted(asked - before)} too early"
            yield Finding("D11", uid, "", message)
        if variable.get("refresh") != 2:
            yield Finding("D11", uid, "", f"${variable['name']} does not refresh")
        before.add(variable["name"])


def _question(variable: Json) -> str:
    query = variable["query"]
    return str(query["query"] if isinstance(query, dict) else query)


def d11_used(uid: str, board: Json) -> Iterator[Finding]:
    """Every variable is used, and every one that is used exists."""
    declared = {variable["name"] for variable in variables(board)}
    used: set[str] = set()
    for path, value in leaves(board):
        if isinstance(value, str) and not path.startswith("templating"):
            used |= set(VARIABLE.findall(value))
    for name in sorted(used - declared):
        if not BUILT_IN.match(name):
            yield Finding("D11", uid, "", f"${name} is not declared")
    for name in sorted(declared - used):
        yield Finding("D11", uid, "", f"${name} is declared and not used")


def d12_datasource(uid: str, board: Json) -> Iterator[Finding]:
    """Every data source is the one that the reader chose."""
    for path, value in leaves(board):
        if path.endswith("datasource.uid") and value != DATASOURCE["uid"]:
            yield Finding("D12", uid, "", f"{path} is {value!r}")


def base(name: str) -> str:
    """The contract's name of a series: a histogram's without its suffix."""
    for suffix in SUFFIXES:
        stem = name.removesuffix(suffix)
        if stem != name and stem in METRICS:
            return stem
    return name


def _used(expr: str) -> list[str]:
    return sorted(set(METRIC.findall(expr)))


def _counts(name: str) -> bool:
    metric = METRICS.get(base(name))
    return metric is not None and metric.type is not Type.GAUGE


def _labels(name: str) -> tuple[str, ...]:
    metric = METRICS.get(base(name))
    if metric is None:
        return ()
    return (*metric.labels, "le") if metric.type is Type.HISTOGRAM else metric.labels


def _asked(expr: str) -> set[str]:
    grouped = {
        label.strip() for group in GROUPED.findall(expr) for label in group.split(",")
    }
    return (grouped | set(MATCHED.findall(expr))) - {""}
