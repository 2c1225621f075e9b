"""One format, one file: bytes to statements."""

from collections.abc import Callable
from typing import Final

from streams.sources.cloudwatch import CloudWatch
from streams.sources.datadog import Datadog
from streams.sources.debezium import Debezium
from streams.sources.sniff import CLOUDWATCH, DATADOG, DEBEZIUM, VECTOR, sniff
from streams.sources.source import Intake, Source
from streams.sources.vector import Vector

FORMATS: Final[dict[str, Callable[[Intake], Source]]] = {
    CLOUDWATCH: CloudWatch,
    DATADOG: Datadog,
    VECTOR: Vector,
    DEBEZIUM: Debezium,
}
"""Every format that a topic may have."""

FAMILIES: Final = {DATADOG: VECTOR, VECTOR: DATADOG}
"""Formats that share a topic: where a document is not the one, it may be the other."""

__all__ = ["FAMILIES", "FORMATS", "Intake", "Source", "sniff"]
