"""Reading a store: the image of a partition, and what commands look at."""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import msgspec

from slo.evaluation import Judge
from slo.model import BUCKET_MS
from slo.notice import Action, Channel, Notice
from slo.plan import Plan
from slo.verdict import Incident, Verdict
from streams.frontier import Frontier, Saved, spans_of
from streams.image import RESIDENT_HOURS, Image
from streams.pages import kept_from, load
from streams.series import SeriesState
from streams.store import Progress, Store
from streams.topics import Topics
from streams.view import SeriesView, view
from streams.watch import Orphans


class Partition(NamedTuple):
    """A partition as committed: its image, how far it has read, open incidents."""

    image: Image
    frontier: Frontier
    incidents: list[Incident]
    orphans: Orphans


@contextmanager
def _unswept() -> Iterator[None]:
    """Without looking for garbage: all that is made stays, and is looked at each time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def read_partition(
    plan: Plan,
    store: Store,
    topics: Topics,
    progress: Progress,
    mine: Callable[[str], bool],
) -> Partition:
    """Load a partition's image; `mine` tells whose clusters it holds."""
    with _unswept():
        image = Image(plan, mine, store.fact_page, store.ledger_page)
        history = store.history(progress.partition, RESIDENT_HOURS)
        frontier = Frontier(topics, image.by_cluster, spans_of(plan, topics))
        if progress.frontier:
            frontier.restore(msgspec.msgpack.decode(progress.frontier, type=Saved))
        load(image, history, frontier.latest() or 0)
    forgotten = kept_from(image, frontier.oldest() or 0)
    for state in image.series.values():
        state.ledger.forget(forgotten)  # its sums may be older than what pages are left
    for cluster, states in image.by_cluster.items():
        now = frontier.now(cluster) or 0
        for one in (one for state in states for one in (*state.members, state)):
            one.judged_ms = now // BUCKET_MS * BUCKET_MS
    still_open = [one for one in history.incidents if one.resolved_ms is None]
    alerts = [claimed.alert for claimed in history.alerts]
    gone = [
        alert
        for alert in alerts
        if alert.level is not Verdict.OK and alert.series not in image.series
    ]
    orphans = Orphans(gone, _open_tickets(store, {alert.series for alert in gone}))
    return Partition(image, frontier, still_open, orphans)


def _open_tickets(store: Store, series: set[str]) -> list[Notice]:
    return [
        letter.notice
        for letter in (store.letters() if series else ())
        if letter.notice.channel is Channel.TICKET
        and letter.notice.action is Action.TRIGGER
        and {f"{b.slo}/{b.resource}" for b in letter.notice.burning} & series
    ]


def partitions(plan: Plan, store: Store, topics: Topics) -> Iterator[Partition]:
    """Every partition that has history, without taking any."""
    placed = store.placed()
    for number in store.partitions():
        progress = store.progress(number)
        if progress is not None:

            def mine(cluster: str, number: int = number) -> bool:
                return placed.get(cluster) == number

            yield read_partition(plan, store, topics, progress, mine)


def views(plan: Plan, store: Store, topics: Topics) -> list[SeriesView]:
    """Every series at its cluster's now, by key. Never observed ones are included."""
    found = [
        _view(state, plan, partition.frontier.now(cluster) or 0)
        for partition in partitions(plan, store, topics)
        for cluster, states in partition.image.by_cluster.items()
        for state in states
    ]
    return sorted(found, key=lambda one: one.series.key)


def _view(state: SeriesState, plan: Plan, now_ms: int) -> SeriesView:
    judge = Judge(state.series, plan.policy)
    return view(state, judge.status(state.ledger, state.timing, now_ms), now_ms)


def dump(plan: Plan, store: Store, topics: Topics, until_ms: int) -> Iterator[str]:
    """The ledger as sorted lines: series, bucket start in ms, good, total.

    Only buckets and slices that end by `until_ms`, so that two runs of the same
    records can be compared whatever their clocks said at the end.
    """
    states = [
        state
        for partition in partitions(plan, store, topics)
        for state in partition.image.series.values()
    ]
    for state in sorted(states, key=lambda one: one.series.key):
        last = until_ms - state.recount.step_ms
        for start, good, total, _, _ in state.ledger.rows(0, last + 1):
            yield f"{state.series.key}\t{start}\t{good}\t{total}"
