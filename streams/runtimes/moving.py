"""Moving history to other partitions: a drained migration, in steps that survive a crash.

Where `dbslo ingest` writes and where the store keeps must agree, and Kafka and SQL
share no transaction. So:

1. Take every partition of the store and write a checkpoint: whoever evaluated is fenced,
   and the journals are empty. A crash after it has changed nothing that anybody sees.
2. Leave a note in the store. A crash after it: nobody evaluates, for the note refuses
   it; an ingest that starts writes as before. Run it again: it is seen whether something
   was written, and nothing moves then.
3. Give the topic its partitions: grown in place, or, to have fewer, made anew, since all
   of it was applied. A crash after it: nobody evaluates; an ingest that starts writes
   for the new partitions, which is right. Run it again.
4. Move the rows and forget the note, in one SQL transaction. A crash before it has
   committed is one after 3.

Every step is done again without harm.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import msgspec

from slo.plan import Plan
from streams.frontier import Saved
from streams.homes import Homes
from streams.kafka import (
    ANSWER_SECONDS,
    TopicIdentity,
    WorkerStoppedError,
    answered,
    identify,
)
from streams.pages import checkpoint
from streams.reading import read_partition
from streams.runtimes.resizing import resize
from streams.runtimes.survey import (
    Kafka,
    Obstacle,
    astray,
    members,
    undrained,
    unfinished,
)
from streams.store import Change, Store, WrongTopicError
from streams.store.moving import (
    Head,
    Note,
    filled_from,
    journals,
    moving,
    note,
    noted,
    rewrite,
)
from streams.topics import Topics

Told = Callable[[str], None]


class Survey(NamedTuple):
    """What a move would do, and what keeps it from being done."""

    partitions_from: int
    partitions_to: int
    moves: dict[str, tuple[int, int]]  # name in the placement: from, to
    obstacles: list[Obstacle]
    begun: bool  # it was interrupted, and goes on

    @property
    def needed(self) -> bool:
        """Whether anything is to be done."""
        fewer_or_more = self.partitions_from != self.partitions_to
        return bool(self.moves) or self.begun or fewer_or_more


class MoveRefusedError(Exception):
    """Something keeps history from moving; nothing was changed by this step."""

    def __init__(self, obstacle: Obstacle) -> None:
        super().__init__(f"{obstacle.reason}. {obstacle.remedy}")


class Mover:
    """Moves what a store has of one observations topic. `clock` gives epoch ms."""

    def __init__(
        self,
        plan: Plan,
        topics: Topics,
        store: Store,
        kafka: Kafka,
        clock: Callable[[], int],
    ) -> None:
        self._plan = plan
        self._topics = topics
        self._store = store
        self._kafka = kafka
        self._clock = clock

    # -- looking -----------------------------------------------------------------

    def survey(self, wanted: int | None = None) -> Survey:
        """What would happen; `wanted` partitions, None: as many as there are.

        Raises WrongTopicError where the store is filled from another topic.
        """
        left_off, topic = noted(self._store), self._topic()
        was = left_off.partitions_from if left_off else topic.partitions
        goal = wanted or (left_off.partitions_to if left_off else topic.partitions)
        homes = Homes(self._plan, goal)
        moves = moving(self._store, homes)
        found = Survey(was, goal, moves, [], left_off is not None)
        if left_off and goal != left_off.partitions_to:
            remedy = f"End it first: `dbslo move --partitions {left_off.partitions_to}`"
            obstacle = Obstacle(
                f"a move to {left_off.partitions_to} is under way", remedy
            )
            return found._replace(obstacles=[obstacle])
        if not found.needed:
            return found
        return found._replace(obstacles=list(self._obstacles(homes, left_off, topic)))

    def _topic(self) -> TopicIdentity:
        """The topic as it is; without partitions between the two halves of step 3."""
        kafka = self._kafka
        if noted(self._store) is not None:
            names = answered(lambda: kafka.admin().list_topics(timeout=ANSWER_SECONDS))
            if kafka.observations not in names.topics:
                return TopicIdentity(str(names.cluster_id), "", 0)
        return identify(kafka.connection, kafka.observations)

    def _obstacles(
        self, homes: Homes, left_off: Note | None, topic: TopicIdentity
    ) -> Iterator[Obstacle]:
        """All of them at once, but for those that only make sense without the others."""
        kafka = self._kafka
        busy = list(members(kafka))
        yield from busy
        if busy or not topic.partitions:
            return
        self._same_topic(topic, left_off)
        open_ = list(unfinished(kafka, topic.partitions))
        yield from open_
        if open_:
            return
        heads = self._heads(topic, left_off)
        if left_off and topic.partitions == left_off.partitions_to:
            yield from astray(kafka, heads, homes)
        else:
            kept = homes if topic.partitions == homes.partitions else None
            yield from undrained(kafka, heads, kept)

    def _same_topic(self, topic: TopicIdentity, left_off: Note | None) -> None:
        """Raises WrongTopicError where the store's offsets are not of this topic."""
        known = {topic.topic_id, left_off.topic_id if left_off else "", ""}
        for cluster_id, topic_id in filled_from(self._store):
            if cluster_id not in (topic.cluster_id, "") or topic_id not in known:
                raise WrongTopicError(
                    "the store was filled from another Kafka cluster or topic, or by an"
                    " embedded run: its history does not move. Check DBSLO_STORE and"
                    " DBSLO_KAFKA"
                )

    def _heads(self, topic: TopicIdentity, left_off: Note | None) -> dict[int, int]:
        """From where on each partition is not applied; 0: from its first record."""
        heads = dict.fromkeys(range(topic.partitions), 0)
        if left_off and topic.topic_id != left_off.topic_id:
            return heads  # made anew
        for number in self._store.partitions():
            row = self._store.progress(number)
            if row is not None and number in heads:
                heads[number] = row.next
        return heads

    # -- moving ------------------------------------------------------------------

    def move(self, wanted: int | None, told: Told) -> dict[str, int]:
        """Do it; how many rows moved, by table. Also ends a move that was interrupted.

        Raises MoveRefusedError where an obstacle is in the way.
        """
        plan = self.survey(wanted)
        self._clear(plan)
        for number in self._store.partitions():
            self._settle(number)
        told("1. every partition is taken, its journal is empty")
        left_off = noted(self._store)
        if left_off is None:
            topic = self._topic()
            left_off = Note(plan.partitions_from, plan.partitions_to, topic.topic_id)
            note(self._store, left_off)
        told("2. noted: nobody evaluates until it is done")
        self._clear(self.survey(plan.partitions_to))
        self._resize(left_off.topic_id, plan.partitions_to)
        told(f"3. topic {self._kafka.observations} has {plan.partitions_to} partitions")
        self._clear(self.survey(plan.partitions_to))
        moved = self._rewrite(left_off)
        told("4. the rows are moved")
        return moved

    def _clear(self, plan: Survey) -> None:
        for obstacle in plan.obstacles:
            raise MoveRefusedError(obstacle)

    def _settle(self, number: int) -> None:
        """Take a partition and put its journal into pages, whosever its series are."""
        progress = self._store.take(number)
        if not journals(self._store).get(number):
            return
        found = read_partition(
            self._plan, self._store, self._topics, progress, lambda _: True
        )
        change = Change(
            after=progress.next,
            clock_ms=self._clock(),
            frontier=msgspec.msgpack.encode(found.frontier.saved()),
            checkpoint=checkpoint(found.image, found.frontier.oldest() or 0),
        )
        self._store.commit(progress, change)

    def _resize(self, began_with: str, goal: int) -> None:
        """Step 3. Raises WorkerStoppedError where the broker refuses."""
        topic, name = self._topic(), self._kafka.observations
        if topic.partitions == goal:
            return
        if topic.partitions and topic.topic_id != began_with:
            raise WorkerStoppedError(
                f"topic {name} was made anew with {topic.partitions} partitions while"
                " the move was under way: delete it, if it is empty, and try again"
            )
        resize(self._kafka.admin(), name, topic, goal)

    def _rewrite(self, left_off: Note) -> dict[str, int]:
        topic, goal = self._topic(), left_off.partitions_to
        homes, anew = Homes(self._plan, goal), topic.topic_id != left_off.topic_id
        rows = [self._store.progress(n) for n in self._store.partitions()]
        saved = [
            msgspec.msgpack.decode(row.frontier, type=Saved)
            for row in rows
            if row is not None and row.frontier
        ]
        offsets = {} if anew else {row.partition: row.next for row in rows if row}
        heads = [
            Head(number, offsets.get(number, 0), _frontier(saved, homes, number))
            for number in range(goal)
        ]
        ids = (topic.cluster_id, topic.topic_id)
        return rewrite(self._store, homes, heads, ids)


def _frontier(saved: list[Saved], homes: Homes, number: int) -> bytes:
    """What a partition knows of the inputs: the least, for batches may wait in another.

    The next batch tells all of it anew.
    """
    marks: dict[tuple[str, int], int] = {}
    inputs: dict[str, int] = {}
    nows: dict[str, int] = {}
    for one in saved:
        inputs |= {
            topic: max(n, inputs.get(topic, 0)) for topic, n in one.inputs.items()
        }
        for topic, partition, at_ms in one.marks:
            key = (topic, partition)
            marks[key] = min(at_ms, marks.get(key, at_ms))
        nows |= {c: now for c, now in one.nows.items() if homes.of_cluster(c) == number}
    if not saved:
        return b""
    listed = [(topic, partition, at) for (topic, partition), at in marks.items()]
    return msgspec.msgpack.encode(Saved(listed, inputs, nows))
