"""From SLOs and inventory to series: one specification, a fleet."""

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from slo.inventory import PSEUDO_LABELS
from slo.model import SLO, Entry, Feed, Place, Series
from slo.names import duration
from slo.reading import nearest
from slo.resources import (
    Cluster,
    Doubt,
    Engine,
    Inventory,
    Resource,
    ResourceKind,
)
from slo.spanning import spanning
from slo.specification import Specified

_PLURALS: Final = {
    ResourceKind.INSTANCE: "instances",
    ResourceKind.PROXY: "proxies",
    ResourceKind.CDC: "cdc_prefixes",
}
_NAMED: Final = 3
"""How many names a message lists before it counts the rest."""


class _Match(msgspec.Struct, frozen=True):
    """A cluster that a selector takes in, with the series that come of it."""

    cluster: Cluster
    series: tuple[Series, ...]


def expand(specified: Sequence[Specified], inventory: Inventory) -> tuple[Series, ...]:
    """Every SLO on every resource that its selector matches and a source can feed.

    A selector that matches nothing, a value in it that nothing bears, and an SLI that
    no source can feed on any cluster matched, are faults; single clusters that cannot
    be fed are warnings. They go to the findings of the specifications.

    Where the inventory has faults it is judged by what could be read: nothing is said
    against a selector that a cluster in doubt might still match.
    """
    series: list[Series] = []
    known = _Known(inventory)
    for one in specified:
        matches = _matches(one.slo, inventory)
        possible = any(_may_match(one.slo, doubt) for doubt in inventory.doubts)
        wrong = _fault_of_words(one, known)
        if not matches:
            if not wrong and not possible:
                _fault_of_nothing(one)
            continue
        fed = [found for match in matches for found in match.series]
        _report_unfed(one, matches, possible=possible)
        _refuse_same_keys(one, fed)
        _refuse_empty_slices(one, fed)
        _warn_of_idleness(one, fed)
        series.extend(spanning(one.slo, fed) if one.slo.across else fed)
    return tuple(series)


# -- selecting -------------------------------------------------------------------------


def _matches(slo: SLO, inventory: Inventory) -> list[_Match]:
    wanted = {key: _words(text) for key, text in slo.selector.items()}
    clusters, names = wanted.pop("cluster", None), wanted.pop("resource", None)
    found = []
    for cluster in inventory.clusters:
        if clusters is not None and cluster.name not in clusters:
            continue  # the common case of a large fleet: one cluster by its name
        if all(_bears(cluster, key, values) for key, values in wanted.items()):
            resources = [
                r for r in cluster.resources if names is None or r.name in names
            ]
            if resources:
                found.append(_Match(cluster, tuple(_fed(slo, cluster, resources))))
    return found


def _words(text: str) -> frozenset[str]:
    """The values of a selector, which are written with commas between."""
    return frozenset(word.strip() for word in text.split(","))


def _bears(cluster: Cluster, key: str, values: frozenset[str]) -> bool:
    """Whether a cluster's label has one of the values; it may hold several itself."""
    if key == "engine":
        return cluster.engine.value in values
    label = cluster.labels.get(key)
    return label is not None and not values.isdisjoint(_words(label))


def _fed(slo: SLO, cluster: Cluster, resources: Iterable[Resource]) -> list[Series]:
    feeds = {kind: feeds_of(slo.indicator, cluster, kind) for kind in ResourceKind}
    return [
        Series(slo, resource, cluster, feeds[resource.kind])
        for resource in resources
        if feeds[resource.kind]
    ]


def feeds_of(entry: Entry, cluster: Cluster, kind: ResourceKind) -> tuple[Feed, ...]:
    """The feeds of an SLI that fit an engine and a kind of resource, by preference."""
    return tuple(
        feed
        for feed in entry.feeds
        if cluster.engine in feed.engines and feed.resource is kind
    )


def _may_match(slo: SLO, doubt: Doubt) -> bool:
    """Whether a selector matches what is known of a cluster in doubt."""
    cluster, unread = doubt.cluster, doubt.unread
    if not unread & {"cluster", "resource"} and not cluster.resources:
        return False
    for key, text in slo.selector.items():
        part = key if key in PSEUDO_LABELS else "labels"
        if part not in unread and not _has(cluster, key, _words(text)):
            return False
    return True


def _has(cluster: Cluster, key: str, values: frozenset[str]) -> bool:
    """Whether a cluster has one of the values, whatever the key asks for."""
    if key == "cluster":
        return cluster.name in values
    if key == "resource":
        return any(resource.name in values for resource in cluster.resources)
    return _bears(cluster, key, values)


class _Known:
    """What there is to select by: keys, and the values of each in the whole fleet."""

    def __init__(self, inventory: Inventory) -> None:
        self._doubts = inventory.doubts
        self._clusters = [
            *inventory.clusters,
            *(doubt.cluster for doubt in inventory.doubts),
        ]
        labels = {key for cluster in self._clusters for key in cluster.labels}
        self.keys = labels | set(PSEUDO_LABELS)
        self._values: dict[str, set[str]] = {}

    def in_doubt(self, key: str) -> bool:
        """Whether the fleet may hold more of a key than could be read."""
        part = key if key in PSEUDO_LABELS else "labels"
        return any(part in doubt.unread for doubt in self._doubts)

    def values(self, key: str) -> set[str]:
        """Every value of a label or pseudo-label in the fleet."""
        if key not in self._values:
            self._values[key] = self._all(key)
        return self._values[key]

    def _all(self, key: str) -> set[str]:
        match key:
            case "cluster":
                return {c.name for c in self._clusters if c.name}
            case "engine":
                return {c.engine.value for c in self._clusters}
            case "resource":
                return {r.name for c in self._clusters for r in c.resources}
            case _:
                labels = (c.labels.get(key, "") for c in self._clusters)
                return {word for label in labels for word in _words(label) if word}


