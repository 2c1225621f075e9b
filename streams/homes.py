"""Where each cluster, resource and series lives, for a number of partitions."""

from collections.abc import Iterable

from slo.model import Series
from slo.plan import Plan
from streams.partition import partition_of

RESOURCE = "@"
"""What begins the name of a resource in the placement; clusters stand as they are."""


def placement(series: Iterable[Series], partition: int) -> dict[str, int]:
    """The rows of the placement for the series of one partition."""
    names = {
        name
        for one in series
        for part in one.counted
        for name in (one.home, f"{RESOURCE}{part.facts_key}")
    }
    return dict.fromkeys(sorted(names), partition)


class Homes:
    """The partition of whatever a plan knows, None for what it does not.

    `partitions` is how many there are. A series lives where its cluster does.
    """

    def __init__(self, plan: Plan, partitions: int) -> None:
        self.partitions = partitions
        self._series: dict[str, int] = {}
        self._resources = {
            resource.key: self.of_cluster(cluster.name)
            for cluster in plan.inventory.clusters
            for resource in cluster.resources
        }
        for series in plan.series:
            home = self.of_cluster(series.home)
            self._series[series.key] = home
            for part in series.counted:
                self._series[part.key] = self._resources[part.facts_key] = home

    def of_cluster(self, name: str) -> int:
        """The partition of a cluster, whether the plan knows it or not."""
        return partition_of(name, self.partitions)

    def of_resource(self, key: str) -> int | None:
        """The partition of a resource, as routes and facts name it."""
        return self._resources.get(key)

    def of_series(self, key: str) -> int | None:
        """The partition of a series, by its key."""
        return self._series.get(key)

    def placed(self, name: str, now: int) -> int:
        """Where a row of the placement belongs that stands at `now`.

        What the plan no longer knows keeps its partition, where there still is one.
        """
        if not name.startswith(RESOURCE):
            return self.of_cluster(name)
        home = self.of_resource(name.removeprefix(RESOURCE))
        return now % self.partitions if home is None else home
