"""What is folded and what is not, where nothing ever was."""

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from slo.folding import ENDLESS_MS, Folding
from slo.ledger import FINE_MS, SeriesLedger
from slo.model import DAY, HOUR, MINUTE, Counts
from slo.pages import packed
from slo.totals import RunningTotals
from tests.slo.made import T0

NOTHING: dict[int, bytes] = {}


def test_where_nothing_was_folded_no_moment_is_read_back_however_long_ago():
    asked: list[int] = []
    folding = Folding(RunningTotals(), asked.append)
    for moment in (0, -DAY, -ENDLESS_MS, -ENDLESS_MS - 400 * DAY - 1):
        folding.cut(moment)
    assert asked == []


# -- what earlier versions wrote ---------------------------------------------------

HOURLY = bytes.fromhex(
    "94ce00079652cf000001a0c4443700920364c4589793cf000001a0c4b21400ce0036ee809901"
    "01010101010101019a020202020202020202029a3c3c3c3c3c3c3c3c3c3c9a02030204030203"
    "0204039a3ccc823ccc82cc823ccc823ccc82cc829a0303030303030303030390"
)
"""Written by the version that folded whatever it folded to hours, of `OLD`."""

OLD_HOUR = 497222
OLD = {
    OLD_HOUR * HOUR + n * MINUTE: (int(n % 60 > 0), 20)
    for n in range(0, 40 * 60, 20)
    if n != 20
}


def hourly(buckets: dict[int, tuple[int, int]], page: int, forgotten: int) -> bytes:
    """A history as that version wrote it, of (bad, total) by start."""
    hours: dict[int, list[int]] = {}
    lost = [0, 0]
    for start, (bad, total) in sorted(buckets.items()):
        row = hours.setdefault(start // HOUR, [0, 0, 0])
        row[:] = row[0] + bad, row[1] + total, row[2] + 1
    for hour in [one for one in hours if one < forgotten]:
        bad, total, _ = hours.pop(hour)
        lost[:] = lost[0] + bad, lost[1] + total
    rows = {hour: row for hour, row in hours.items() if hour < page}
    columns = [list(column) for column in zip(*rows.values(), strict=True)]
    held = packed([hour * HOUR for hour in rows], columns, [])
    return msgspec.msgpack.encode((page, min(buckets), lost, held))


def test_the_hourly_history_of_an_earlier_version_is_read():
    ledger = SeriesLedger(NOTHING.get)
    assert ledger.restore_history(HOURLY) == OLD_HOUR + 12
    assert ledger.first == min(OLD)
    kept = {s: row for s, row in OLD.items() if 2 <= s // HOUR - OLD_HOUR < 12}
    (sums,) = ledger.since([(OLD_HOUR + 2) * HOUR])
    assert sums[:3] == (*map(sum, zip(*kept.values(), strict=True)), len(kept))
    rows = [row for start, row in OLD.items() if start // HOUR < OLD_HOUR + 12]
    bad, total = (sum(column) for column in zip(*rows, strict=True))
    assert ledger.now_known == Counts(total - bad, total)


# Fifteen days, as a store that was upgraded holds them: six-hour blocks, hours, tens of
# minutes and fine ones all occur.
BEGIN = T0 // DAY * DAY
END = BEGIN + 15 * DAY
BUCKETS = {
    start: (start // MINUTE % 5 % 2, 7)
    for start in range(BEGIN, END, 4 * MINUTE)
    if start // HOUR % 17
}


def set_all(ledger: SeriesLedger, end_ms: int) -> dict[int, bytes]:
    for start, (bad, total) in BUCKETS.items():
        if start < end_ms:
            ledger.put(start, Counts(total - bad, total))
    saved = {page: ledger.page(page) for page in ledger.dirty}
    ledger.dirty.clear()
    return saved


def restarted(old_page: int, saved: dict[int, bytes], end_ms: int) -> SeriesLedger:
    """A ledger as it is loaded after the upgrade."""
    known = {start: row for start, row in BUCKETS.items() if start < end_ms}
    ledger = SeriesLedger(saved.get)
    first = ledger.restore_history(hourly(known, old_page, 0))
    for page in sorted(page for page in saved if page >= first):
        ledger.restore(saved[page])
    return ledger


@settings(max_examples=60, deadline=None)
@given(
    behind=st.integers(20, 40),
    evictions=st.lists(st.integers(0, 60), max_size=3),
    moments=st.lists(st.integers(0, 15 * 24 * 60), min_size=1, max_size=6),
    late=st.none() | st.integers(0, 14 * 24 * 15),
)
def test_after_an_hourly_history_every_window_is_that_of_all_buckets(
    behind, evictions, moments, late
):
    end = END - 60 * HOUR
    plain = SeriesLedger()
    saved = set_all(plain, end)
    ledger = restarted(end // HOUR - behind, saved, end)
    for hours in sorted(evictions):  # time goes on
        now = end + hours * HOUR
        for start in (s for s in BUCKETS if end <= s < now):
            bad, total = BUCKETS[start]
            for one in (ledger, plain):
                one.put(start, Counts(total - bad, total))
        saved |= {page: ledger.page(page) for page in ledger.dirty}
        ledger.dirty.clear()
        ledger.evict((now - FINE_MS) // HOUR)
    if late is not None:
        start = BEGIN + late * 4 * MINUTE
        assert ledger.put(start, Counts(1, 9)) == plain.put(start, Counts(1, 9))
    asked = [BEGIN + moment * MINUTE for moment in moments]
    assert ledger.since(asked) == plain.since(asked)
    assert ledger.first == plain.first
    assert list(ledger.rows()) == list(plain.rows())


def test_what_was_fine_when_it_was_read_stays_fine_until_its_time():
    end = END - 60 * HOUR
    saved = set_all(SeriesLedger(), end)
    ledger = restarted(end // HOUR - 29, saved, end)
    fine = len(ledger)
    ledger.evict((end - FINE_MS) // HOUR)
    asked = []
    ledger._folding._fetch = asked.append
    ledger.since([end - FINE_MS + n * 4 * MINUTE for n in range(100)])
    assert asked == []
    assert len(ledger) < fine
