"""From SLOs and inventory to series: one specification, a fleet."""

from collections.abc import Iterable, Sequence

import msgspec

from slo.model import (
    SLO,
    Cluster,
    Entry,
    Feed,
    Inventory,
    Resource,
    ResourceKind,
    Series,
)
from slo.names import duration
from slo.reading import Findings, nearest

_SELECTOR = "spec.indicator.selector"


class _Match(msgspec.Struct, frozen=True):
    """A cluster that a selector takes in, with the resources it takes."""

    cluster: Cluster
    resources: tuple[Resource, ...]


def expand(
    slos: Sequence[SLO], inventory: Inventory, findings: Findings
) -> tuple[Series, ...]:
    """Every SLO on every resource that its selector matches and a source can feed.

    A selector that matches nothing, and an SLI that no source can feed on any
    cluster matched, are faults; single clusters that cannot be fed are warnings.
    """
    series: list[Series] = []
    for slo in slos:
        matches = [m for c in inventory.clusters if (m := _match(slo, c)) is not None]
        if not matches:
            _fault_of_nothing(slo, inventory, findings)
            continue
        found = [(match, _series_on(slo, match)) for match in matches]
        _report_unfed(slo, found, findings)
        fed = [one for _, several in found for one in several]
        _refuse_same_keys(slo, fed, findings)
        _check_feeds(slo, fed, findings)
        series.extend(fed)
    return tuple(series)


# -- selecting -------------------------------------------------------------------------


def _match(slo: SLO, cluster: Cluster) -> _Match | None:
    labels = {**cluster.labels, "cluster": cluster.name, "engine": cluster.engine.value}
    wanted = dict(slo.selector)
    names = wanted.pop("resource", None)
    if not all(_holds(labels.get(key), value) for key, value in wanted.items()):
        return None
    resources = tuple(
        r for r in cluster.resources if names is None or _holds(r.name, names)
    )
    return _Match(cluster, resources) if resources else None


def _holds(label: str | None, wanted: str) -> bool:
    """Whether a label has one of the wanted values; both may be lists with commas."""
    if label is None:
        return False
    return label == wanted or not set(label.split(",")).isdisjoint(wanted.split(","))


def _fault_of_nothing(slo: SLO, inventory: Inventory, findings: Findings) -> None:
    text = ", ".join(f"{key}: {value}" for key, value in slo.selector.items())
    reason = f"the selector {{{text}}} of {slo.name} matches nothing in the inventory"
    findings.fault(slo.place, _SELECTOR, reason, _hint(slo, inventory))


def _hint(slo: SLO, inventory: Inventory) -> str:
    """The first part of the selector that nothing in the fleet bears."""
    for key, value in slo.selector.items():
        known = _values(key, inventory)
        if not known:
            return f"No cluster has a label {key}. {nearest(key, _keys(inventory))}"
        if not any(_holds(word, value) for word in known):
            return f"No {key} is {value}. {nearest(value, known)}"
    return "No single cluster has all of these; look into the inventory"


def _keys(inventory: Inventory) -> set[str]:
    labels = {key for cluster in inventory.clusters for key in cluster.labels}
    return labels | {"cluster", "engine", "resource"}


def _values(key: str, inventory: Inventory) -> set[str]:
    """Every value of a label or pseudo-label in the fleet."""
    match key:
        case "cluster":
            return {c.name for c in inventory.clusters}
        case "engine":
            return {c.engine.value for c in inventory.clusters}
        case "resource":
            return {r.name for c in inventory.clusters for r in c.resources}
        case _:
            return {c.labels[key] for c in inventory.clusters if key in c.labels}


# -- feeding ---------------------------------------------------------------------------


def _series_on(slo: SLO, match: _Match) -> list[Series]:
    found = []
    for resource in match.resources:
        feeds = feeds_of(slo.indicator, match.cluster, resource)
        if feeds:
            found.append(Series(slo, resource, match.cluster, feeds))
    return found


def feeds_of(entry: Entry, cluster: Cluster, resource: Resource) -> tuple[Feed, ...]:
    """The feeds of an SLI that fit an engine and a resource, by preference."""
    return tuple(
        feed
        for feed in entry.feeds
        if cluster.engine in feed.engines and feed.resource is resource.kind
    )


def _report_unfed(
    slo: SLO, found: Iterable[tuple[_Match, list[Series]]], findings: Findings
) -> None:
    found = list(found)
    unfed = [match for match, series in found if not series]
    if not unfed:
        return
    names = ", ".join(f"{m.cluster.name} ({m.cluster.engine.value})" for m in unfed[:3])
    if len(unfed) > 3:
        names += f" and {len(unfed) - 3} more"
    reason = f"no source can feed {slo.indicator.id} on {names}"
    remedy = f"It is fed by {fed_by(slo.indicator)}"
    if len(unfed) == len(found):
        findings.fault(slo.place, "spec.indicator.sli", reason, remedy)
    else:
        findings.warn(slo.place, "spec.indicator.sli", reason, remedy)


def fed_by(entry: Entry) -> str:
    """The sources that feed an SLI, with engines and the kind of resource."""
    listed = []
    for feed in entry.feeds:
        engines = ", ".join(engine.value for engine in feed.engines)
        listed.append(f"{feed.source} on {_WORDS[feed.resource]} of {engines}")
    return "; ".join(listed)


_WORDS = {
    ResourceKind.INSTANCE: "instances",
    ResourceKind.PROXY: "proxies",
    ResourceKind.CDC: "cdc_prefixes",
}


def _refuse_same_keys(slo: SLO, fed: Sequence[Series], findings: Findings) -> None:
    """Two resources of one name would share a ledger."""
    seen: dict[str, Series] = {}
    for one in fed:
        if one.key in seen:
            kinds = f"{seen[one.key].resource.kind.value} and {one.resource.kind.value}"
            reason = f"{one.resource.name} is the name of an {kinds}, both fed"
            findings.fault(slo.place, _SELECTOR, reason, "Rename one in the inventory")
        seen[one.key] = one


def _check_feeds(slo: SLO, fed: Sequence[Series], findings: Findings) -> None:
    """Slices that a source cannot fill, and thresholds that idleness reaches."""
    feeds = {feed: one for one in fed for feed in one.feeds}
    slow = [one for one in fed if slo.sliced and _too_slow(slo, one.feeds)]
    if slow:
        cadence = duration(min(feed.cadence_ms for feed in slow[0].feeds))
        reason = (
            f"slices of {duration(slo.slice_ms)} stay empty on"
            f" {slow[0].resource.name}: its sources speak every {cadence}"
        )
        findings.fault(
            slo.place,
            "spec.objectives[0].timeSliceWindow",
            reason,
            f"Write {cadence} or more",
        )
    limit = slo.indicator.threshold
    for feed, one in feeds.items():
        if (
            feed.idle_value is not None
            and limit is not None
            and limit < feed.idle_value
        ):
            reason = f"{one.cluster.name}: {feed.idle}"
            remedy = f"Write a threshold of {feed.idle_value:g} or more"
            findings.warn(slo.place, "spec.indicator.threshold", reason, remedy)


def _too_slow(slo: SLO, feeds: Sequence[Feed]) -> bool:
    return min(feed.cadence_ms for feed in feeds) > slo.slice_ms
