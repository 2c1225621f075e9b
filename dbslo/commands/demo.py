"""`dbslo demo`: a published outage replayed into a small fleet, on this machine alone."""

import threading

import click

from dbslo import logs, options, output
from dbslo.demo import trace
from dbslo.demo.play import StoppedError
from dbslo.demo.stage import play
from dbslo.given import settings_of
from dbslo.output import Column
from dbslo.wiring import until_told

DEFAULT = "razorpay-replicas"
COLUMNS = (Column("incident"), Column("expect"), Column("what"), Column("origin"))


@click.command(
    epilog=options.examples(
        "dbslo demo",
        "dbslo demo --list",
        "dbslo demo --incident cdc-zombie --keep",
    )
)
@click.option(
    "--incident",
    metavar="NAME",
    default=DEFAULT,
    show_default=True,
    help="Which published outage; see --list.",
)
@click.option("--list", "listing", is_flag=True, help="List the outages, and end.")
@click.option("--keep", is_flag=True, help="Stay up at the end, until Ctrl-C.")
@options.as_json
def command(incident: str, listing: bool, keep: bool, as_json: bool) -> None:
    """Replay a published outage into a small fleet.

    The whole engine runs in this process: a Kafka broker, both stages, SQLite,
    delivery to a stand-in for PagerDuty, /metrics. It ends by itself, with exit code
    0 if the outage triggered one incident, which resolved, and a clean failover
    elsewhere paged nobody. DBSLO_PAGERDUTY_URL points it at another PagerDuty.
    """
    if listing:
        show(as_json=as_json)
        return
    try:
        chosen = trace.load(incident)
    except trace.UnknownIncidentError as error:
        raise click.UsageError(str(error)) from error
    settings = settings_of()
    logs.configure("error", as_json=as_json)

    def linger() -> None:
        if keep:
            output.complain("kept up; Ctrl-C ends it")
            stop.wait()

    with until_told(threading.Event()) as stop:
        try:
            found = play(chosen, settings, stop, as_json=as_json, linger=linger)
        except StoppedError:
            output.complain("stopped before its end")
            raise SystemExit(1) from None
    if not found.holds:
        raise SystemExit(1)


def show(*, as_json: bool) -> None:
    """The outages that ship with dbslo."""
    traces = [trace.load(name) for name in trace.names()]
    if as_json:
        shown = ("name", "title", "origin", "expect", "cluster")
        output.emit([{key: getattr(one, key) for key in shown} for one in traces])
        return
    rows = [(one.name, one.expect.value, one.title, one.origin) for one in traces]
    output.table(COLUMNS, rows)