def _fault_of_words(one: Specified, known: _Known) -> bool:
    """A fault for every key and value of a selector that no cluster bears."""
    faults = len(one.source.findings.faults)
    selector = one.source.node("selector")
    written = selector.value if selector is not None else {}
    for key, text in one.slo.selector.items():
        place = written[key].place if key in written else one.source.place
        words = sorted(_words(text))
        if key not in known.keys:
            if not known.in_doubt(key):
                remedy = f"No cluster has a label {key}. {nearest(key, known.keys)}"
                _refuse(one, place, key, text, remedy)
            continue
        for word in words:
            if word not in known.values(key) and not _may_be(word, key, known):
                remedy = f"No {key} is {word}. {_hint(word, key, known)}"
                _refuse(one, place, key, word, remedy)
    return len(one.source.findings.faults) > faults


def _hint(word: str, key: str, known: _Known) -> str:
    """An engine that the fleet has not is no typing error."""
    if key == "engine" and word in set(Engine):
        return "Remove it until a cluster has it"
    return nearest(word, known.values(key))


def _may_be(word: str, key: str, known: _Known) -> bool:
    """Whether a value may stand where the inventory could not be read."""
    return known.in_doubt(key) and (key != "engine" or word in set(Engine))


def _refuse(one: Specified, place: Place, key: str, word: str, remedy: str) -> None:
    reason = f"{{{key}: {word}}} of {one.slo.name} matches nothing in the inventory"
    path = f"{one.source.key('selector')}.{key}"
    one.source.findings.fault(place, path, reason, remedy)


def _fault_of_nothing(one: Specified) -> None:
    text = ", ".join(f"{key}: {value}" for key, value in one.slo.selector.items())
    reason = f"{{{text}}} of {one.slo.name} matches nothing in the inventory"
    remedy = "No single cluster has all of these; look into the inventory"
    one.source.fault("selector", reason, remedy)


# -- feeding ---------------------------------------------------------------------------


def _report_unfed(one: Specified, matches: Sequence[_Match], *, possible: bool) -> None:
    """Clusters that no source can feed: a fault where that is all of them.

    `possible`: a cluster in doubt may match too, and may be fed.
    """
    unfed = [match.cluster for match in matches if not match.series]
    if not unfed:
        return
    names = ", ".join(f"{c.name} ({c.engine.value})" for c in unfed[:_NAMED])
    if len(unfed) > _NAMED:
        names += f" and {len(unfed) - _NAMED} more"
    reason = f"no source can feed {one.slo.indicator.id} of {one.slo.name} on {names}"
    remedy = f"It is fed by {fed_by(one.slo.indicator)}"
    key = "sli" if one.source.has("sli") else "source"
    if len(unfed) == len(matches) and not possible:
        one.source.fault(key, reason, remedy)
    else:
        one.source.warn(key, reason, remedy)


def fed_by(entry: Entry) -> str:
    """The sources that feed an SLI, with engines and the kind of resource."""
    return "; ".join(
        f"{feed.source} on {_PLURALS[feed.resource]} of"
        f" {', '.join(engine.value for engine in feed.engines)}"
        for feed in entry.feeds
    )


def _refuse_same_keys(one: Specified, fed: Sequence[Series]) -> None:
    """Two resources of one name would share a ledger."""
    seen: dict[str, Series] = {}
    for series in fed:
        other = seen.setdefault(series.key, series)
        if other is not series:
            kinds = f"{other.resource.kind.value} and {series.resource.kind.value}"
            reason = f"{series.resource.name} is the name of both {kinds}, both are fed"
            one.source.fault("selector", reason, "Rename one of them in the inventory")


def _refuse_empty_slices(one: Specified, fed: Sequence[Series]) -> None:
    """A source must speak at least once in every slice."""
    if not one.slo.sliced:
        return
    for series in fed:
        cadence = min(feed.cadence_ms for feed in series.feeds)
        if cadence > one.slo.slice_ms:
            reason = (
                f"slices of {duration(one.slo.slice_ms)} of {one.slo.name} stay empty on"
                f" {series.resource.name}: its sources speak every {duration(cadence)}"
            )
            remedy = f"Write `timeSliceWindow: {duration(cadence)}` or more"
            one.source.findings.fault(
                one.slo.place, "spec.objectives[0].timeSliceWindow", reason, remedy
            )
            return


def _warn_of_idleness(one: Specified, fed: Sequence[Series]) -> None:
    """A threshold that an idle database reaches by itself burns on quiet nights."""
    limit = one.slo.indicator.threshold
    if limit is None:
        return
    told: set[float] = set()
    for series in fed:
        for feed in series.feeds:
            value = feed.idle_value
            if value is not None and limit < value and value not in told:
                told.add(value)
                reason = f"{one.slo.name} on {series.resource.name}: {feed.idle}"
                remedy = f"Write a threshold above {value:g}, or use a heartbeat SLI"
                one.source.warn("threshold", reason, remedy)
