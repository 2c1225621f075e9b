"""Records of the observations topic as batches."""

from collections.abc import Iterable

import msgspec

from streams.batch import Batch, UnknownSchemaError, decode
from streams.kafka import WorkerStoppedError, log
from streams.runtimes.polled import Place

NOT_A_BATCH = ("observations", "not_a_batch")


class BatchReader:
    """Decodes batches; `refused` counts by (source, reason) what was none."""

    def __init__(self) -> None:
        self.refused: dict[tuple[str, str], int] = {}

    def batches(
        self, place: Place, records: Iterable[tuple[int, bytes | None]]
    ) -> list[tuple[int, Batch]]:
        """The batches, with their offsets, of (offset, value) records of one partition.

        A foreign record is counted and passed over: only stage 1 writes here, so it
        says nothing about any database. Raises WorkerStoppedError at a schema version
        that is not ours, which must never be skipped.
        """
        return [
            (offset, batch)
            for offset, value in records
            if (batch := self._batch(place, offset, value)) is not None
        ]

    def _batch(self, place: Place, offset: int, value: bytes | None) -> Batch | None:
        where = f"{place[0]}[{place[1]}] at offset {offset}"
        try:
            return decode(value or b"")
        except UnknownSchemaError as error:
            raise WorkerStoppedError(f"{where}: {error}") from error
        except msgspec.DecodeError as error:
            self.refused[NOT_A_BATCH] = self.refused.get(NOT_A_BATCH, 0) + 1
            log.error("%s is no batch of ours (%s): passed over", where, error)
            return None
