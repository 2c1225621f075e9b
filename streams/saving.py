"""Saving: what one transaction writes of a partition, and when a checkpoint is due."""

import msgspec

from slo.model import SECOND
from streams.frontier import Frontier
from streams.image import Image
from streams.pages import CHECKPOINT_BYTES, CHECKPOINT_MS, checkpoint, settled
from streams.store import Change, Checkpoint, Progress, Residue, Store
from streams.watch import Told

FRONTIER_MS = 1_000
"""The frontier is saved at least this often, by stage 2's clock."""


def turn(partition: int, clock_ms: int) -> int:
    """Which of a partition's checkpoints a moment belongs to: one each CHECKPOINT_MS.

    Each partition has its own moment. Were they all due at once, whoever waits for the
    last one's commit would wait for all of them; so pages waited for seconds.
    """
    apart_ms = partition * 37 % 60 * SECOND  # neighbours far apart, all 60 differ
    return (clock_ms + apart_ms) // CHECKPOINT_MS


class Saving:
    """The way of one partition's image into the store.

    `progress` is what was last read or written there. While it is `rehearsing`
    nothing is kept: all of it is written, and rolled back by a RehearsedError.
    """

    def __init__(self, store: Store, partition: int) -> None:
        self.progress = Progress(partition, 0, 0)
        self.rehearsing = False
        self._store = store
        self._journal_bytes = 0
        self._frontier_ms = 0
        self._turn = 0
        self._residue: Residue | None = None

    def begin(self, progress: Progress, clock_ms: int, image: Image) -> None:
        """The partition was taken; what a journal holds becomes pages soon.

        What the plan no longer has is forgotten with the first checkpoint.
        """
        known = {state.id: key for key, state in image.series.items()}
        self._residue = self._store.residue(progress.partition, known)
        self.progress = progress
        self._frontier_ms = clock_ms
        self._turn = turn(progress.partition, clock_ms)
        self._journal_bytes = CHECKPOINT_BYTES if progress.next else 0

    def save(
        self, image: Image, frontier: Frontier, told: Told, change: Change
    ) -> None:
        """Commit a change with what people are told; then the image is what is saved.

        Raises FencedError, and whatever the store raises: the image is worth nothing
        then.
        """
        now = frontier.oldest() or 0
        self._journal_bytes += len(change.facts) + len(change.counts)
        due = self._checkpoint_due(change.clock_ms)
        frontier_due = due or bool(told.alerts or told.notices)
        if frontier_due or change.clock_ms - self._frontier_ms >= FRONTIER_MS:
            saved = msgspec.msgpack.encode(frontier.saved())
            change = msgspec.structs.replace(change, frontier=saved)
            self._frontier_ms = change.clock_ms
        change = msgspec.structs.replace(
            change,
            alerts=list(told.alerts.values()),
            changes=told.changes,
            incidents=list(told.incidents.values()),
            notices=list(told.notices.values()),
            checkpoint=self._checkpoint(image, now) if due else None,
            rehearsal=self.rehearsing,
        )
        self.progress = self._store.commit(self.progress, change)
        if due:
            settled(image, now)
            self._residue = None
            self._journal_bytes = 0
            self._turn = turn(self.progress.partition, change.clock_ms)

    def _checkpoint(self, image: Image, now_ms: int) -> Checkpoint:
        """The pages that changed, and what may go: no route that was seen again."""
        point, left = checkpoint(image, now_ms), self._residue
        if left is None:
            return point
        seen = {number for number, _ in point.routes}
        dead = [number for number in left.routes if number not in seen]
        left = msgspec.structs.replace(left, routes=dead)
        return msgspec.structs.replace(point, residue=left)

    def _checkpoint_due(self, clock_ms: int) -> bool:
        if self._journal_bytes >= CHECKPOINT_BYTES:
            return True
        due = turn(self.progress.partition, clock_ms) > self._turn
        return due and self._journal_bytes > 0
