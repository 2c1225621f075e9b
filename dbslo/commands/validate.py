"""`dbslo validate`: every fault of every specification at once."""

from collections import Counter
from pathlib import Path

import click

from dbslo import options, output
from dbslo.given import Given, given
from slo.faults import SpecificationError


@click.command(
    epilog=options.examples(
        "dbslo validate",
        "dbslo validate --inventory inventory.yaml --specs slos/ --json",
    )
)
@options.inventory
@options.specs
@options.as_json
def command(inventory: Path | None, specs: tuple[Path, ...], as_json: bool) -> None:
    """Check specifications, inventory and settings.

    Every fault is told at once, with its remedy; exit code 2 where there is one. Warnings, such as an SLO that no source can
    feed on one of its clusters, do not fail.
    """
    try:
        have = given(inventory, specs)
    except SpecificationError as error:
        if not as_json:
            raise
        output.emit({"ok": False, "faults": output.as_objects(error.faults)})
        raise SystemExit(2) from error
    if as_json:
        warnings = output.as_objects(have.warnings)
        output.emit({"ok": True, "warnings": warnings, **counts(have)})
        return
    for warning in have.warnings:
        output.complain(f"warning: {warning}")
    tell(have)


def counts(have: Given) -> dict[str, object]:
    """What the plan holds, in numbers."""
    plan = have.plan
    return {
        "slos": len(plan.slos),
        "clusters": len(plan.inventory.clusters),
        "series": dict(Counter(series.slo.name for series in plan.series)),
    }


def tell(have: Given) -> None:
    """The same for people."""
    plan = have.plan
    fed = Counter(series.slo.name for series in plan.series)
    columns = (
        output.Column("slo"),
        output.Column("indicator"),
        output.Column("objective", right=True),
        output.Column("counted as"),
        output.Column("may"),
        output.Column("series", right=True),
    )
    output.table(
        columns,
        [
            (
                slo.name,
                slo.indicator.id,
                f"{float(100 * slo.target):.12g}%",
                slo.budgeting.value,
                slo.urgency.value,
                str(fed[slo.name]),
            )
            for slo in plan.slos
        ],
    )
    output.say(
        f"{len(plan.slos)} SLOs on {len(plan.inventory.clusters)} clusters:"
        f" {len(plan.series)} series, no fault"
    )
