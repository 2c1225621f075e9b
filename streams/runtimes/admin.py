"""What brokers are asked about topics and logs, by a client that is made anew.

A client that nobody answers may have lost its brokers for good, without a word: see
`streams.runtimes.hearing`. It holds nothing of ours, so the next question goes out from
another one.
"""

from collections.abc import Mapping
from concurrent.futures import Future

from confluent_kafka import IsolationLevel, KafkaException
from confluent_kafka import TopicPartition as Offset
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._listoffsets import ListOffsetsResultInfo, OffsetSpec
from confluent_kafka.admin._metadata import ClusterMetadata

from streams.kafka import ANSWER_SECONDS, Connection


class Admin:
    """Asks one cluster's brokers, from one thread."""

    def __init__(self, connection: Connection) -> None:
        self._settings = connection.settings()
        self._client = AdminClient(self._settings)

    def list_topics(self, timeout_s: float = ANSWER_SECONDS) -> ClusterMetadata:
        """Every topic; raises KafkaException where nobody answers in time."""
        try:
            return self._client.list_topics(timeout=timeout_s)
        except KafkaException:
            self._client = AdminClient(self._settings)
            raise

    def list_offsets(
        self, wanted: Mapping[Offset, OffsetSpec]
    ) -> dict[Offset, Future[ListOffsetsResultInfo]]:
        """Where logs begin or end, transactions still open included.

        Whoever hears nothing asks for the topics: that is where a client is replaced.
        """
        return self._client.list_offsets(
            dict(wanted),
            isolation_level=IsolationLevel.READ_UNCOMMITTED,
            request_timeout=ANSWER_SECONDS,
        )
