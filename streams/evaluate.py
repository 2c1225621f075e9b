"""Stage 2: batches in; facts, counts, verdicts and what people are told, out.

One call of `apply` is one SQL transaction. Its steps:

1. Merge the batch's facts and marks into the image.
2. Move every cluster's *now*; recount the buckets and slices that were touched.
3. Evaluate what matters: every series on the grid of its cluster's now, and at once
   a series whose bad count has changed.
4. Save all of it with the offset. Whatever fails, the image is thrown away.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from slo.ledger import LostPageError
from slo.model import BUCKET_MS
from slo.plan import Plan
from slo.verdict import Incident, VerdictChange
from streams.batch import Batch
from streams.elsewhere import Elsewhere
from streams.frontier import Frontier, spans_of
from streams.homes import placement
from streams.image import Image, Tally
from streams.pages import counts_entry, facts_entry
from streams.partition import partition_of
from streams.reading import read_partition
from streams.saving import Saving
from streams.series import CountRow
from streams.store import Change, Extras, FencedError, Progress, RehearsedError, Store
from streams.topics import Topics
from streams.turns import Turns
from streams.view import AT_ONCE, SeriesView, glances, view
from streams.watch import Moment, Orphans, Told, Watch

GLIMPSE_S = 5.0
"""A scrape waits no longer than this for a transaction under way."""


class NotAssignedError(Exception):
    """The image was thrown away: call `assigned` again and seek to what it returns."""


class Evaluator:
    """Stage 2 of one observations partition.

    `apply` and `tick` raise FencedError where another worker took the partition, and
    any SQLAlchemy error where the store failed. Either way call `assigned` again
    before going on.
    """

    awaits_marks = True
    """Whether a missing mark tells of a stage 1 that is gone. Where both stages share
    a process it does not, and its clock may be a trace's that leaps."""

    def __init__(
        self,
        plan: Plan,
        store: Store,
        topics: Topics,
        *,
        partition: int = 0,
        partitions: int = 1,
    ) -> None:
        self.plan = plan
        self.store = store
        self.partition = partition
        self._topics = topics
        self._partitions = partitions
        self._lock = Turns()
        mine = [s for s in plan.series if self._mine(s.cluster.name)]
        self._clusters = sorted({series.cluster.name for series in mine})
        self._glances = glances(mine)
        self._placement = placement(mine, partition)
        self._watch = Watch(mine, plan.policy)
        self._image: Image | None = None
        self.saved_ms = 0  # when the store was last written to before we took it
        self._saving = Saving(store, partition)
        self._frontier = Frontier(topics, self._clusters, spans_of(plan, topics))
        self._grid: dict[str, int] = {}
        self._stale: dict[str, str] = {}
        self._orphans, self._reconciled = Orphans((), ()), True

    def _mine(self, cluster: str) -> bool:
        return partition_of(cluster, self._partitions) == self.partition

    # -- ownership ---------------------------------------------------------------

    def assigned(
        self, cluster_id: str = "", topic_id: str = "", *, clock_ms: int = 0
    ) -> int:
        """Take the fence and load the image; the next offset to read.

        Raises WrongTopicError where the store knows another topic, PlacementError
        where a cluster or resource with history would move.
        """
        with self._lock:
            self._image = None
            self.store.place(self._placement)
            taken = self.store.take(self.partition, cluster_id, topic_id)
            self.saved_ms = taken.saved_ms
            self._saving.begin(taken, clock_ms, self._load(taken))
            return taken.next

    def _load(self, taken: Progress) -> Image:
        found = read_partition(self.plan, self.store, self._topics, taken, self._mine)
        self._frontier = found.frontier
        self._watch.begin(found.image.by_cluster, found.incidents)
        self._grid, self._stale = {}, {}
        self._orphans, self._reconciled = found.orphans, False
        found.image.unread = Elsewhere(self.plan, self._mine).refuse
        self._image = found.image
        return found.image

    def revoked(self) -> None:
        """Let the partition go; nothing is written, the store has it all."""
        with self._lock:
            self._image = None

    # -- the walk ----------------------------------------------------------------

    def apply(
        self,
        batches: Sequence[Batch],
        after: int,
        clock_ms: int,
        *,
        extras: Extras | None = None,
        judge: bool = True,
    ) -> list[VerdictChange]:
        """Take batches in and save; `after` is the offset that follows them.

        `clock_ms` is stage 2's own clock. Returns the changes of verdict; without
        `judge` facts are counted and nobody is told anything.
        """
        with self._whole() as image:
            told = Told()
            changed: dict[str, list[CountRow]] = {}
            self._frontier.hear(batches, clock_ms)
            if judge and not self._reconciled:
                self._reconcile(image, clock_ms, told)
            for due, rows in self._walk(image, batches):
                for key, some in rows.items():
                    changed.setdefault(key, []).extend(some)
                if due and judge:
                    self._evaluate(due, clock_ms, told)
            by_id = {image.series[key].id: rows for key, rows in changed.items()}
            facts, counts = facts_entry(list(batches)), counts_entry(by_id)
            self._save(told, Change(after, clock_ms, facts, counts, extras=extras))
            return [line for _, line in told.changes]

    def _reconcile(self, image: Image, clock_ms: int, told: Told) -> None:
        """Once after a start: what the plan no longer has is closed."""
        burning = {one.cluster for one in self._watch.incidents.values()}
        self._evaluate(burning, clock_ms, told)  # what burns still is told anew
        at_ms = self._frontier.latest() or clock_ms
        self._watch.reconcile(image.series.values(), at_ms, self._orphans, told)
        self._reconciled = True

    def tick(self, clock_ms: int) -> list[VerdictChange]:
        """Time has passed by stage 2's clock: inputs may have gone silent on us."""
        with self._whole():
            told = Told()
            silent = {c: bool(self._silent(c, clock_ms)) for c in self._clusters}
            turned = [c for c in silent if silent[c] is not bool(self._stale.get(c))]
            self._evaluate(turned, clock_ms, told)
            if told.alerts or told.notices:
                self._save(told, Change(self._saving.progress.next, clock_ms))
            return [line for _, line in told.changes]

    @contextmanager
    def _whole(self) -> Iterator[Image]:
        """The image; whatever fails while it changes, it is thrown away."""
        with self._lock:
            image = self._held()
            try:
                yield image
            except LostPageError as error:
                self._image = None
                raise NotAssignedError(f"the image is loaded again: {error}") from error
            except BaseException:
                self._image = None
                raise

    def _held(self) -> Image:
        if self._image is None:
            raise NotAssignedError(f"partition {self.partition} is not assigned")
        return self._image

    def _walk(
        self, image: Image, batches: Sequence[Batch]
    ) -> Iterator[tuple[set[str], dict[str, list[CountRow]]]]:
        """Steps 1 and 2; the clusters that are due for evaluation, the rows changed.

        Batches up to the next point of a cluster's grid are recounted together.
        """
        moved: set[str] = set()
        merged = 0
        for number, batch in enumerate(batches, 1):
            self._frontier.advance(batch)
            moved.update(self._frontier.settle())
            due = {cluster for cluster in moved if self._grid_reached(cluster)}
            if due or number == len(batches):
                image.merge(batches[merged:number])
                merged = number
                for cluster in moved:
                    image.judge(cluster, self._frontier.now(cluster) or 0)
                moved.clear()
                changed = image.settle()
                yield due | image.turned(changed), changed

    def _grid_reached(self, cluster: str) -> bool:
        now = self._frontier.now(cluster)
        return now is not None and now // BUCKET_MS > self._grid.get(cluster, -1)

    def _evaluate(self, due: Iterable[str], clock_ms: int, told: Told) -> None:
        moments = {}
        for cluster in due:
            now = self._frontier.now(cluster)
            if now is not None:
                silent = self._silent(cluster, clock_ms)
                known = self._stale.get(cluster)
                again = known is not None and bool(known) is bool(silent)
                whole = self._grid_reached(cluster) or not again
                self._grid[cluster], self._stale[cluster] = now // BUCKET_MS, silent
                moments[cluster] = Moment(now - now % BUCKET_MS, silent, whole)
        self._watch.evaluate(moments, told)

    def _silent(self, cluster: str, clock_ms: int) -> str:
        return self._frontier.stale(cluster, clock_ms) if self.awaits_marks else ""

    # -- saving --------------------------------------------------------------------

    def _save(self, told: Told, change: Change) -> None:
        image = self._held()
        self._image = None  # worth nothing until the commit has returned
        self._saving.save(image, self._frontier, told, change)
        self._image = image

    def rehearse(self, batches: Sequence[Batch], after: int, clock_ms: int) -> None:
        """All that `apply` does, and nothing of it is kept; `assigned` comes next.

        Raises what `apply` would.
        """
        self._saving.rehearsing = True
        try:
            Evaluator.apply(self, batches, after, clock_ms)
        except RehearsedError:
            return
        finally:
            self._saving.rehearsing = False

    # -- looking -------------------------------------------------------------------

    def views(self) -> list[SeriesView]:
        """What `look` tells, all at once."""
        return list(self.look())

    def look(self) -> Iterator[SeriesView]:
        """Every series of the partition as committed; safe from other threads.

        Commits may come between; after one that takes long the rest is left out.
        """
        left = self._glances[::-1]
        while left:
            with self._glimpse() as image:
                if image is None:
                    return
                found = self._seen(image, *left.pop())
                while left and len(found) < AT_ONCE and not self._lock.due:
                    found += self._seen(image, *left.pop())
            yield from found

    def _seen(self, image: Image, cluster: str, some: slice) -> list[SeriesView]:
        now, status = self._frontier.now(cluster) or 0, self._watch.status
        return [view(s, status(s, now), now) for s in image.by_cluster[cluster][some]]

    @contextmanager
    def _glimpse(self) -> Iterator[Image | None]:
        """The image as committed; None where there is none, or a commit takes long."""
        with self._lock.within(GLIMPSE_S) as held:
            yield self._image if held else None

    @property
    def tally(self) -> Tally:
        """What was counted since the image was loaded."""
        with self._glimpse() as image:
            return image.tally() if image else Tally()

    @property
    def frontier(self) -> Frontier:
        """The marks, for metrics."""
        return self._frontier

    @property
    def open_incidents(self) -> list[Incident]:
        """The incidents that are open."""
        return [i for i in list(self._watch.incidents.values()) if not i.resolved_ms]


__all__ = ["Evaluator", "FencedError", "NotAssignedError"]
