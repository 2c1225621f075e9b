"""How every client of ours talks to Kafka: settings, identities, and what errors mean."""

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import msgspec
from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from slo.model import SECOND
from slo.names import DEAD_LETTER_TOPIC, OBSERVATIONS_TOPIC

ANSWER_SECONDS: Final = 10.0
"""How long one question to a broker may take."""

SESSION_MS: Final = 6 * SECOND
"""After this long without a heartbeat a worker's partitions go to the others; the least
that brokers take. A thread sends two a second, so only who stands still is put out."""

TRANSACTION_MS: Final = 10 * SECOND
"""A worker killed inside a transaction hides the others' records no longer."""

Settings = dict[str, Any]

log = logging.getLogger("dbslo.kafka")


class WorkerStoppedError(Exception):
    """The process must end, and its supervisor start it again: the message says why."""


class UnansweredError(WorkerStoppedError):
    """Nobody answered for as long as was waited."""


Tokens = Callable[[], tuple[str, int]]
"""A fresh token for OAUTHBEARER, and until when it is good, epoch ms."""


class Connection(msgspec.Struct, frozen=True):
    """Where Kafka is. `options` are librdkafka's settings for security and the like.

    `tokens` are asked for wherever a client signs in, from its own thread.
    """

    bootstrap: str
    options: Mapping[str, str | int | float | bool] = {}
    tokens: Tokens | None = None

    def __repr__(self) -> str:
        return f"Connection({self.bootstrap!r})"  # options may hold a password

    def settings(self, **own: Any) -> Settings:
        """The settings of one client; `options` win over `own` (underscores: dots).

        librdkafka's own lines are left out unless `log_level` is among the options:
        we say what they mean, once. `metadata.recovery.strategy`: brokers that all hang
        are named to nobody as they come back; who was told of none begins anew.
        """
        named = {name.replace("_", "."): value for name, value in own.items()}
        common = {
            "bootstrap.servers": self.bootstrap,
            "log_level": 2,
            "metadata.recovery.strategy": "rebootstrap",
            "reconnect.backoff.max.ms": 1 * SECOND,
        }
        found = {**common, **named, **self.options}
        if self.tokens is not None:
            found["oauth_cb"] = _signing_in(self.tokens)
        return found


def _signing_in(tokens: Tokens) -> Callable[[str], tuple[str, float]]:
    """What librdkafka calls for a token, and again before that one ends, in seconds."""

    def token(_config: str) -> tuple[str, float]:
        text, expires_ms = tokens()
        return text, expires_ms / SECOND

    return token


