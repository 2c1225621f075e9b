"""Giving a topic another number of partitions: grown in place, or made anew for fewer."""

from concurrent.futures import Future

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import ConfigResource, ConfigSource
from confluent_kafka.cimpl import NewPartitions, NewTopic

from streams.kafka import (
    ANSWER_SECONDS,
    TopicIdentity,
    WorkerStoppedError,
    answered,
    reason,
)

OWN = ConfigSource.DYNAMIC_TOPIC_CONFIG


def resize(admin: AdminClient, name: str, topic: TopicIdentity, goal: int) -> None:
    """Let a topic have `goal` partitions; `topic` is what it is now, maybe none.

    Kafka takes no partition away: for fewer the topic is deleted with all it holds,
    and made again with its own settings. Raises WorkerStoppedError where the broker
    refuses.
    """
    try:
        if 0 < topic.partitions < goal:
            _grow(admin, name, goal)
        else:
            _make_anew(admin, name, goal, there=topic.partitions > 0)
    except KafkaException as error:
        raise WorkerStoppedError(
            f"topic {name} cannot get {goal} partitions: {reason(error)}"
        ) from error
    answered(lambda: _expect(admin, name, goal))


def _grow(admin: AdminClient, name: str, goal: int) -> None:
    done: Future[None] = admin.create_partitions([NewPartitions(name, goal)])[name]
    done.result(ANSWER_SECONDS)


def _make_anew(admin: AdminClient, name: str, goal: int, *, there: bool) -> None:
    config: dict[str, str] = {}
    if there:
        config = _config(admin, name)
        admin.delete_topics([name])[name].result(ANSWER_SECONDS)
    wanted = NewTopic(name, goal, -1, config=config)
    # the name is free only once every broker has forgotten the topic
    answered(lambda: admin.create_topics([wanted])[name].result(ANSWER_SECONDS))


def _config(admin: AdminClient, name: str) -> dict[str, str]:
    """The settings that the topic has of its own."""
    asked = ConfigResource(ConfigResource.Type.TOPIC, name)
    found = admin.describe_configs([asked])[asked].result(ANSWER_SECONDS)
    return {
        key: entry.value
        for key, entry in found.items()
        if entry.source == OWN.value and entry.value is not None
    }


def _expect(admin: AdminClient, name: str, goal: int) -> None:
    """Every broker that we ask knows of the partitions; raises KafkaException else."""
    found = admin.list_topics(name, timeout=ANSWER_SECONDS).topics[name]
    if found.error or len(found.partitions) != goal:
        raise KafkaException(KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART))
