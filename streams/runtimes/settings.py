"""How workers run: where Kafka is, who they are, which topics are ours."""

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from slo.model import SECOND
from slo.names import (
    DEAD_LETTER_TOPIC,
    EVALUATE_GROUP,
    INGEST_GROUP,
    OBSERVATIONS_TOPIC,
)
from streams.kafka import SESSION_MS, Connection

MAX_FETCH_BYTES: Final = 4 * 1024 * 1024

FAR_BEHIND = 100_000
"""Messages of lag that make a catch-up: nobody waits for the newest record then, and
fewer, larger transactions get us there sooner."""


class IngestSettings(msgspec.Struct, frozen=True):
    """How a stage 1 worker runs.

    `slot` is stable over restarts and unique among the workers: its successor ends
    what a killed worker left open. A fold is handed over after `flush_ms`, marks
    alone after `idle_ms`, and the folds of a catch-up after `behind_ms`.
    """

    connection: Connection
    slot: str = "0"
    group: str = INGEST_GROUP
    observations: str = OBSERVATIONS_TOPIC
    dead_letters: str = DEAD_LETTER_TOPIC
    flush_ms: int = 100
    idle_ms: int = 250
    behind_ms: int = 500

    @property
    def client(self) -> str:
        """What brokers call it, and its transactions."""
        return f"{self.group}-{self.slot}"

    def due_ms(self, waiting: int, lag: Iterable[int]) -> int:
        """After how long a fold of so many records is handed over."""
        if not waiting:
            return self.idle_ms
        return self.behind_ms if sum(lag) >= FAR_BEHIND else self.flush_ms


class EvaluateSettings(msgspec.Struct, frozen=True):
    """How a stage 2 worker runs; `slot` is unique among the workers and stable."""

    connection: Connection
    slot: str = "0"
    group: str = EVALUATE_GROUP
    observations: str = OBSERVATIONS_TOPIC

    @property
    def client(self) -> str:
        """What brokers call it."""
        return f"{self.group}-{self.slot}"


def faust_settings(own: EvaluateSettings, folder: str) -> dict[str, Any]:
    """The same for Faust's application, but for who we are."""
    return {
        "id": own.group,
        "broker": [
            f"kafka://{at.strip()}" for at in own.connection.bootstrap.split(",")
        ],
        "broker_session_timeout": SESSION_MS / SECOND,
        "broker_heartbeat_interval": 0.5,
        "broker_client_id": own.client,
        "consumer_auto_offset_reset": "none",
        "consumer_max_fetch_size": MAX_FETCH_BYTES,
        "processing_guarantee": "at_least_once",
        "stream_wait_empty": False,
        "topic_allow_declare": False,
        "topic_disable_leader": True,
        "web_enabled": False,
        "datadir": folder,
    }
