"""An image and its pages: loading one from the store, and what a checkpoint writes."""

import msgspec

from slo.folding import BLOCK_MS
from slo.ledger import FINE_MS, PAGE_MS
from slo.model import DAY, HOUR, MINUTE
from slo.recount import FreshnessRecount
from streams.batch import Batch
from streams.image import RESIDENT_HOURS, Image
from streams.packed import encoded
from streams.series import CountRow, SeriesState
from streams.store import Checkpoint, History, SeriesRow

FACTS_KEPT_MS = 4 * DAY
"""Facts are kept for as long as a restatement of them is accepted, and a day more."""

READ_MS = 6 * MINUTE
"""Facts younger than this are at hand as they are read; older ones stay packed."""

LEDGER_MARGIN_MS = DAY
"""Buckets are kept for this long beyond the longest window that reads them."""

HISTORY_PAGES = 3
"""Old hours are summed up anew once this many more of them have gone by, ..."""

HISTORY_LEAST = 32
"""... but of the series only one in so many at each checkpoint, or the turn of an hour
would write them all, ..."""

HISTORY_LATEST = 24
"""... unless so many hours have gone by, as in a catch-up."""

CHECKPOINT_BYTES = 64 * 1024 * 1024
CHECKPOINT_MS = MINUTE
"""A checkpoint is due once the journal is this large, or this old."""

_facts = msgspec.msgpack.Decoder(list[Batch])
_counts = msgspec.msgpack.Decoder(dict[int, list[CountRow]])
_encode = msgspec.msgpack.Encoder(enc_hook=encoded).encode


def facts_entry(batches: list[Batch]) -> bytes:
    """The statements of batches as a journal entry; marks are kept elsewhere."""
    bare = [msgspec.structs.replace(batch, marks=[], inputs={}) for batch in batches]
    stated = [batch for batch in bare if batch.cells or batch.deltas]
    return _encode(stated) if stated else b""


def counts_entry(changed: dict[int, list[CountRow]]) -> bytes:
    """The changed rows of the ledgers, by series id, as a journal entry."""
    return _encode(changed) if changed else b""


def load(image: Image, history: History, now_ms: int) -> None:
    """Fill an empty image: pages first, then the journal in order.

    Of the facts only what is about as young as `now_ms` is unpacked: the first batch
    would else bring the whole hour of every route to hand at once.
    """
    image.resident_hour = history.resident_hour
    _restore_facts(image, history)
    for fact in image.facts.values() if now_ms else ():
        fact.facts.evict(image.resident_hour, now_ms - READ_MS)
    _restore_ledgers(image, history)
    for entry, counts in history.journal:
        _replay(image, entry, counts)
    _restore_alerts(image, history)
    for state in image.series.values():
        state.touched.clear()  # the journal holds what these facts were counted as


def _restore_facts(image: Image, history: History) -> None:
    known = {number: image.fact(route) for number, route in history.routes}
    image.new_routes = []
    for number, hour, data in history.facts:
        state = known.get(number)
        if state is not None:
            state.facts.hold(hour, data)


def _restore_ledgers(image: Image, history: History) -> None:
    """The sums of old hours first, then the pages beside them, then the counters.

    All of a series, then the next, so that what is at work is at hand. What is taken
    in leaves the history, so that its room serves what is made of it.
    """
    sums, ledgers = dict(history.histories), history.ledgers
    history.histories.clear()
    beside: dict[int, list[bytes]] = {}
    for number, _, data in ledgers:
        beside.setdefault(number, []).append(data)
    ledgers.clear()
    states = {state.id: state for state in image.series.values()}
    for number, state in states.items():
        old, pages = sums.pop(number, None), beside.pop(number, ())
        if old is None:
            state.ledger.restore(*pages)
        else:
            state.history_page = state.ledger.restore_history(old, *pages)
    for row in history.series:
        if row.id in states:
            _restore_counters(states[row.id], row)


