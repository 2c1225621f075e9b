"""What Grafana puts into a query before Prometheus sees it, and what a query uses."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import promql_parser as promql

MACROS = {"__rate_interval": "5m", "__range": "3h"}
FLEET = {"env": ".*", "cluster": ".*", "service": ".*"}
INNER = ("lhs", "rhs", "expr", "param", "vector_selector")


def one(name: str) -> dict[str, str]:
    """The variables of the detail board for one resource of the scene."""
    return {
        "env": "prod",
        "cluster": "orders",
        "service": "databases",
        "slo": f"{name}-fresh",
        "resource": name,
    }


def substituted(expr: str, values: Mapping[str, str]) -> str:
    """The query with every variable of a board replaced; a missing one raises."""
    return re.sub(r"\$(\w+)", lambda found: {**MACROS, **values}[found[1]], expr)


def nodes(node: Any) -> Iterator[Any]:
    """Every node of a parsed query."""
    yield node
    for inner in (*(getattr(node, name, None) for name in INNER), *_arguments(node)):
        if inner is not None:
            yield from nodes(inner)


def _arguments(node: Any) -> list[Any]:
    return list(getattr(node, "args", None) or ())


def selectors(expr: str) -> list[promql.VectorSelector]:
    """Every metric selector of a query, its macros already replaced."""
    parsed = promql.parse(expr)
    return [n for n in nodes(parsed) if isinstance(n, promql.VectorSelector)]
