"""The command line: one command, one file of `dbslo/commands`, loaded when it is asked for."""

from collections.abc import Iterator
from importlib import import_module

import click

from dbslo import __version__, output
from slo.faults import SpecificationError
from streams.kafka import WorkerStoppedError
from streams.runtimes.room import EngineStoppedError
from streams.store import UNAVAILABLE, PlacementError, SchemaError, WrongTopicError

COMMANDS = (
    "demo",
    "run",
    "ingest",
    "evaluate",
    "replay",
    "validate",
    "status",
    "budget",
    "explain",
    "ledger",
    "deadletter",
    "move",
    "collect",
    "dashboards",
    "rules",
)
"""In the order in which a newcomer meets them."""

WRONG_USAGE = 2
HELP_NAMES = ["-h", "--help"]


class Commands(click.Group):
    """Commands in their own order, each imported on first use."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """The names, in order."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command of a name."""
        if cmd_name not in COMMANDS:
            return None
        found: click.Command = import_module(f"dbslo.commands.{cmd_name}").command
        return found

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; what the operator can mend is told, not traced."""
        try:
            return super().invoke(ctx)
        except SpecificationError as error:
            output.faults(error)
            ctx.exit(WRONG_USAGE)
        except (SchemaError, PlacementError, WrongTopicError) as error:
            output.complain(str(error))
            ctx.exit(WRONG_USAGE)
        except (WorkerStoppedError, EngineStoppedError) as error:
            output.complain(str(error))
            ctx.exit(1)
        except UNAVAILABLE as error:
            output.complain(f"the store does not answer: {_first_line(error)}")
            output.complain("check DBSLO_STORE or --store, and that the database is up")
            ctx.exit(1)


def _first_line(error: Exception) -> str:
    """The driver's own words; SQLAlchemy's would print statement and parameters."""
    cause = getattr(error, "orig", None) or error
    return str(cause).partition("\n")[0]


@click.command(
    cls=Commands,
    context_settings={"help_option_names": HELP_NAMES, "max_content_width": 100},
    epilog="`dbslo COMMAND --help` shows examples.",
)
@click.version_option(__version__, prog_name="dbslo")
def main() -> None:
    """How much error budget each database has left, and who must know.

    dbslo reads CloudWatch, Datadog and binlog/CDC events from Kafka, keeps a ledger
    of good and total per SLO and database, and pages once per incident.
    """


def commands(
    command: click.Command, path: str = "dbslo"
) -> Iterator[tuple[str, click.Command]]:
    """A command and all below it, with the words that call them."""
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            if below is not None:
                yield from commands(below, f"{path} {name}")
