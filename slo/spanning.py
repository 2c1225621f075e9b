"""SLOs that span clusters: one series that adds up what its members count.

Its members' facts go to the partition of the series' own name as well, so that one
worker sees all of them, whoever evaluates their clusters.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from slo.model import SLO, Feed, Series
from slo.resources import Cluster, Resource

ALL: Final = "all"
"""The resource of a series that spans clusters."""


def spanning(slo: SLO, fed: Sequence[Series]) -> list[Series]:
    """One series over all that were matched: `<slo>/all`, on the cluster `all:<slo>`.

    No cluster of an inventory can bear that name, for names hold no colon.
    """
    if not fed:
        return []
    clusters = {one.cluster.name: one.cluster for one in fed}.values()
    envs = {cluster.env for cluster in clusters}
    whole = Cluster(
        name=f"{ALL}:{slo.name}",
        engine=fed[0].cluster.engine,
        labels={"env": envs.pop()} if len(envs) == 1 else {},
        cdc_prefixes=tuple(p for cluster in clusters for p in cluster.cdc_prefixes),
    )
    members = tuple(msgspec.structs.replace(one, part_of=whole.name) for one in fed)
    resource = Resource(ALL, fed[0].resource.kind, whole.name)
    return [Series(slo, resource, whole, _latest(fed), members)]


def _latest(fed: Sequence[Series]) -> tuple[Feed, ...]:
    """The feeds of the member whose data may come latest: nothing is missed before."""
    return max((one.feeds for one in fed), key=lambda feeds: feeds[0].arrival_lag_ms)
