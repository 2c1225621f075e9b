"""`dbslo replay FILE…`: captured records in, the timeline of verdicts out."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import click

from dbslo import options, output
from dbslo.capture import Captured, merged
from dbslo.given import given
from dbslo.output import STYLES, rfc3339
from dbslo.replay import Replayed, replay
from slo.verdict import VerdictChange
from streams.store import Store
from streams.topics import topics_of

OTHER_HISTORY = (
    "the store has history already, and a replay's clock is its capture's: the two would"
    " be mixed. Name a store that does not exist yet, such as"
    " sqlite:///replayed.sqlite, or leave --store out"
)


@click.command(
    epilog=options.examples(
        "dbslo replay capture.ndjson --inventory inventory.yaml --specs slos.yaml",
        "dbslo replay a.ndjson b.ndjson --json --store sqlite:///replayed.sqlite",
    )
)
@click.argument(
    "files",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
)
@options.inventory
@options.specs
@click.option(
    "--store",
    type=options.STORE_URL,
    help="Keep the ledger there, for `dbslo ledger` and `dbslo explain`.",
)
@options.as_json
def command(
    files: tuple[Path, ...],
    inventory: Path | None,
    specs: tuple[Path, ...],
    store: str | None,
    as_json: bool,
) -> None:
    """Replay captures and print every change of verdict.

    A capture holds a record a line: {topic, partition, offset, timestamp_ms, key,
    value_b64, headers}. Its timestamps are the clock: replaying yesterday gives
    yesterday's pages. With --json each change is one JSON document on a line.
    """
    have = given(inventory, specs)
    show = output.emit if as_json else tell
    with output.progress("replaying") as step, tempfile.TemporaryDirectory() as folder:
        kept = Store(store or f"sqlite:///{folder}/replay.sqlite")
        try:
            if kept.partitions():
                raise click.UsageError(OTHER_HISTORY)
            records = Watched(merged(files))
            records.step = step
            topics = topics_of(have.plan.inventory, have.settings.topics)
            done = replay(have.plan, topics, records, kept, show)
        finally:
            kept.close()
    conclude(done)


class Watched(list[Captured]):
    """Records that report how far they were walked."""

    step: output.Step = staticmethod(lambda done, total: None)  # noqa: ARG005

    def __iter__(self) -> Iterator[Captured]:
        """As a list's, with progress every 1,000 records."""
        for number, record in enumerate(super().__iter__()):
            if number % 1_000 == 0:
                self.step(number, len(self))
            yield record


def tell(change: VerdictChange) -> None:
    """A change of verdict, for people."""
    text = (
        f"{change.time}  {change.from_:>7} -> {change.to:<7}"
        f"  {change.slo}/{change.resource}  {change.reason}"
    )
    output.say(text, style=STYLES.get(change.to))


def conclude(done: Replayed) -> None:
    """What was read, to stderr, so that stdout stays the timeline."""
    output.complain(
        f"{done.records:,} records until {rfc3339(done.last_ms)}"
        f" ({done.last_ms}), {len(done.dead_letters):,} dead letters"
    )
    if done.judged_ms < done.last_ms:
        output.complain(
            f"judged until {rfc3339(done.judged_ms)}: an input ends there. What came"
            " later was counted, and no verdict was given on it"
        )
    for (source, reason), count in sorted(done.refused.items()):
        output.complain(f"refused {count:,} of {source}: {reason}")
