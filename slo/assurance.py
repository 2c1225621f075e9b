"""Assurance: for how long the guards of a tier that fires will pass, whatever comes.

A guard asks for enough bad, enough in all or enough hot time within the long window.
What a newer part of the window has of that, every window has that begins before it.
"""

from itertools import takewhile
from typing import NamedTuple

import msgspec

from slo.columns import NEVER
from slo.heat import hot_of
from slo.ledger import SeriesLedger
from slo.model import SLO
from slo.stretch import Lookup
from slo.tiers import Rule


class Guards(msgspec.Struct, frozen=True):
    """The guards of one tier: the least numbers, and hot time in slots of `slot_ms`."""

    slo: SLO
    lookup: Lookup
    rule: Rule
    slot_ms: int
    floor_ms: int  # 0: no hot time is asked for


class Assured(NamedTuple):
    """The guards pass for every window that begins by `until_ms`.

    That is so until something changes that begins before `steady_ms`: what comes after
    only adds.
    """

    until_ms: int
    steady_ms: int


def assured(ledger: SeriesLedger, guards: Guards, start_ms: int) -> Assured:
    """The newest part of a window, which begins at `start_ms`, that passes by itself.

    The newest slot is left out, for it still changes. NEVER where none does.
    """
    rule, slot_ms = guards.rule, guards.slot_ms
    steady_ms = (ledger.last or 0) // slot_ms * slot_ms
    grain_ms = max(slot_ms, guards.lookup.windows[rule.long].grain_ms)
    for share in (16, 8, 4, 2, 1):
        begin = start_ms + rule.tier.long_ms - rule.tier.long_ms // share
        begin = -(-begin // grain_ms) * grain_ms
        if begin < steady_ms and _pass(ledger, guards, begin, steady_ms):
            return Assured(begin, steady_ms)
    return Assured(NEVER, NEVER)


def _pass(ledger: SeriesLedger, guards: Guards, begin_ms: int, end_ms: int) -> bool:
    """Whether what began in [begin, end) is enough for every guard."""
    slo, slot_ms, limit = guards.slo, guards.slot_ms, guards.rule.limit
    bad, total = guards.lookup.guards(ledger.window(begin_ms, end_ms))
    if bad < slo.min_bad or total < slo.min_total:
        return False
    if not guards.floor_ms:
        return True
    slots = ledger.bad_slots(begin_ms, slot_ms)
    within = takewhile(lambda slot: slot[0] * slot_ms < end_ms, slots)
    return hot_of(within, slot_ms, limit, guards.floor_ms) >= guards.floor_ms
