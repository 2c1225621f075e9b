"""From a Datadog metric and its tags to a track: who is meant, and where it goes."""

from typing import Final

from slo.model import (
    DAY,
    SECOND,
)
from slo.resources import (
    ResourceKind,
)
from streams.judgement import divisor_of
from streams.outcomes import IRRELEVANT, OK, UNKNOWN_RESOURCE
from streams.routes import tags_text
from streams.sources.source import Intake, Target
from streams.table import Want

NAMING_TAGS: Final = {
    ResourceKind.INSTANCE: (
        "database_instance:",
        "resource.database_instance:",
        "dd.internal.resource:database_instance:",
        "dbinstanceidentifier:",
        "host:",
    ),
    ResourceKind.PROXY: ("proxyname:",),
    ResourceKind.CDC: (),
}
"""The tags that may name a resource, the surest first."""

ABSURD_INTERVAL: Final = "absurd_interval"
MAX_INTERVAL_MS: Final = DAY


class Targets:
    """Finds targets; both Datadog formats use it, so that they agree."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake

    def find(
        self, metric: str, tags: list[str], interval_ms: int, *, counted: bool
    ) -> Target:
        """The target of a metric.

        `interval_ms` is 0 where the wire states none. `counted`: the value is an
        amount per interval, and becomes a rate where the plan reads a rate.
        """
        want = self._want(metric, tags)
        if isinstance(want, str):
            return Target(want)
        if not 0 <= interval_ms <= MAX_INTERVAL_MS:
            return Target(ABSURD_INTERVAL)
        period_ms = interval_ms or want.period_ms
        track = self._intake.fold.track(want, tags_text(tags), period_ms)
        if isinstance(track, str):
            return Target(track)
        divisor = divisor_of(want.scale)
        if counted and want.rate:
            divisor = divisor * period_ms / SECOND
        return Target(OK, track, want.bounds, divisor)

    def _want(self, metric: str, tags: list[str]) -> Want | str:
        outcome = IRRELEVANT
        for tagged in self._intake.table.datadog.get(metric, ()):
            name = self._name(tagged.kind, tags)
            if name is None:
                outcome = UNKNOWN_RESOURCE
            elif name in tagged.wants:
                return tagged.wants[name]
        return outcome

    def _name(self, kind: ResourceKind, tags: list[str]) -> str | None:
        """The resource that the tags name, in the inventory's spelling."""
        fleet = self._intake.table.fleet
        stated = ""
        for prefix in NAMING_TAGS[kind]:
            for tag in tags:
                if not tag.startswith(prefix):
                    continue
                stated = stated or tag.removeprefix(prefix)
                name = fleet.known(kind, tag.removeprefix(prefix))
                if name is not None and self._in_cluster(kind, name, tags):
                    return name
        self._intake.table.unknown_resource(kind, stated or "(no tag names it)")
        return None

    def _in_cluster(self, kind: ResourceKind, name: str, tags: list[str]) -> bool:
        """Whether all tags are there that the inventory asks for."""
        cluster = self._intake.table.fleet.cluster_of(kind, name)
        asked = cluster.datadog_tags if cluster else ()
        small = {tag.lower() for tag in tags}
        return all(tag.lower() in small for tag in asked)
