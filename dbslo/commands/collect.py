"""`dbslo collect`: producers for teams that have no pipeline into Kafka yet."""

import logging
import threading
import time
from pathlib import Path

import click
import msgspec
from confluent_kafka import Producer

from dbslo import logs, options, output
from dbslo.access import connection_of
from dbslo.given import Given, given
from dbslo.settings import Settings
from dbslo.telling import real_clock
from dbslo.wiring import until_told
from slo.model import MINUTE, SECOND
from slo.reading import nearest
from streams.collectors import aws
from streams.collectors.cloudwatch import Account, CollectError, collect
from streams.collectors.wanted import estimate, wanted
from streams.kafka import ANSWER_SECONDS, Connection, WorkerStoppedError

log = logging.getLogger("dbslo.collect")

AFTER_MS = 5 * SECOND
"""How long after a minute's end a poll begins."""

CATCH_UP = 60
"""Closed periods that the first poll reads: what was missed while nobody collected."""


def known_region(ctx: click.Context, param: click.Parameter, region: str) -> str:
    """The region. Raises click.BadParameter for one that AWS is not known to have."""
    if region not in aws.regions():
        hint = nearest(region, aws.regions())
        text = f"{region!r} is no AWS region that the installed boto3 knows. {hint}"
        raise click.BadParameter(text, ctx, param)
    return region


@click.group()
def command() -> None:
    """Collect metrics by polling, where there is no pipeline into Kafka."""


@command.command(
    epilog=options.examples(
        "dbslo collect cloudwatch --region eu-west-1 --estimate",
        "DBSLO_KAFKA=kafka:9092 dbslo collect cloudwatch --region eu-west-1",
    )
)
@click.option("--region", required=True, callback=known_region, help="The AWS region.")
@click.option(
    "--account", help="The 12-digit account.  [default: that of the credentials]"
)
@click.option(
    "--estimate", "pricing", is_flag=True, help="Print the monthly price, and end."
)
@click.option("--once", is_flag=True, help="Poll once, and end.")
@click.option("--print", "printing", is_flag=True, help="Print instead of producing.")
@options.inventory
@options.specs
@options.as_json
def cloudwatch(  # noqa: PLR0913 - click hands each option over by name
    *,
    region: str,
    account: str | None,
    pricing: bool,
    once: bool,
    printing: bool,
    inventory: Path | None,
    specs: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Poll CloudWatch (GetMetricData) for the metrics that the SLOs read.

    Writes what a metric stream would have written, into the same raw topic, each
    minute. Credentials are found as the AWS CLI finds them; they need
    cloudwatch:GetMetricData. One collector is enough; a second one does no harm.
    """
    have = given(inventory, specs)
    if pricing:
        price(have, region, as_json=as_json)
        return
    if not wanted(have.plan, region):
        raise click.UsageError(f"no SLO reads a CloudWatch metric in {region}")
    logs.configure(have.settings.log_level, as_json=as_json)
    target = sink(have.settings, printing=printing)
    poll(have, _account(region, account), target, once=once)


def price(have: Given, region: str, *, as_json: bool) -> None:
    """What polling costs at AWS's public price."""
    found = estimate(have.plan, region)
    if as_json:
        output.emit(msgspec.to_builtins(found))
        return
    output.say(f"{found.metrics:,} metrics, each minute: {found.metrics_per_month:,}")
    output.say(f"a month in {found.requests_per_month:,} requests of GetMetricData")
    output.say(f"about {found.usd_per_month:,.2f} USD a month at the public price")
    for metric in found.left_out:
        output.say(f"left out, needs a metric stream: {metric}")


def _account(region: str, named: str | None) -> Account:
    try:
        return Account(named or aws.account_id(region), region)
    except CollectError as error:
        raise click.ClickException(str(error)) from error


def poll(have: Given, account: Account, target: "Sink", *, once: bool) -> None:
    """Poll each minute until told to stop; the first poll catches up.

    Raises click.ClickException where nobody's waiting would help, and, with `once`,
    where anything could not be read.
    """
    client = aws.cloudwatch(account.region)
    asking = msgspec.structs.replace(account, overlap=CATCH_UP)
    with until_told(threading.Event()) as stop:

        def pause(seconds: float) -> None:
            stop.wait(seconds)

        while not stop.is_set():
            begun = time.monotonic()
            try:
                done = collect(
                    have.plan, asking, client, target.take, real_clock(), pause
                )
                fields = {**msgspec.to_builtins(done), "silent": len(done.silent)}
                fields["seconds"] = round(time.monotonic() - begun, 3)
                log.info("poll", extra={"fields": fields})
                asking = account
            except CollectError as error:
                if once or not error.retry:
                    raise click.ClickException(str(error)) from error
                log.warning("poll", extra={"fields": {"error": str(error)}})
            finally:
                target.flush()
            if once:
                return
            stop.wait(_until_next(real_clock()) / SECOND)


def _until_next(now_ms: int) -> int:
    """Until a little after the next minute's end, ms."""
    return (now_ms - AFTER_MS) // MINUTE * MINUTE + MINUTE + AFTER_MS - now_ms


class Sink:
    """Where documents go: a topic of Kafka, or stdout."""

    def __init__(self, topic: str = "", connection: Connection | None = None) -> None:
        self._topic = topic
        self._connection = connection
        self._producer = Producer(connection.settings()) if connection else None

    def take(self, document: bytes) -> None:
        """Produce or print one."""
        if self._producer is None:
            click.echo(document)
            return
        self._producer.produce(self._topic, document)
        self._producer.poll(0)

    def flush(self) -> None:
        """Wait until Kafka has them all. Raises WorkerStoppedError where it does not."""
        if self._producer is None or self._connection is None:
            return
        left = self._producer.flush(ANSWER_SECONDS)
        if left:
            where = f"{self._topic} at {self._connection.bootstrap}"
            raise WorkerStoppedError(f"{left} documents did not reach topic {where}")


def sink(settings: Settings, *, printing: bool) -> Sink:
    """Where the settings send CloudWatch's documents.

    Raises SpecificationError without Kafka, click.UsageError without such a topic.
    """
    if printing:
        return Sink()
    settings.require("DBSLO_KAFKA")
    topics = [
        t for t, form in settings.topics.items() if form in ("cloudwatch", "auto")
    ]
    if not topics:
        raise click.UsageError("DBSLO_TOPICS names no topic of format cloudwatch")
    return Sink(topics[0], connection_of(settings))
