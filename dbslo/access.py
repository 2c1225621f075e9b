"""How this process reaches Kafka, by its settings."""

from dbslo.settings import Settings
from streams.kafka import Connection

MSK = {"security.protocol": "SASL_SSL", "sasl.mechanism": "OAUTHBEARER"}
"""What brokers of Amazon MSK ask for; options that say otherwise win."""


def connection_of(settings: Settings) -> Connection:
    """The connection; raises WorkerStoppedError where it needs what is not installed."""
    options = settings.kafka_options
    if not settings.kafka_iam_region:
        return Connection(settings.kafka, options)
    from streams.runtimes.tokens import iam_tokens  # noqa: PLC0415 - who asks for it waits

    tokens = iam_tokens(settings.kafka_iam_region)
    return Connection(settings.kafka, {**MSK, **options}, tokens)
