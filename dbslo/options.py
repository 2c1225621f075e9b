"""Options and argument types that commands share."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from dbslo.parsing import WrongError
from dbslo.settings import SETTINGS
from slo.model import SECOND

_STORE = next(setting for setting in SETTINGS if setting.name == "DBSLO_STORE")


class Time(click.ParamType):
    """A moment: epoch milliseconds, or RFC 3339 (UTC where it names no zone)."""

    name = "TIME"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """The moment as epoch ms."""
        if isinstance(value, int):
            return value
        if value.lstrip("-").isdigit():
            return int(value)
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            remedy = "write 2026-11-24T20:00:00Z or epoch milliseconds"
            self.fail(f"{value!r} is not a time; {remedy}", param, ctx)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return round(moment.timestamp() * SECOND)


class StoreUrl(click.ParamType):
    """Where the ledger is kept, checked as DBSLO_STORE is."""

    name = "URL"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        """The URL, unchanged. What is wrong is told without it: it may hold a secret."""
        try:
            return str(_STORE.parse(value))
        except WrongError as error:
            self.fail(f"the URL {error}. {error.remedy}", param, ctx)


TIME = Time()
STORE_URL = StoreUrl()
PATH = click.Path(path_type=Path)

inventory = click.option(
    "--inventory",
    type=PATH,
    help="The fleet, a YAML file.  [env: DBSLO_INVENTORY]",
)
specs = click.option(
    "--specs",
    type=PATH,
    multiple=True,
    help="SLOs, OpenSLO YAML: a file or a folder; repeatable.  [env: DBSLO_SPECS]",
)
store = click.option(
    "--store",
    type=STORE_URL,
    help="sqlite:///FILE or postgresql+psycopg://...  [env: DBSLO_STORE]",
)
as_json = click.option("--json", "as_json", is_flag=True, help="JSON, for scripts.")
log_json = click.option("--json", "as_json", is_flag=True, help="Log as JSON lines.")


def examples(*lines: str) -> str:
    """An epilog of examples, each on a line of its own."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)
