"""`dbslo rules`: Prometheus alert rules for the same SLOs."""

from itertools import zip_longest
from pathlib import Path

import click

from alerts.rules import HERE, Addresses, rules
from dbslo import options, output
from dbslo.given import given
from dbslo.settings import Settings


@click.command(
    epilog=options.examples(
        "dbslo rules --out rules.yaml",
        "dbslo rules --specs slos/ --inventory inventory.yaml --check --out rules.yaml",
    )
)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The rule file.  [default: to stdout]",
)
@click.option("--check", is_flag=True, help="Write nothing; exit 1 where it is stale.")
@options.inventory
@options.specs
def command(
    out: Path | None, check: bool, inventory: Path | None, specs: tuple[Path, ...]
) -> None:
    """Write Prometheus rules for the same SLOs.

    They are the second opinion, or the way to page by Alertmanager. They read only metrics that dbslo exports. The same input gives the same bytes.
    """
    if check and out is None:
        raise click.UsageError("--check needs --out")
    have = given(inventory, specs)
    text = rules(have.plan, addresses(have.settings))
    if out is None:
        click.echo(text, nl=False)
    elif check:
        found = out.read_text(encoding="utf-8") if out.exists() else ""
        if found != text:
            where = first_difference(found, text)
            output.complain(
                f"{out} is not current ({where}): run `dbslo rules --out {out}`"
            )
            raise SystemExit(1)
    else:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text, encoding="utf-8")
        output.say(f"wrote {out}")


def first_difference(found: str, wanted: str) -> str:
    """Where a file first differs from what it should say."""
    pairs = zip_longest(found.splitlines(), wanted.splitlines())
    for number, (is_, should) in enumerate(pairs, 1):
        if is_ != should:
            return f"line {number} is {is_!r}, should be {should!r}"
    return "at its end"


def addresses(settings: Settings) -> Addresses:
    """Where annotations point, by the settings."""
    runbooks = settings.runbook_url or HERE.runbooks
    return Addresses(runbooks, settings.grafana_url)
