"""Every query of every board, read by real parsers of PromQL."""

import re
from pathlib import Path

import promql_parser as promql
import pytest
import yaml

from dashboards.boards import boards
from dashboards.findings import expressions
from dashboards.lint_queries import base
from slo.contract import METRICS, Type
from tests.dashboards.promql import FLEET, nodes, one, selectors, substituted
from tests.fleet import PLAN
from tests.real.servers.process import run

VALUES = one("paging") | {"datasource": "prometheus"}
QUERIES = sorted(
    {
        (uid, title, expr)
        for plan in (None, PLAN)
        for uid, board in boards(plan).items()
        for title, expr in expressions(board)
    }
)
EACH = pytest.mark.parametrize(
    ("uid", "title", "expr"), QUERIES, ids=[f"{u}/{t}" for u, t, _ in QUERIES]
)


def ready(expr: str) -> str:
    return substituted(expr, VALUES)


@EACH
def test_a_query_parses_and_gives_a_vector(uid, title, expr):
    parsed = promql.parse(ready(expr))
    assert not isinstance(
        parsed, promql.StringLiteral | promql.NumberLiteral | promql.MatrixSelector
    )


@EACH
def test_a_query_uses_metrics_and_labels_of_the_contract(uid, title, expr):
    for selector in selectors(ready(expr)):
        metric = METRICS[base(selector.name)]
        known = {*metric.labels, *({"le"} if metric.type is Type.HISTOGRAM else ())}
        assert {matcher.name for matcher in selector.matchers.matchers} <= known


@EACH
def test_a_counter_stands_inside_a_rate_and_nothing_else_does(uid, title, expr):
    rated = {
        inner.name
        for node in nodes(promql.parse(ready(expr)))
        if isinstance(node, promql.Call) and node.func.name in {"rate", "increase"}
        for inner in nodes(node)
        if isinstance(inner, promql.VectorSelector)
    }
    for selector in selectors(ready(expr)):
        counts = METRICS[base(selector.name)].type is not Type.GAUGE
        assert counts == (selector.name in rated), selector.name


@EACH
def test_a_query_about_series_is_narrowed_by_what_the_reader_chose(uid, title, expr):
    """A board that forgets a matcher shows somebody else's database."""
    for selector in selectors(ready(expr)):
        if "slo" not in METRICS[base(selector.name)].labels:
            continue
        matched = {matcher.name for matcher in selector.matchers.matchers}
        wanted = set(FLEET) if uid == "dbslo-overview" else {*FLEET, "slo"}
        assert wanted <= matched, title


@pytest.mark.real
@pytest.mark.parametrize("version", ["2", "3"])
def test_promtool_takes_every_query_as_a_rule(version, promtools, tmp_path):
    """promtool knows the types that a parser does not: vectors, ranges, functions."""
    rules = [
        {"record": f"board:query:{number}", "expr": ready(expr)}
        for number, (_, _, expr) in enumerate(QUERIES)
    ]
    path = Path(tmp_path) / "queries.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "boards", "rules": rules}]}))
    tmp_path.chmod(0o755)
    said = run([promtools[version], "check", "rules", str(path)])
    assert re.search(rf"\b{len(QUERIES)} rules found", said), said


@pytest.mark.real
def test_promtool_refuses_a_query_that_only_looks_right(promtools, tmp_path):
    """Pyrra's published board asks for a range of a recorded rate, such as this."""
    path = Path(tmp_path) / "queries.yml"
    bad = 'sum(pyrra_requests:rate5m{slo="a"}[5m])'
    rules = [{"record": "board:query", "expr": bad}]
    path.write_text(yaml.safe_dump({"groups": [{"name": "boards", "rules": rules}]}))
    with pytest.raises(RuntimeError, match="expected type instant vector"):
        run([promtools["2"], "check", "rules", str(path)])
