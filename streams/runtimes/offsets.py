"""Where a group stopped, and where the logs of its partitions begin and end."""

from collections.abc import Collection, Iterable
from concurrent.futures import Future
from typing import Final, NamedTuple

from confluent_kafka import Consumer, KafkaException
from confluent_kafka import TopicPartition as Offset
from confluent_kafka.admin._listoffsets import ListOffsetsResultInfo, OffsetSpec

from streams.kafka import ANSWER_SECONDS, PATIENCE_S, UnansweredError, answered, log
from streams.runtimes.admin import Admin
from streams.runtimes.polled import Place

EARLIEST: Final[OffsetSpec] = OffsetSpec.earliest()  # type: ignore[no-untyped-call]
LATEST: Final[OffsetSpec] = OffsetSpec.latest()  # type: ignore[no-untyped-call]


class Start(NamedTuple):
    """Where a partition is to be read from, and the note left there.

    `lost`: how many records expired between what was read and what is still there.
    """

    place: Place
    offset: int
    note: str | None
    lost: int = 0


class SilentGroupError(UnansweredError):
    """The group does not say how far it is."""


def ask(
    admin: Admin, places: Iterable[Place], spec: OffsetSpec
) -> dict[Offset, Future[ListOffsetsResultInfo]]:
    """Ask where logs begin or end, transactions still open included."""
    wanted = {Offset(*place): spec for place in places}
    return admin.list_offsets(wanted) if wanted else {}


def bounds(admin: Admin, places: Iterable[Place], spec: OffsetSpec) -> dict[Place, int]:
    """Where logs begin or end, without those of topics that are no more.

    Raises WorkerStoppedError where nobody knows for long.
    """
    wanted, known = list(places), {}

    def found() -> dict[Place, int]:
        for offset, future in ask(admin, wanted, spec).items():
            known[offset.topic, offset.partition] = future.result().offset
        return known

    def patient() -> dict[Place, int]:
        try:
            return found()
        except KafkaException:
            listed = look_around(admin)
            wanted[:] = [p for p in wanted if listed is None or p[0] in listed]
            raise

    return answered(patient)


def look_around(admin: Admin) -> set[str] | None:
    """Learn anew which topics there are and who leads them; None where nobody says.

    After an election or a restart the client asks under a leader epoch that is gone,
    and never by itself under the new one.
    """
    try:
        return set(admin.list_topics(1).topics)
    except KafkaException:
        return None


def committed(
    consumer: Consumer, places: Iterable[Place], patience_s: float = PATIENCE_S
) -> list[Start]:
    """What the group has committed, -1 where it never did, with the note it left.

    A killed worker's transaction hides its offsets until its time-out: we wait.
    Raises SilentGroupError where the group does not answer for so long.
    """
    wanted = [Offset(*place) for place in places]
    if not wanted:
        return []

    def found() -> list[Start]:
        offsets = consumer.committed(wanted, timeout=min(patience_s, ANSWER_SECONDS))
        for offset in offsets:
            if offset.error:
                raise KafkaException(offset.error)
        return [
            Start((o.topic, o.partition), max(o.offset, -1), o.metadata or None)
            for o in offsets
        ]

    try:
        return answered(found, patience_s)
    except UnansweredError as error:
        raise SilentGroupError(
            f"the group does not say how far it is: {error}"
        ) from error


def starts(
    admin: Admin,
    consumer: Consumer,
    places: Collection[Place],
    patience_s: float = PATIENCE_S,
) -> list[Start]:
    """Where to go on reading partitions of ours, without those of deleted topics.

    From the committed offset; a partition that was never read from its first record.
    What expired before it was read is lost: that is said, and never jumped over
    silently. An offset beyond the log's end belongs to a topic of the same name that
    is gone: the new one is read from its first record. Raises SilentGroupError where
    the group does not answer for `patience_s`, WorkerStoppedError where no broker does
    for long.
    """
    lows, highs = bounds(admin, places, EARLIEST), bounds(admin, places, LATEST)
    return [
        _within(start, lows[start.place], highs[start.place])
        for start in committed(consumer, lows.keys() & highs.keys(), patience_s)
    ]


def _within(start: Start, low: int, high: int) -> Start:
    if low <= start.offset <= high:
        return start
    if start.offset < 0:
        return start._replace(offset=low)
    topic, partition = start.place
    if start.offset > high:
        log.error(
            "%s[%d] ends at %d before our offset %d: it was created anew, and is read"
            " from its first record",
            *(topic, partition, high, start.offset),
        )
        return start._replace(offset=low)
    log.error(
        "records %d to %d of %s[%d] expired before they were read and are in no ledger:"
        " keep the topic longer",
        *(start.offset, low - 1, topic, partition),
    )
    return start._replace(offset=low, lost=low - start.offset)