def consumer_settings(
    connection: Connection, group: str, client: str = "dbslo"
) -> Settings:
    """The settings of every consumer of ours; `client` is what brokers call it.

    Offsets are ours to set: nothing is committed behind our back, and no reset jumps
    over what has expired. No static membership: a broker that is away for longer than
    a session fences such a member as its own double, for good.
    `fetch.queue.backoff.ms`: its default idles two thirds of a catch-up.
    """
    return connection.settings(
        group_id=group,
        client_id=client,
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


def producer_settings(connection: Connection, transactional_id: str) -> Settings:
    """The settings of stage 1's producer.

    Uncompressed: aiokafka reads nothing but gzip without an extra, and a batch is
    dense already. `metadata.recovery.strategy`: who begins anew forgets the coordinator
    that a transaction waits for, and its call never returns. `retry.backoff.ms`: the
    markers of the transaction before take some ms; its default is 100 ms.
    """
    return connection.settings(
        transactional_id=transactional_id,
        transaction_timeout_ms=TRANSACTION_MS,
        metadata_recovery_strategy="none",
        retry_backoff_ms=10,
        linger_ms=0,
        compression_type="none",
    )


PATIENCE_S: Final = 120.0
"""How long brokers may stay away before a worker gives up."""

PAUSE_S: Final = 0.2

Answer = TypeVar("Answer")


def answered(ask: Callable[[], Answer], patience_s: float = PATIENCE_S) -> Answer:
    """What brokers say, asked again as long as the fault may pass.

    Raises WorkerStoppedError where Kafka refuses, UnansweredError where it stays away.
    """
    give_up_at = time.monotonic() + patience_s
    while True:
        try:
            return ask()
        except KafkaException as error:
            cause = error.args[0]
            if cause.fatal() or cause.code() in REFUSING:
                raise refusal(cause) from error
            if time.monotonic() > give_up_at:
                raise UnansweredError(str(refusal(cause))) from error
            log.warning("asked again: %s", reason(error))
            time.sleep(PAUSE_S)


class TopicIdentity(msgspec.Struct, frozen=True):
    """Which topic this is: offsets mean nothing in any other."""

    cluster_id: str
    topic_id: str
    partitions: int


def identify(
    connection: Connection, topic: str = OBSERVATIONS_TOPIC, patience_s: float = 10.0
) -> TopicIdentity:
    """The identity of a topic, which may have been created a moment ago.

    Raises WorkerStoppedError where there is none.
    """
    admin = AdminClient(connection.settings())

    def found() -> TopicIdentity:
        wanted = TopicCollection([topic])
        asked = admin.describe_topics(wanted, request_timeout=ANSWER_SECONDS)
        told = asked[topic].result()
        cluster = str(admin.list_topics(topic, timeout=ANSWER_SECONDS).cluster_id)
        return TopicIdentity(cluster, str(told.topic_id), len(told.partitions))

    try:
        return answered(found, patience_s)
    except WorkerStoppedError as error:
        raise WorkerStoppedError(
            f"topic {topic} at {connection.bootstrap} cannot be described ({error}):"
            " create it, or check the address and the rights"
        ) from error


def alive(connection: Connection, timeout_s: float = 3) -> None:
    """Ask brokers whether they are there; raises KafkaException where none answers."""
    AdminClient(connection.settings()).list_topics(timeout=timeout_s)


def answers(connection: Connection, timeout_s: float = 3) -> bool:
    """Whether any broker does."""
    try:
        alive(connection, timeout_s)
    except KafkaException:
        return False
    return True


def create_topics(
    connection: Connection, partitions: int, replication: int = -1
) -> None:
    """Create the observations and the dead-letter topic where they do not exist.

    `replication` -1 leaves it to the broker. Raises WorkerStoppedError where the
    broker refuses or does not answer.
    """
    admin = AdminClient(connection.settings())
    wanted = [
        NewTopic(OBSERVATIONS_TOPIC, partitions, replication),
        NewTopic(DEAD_LETTER_TOPIC, 1, replication),
    ]
    for name, done in admin.create_topics(wanted).items():
        try:
            done.result(ANSWER_SECONDS)
        except TimeoutError:
            raise WorkerStoppedError(
                f"Kafka at {connection.bootstrap} does not answer: check the address"
            ) from None
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise WorkerStoppedError(
                    f"topic {name} cannot be created: {reason(error)}"
                ) from error


def reason(error: KafkaException) -> str:
    """An error as a person reads it."""
    cause = error.args[0]
    return f"{cause.name()}: {cause.str()}"


def was_fenced(cause: KafkaError) -> bool:
    """Whether somebody else has our name by now, or we stood still for too long."""
    return cause.code() in _FENCED or "fenced" in cause.str().lower()


_FENCED: Final = frozenset(
    {
        KafkaError._FENCED,  # noqa: SLF001 - librdkafka's own codes begin so
        KafkaError.PRODUCER_FENCED,
        KafkaError.INVALID_PRODUCER_EPOCH,
    }
)


def refusal(cause: KafkaError) -> WorkerStoppedError:
    """The end of a worker whom Kafka refuses, with what to do about it."""
    text = f"{cause.name()}: {cause.str()}"
    if cause.code() in CREDENTIALS:
        return WorkerStoppedError(
            f"Kafka does not let us in: {text}: check sasl.* in DBSLO_KAFKA_OPTIONS"
        )
    if was_fenced(cause):
        return WorkerStoppedError(
            f"another worker runs in our slot ({text}): give every ingest worker a slot"
            " of its own"
        )
    return WorkerStoppedError(f"Kafka does not let us go on: {text}")


CREDENTIALS: Final = frozenset(
    {KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED}  # noqa: SLF001
)

REFUSING: Final = CREDENTIALS | frozenset(
    {
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
        KafkaError.UNSUPPORTED_VERSION,
        KafkaError._INVALID_ARG,  # noqa: SLF001
    }
)
"""Answers that stay the same however often we ask."""

PASSING: Final = frozenset(
    {
        KafkaError._ALL_BROKERS_DOWN,  # noqa: SLF001
        KafkaError._TRANSPORT,  # noqa: SLF001
        KafkaError._RESOLVE,  # noqa: SLF001
        KafkaError._TIMED_OUT,  # noqa: SLF001
        KafkaError._MAX_POLL_EXCEEDED,  # noqa: SLF001
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.LEADER_NOT_AVAILABLE,
    }
)
"""Errors between records that the client mends itself as we poll on, or joins anew."""
END_OF_PARTITION: Final = KafkaError._PARTITION_EOF  # noqa: SLF001
OUT_OF_RANGE: Final = KafkaError._AUTO_OFFSET_RESET  # noqa: SLF001
