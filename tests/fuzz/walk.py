"""The walk under test: stage 1 as it is, and stage 2's decoding and counting."""

import re
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from slo.model import DAY
from slo.plan import Plan
from streams.batch import Batch, decode
from streams.deadletter import DeadLetter
from streams.evaluate import Evaluator
from streams.ingest import Ingest
from streams.positions import MarksError
from streams.slab import Slab
from streams.store import Store
from streams.topics import Topics, topics_of
from tests.fuzz.payload import Payload
from tests.streams.stage import NOW

MAX_LETTER_BYTES = 64 * 1024
AHEAD_MS = 60_000
FLUSH_MS = 100
"""So much later is every flush: what said nothing for an hour makes room."""

STAGE_2_EVERY = 500
"""Batches that stage 2 counts at once."""


class Outcome(NamedTuple):
    """What became of one payload; `signature` tells kinds of outcomes apart."""

    batches: list[Batch]
    letters: list[DeadLetter]
    signature: tuple[object, ...]


class Walk:
    """Both stages, one payload at a time. `store` is stage 2's.

    Stage 2 counts `several` batches at once.
    """

    def __init__(
        self,
        plan: Plan,
        shared: dict[str, str],
        store: Store,
        several: int = STAGE_2_EVERY,
    ) -> None:
        self._topics: Topics = topics_of(plan.inventory, shared)
        self.ingest = Ingest(plan, self._topics, worker="fuzz", partitions=1)
        self._evaluator = Evaluator(plan, store, self._topics)
        self._evaluator.assigned()
        self._offset = 0
        self._after = 0
        self._several = several
        self._said: list[tuple[Payload, Batch]] = []

    def take(self, payload: Payload) -> Outcome:
        """Fold and flush one payload, and read its batches as stage 2 does."""
        before = dict(self.ingest.records), dict(self.ingest.refused)
        topic, arrival_ms = payload.topic, payload.arrival_ms
        clock_ms = max(arrival_ms, 1)
        self._offset += 1
        if self._offset % 64 == 0:
            self.forget(topic)
        slab = Slab(
            topic,
            self._offset % 2,
            [self._offset],
            [arrival_ms],
            [payload.key],
            [payload.value],
        )
        self.ingest.add(slab, clock_ms)
        flush = self.ingest.flush((), {topic: 2}, NOW + self._offset * FLUSH_MS)
        self._commit(topic)
        batches = [decode(data) for _, data in flush.payloads]
        if abs(arrival_ms - NOW) < DAY:
            self._count(payload, batches)
        for letter in flush.dead_letters:
            _check(letter)
        return Outcome(batches, flush.dead_letters, self._signature(before, flush))

    def forget(self, topic: str) -> None:
        """Rows of a topic that were seen before count again."""
        for number in range(2):
            self.ingest.assigned(topic, number, "")

    def _commit(self, topic: str) -> None:
        try:
            self.ingest.metadata(topic, self._offset % 2)
        except MarksError:  # refused with its remedy: another partition begins anew
            self.ingest.assigned(topic, self._offset % 2, "")
        self.ingest.committed()

    def _count(self, payload: Payload, batches: list[Batch]) -> None:
        self._said += [(payload, one) for one in batches if one.cells or one.deltas]
        if len(self._said) >= self._several:
            said, self._said = self._said, []
            try:
                self._apply([batch for _, batch in said])
            except Exception:
                self._blame(said)
                raise

    def _apply(self, batches: list[Batch]) -> None:
        self._after += 1
        try:
            self._evaluator.apply(batches, self._after, self._after)
        except Exception:  # else every later payload would fail of it
            self._evaluator.assigned()
            raise

    def _blame(self, said: list[tuple[Payload, Batch]]) -> None:
        """Raise for the payload that stage 2 cannot take by itself, if one is it."""
        for payload, batch in said:
            try:
                self._apply([batch])
            except Exception as error:
                raise CountError(payload) from error

    def _signature(
        self, before: tuple[dict, dict], flush: object
    ) -> tuple[object, ...]:
        records, refused = before
        results = _grown(records, self.ingest.records)
        reasons = _grown(refused, self.ingest.refused)
        if not results and not reasons:
            raise SilentError
        said = tuple(_shape(one.reason) for one in flush.dead_letters)
        return (results, reasons, said)


def _grown(
    before: dict[tuple[str, str], int], after: dict[tuple[str, str], int]
) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(key for key, n in after.items() if n != before.get(key, 0)))


class CountError(Exception):
    """Stage 2 fails of what came of a payload, which may be an earlier one."""

    def __init__(self, payload: Payload) -> None:
        super().__init__("stage 2 fails of what came of a payload")
        self.payload = payload


class SilentError(Exception):
    """A payload was neither counted nor refused: it vanished."""


class LetterError(Exception):
    """A dead letter is too long, or shows what nobody may see."""


CANARY = "Kanarienvogel"
"""Stands in row images of the seeds; no dead letter may show it, but as a key."""

_value = re.compile(r'"(\w+)":"(?:\\.|[^"\\])*$')
_within_source = re.compile(r'"source":\{[^{}]*$')


def _leaks(excerpt: str) -> bool:
    """Whether it shows the canary where no mutation put it under a harmless key."""
    for found in re.finditer(CANARY, excerpt):
        if re.match(r'"?:', excerpt[found.end() : found.end() + 2]):
            continue
        if _within_source.search(excerpt[: found.start()]):
            continue  # a mutation put it there, where names are a connector's own
        key = _value.search(excerpt[: found.start()])
        if key is None or key[1] in ("name", "note"):
            return True
    return False


def _check(letter: DeadLetter) -> None:
    encoded = msgspec.json.encode(letter)
    if len(encoded) > MAX_LETTER_BYTES:
        raise LetterError(f"a dead letter of {len(encoded)} bytes")
    row = letter.format in ("debezium", "auto")  # a splice may put it among tags
    if row and (CANARY in letter.reason or _leaks(letter.excerpt)):
        raise LetterError(f"a dead letter shows a row image: {letter.excerpt[:500]}")


def _shape(reason: str) -> str:
    """A reason without its numbers and quotations."""
    return "".join("0" if c.isdigit() else c for c in reason.split("'", maxsplit=1)[0])[
        :60
    ]


Take = Callable[[Payload], Outcome]
