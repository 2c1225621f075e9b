"""Poison: a batch that cannot be applied, found by halving, and put aside.

The steps, for batches whose application raised what is not the store's absence:

1. Try once more: what was passing has passed.
2. Rehearse them without any statement: where that fails, too, nothing in them is to
   blame, but we are, or the store. Stop.
3. Halve, and rehearse each half, down to single statements.
4. Apply the others, with the offset and a dead letter for each that was put aside, in
   one transaction.

A crash before 4 has changed nothing: a rehearsal is rolled back.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import sha256
from typing import Final, NamedTuple

import msgspec

from streams.batch import Batch, encode
from streams.deadletter import DeadLetter
from streams.kafka import WorkerStoppedError

FORMAT: Final = "observations"
"""The `format` of such dead letters."""

MOST: Final = 100
"""More than so many in one go are no poison: something else is wrong."""

BARREN: Final = 3
"""So often the only statement that came may be put aside; then all of them fail."""

MAX_REASON: Final = 500


class Row(NamedTuple):
    """One statement: whose batch, of which kind ("cells" or "deltas"), its place."""

    batch: int
    kind: str
    at: int


class Poison(NamedTuple):
    """A statement that cannot be applied, and why."""

    row: Row
    error: Exception


Rehearse = Callable[[Sequence[Batch]], Exception | None]
"""What applying batches would raise; None where it would go well."""


def poisons(
    batches: Sequence[Batch], rehearse: Rehearse, barren: int = 0
) -> list[Poison]:
    """The statements that cannot be applied; without them all others can.

    `barren`: how many times in a row nothing was left before. Raises
    WorkerStoppedError where it is not for single statements that the batches fail,
    where all of several fail, or the only one for too many times.
    """
    rows = list(_rows(batches))
    if (error := rehearse(only(batches, ()))) is not None:
        raise _no_poison("nor can their marks alone", error)
    found: list[Poison] = []
    for one in _halved(batches, rows, rehearse):
        found.append(one)
        if len(found) > MOST:
            raise _no_poison(f"nor can {MOST} single statements", one.error)
    if len(found) == len(rows) and (len(rows) > 1 or barren >= BARREN):
        raise _no_poison("nor can any single statement", found[0].error)
    left = rehearse(only(batches, [one.row for one in found], but=True))
    if left is not None:
        raise _no_poison("though each statement can", left)
    return found


def statements(batches: Iterable[Batch]) -> int:
    """How many statements batches hold."""
    return sum(len(batch.cells) + len(batch.deltas) for batch in batches)


def _rows(batches: Sequence[Batch]) -> Iterator[Row]:
    for number, batch in enumerate(batches):
        for kind in ("cells", "deltas"):
            for at in range(len(getattr(batch, kind))):
                yield Row(number, kind, at)


def _halved(
    batches: Sequence[Batch], rows: Sequence[Row], rehearse: Rehearse
) -> Iterator[Poison]:
    if not rows or (error := rehearse(only(batches, rows))) is None:
        return
    if len(rows) == 1:
        yield Poison(rows[0], error)
        return
    middle = len(rows) // 2
    for half in (rows[:middle], rows[middle:]):
        yield from _halved(batches, half, rehearse)


def only(
    batches: Sequence[Batch], rows: Iterable[Row], *, but: bool = False
) -> list[Batch]:
    """The batches with these statements alone, or `but` these; marks and inputs stay."""
    named = set(rows)

    def of(number: int, kind: str) -> list[tuple[float, ...]]:
        every = getattr(batches[number], kind)
        return [
            one
            for at, one in enumerate(every)
            if (Row(number, kind, at) in named) is not but
        ]

    return [
        msgspec.structs.replace(batch, cells=of(n, "cells"), deltas=of(n, "deltas"))
        for n, batch in enumerate(batches)
    ]


def letter(
    place: tuple[str, int], offset: int, batches: Sequence[Batch], poison: Poison
) -> DeadLetter:
    """What is kept of a statement that was put aside. `sha256` is that of its part.

    A retry would count its neighbours twice: so it is the part's, not the record's.
    """
    row, error = poison
    (part,) = only([batches[row.batch]], [row._replace(batch=0)])
    bare = msgspec.structs.replace(part, marks=[], inputs={})
    return DeadLetter(
        topic=place[0],
        partition=place[1],
        offset=offset,
        time_ms=part.flushed_ms,
        format=FORMAT,
        reason=f"cannot be applied: {type(error).__name__}: {error}"[:MAX_REASON],
        sha256=sha256(encode(bare)).hexdigest(),
        excerpt=f"{about(part)}: {row.kind[:-1]} {getattr(part, row.kind)[0]}",
    )


def about(part: Batch) -> str:
    """Whose statement it is: resource and signal."""
    number = int([*part.cells, *part.deltas][0][0])
    if not 0 <= number < len(part.routes):
        return "a route that the batch does not have"
    return f"{part.routes[number].resource} {part.routes[number].signal}"


def _no_poison(what: str, error: Exception) -> WorkerStoppedError:
    return WorkerStoppedError(
        f"batches cannot be applied, {what}: {type(error).__name__}: {error}. It is our"
        " fault or the store's, and none of theirs: nothing was skipped. See the log"
        " before this, upgrade or go back a version, and start again"
    )
