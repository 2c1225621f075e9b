"""Now: how far every input of a cluster has been read.

It comes from the marks of the ingest workers alone. A cluster's now is the least of
its inputs' marks and never goes back, so our own lag burns nothing, and time goes on
where a database falls silent.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

import msgspec

from slo.model import DAY, SECOND
from slo.names import duration
from slo.plan import Plan
from streams.batch import WHOLE, Batch
from streams.topics import Topics

STALE_AFTER_MS = 5 * SECOND
"""An input without a mark for this long, by stage 2's clock, is our own fault."""

LONGEST_WAIT_MS = 3 * DAY
"""For how long history waits for a cluster whose inputs stand still."""

Input = tuple[str, int]
"""(topic, partition) of a source."""


def spans_of(plan: Plan, topics: Topics) -> dict[str, list[str]]:
    """The clusters behind each SLO that spans some, by the name it has as a cluster."""
    return {
        series.home: sorted({topics.prefixes[p] for p in series.cluster.cdc_prefixes})
        for series in plan.series
        if series.members
    }


class Saved(msgspec.Struct, frozen=True, array_like=True):
    """The frontier as the store keeps it."""

    marks: list[tuple[str, int, int]]  # topic, partition, time_ms
    inputs: dict[str, int]
    nows: dict[str, int]  # cluster -> now


class Frontier:
    """The marks of all inputs and the now of every cluster, in epoch ms."""

    __slots__ = (
        "_clock_ms",
        "_heard",
        "_inputs",
        "_named",
        "_nows",
        "_of_cluster",
        "_since",
        "_spans",
        "_times",
        "_topics",
    )

    def __init__(
        self,
        topics: Topics,
        clusters: Iterable[str],
        spans: Mapping[str, Iterable[str]] = MappingProxyType({}),
    ) -> None:
        self._topics = topics
        self._spans = spans
        self._times: dict[Input, int] = {}
        self._heard: dict[Input, int] = {}
        self._inputs: dict[str, int] = {}
        self._named: dict[str, tuple[int, dict[str, int]]] = {}  # by worker
        self._of_cluster: dict[str, list[Input]] = {cluster: [] for cluster in clusters}
        self._nows: dict[str, int] = {}
        self._since: int | None = None  # from when on marks are missed
        self._clock_ms: int | None = None

    def hear(self, batches: Iterable[Batch], clock_ms: int) -> None:
        """Note which inputs gave a mark at `clock_ms`, by stage 2's own clock."""
        self._clock_ms = clock_ms
        for batch in batches:
            for mark in batch.marks:
                self._heard[mark.topic, mark.partition] = clock_ms

    def advance(self, batch: Batch) -> None:
        """Take the marks of a batch in."""
        inputs = self._whole(batch)
        if inputs and inputs != self._inputs:
            self._inputs = dict(inputs)
            self._match()
        for mark in batch.marks:
            key = (mark.topic, mark.partition)
            if mark.time_ms > self._times.get(key, -1):
                self._times[key] = mark.time_ms

    def _whole(self, batch: Batch) -> Mapping[str, int]:
        """All inputs, once a flush has named them all; before that none."""
        total = batch.inputs.get(WHOLE)
        if total is None:
            return batch.inputs
        flushed_ms, named = self._named.get(batch.worker, (-1, {}))
        if flushed_ms != batch.flushed_ms:
            named = {}
        named |= batch.inputs
        self._named[batch.worker] = (batch.flushed_ms, named)
        if len(named) <= total:  # WHOLE is one of them
            return {}
        del self._named[batch.worker]
        return {name: count for name, count in named.items() if name != WHOLE}

    def settle(self) -> list[str]:
        """Move every cluster's now; the clusters whose now moved."""
        moved = []
        for cluster, inputs in self._of_cluster.items():
            times = [self._times.get(key, -1) for key in inputs]
            now = min(times, default=-1)
            if now > self._nows.get(cluster, -1):
                self._nows[cluster] = now
                moved.append(cluster)
        return moved

    def now(self, cluster: str) -> int | None:
        """The cluster's now; None before every input was heard of once."""
        return self._nows.get(cluster)

    def latest(self) -> int | None:
        """The greatest now of all clusters."""
        return max(self._nows.values(), default=None)

    def oldest(self) -> int | None:
        """The least now of all clusters: facts younger than it may still be needed.

        One that stands still for days does not keep the others' facts for ever.
        """
        latest = self.latest()
        if latest is None:
            return None
        return max(min(self._nows.values()), latest - LONGEST_WAIT_MS)

    def stale(self, cluster: str, clock_ms: int) -> str:
        """Which input of a cluster gave no mark of late; "" where all did."""
        if self._since is None:
            self._since = clock_ms
        for key in self._of_cluster.get(cluster, ()):
            heard = self._heard.get(key, self._since)
            if clock_ms - heard > STALE_AFTER_MS:
                silent = duration((clock_ms - heard) // SECOND * SECOND)
                topic, partition = key
                return (
                    f"our own ingest gave no mark of {topic}[{partition}] for {silent}"
                )
        return ""

    def watermarks(self) -> Mapping[Input, int]:
        """The mark of every input, in epoch ms."""
        return self._times

    def _match(self) -> None:
        shared, own = self._topics.by_cluster(self._inputs)
        for cluster in self._of_cluster:
            parts = self._spans.get(cluster, (cluster,))
            private = [one for part in parts for one in own.get(part, ())]
            self._of_cluster[cluster] = [*shared, *private]
        if self._clock_ms is not None:  # an input is missed from its appearance on
            for topic, partitions in self._inputs.items():
                for number in range(partitions):
                    self._heard.setdefault((topic, number), self._clock_ms)

    # -- the store ---------------------------------------------------------------

    def saved(self) -> Saved:
        """What to keep; read back by `restore`."""
        marks = [(topic, number, at) for (topic, number), at in self._times.items()]
        return Saved(marks, self._inputs, self._nows)

    def restore(self, saved: Saved) -> None:
        """Go on where another worker stopped; its inputs are not stale until heard."""
        self._inputs = dict(saved.inputs)
        self._nows.update(
            (c, now) for c, now in saved.nows.items() if c in self._of_cluster
        )
        for topic, number, at in saved.marks:
            self._times[topic, number] = at
        self._match()
