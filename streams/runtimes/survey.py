"""What must hold before history moves: nobody at work, and nothing left to apply."""

from collections.abc import Iterator
from typing import NamedTuple

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    ConsumerGroupState,
    IsolationLevel,
    KafkaError,
    KafkaException,
    Message,
)
from confluent_kafka import TopicPartition as Offset
from confluent_kafka.admin import AdminClient

from slo.model import SECOND
from slo.names import EVALUATE_GROUP, INGEST_GROUP, OBSERVATIONS_TOPIC
from streams.batch import Batch, decode
from streams.homes import Homes
from streams.kafka import (
    ANSWER_SECONDS,
    END_OF_PARTITION,
    SESSION_MS,
    Connection,
    WorkerStoppedError,
    answered,
    consumer_settings,
)
from streams.runtimes.offsets import LATEST

EMPTY = (ConsumerGroupState.EMPTY, ConsumerGroupState.DEAD)
POLL_RECORDS = 500
POLL_SECONDS = 0.2
SILENT_POLLS = 50
"""A partition whose end is not reported for this many polls is not readable."""


class Obstacle(NamedTuple):
    """What keeps history from moving now, and what to do about it."""

    reason: str
    remedy: str


class Kafka(NamedTuple):
    """Where stage 1 and 2 meet; tests give topics and groups of their own."""

    connection: Connection
    observations: str = OBSERVATIONS_TOPIC
    ingest: str = INGEST_GROUP
    evaluate: str = EVALUATE_GROUP

    def admin(self) -> AdminClient:
        """A client that asks and changes."""
        return AdminClient(self.connection.settings())


def members(kafka: Kafka) -> Iterator[Obstacle]:
    """The groups that somebody is a member of."""
    admin = kafka.admin()
    stages = {kafka.ingest: "ingest", kafka.evaluate: "evaluate"}

    def states() -> dict[str, int]:
        asked = admin.describe_consumer_groups(
            list(stages), request_timeout=ANSWER_SECONDS
        )
        return {name: _size(found) for name, found in asked.items()}

    for group, count in sorted(answered(states).items()):
        if count:
            stage = stages[group]
            yield Obstacle(
                f"{count} `dbslo {stage}` at work in the group {group}",
                f"Stop every `dbslo {stage}` and `dbslo run`; a killed one is gone after"
                f" {SESSION_MS // SECOND} s",
            )


def _size(asked: object) -> int:
    """How many members a group has; one that does not exist has none."""
    try:
        found = asked.result(ANSWER_SECONDS)  # type: ignore[attr-defined]
    except KafkaException as error:
        if error.args[0].code() == KafkaError.GROUP_ID_NOT_FOUND:
            return 0
        raise
    return 0 if found.state in EMPTY else max(len(found.members), 1)


def unfinished(kafka: Kafka, partitions: int) -> Iterator[Obstacle]:
    """Partitions with a transaction that nobody has ended: what it holds may yet come."""
    admin = kafka.admin()
    places = [Offset(kafka.observations, number) for number in range(partitions)]
    ends = []
    for level in (IsolationLevel.READ_COMMITTED, IsolationLevel.READ_UNCOMMITTED):
        asked = admin.list_offsets(
            dict.fromkeys(places, LATEST),
            isolation_level=level,
            request_timeout=ANSWER_SECONDS,
        )
        ends.append({o.partition: f.result().offset for o, f in asked.items()})
    stable, last = ends
    still_open = sorted(number for number in last if stable[number] < last[number])
    if still_open:
        yield Obstacle(
            f"a transaction of a killed `dbslo ingest` is open in {_listed(still_open)}",
            "Wait for 10 s, until Kafka has ended it, and try again",
        )


def left(kafka: Kafka, heads: dict[int, int]) -> Iterator[tuple[int, int, Batch]]:
    """The committed batches from these offsets on: (partition, offset, batch).

    Raises WorkerStoppedError where a partition cannot be read to its end.
    """
    settings = consumer_settings(kafka.connection, f"{kafka.evaluate}.move")
    reader = Consumer(settings)
    try:
        reader.assign(
            [
                Offset(kafka.observations, number, offset or OFFSET_BEGINNING)
                for number, offset in heads.items()
            ]
        )
        yield from _to_the_end(reader, set(heads))
    finally:
        reader.close()


def _to_the_end(reader: Consumer, open_: set[int]) -> Iterator[tuple[int, int, Batch]]:
    silent = 0
    while open_:
        messages = reader.consume(POLL_RECORDS, POLL_SECONDS)
        silent = 0 if messages else silent + 1
        if silent > SILENT_POLLS:
            raise WorkerStoppedError(
                f"the end of {_listed(sorted(open_))} is not in sight: see whether all"
                " brokers are up, and try again"
            )
        for message in messages:
            number, error = message.partition() or 0, message.error()
            if error is None:
                yield number, message.offset() or 0, decode(message.value() or b"")
            elif error.code() == END_OF_PARTITION:
                open_.discard(number)
            else:
                _refuse(message, error)


def _refuse(message: Message, error: KafkaError) -> None:
    if not error.retriable():
        where = f"{message.topic()}[{message.partition()}]"
        raise WorkerStoppedError(f"{where} cannot be read: {error.str()}")


def undrained(
    kafka: Kafka, heads: dict[int, int], kept: Homes | None = None
) -> Iterator[Obstacle]:
    """Partitions with batches that the store has not applied.

    Where the partitions are `kept`, what is at home there by the new homes may wait.
    """
    counts: dict[int, int] = {}
    for number, _, batch in left(kafka, heads):
        if kept is None or _away(batch, number, kept):
            counts[number] = counts.get(number, 0) + 1
    if counts:
        told = ", ".join(f"{count:,} in {n}" for n, count in sorted(counts.items()))
        yield Obstacle(
            f"batches that no `dbslo evaluate` has applied yet, by partition: {told}",
            "Leave ingest stopped, let `dbslo evaluate` run with the settings of before"
            " until `dbslo_lag_messages` is 0, stop it, and try again",
        )


def astray(kafka: Kafka, heads: dict[int, int], homes: Homes) -> Iterator[Obstacle]:
    """Batches that were written for other homes than these, after a move began."""
    for number, offset, batch in left(kafka, heads):
        for resource, home in _away(batch, number, homes):
            yield Obstacle(
                f"a `dbslo ingest` of before the move wrote about {resource}"
                f" into partition {number} at offset {offset}, while it was moved to"
                f" {home}",
                "Restore the store and the topic from before the move, and keep"
                " ingest stopped while it is under way",
            )
            return


def _away(batch: Batch, number: int, homes: Homes) -> list[tuple[str, int]]:
    """The resources of a batch of a partition that have their home in another."""
    named = (
        (route.resource, homes.of_resource(route.resource)) for route in batch.routes
    )
    return [(name, home) for name, home in named if home not in (None, number)]


def _listed(partitions: list[int]) -> str:
    many = "s" if len(partitions) > 1 else ""
    return f"partition{many} {', '.join(map(str, partitions))}"