def _restore_counters(state: SeriesState, row: SeriesRow) -> None:
    state.ledger.known_good = row.known_good
    state.ledger.known_bad = row.known_bad
    state.ledger.revisions = row.revisions
    if isinstance(state.recount, FreshnessRecount):
        state.recount.first_ms = row.first_ms


def _replay(image: Image, entry: bytes, counts: bytes) -> None:
    image.merge(_facts.decode(entry) if entry else ())
    by_id = {state.id: state for state in image.series.values()}
    for number, rows in (_counts.decode(counts) if counts else {}).items():
        state = by_id.get(number)
        if state is not None:
            state.replay(rows)


def _restore_alerts(image: Image, history: History) -> None:
    for claimed in history.alerts:
        state = image.series.get(claimed.alert.series)
        if state is not None:
            state.alert, state.verdict = claimed.alert, claimed.verdict


def checkpoint(image: Image, now_ms: int) -> Checkpoint:
    """All pages that changed since the last one. Call `settled` once it is saved."""
    return Checkpoint(
        routes=[(n, msgspec.msgpack.encode(route)) for n, route in image.new_routes],
        facts=[
            (state.id, page, state.facts.page(page))
            for state in image.facts.values()
            for page in sorted(state.facts.dirty)
        ],
        ledgers=[
            (state.id, page, state.ledger.page(page))
            for state in image.series.values()
            for page in sorted(state.ledger.dirty)
        ],
        histories=_histories(image, now_ms),
        series=[_row(s) for s in image.series.values() if s.unsaved],
        facts_from=(now_ms - FACTS_KEPT_MS) // HOUR,
        ledgers_from=kept_from(image, now_ms) // PAGE_MS,
    )


def _histories(image: Image, now_ms: int) -> list[tuple[int, int, bytes]]:
    """The sums of old hours that are not in the store as they should be.

    The newest whole hour is not summed up: its last buckets are still to come.
    """
    newest = now_ms // PAGE_MS - 1
    room = len(image.series) // HISTORY_LEAST + 1
    found = []
    for state in image.series.values():
        behind = newest - state.history_page
        due = behind >= HISTORY_PAGES and (room > 0 or behind >= HISTORY_LATEST)
        if state.ledger.first is not None and (due or state.ledger.history_dirty):
            room -= 1
            state.history_page = page = max(newest, state.history_page)
            found.append((state.id, page, state.ledger.history(page)))
    return found


def _row(state: SeriesState) -> SeriesRow:
    recount, ledger = state.recount, state.ledger
    return SeriesRow(
        id=state.id,
        key=state.series.key,
        known_good=ledger.known_good,
        known_bad=ledger.known_bad,
        revisions=ledger.revisions,
        first_ms=recount.first_ms if isinstance(recount, FreshnessRecount) else None,
    )


def kept_from(image: Image, now_ms: int) -> int:
    """The moment, in ms, before which the store keeps no buckets any more."""
    oldest = now_ms - image.longest_ms - LEDGER_MARGIN_MS
    return oldest // BLOCK_MS * BLOCK_MS  # what is folded as one goes as one


def settled(image: Image, now_ms: int) -> None:
    """The checkpoint is saved: nothing is dirty, and old facts leave memory."""
    image.new_routes = []
    image.forget_silent((now_ms - FACTS_KEPT_MS) // HOUR)
    image.resident_hour = max(image.resident_hour, now_ms // HOUR - RESIDENT_HOURS)
    for fact in image.facts.values():
        fact.facts.dirty.clear()
        fact.facts.evict(image.resident_hour, now_ms - READ_MS)
    forgotten = kept_from(image, now_ms)
    for state in image.series.values():
        state.unsaved = False
        state.ledger.dirty.clear()
        state.ledger.history_dirty = False
        state.ledger.forget(forgotten)
        # Each at a minute of its own, or the turn of an hour would fold them all.
        state.ledger.evict((now_ms - FINE_MS - state.id % HOUR) // PAGE_MS)
