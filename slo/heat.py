"""Hot time: how long a series was worse than a limit, slot by slot of its source."""

from collections.abc import Iterable
from itertools import islice

from slo.columns import hot_slots
from slo.folding import ENDLESS_MS
from slo.ledger import SeriesLedger
from slo.stretch import Ratio
from slo.totals import BadSlot

SCANNED = 24
"""Bad slots that are looked at one by one before columns are worth their while."""


def hot_ms(ledger: SeriesLedger, start_ms: int, slot_ms: int, limit: Ratio) -> int:
    """Slots from a moment on whose own bad share exceeds the limit, in ms.

    Empty slots between two hot ones count as hot, so that sparse traffic does not
    hide an outage.
    """
    slots = ledger.bad_slots(start_ms, slot_ms)
    hot = hot_of(islice(slots, SCANNED), slot_ms, limit)
    if next(slots, None) is None:
        return hot
    found = hot_slots(*ledger.running(start_ms, slot_ms), slot_ms, limit)
    if found is None:
        return hot_of(ledger.bad_slots(start_ms, slot_ms), slot_ms, limit)
    return found * slot_ms


def hot_of(
    slots: Iterable[BadSlot], slot_ms: int, limit: Ratio, enough_ms: int = ENDLESS_MS
) -> int:
    """Hot time in some slots, ms; no more of them are read than it takes to be enough."""
    above, below = limit
    hot = last = 0
    was_hot = False
    for slot, bad, total, joined in slots:
        is_hot = bad * below > above * total
        if is_hot:
            hot += slot - last if was_hot and joined else 1
            if hot * slot_ms >= enough_ms:
                break
        was_hot, last = is_hot, slot
    return hot * slot_ms
