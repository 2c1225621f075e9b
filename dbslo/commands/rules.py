"""`dbslo rules`: Prometheus alert rules for the same SLOs."""

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
        current = out.exists() and out.read_text(encoding="utf-8") == text
        if not current:
            output.complain(f"{out} is not current; run `dbslo rules --out {out}`")
            raise SystemExit(1)
    else:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text, encoding="utf-8")
        output.say(f"wrote {out}")


def addresses(settings: Settings) -> Addresses:
    """Where annotations point, by the settings."""
    runbooks = settings.runbook_url or HERE.runbooks
    return Addresses(runbooks, settings.grafana_url)
