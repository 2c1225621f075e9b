"""`dbslo dashboards`: the Grafana boards, as files."""

from pathlib import Path

import click

import dashboards
from dbslo import options, output
from dbslo.given import given
from slo.plan import Plan

DEFAULT = Path("dashboards/generated")


@click.command(
    epilog=options.examples(
        "dbslo dashboards --out grafana/boards",
        "dbslo dashboards --check    # exit 1 where a file is not current",
    )
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=DEFAULT,
    show_default=True,
    help="The folder of the boards.",
)
@click.option("--check", is_flag=True, help="Write nothing; exit 1 where stale.")
@options.inventory
@options.specs
@options.as_json
def command(
    out: Path,
    check: bool,
    inventory: Path | None,
    specs: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Write the Grafana boards, or check that they are current.

    Without --specs and --inventory they are drawn for the default policy and serve
    any fleet. The same input gives the same bytes.
    """
    plan = plan_of(inventory, specs)
    if check:
        wrong = dashboards.check(out, plan)
        if as_json:
            output.emit({"ok": not wrong, "wrong": wrong})
        for line in wrong if not as_json else ():
            output.complain(line)
        raise SystemExit(1 if wrong else 0)
    changed = [str(path) for path in dashboards.write(out, plan)]
    if as_json:
        output.emit({"changed": changed})
        return
    for path in changed:
        output.say(f"wrote {path}")
    if not changed:
        output.say(f"{out} is current")


def plan_of(inventory: Path | None, specs: tuple[Path, ...]) -> Plan | None:
    """The plan of the options; None where neither is given."""
    return given(inventory, specs).plan if inventory or specs else None
