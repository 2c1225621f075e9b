"""How every client of ours talks to Kafka: settings, identities, and what errors mean."""

import logging
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final

import msgspec
from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from slo.model import SECOND
from slo.names import DEAD_LETTER_TOPIC, OBSERVATIONS_TOPIC

ANSWER_SECONDS: Final = 10.0
"""How long one question to a broker may take."""

SESSION_MS: Final = 8 * SECOND
"""After this long without a heartbeat a worker's partitions go to the others."""

TRANSACTION_MS: Final = 10 * SECOND
"""A worker killed inside a transaction hides the others' records no longer."""

Settings = dict[str, Any]

log = logging.getLogger("dbslo.kafka")


class WorkerStoppedError(Exception):
    """The process must end, and its supervisor start it again: the message says why."""


class Connection(msgspec.Struct, frozen=True):
    """Where Kafka is. `options` are librdkafka's settings for security and the like."""

    bootstrap: str
    options: Mapping[str, str | int | float | bool] = {}

    def settings(self, **own: Any) -> Settings:
        """The settings of one client; `options` win over `own` (underscores: dots)."""
        named = {name.replace("_", "."): value for name, value in own.items()}
        return {"bootstrap.servers": self.bootstrap, **named, **self.options}


def consumer_settings(
    connection: Connection, group: str, instance: str | None = None
) -> Settings:
    """The settings of every consumer of ours.

    Offsets are ours to set: nothing is committed behind our back, and no reset jumps
    over what has expired. `instance` names a worker slot, so that its successor gets
    its partitions without waiting for the session to end.
    `fetch.queue.backoff.ms`: its default idles two thirds of a catch-up.
    """
    settings = connection.settings(
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="error",
        isolation_level="read_committed",
        partition_assignment_strategy="cooperative-sticky",
        session_timeout_ms=SESSION_MS,
        heartbeat_interval_ms=500,
        max_poll_interval_ms=120 * SECOND,
        enable_partition_eof=True,
        fetch_queue_backoff_ms=5,
        fetch_wait_max_ms=100,
        max_partition_fetch_bytes=4 * 1024 * 1024,
        queued_min_messages=100_000,
        queued_max_messages_kbytes=65_536,
        topic_metadata_refresh_interval_ms=2 * SECOND,
        allow_auto_create_topics=False,
    )
    return settings if instance is None else {**settings, "group.instance.id": instance}


def producer_settings(connection: Connection, transactional_id: str) -> Settings:
    """The settings of stage 1's producer.

    Uncompressed: aiokafka reads nothing but gzip without an extra, and a batch is
    dense already.
    """
    return connection.settings(
        transactional_id=transactional_id,
        transaction_timeout_ms=TRANSACTION_MS,
        linger_ms=0,
        compression_type="none",
    )


# -- what a broker knows ----------------------------------------------------------


class TopicIdentity(msgspec.Struct, frozen=True):
    """Which topic this is: offsets mean nothing in any other."""

    cluster_id: str
    topic_id: str
    partitions: int


def identify(connection: Connection, topic: str = OBSERVATIONS_TOPIC) -> TopicIdentity:
    """The identity of a topic. Raises WorkerStoppedError where there is none."""
    admin = AdminClient(connection.settings())
    try:
        asked = admin.describe_topics(
            TopicCollection([topic]), request_timeout=ANSWER_SECONDS
        )
        found = asked[topic].result()
        cluster = str(admin.list_topics(topic, timeout=ANSWER_SECONDS).cluster_id)
    except KafkaException as error:
        raise WorkerStoppedError(
            f"topic {topic} at {connection.bootstrap} cannot be described"
            f" ({reason(error)}): create it, or check the address and the rights"
        ) from error
    return TopicIdentity(cluster, str(found.topic_id), len(found.partitions))


def create_topics(
    connection: Connection, partitions: int, replication: int = 1
) -> None:
    """Create the observations and the dead-letter topic where they do not exist.

    Raises WorkerStoppedError where the broker refuses.
    """
    admin = AdminClient(connection.settings())
    wanted = [
        NewTopic(OBSERVATIONS_TOPIC, partitions, replication),
        NewTopic(DEAD_LETTER_TOPIC, 1, replication),
    ]
    for name, done in admin.create_topics(wanted).items():
        try:
            done.result(ANSWER_SECONDS)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise WorkerStoppedError(
                    f"topic {name} cannot be created: {reason(error)}"
                ) from error


# -- what an error means ------------------------------------------------------------


class Fate(StrEnum):
    """What is to be done after an error."""

    RETRY = "retry"  # the same call again
    ABORT = "abort"  # give the transaction up and go back to what is committed
    STOP = "stop"  # this process cannot go on


def fate(error: KafkaException) -> Fate:
    """What an error of a transaction asks for; what nobody planned for stops us."""
    cause = error.args[0]
    if cause.fatal():
        return Fate.STOP
    if cause.txn_requires_abort():
        return Fate.ABORT
    return Fate.RETRY if cause.retriable() else Fate.STOP


def reason(error: KafkaException) -> str:
    """An error as a person reads it."""
    cause = error.args[0]
    return f"{cause.name()}: {cause.str()}"


def refusal(cause: KafkaError) -> WorkerStoppedError:
    """The end of a worker whom Kafka refuses, with what to do about it."""
    text = f"{cause.name()}: {cause.str()}"
    if "fenced" in text.lower():
        return WorkerStoppedError(
            f"another worker runs in our slot ({text}): give every worker of a stage a"
            " slot of its own"
        )
    return WorkerStoppedError(f"Kafka refuses, and will again: {text}")


PASSING: Final = frozenset(
    {
        KafkaError._ALL_BROKERS_DOWN,  # noqa: SLF001 - librdkafka's own codes begin so
        KafkaError._TRANSPORT,  # noqa: SLF001
        KafkaError._RESOLVE,  # noqa: SLF001
        KafkaError._TIMED_OUT,  # noqa: SLF001
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.LEADER_NOT_AVAILABLE,
    }
)
"""Errors between records that the client mends itself: the next poll goes on."""
END_OF_PARTITION: Final = KafkaError._PARTITION_EOF  # noqa: SLF001
OUT_OF_RANGE: Final = KafkaError._AUTO_OFFSET_RESET  # noqa: SLF001
