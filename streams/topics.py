"""Which topics are read, in which format, and whose inputs they are."""

import re
from collections.abc import Mapping

import msgspec

from slo.names import CLOUDWATCH_TOPIC, DATADOG_TOPIC, DEBEZIUM_HEARTBEAT_PREFIX
from slo.resources import (
    Inventory,
)

DEBEZIUM = "debezium"
AUTO = "auto"
DEFAULT_SHARED = {CLOUDWATCH_TOPIC: "cloudwatch", DATADOG_TOPIC: "datadog"}


class Topics(msgspec.Struct, frozen=True):
    """The raw topics: shared ones by name, CDC ones by the inventory's prefixes.

    `shared` maps a topic to its format (`cloudwatch`, `datadog`, `vector`, or
    `auto` for the sniffer). `prefixes` maps a CDC topic prefix to its cluster.
    """

    shared: dict[str, str]
    prefixes: dict[str, str]

    def prefix_of(self, topic: str) -> str | None:
        """The CDC prefix that a topic belongs to, None for shared and unknown ones."""
        if topic in self.shared:
            return None
        bare = topic.removeprefix(DEBEZIUM_HEARTBEAT_PREFIX)
        if bare in self.prefixes:
            return bare
        while "." in bare:
            bare = bare.rpartition(".")[0]
            if bare in self.prefixes:
                return bare
        return None

    def format_of(self, topic: str) -> str:
        """The format of a topic; `auto` where nothing says."""
        found = self.shared.get(topic)
        if found is not None:
            return found
        return DEBEZIUM if self.prefix_of(topic) is not None else AUTO

    def is_source(self, topic: str) -> bool:
        """Whether a topic is one of those that the fleet's events come in."""
        return topic in self.shared or self.prefix_of(topic) is not None

    def subscription(self) -> list[str]:
        """What a consumer subscribes to: names, and `^` patterns for CDC topics."""
        patterns = [
            f"^({re.escape(DEBEZIUM_HEARTBEAT_PREFIX)})?{re.escape(prefix)}(\\..*)?$"
            for prefix in sorted(self.prefixes)
        ]
        return [*sorted(self.shared), *patterns]

    def by_cluster(
        self, inputs: Mapping[str, int]
    ) -> tuple[list[tuple[str, int]], dict[str, list[tuple[str, int]]]]:
        """Everybody's (topic, partition) pairs, and those of each cluster alone.

        `inputs` names every source topic with its number of partitions. Shared
        topics are everybody's inputs, CDC topics those of their own cluster.
        """
        shared: list[tuple[str, int]] = []
        own: dict[str, list[tuple[str, int]]] = {}
        for topic, partitions in inputs.items():
            prefix = self.prefix_of(topic)
            mine = (
                shared if prefix is None else own.setdefault(self.prefixes[prefix], [])
            )
            mine.extend((topic, number) for number in range(partitions))
        return shared, own


def topics_of(inventory: Inventory, shared: Mapping[str, str] | None = None) -> Topics:
    """The topics of a fleet; `shared` replaces the default shared topics."""
    return Topics(
        shared=dict(DEFAULT_SHARED if shared is None else shared),
        prefixes={p: c.name for c in inventory.clusters for p in c.cdc_prefixes},
    )
