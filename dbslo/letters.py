"""Dead letters wherever they are kept: records in Kafka or the store, notices in the outbox."""

from collections.abc import Iterator
from hashlib import sha256
from typing import NamedTuple, Protocol

from dbslo.access import connection_of
from dbslo.settings import Settings
from streams import reread
from streams.deadletter import DeadLetter
from streams.kafka import Connection
from streams.runtimes.poison import FORMAT as PUT_ASIDE
from streams.store import Letter, Store

NOTICE = "notice:"
"""Numbers of notices that were refused begin with this and end in their dedup key."""

WHERE = (
    "the record is in the broker of the embedded run that refused it. While that run is"
    " up, set DBSLO_KAFKA to the address that it printed, and retry; once it has ended,"
    " the record is gone with it: produce it again, or replay its capture"
)

WHOLE = (
    "it is a part of a batch of ours, whose other parts were counted: written again, they"
    " would count twice. Mend what the reason says, and read the source again"
)


class Dead(NamedTuple):
    """Something that was given up, under the number by which commands name it."""

    number: str
    letter: DeadLetter | None
    notice: Letter | None


class Retried(NamedTuple):
    """Whether a retry could be made, and what to expect of it or do instead."""

    done: bool
    text: str


class Box(Protocol):
    """Where dead letters are kept."""

    def all(self) -> Iterator[Dead]:
        """Every one, oldest first."""

    def retry(self, one: Dead) -> Retried:
        """Try it again."""


class KafkaBox:
    """The dead-letter topic."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def all(self) -> Iterator[Dead]:
        """Every one that Kafka still holds."""
        for number, letter in reread.dead_letters(self._connection):
            yield Dead(number, letter, None)

    def retry(self, one: Dead) -> Retried:
        """Write the source record once more, or say that it has expired."""
        return written_again(self._connection, one)


class StoreBox:
    """The dead letters of embedded runs, whose records their own broker holds.

    `connection` is where that broker may be: nobody knows but who started the run.
    """

    def __init__(self, store: Store, connection: Connection | None) -> None:
        self._store = store
        self._connection = connection

    def all(self) -> Iterator[Dead]:
        """Every one, oldest first."""
        for number, letter in self._store.dead_letters():
            yield Dead(str(number), letter, None)

    def retry(self, one: Dead) -> Retried:
        """Write it again into the run's broker; what was retried is forgotten."""
        if self._connection is None:
            return Retried(done=False, text=WHERE)
        retried = written_again(self._connection, one)
        if retried.done:
            self._store.forget_dead_letter(int(one.number))
        return retried


class Boxes:
    """Several boxes as one; a letter goes back to the one that it came from."""

    def __init__(self, *boxes: Box) -> None:
        self._boxes = boxes
        self._of: dict[str, Box] = {}

    def all(self) -> Iterator[Dead]:
        """Every one of each."""
        for box in self._boxes:
            for one in box.all():
                self._of[one.number] = box
                yield one

    def retry(self, one: Dead) -> Retried:
        """Try it again where it came from."""
        return self._of[one.number].retry(one)


def written_again(connection: Connection, one: Dead) -> Retried:
    """Read the record of a dead letter and write it once more, if it is still that one."""
    letter = one.letter
    if letter is None:
        return Retried(done=False, text="it is no record")
    if letter.format == PUT_ASIDE:
        return Retried(done=False, text=WHOLE)
    place = f"{letter.topic}[{letter.partition}] offset {letter.offset}"
    where = f"at {connection.bootstrap}"
    record = reread.source_of(connection, letter)
    if record is None:
        text = f"the record has expired: {place} is no longer there, {where}"
        return Retried(done=False, text=text)
    if sha256(record.value or b"").hexdigest() != letter.sha256:
        text = f"{place} holds another record {where}: it is not that run's broker"
        return Retried(done=False, text=text)
    reread.send_again(connection, letter, record)
    text = f"the record of {place} was written again; it is read as a new one"
    return Retried(done=True, text=text)


def records_of(settings: Settings, store: Store | None) -> Box | None:
    """Where records that were given up are kept, by the settings."""
    found: list[Box] = []
    connection = None
    if settings.kafka:
        connection = connection_of(settings)
        found.append(KafkaBox(connection))
    if store is not None:
        found.append(StoreBox(store, connection))
    return Boxes(*found) if found else None


def notices_of(store: Store | None) -> Iterator[Dead]:
    """Notices that a receiver refused for good, or that still wait after an error."""
    for letter in store.letters() if store is not None else ():
        if letter.error:
            yield Dead(f"{NOTICE}{letter.key}", None, letter)
