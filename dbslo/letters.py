"""Dead letters wherever they are kept: records in Kafka or the store, notices in the outbox."""

from collections.abc import Iterator
from typing import NamedTuple, Protocol

from dbslo.settings import Settings
from streams import reread
from streams.deadletter import DeadLetter
from streams.kafka import Connection
from streams.store import Letter, Store

NOTICE = "notice:"
"""Numbers of notices that were refused begin with this and end in their dedup key."""


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


class StoreBox:
    """The dead letters of embedded runs, whose broker is gone with its process."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def all(self) -> Iterator[Dead]:
        """Every one, oldest first."""
        for number, letter in self._store.dead_letters():
            yield Dead(str(number), letter, None)

    def retry(self, one: Dead) -> Retried:  # noqa: ARG002 - none of them can be
        """The record is gone with its broker."""
        text = (
            "the record has expired: it was in a broker that ended with its process."
            " Produce it again, or replay its capture"
        )
        return Retried(done=False, text=text)


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
        letter = one.letter
        if letter is None:
            return Retried(done=False, text="it is no record")
        place = f"{letter.topic}[{letter.partition}] offset {letter.offset}"
        record = reread.source_of(self._connection, letter)
        if record is None:
            text = f"the record has expired: {place} is no longer there"
            return Retried(done=False, text=text)
        reread.send_again(self._connection, letter, record)
        text = f"the record of {place} was written again; it is read as a new one"
        return Retried(done=True, text=text)


def records_of(settings: Settings, store: Store | None) -> Box | None:
    """Where records that were given up are kept, by the settings."""
    if settings.kafka:
        return KafkaBox(Connection(settings.kafka, settings.kafka_options))
    return StoreBox(store) if store is not None else None


def notices_of(store: Store | None) -> Iterator[Dead]:
    """Notices that a receiver refused for good, or that still wait after an error."""
    for letter in store.letters() if store is not None else ():
        if letter.error:
            yield Dead(f"{NOTICE}{letter.key}", None, letter)
