"""Facts that came to this partition, while our inventory counts them in another.

Stage 1 sends by its inventory, stage 2 counts by its own. Where the two differ, what is
not counted here would be counted nowhere: nothing is read on until they agree.
"""

from collections.abc import Callable
from functools import cached_property

from slo.plan import Plan
from streams.store import PlacementError


class Elsewhere:
    """What a plan reads in other partitions; `mine` tells of a cluster."""

    def __init__(self, plan: Plan, mine: Callable[[str], bool]) -> None:
        self._plan = plan
        self._mine = mine

    @cached_property
    def _clusters(self) -> dict[str, str]:
        """By resource; made where something is not read here, which is seldom."""
        return {
            part.facts_key: series.home
            for series in self._plan.series
            if not self._mine(series.home)
            for part in series.counted
        }

    def refuse(self, resource: str) -> None:
        """Raise PlacementError where an SLO reads a resource in another partition."""
        cluster = self._clusters.get(resource)
        if cluster is not None:
            raise PlacementError(
                f"ingest sent {resource} to a partition that is not the one of"
                f" {cluster}, where our inventory has it: ingest and evaluate run with"
                " different inventories, or numbers of partitions. Nothing of it was"
                " skipped. Stop both, run `dbslo move` with the newer inventory, and"
                " start both with that"
            )
