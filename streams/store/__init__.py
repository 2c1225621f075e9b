"""The store: facts, counts, alerts, outbox and offset, in SQL."""

from streams.store.core import Store, id_of
from streams.store.engine import UNAVAILABLE
from streams.store.outbox import Letter
from streams.store.placing import PlacementError
from streams.store.records import (
    Change,
    Checkpoint,
    Claimed,
    Extras,
    History,
    Progress,
    Residue,
    SeriesRow,
    SourceOffset,
)
from streams.store.steps import FencedError, RehearsedError, WrongTopicError
from streams.store.upgrade import SchemaError

__all__ = [
    "UNAVAILABLE",
    "Change",
    "Checkpoint",
    "Claimed",
    "Extras",
    "FencedError",
    "History",
    "Letter",
    "PlacementError",
    "Progress",
    "RehearsedError",
    "Residue",
    "SchemaError",
    "SeriesRow",
    "SourceOffset",
    "Store",
    "WrongTopicError",
    "id_of",
]
