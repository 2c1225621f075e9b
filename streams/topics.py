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
        owners = [p for p in self.prefixes if bare.startswith(f"{p}.")]
        return max(owners, key=len, default=None)

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

    def inputs_of(
        self, cluster: str, inputs: Mapping[str, int]
    ) -> list[tuple[str, int]]:
        """The (topic, partition) pairs that carry a cluster's events.

        `inputs` names every source topic with its number of partitions. Shared
        topics are everybody's inputs, CDC topics those of their own cluster.
        """
        found: list[tuple[str, int]] = []
        for topic, partitions in inputs.items():
            prefix = self.prefix_of(topic)
            if prefix is None or self.prefixes[prefix] == cluster:
                found.extend((topic, number) for number in range(partitions))
        return found


def topics_of(inventory: Inventory, shared: Mapping[str, str] | None = None) -> Topics:
    """The topics of a fleet; `shared` replaces the default shared topics."""
    return Topics(
        shared=dict(DEFAULT_SHARED if shared is None else shared),
        prefixes={p: c.name for c in inventory.clusters for p in c.cdc_prefixes},
    )
