"""Whether Kafka lets us in, and what to see to where it does not."""

import time
from collections.abc import Iterable
from typing import Final

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from streams.kafka import ANSWER_SECONDS, Connection, WorkerStoppedError

OPTIONS: Final = "DBSLO_KAFKA_OPTIONS"

LOOK_S: Final = 1.0
PAUSE_S: Final = 0.1

UNKNOWN_BROKER: Final = (
    "check DBSLO_KAFKA, and security.protocol in DBSLO_KAFKA_OPTIONS"
)

REMEDIES: Final = {
    KafkaError._AUTHENTICATION: "check sasl.mechanism, sasl.username and sasl.password",  # noqa: SLF001 - librdkafka's own codes begin so
    KafkaError.SASL_AUTHENTICATION_FAILED: "check sasl.username and sasl.password",
    KafkaError.UNSUPPORTED_SASL_MECHANISM: "check sasl.mechanism",
    KafkaError._SSL: "check ssl.ca.location, ssl.certificate.location and"  # noqa: SLF001
    " ssl.key.location",
}
"""What is wrong where a broker answers and does not let us in."""


def prove(connection: Connection, seconds: float = ANSWER_SECONDS) -> None:
    """Ask Kafka anything; raises WorkerStoppedError that names the setting to see to.

    It never tells what the settings hold. Where nobody answers within `seconds`,
    that is said.
    """
    heard: list[KafkaError] = []
    settings = connection.settings(error_cb=heard.append)
    settings["error_cb"] = settings.pop("error.cb")
    try:
        admin = AdminClient(settings)
    except KafkaException as error:
        raise WorkerStoppedError(
            f"Kafka's client does not take its settings: {error.args[0].str()}: check"
            f" {OPTIONS}"
        ) from None
    give_up_at = time.monotonic() + seconds
    while not _lists(admin):
        admin.poll(PAUSE_S)
        refused = _refused(heard)
        if refused:
            raise WorkerStoppedError(refused)
        if time.monotonic() > give_up_at:
            where = f"Kafka at {connection.bootstrap} does not answer"
            raise WorkerStoppedError(f"{where}: {UNKNOWN_BROKER}")


def _lists(admin: AdminClient) -> bool:
    try:
        admin.list_topics(timeout=LOOK_S)
    except KafkaException:
        return False
    return True


def _refused(heard: Iterable[KafkaError]) -> str:
    """What a broker said that will not pass by itself; "" where none said any."""
    for error in heard:
        remedy = REMEDIES.get(error.code())
        if remedy is not None:
            said = error.str().partition(" (after ")[0]
            return f"Kafka does not let us in: {said}: {remedy} in {OPTIONS}"
    return ""
