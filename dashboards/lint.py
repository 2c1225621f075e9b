"""The mechanical checks of the boards: one rule, one function, one number.

Numbers follow the list of checks in docs/boards.md. What needs a parser of PromQL,
Grafana's own types or a running Prometheus is checked by tests instead.
"""

from collections.abc import Callable, Iterator

from dashboards import lint_form, lint_meaning, lint_queries
from dashboards.findings import Boards, Finding, Json
from slo.policy import DEFAULT, Policy

BoardRule = Callable[[str, Json], Iterator[Finding]]
FleetRule = Callable[[Boards], Iterator[Finding]]

BOARD_RULES: tuple[BoardRule, ...] = (
    lint_form.d04_schema,
    lint_form.d04_no_nulls,
    lint_form.d04_no_legacy_panels,
    lint_form.d05_identity,
    lint_form.d06_grid,
    lint_form.d06_first_screen,
    lint_form.d06_rows,
    lint_form.d15_repeats,
    lint_form.d20_size,
    lint_meaning.d07_title,
    lint_meaning.d07_description,
    lint_meaning.d07_unit,
    lint_meaning.d07_thresholds,
    lint_meaning.d14_annotations,
    lint_meaning.d16_no_hosts,
    lint_queries.d09_counters,
    lint_queries.d09_rate_interval,
    lint_queries.d10_names,
    lint_queries.d10_labels,
    lint_queries.d11_variables,
    lint_queries.d11_used,
    lint_queries.d12_datasource,
)
FLEET_RULES: tuple[FleetRule, ...] = (
    lint_form.d05_unique_titles,
    lint_queries.d10_every_metric_drawn,
    lint_meaning.d13_links,
)


def lint(
    boards: Boards, policy: Policy = DEFAULT, period_ms: int | None = None
) -> list[Finding]:
    """Everything that is wrong with these boards, by board and rule.

    `policy` and `period_ms` are those that the boards were drawn with.
    """
    found = [
        finding
        for uid, board in boards.items()
        for rule in BOARD_RULES
        for finding in rule(uid, board)
    ]
    found += [finding for rule in FLEET_RULES for finding in rule(boards)]
    return [*found, *lint_meaning.d08_tier_lines(boards, policy, period_ms)]
