"""The store: facts, counts, alerts, outbox and offset, in SQL."""

from streams.store.core import (
    Change,
    Checkpoint,
    Claimed,
    Extras,
    FencedError,
    History,
    PlacementError,
    Progress,
    SeriesRow,
    SourceOffset,
    Store,
    WrongTopicError,
    id_of,
)
from streams.store.engine import SchemaError
from streams.store.outbox import Letter

__all__ = [
    "Change",
    "Checkpoint",
    "Claimed",
    "Extras",
    "FencedError",
    "History",
    "Letter",
    "PlacementError",
    "Progress",
    "SchemaError",
    "SeriesRow",
    "SourceOffset",
    "Store",
    "WrongTopicError",
    "id_of",
]
