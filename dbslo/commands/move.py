"""`dbslo move`: history to other partitions, while nothing runs."""

from pathlib import Path

import click

from dbslo import options, output
from dbslo.access import connection_of
from dbslo.given import given
from dbslo.look import look
from dbslo.output import Column
from dbslo.settings_table import MOST_PARTITIONS
from dbslo.telling import real_clock
from streams.access import prove
from streams.runtimes.moving import Mover, MoveRefusedError, Survey
from streams.runtimes.survey import Kafka

COLUMNS = (
    Column("what"),
    Column("from", right=True),
    Column("to", right=True),
)
SHOWN = 20


@click.command(
    epilog=options.examples(
        "dbslo move --partitions 24            # what would happen, and what is in the way",
        "dbslo move --partitions 24 --yes      # do it; again, if it was interrupted",
        "dbslo move --yes                      # after the inventory was changed",
    )
)
@options.inventory
@options.specs
@options.store
@click.option(
    "--partitions",
    type=click.IntRange(1, MOST_PARTITIONS),
    help="How many the observations topic is to have.  [default: as many as it has]",
)
@click.option("--yes", is_flag=True, help="Do it; else it is only shown.")
@options.as_json
def command(
    inventory: Path | None,
    specs: tuple[Path, ...],
    store: str | None,
    partitions: int | None,
    yes: bool,
    as_json: bool,
) -> None:
    """Move history to other partitions of the observations topic.

    Needed to change the number of partitions, and where a changed inventory gives a
    resource to a cluster of another partition: until then evaluate refuses to start.
    Stop ingest first, then, once all is applied, evaluate. Nothing is lost where it is
    interrupted: run it again. Exit codes: 0 done, or shown and nothing in the way;
    1 something is in the way; 2 the configuration is wrong.
    """
    have = given(inventory, specs, store)
    have.settings.require("DBSLO_KAFKA")
    kafka = Kafka(connection_of(have.settings))
    prove(kafka.connection)
    with look(have) as at:
        mover = Mover(at.plan, at.topics, at.store, kafka, real_clock)
        found = mover.survey(partitions)
        show(found, as_json=as_json and not yes)
        if found.obstacles:
            raise SystemExit(1)
        if yes and found.needed:
            carry_out(mover, partitions, as_json=as_json)


def carry_out(mover: Mover, partitions: int | None, *, as_json: bool) -> None:
    """Move, and say what was moved."""
    try:
        moved = mover.move(partitions, (lambda _: None) if as_json else output.say)
    except MoveRefusedError as error:
        output.complain(str(error))
        raise SystemExit(1) from None
    if as_json:
        output.emit({"moved": moved})
        return
    for name, count in sorted(moved.items()):
        output.say(f"   {count:>9,} {name}")
    output.say("done: start ingest and evaluate again")


def show(found: Survey, *, as_json: bool) -> None:
    """What would be done, and what is in the way."""
    if as_json:
        output.emit(as_object(found))
        return
    if not found.needed:
        output.say("nothing to move: everything is where it belongs")
        return
    was, goal = found.partitions_from, found.partitions_to
    begun = ", begun before and not finished" if found.begun else ""
    output.say(f"partitions: {was} to {goal}{begun}")
    output.say(f"clusters and resources that change theirs: {len(found.moves):,}")
    rows = [
        (name.removeprefix("@"), str(a), str(b)) for name, (a, b) in found.moves.items()
    ]
    if rows:
        output.table(COLUMNS, rows[:SHOWN])
    if goal < was:
        output.say("the topic is deleted and made anew: all that it holds was applied")
    for obstacle in found.obstacles:
        output.complain(f"in the way: {obstacle.reason}. {obstacle.remedy}")


def as_object(found: Survey) -> dict[str, object]:
    """The same for scripts."""
    return {
        "partitions": {"from": found.partitions_from, "to": found.partitions_to},
        "needed": found.needed,
        "begun": found.begun,
        "moves": [
            {"what": name.removeprefix("@"), "from": was, "to": goal}
            for name, (was, goal) in found.moves.items()
        ],
        "in_the_way": [
            {"reason": one.reason, "remedy": one.remedy} for one in found.obstacles
        ],
    }
