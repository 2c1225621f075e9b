"""The ledger against a plain dict, and what it does at its edges."""

import sys

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from slo.ledger import FINE_MS, PAGE_MS, LostPageError, SeriesLedger
from slo.model import DAY, HOUR, MINUTE, Counts
from slo.pages import LedgerPage, Starts, packed, unpacked
from tests.slo.made import T0

# -- against a plain dict ----------------------------------------------------------

BASE = T0 // DAY * DAY
HOURS = (0, 1, 2, 3, 5, 6, 11, 12, 60, 61, 100, 188, 189, 190, 196)
"""Hours that hold buckets: side by side in each of the widths that rows may have."""

PAGES = (0, 1, 3, 6, 25, 61, 85, 180, 186, 189, 190, 196, 200, 290, 380)
"""Hours up to which everything is folded."""

hours = st.sampled_from(HOURS)
starts = st.builds(
    lambda hour, number: BASE + hour * HOUR + number * 5 * MINUTE,
    hours,
    st.integers(0, 11),
)
moments = st.builds(
    lambda start, minutes: start + minutes * MINUTE,
    starts,
    st.sampled_from([0, 2, -60]),
)
sizes = st.integers(0, 3) | st.sampled_from([40_000, 1 << 30, 1 << 40])
counts = st.builds(lambda bad, good: Counts(good, good + bad), *[sizes] * 2)


class LedgerMachine(RuleBasedStateMachine):
    """A ledger that is written, saved, folded and restarted beside a plain dict."""

    def __init__(self):
        super().__init__()
        self.saved: dict[int, bytes] = {}
        self.history: bytes | None = None
        self.history_page = 0
        self.ledger = SeriesLedger(self.saved.get)
        self.plain: dict[int, tuple[Counts, Counts]] = {}
        self.known: dict[int, Counts] = {}
        self.first: int | None = None
        self.revisions = 0
        self.floor = BASE
        self.evicted = 0
        self.forgotten = Counts()

    @rule(start=starts, counts=counts, events=st.none() | counts)
    def put(self, start, counts, events):
        if start < self.floor:
            return  # the horizon lets nothing that old in
        before = self.plain.get(start)
        after = (counts, events or counts) if counts.total else None
        assert self.ledger.put(start, counts, events) == (before != after)
        self._now_holds(start, before, after)

    @rule(hour=hours, bad=st.integers(0, 2))
    def put_an_hour(self, hour, bad):
        for number in range(12):
            self.put(BASE + hour * HOUR + number * 5 * MINUTE, Counts(2 - bad, 2), None)

    @rule(start=starts)
    def remove(self, start):
        if start < self.floor:
            return
        before = self.plain.get(start)
        assert self.ledger.remove(start) == (before is not None)
        self._now_holds(start, before, None)

    def _now_holds(self, start, before, after):
        if before == after:
            return
        if after is None:
            del self.plain[start]
        else:
            self.plain[start] = after
        self.revisions += before is not None or start in self.known
        if after is not None:
            self.known.setdefault(start, after[0])
            self.first = start if self.first is None else min(self.first, start)
        elif start == self.first:
            self.first = min(self.plain, default=None)

    @precondition(lambda self: not self.ledger.dirty)
    @rule(hours=st.sampled_from([0, 6, 12, 60, 186]))
    def forget(self, hours):
        if self.history is not None:
            hours = min(hours, (self.history_page - BASE // PAGE_MS) // 6 * 6)
        self.floor = max(self.floor, BASE + hours * HOUR)
        self.ledger.forget(self.floor + 10 * MINUTE)
        for start in [start for start in self.plain if start < self.floor]:
            self.forgotten += self.plain.pop(start)[0]
        for page in [page for page in self.saved if page < self.floor // PAGE_MS]:
            del self.saved[page]

    @rule()
    def save(self):
        for page in self.ledger.dirty:
            self.saved[page] = self.ledger.page(page)
        if self.ledger.history_dirty and self.history is not None:
            self.history = self.ledger.history(self.history_page)
        self.ledger.dirty.clear()
        self.ledger.history_dirty = False

    @rule(hours=st.sampled_from(PAGES))
    def save_history(self, hours):
        self.save()
        if self.evicted - hours > 174:
            hours = hours // 6 * 6
        self.history_page = max(BASE // PAGE_MS + hours, self.floor // PAGE_MS)
        self.history = self.ledger.history(self.history_page)

    @rule(hours=st.sampled_from(PAGES))
    def evict(self, hours):
        self.evicted = max(self.evicted, hours)
        self.ledger.evict(BASE // PAGE_MS + hours)

    @precondition(lambda self: not self.ledger.dirty)
    @rule(with_history=st.booleans(), together=st.booleans())
    def restart(self, with_history, together):
        old, self.ledger = self.ledger, SeriesLedger(self.saved.get)
        first_page = -1
        if not with_history:
            self.history = None
        if self.history is not None:
            first_page = self.history_page
        beside = [data for page, data in self.saved.items() if page >= first_page]
        along = beside if together else []
        if self.history is not None:
            assert self.ledger.restore_history(self.history, *along) == first_page
        else:
            self.ledger.restore(*along)
        for data in beside if not together else ():
            self.ledger.restore(data)
        self.ledger.forget(self.floor)
        if self.history is None:
            self.forgotten = Counts()
            self.first = self.ledger.first
        self.ledger.known_good = old.known_good
        self.ledger.known_bad = old.known_bad
        self.ledger.revisions = old.revisions

    @rule(start=moments, end=moments)
    def window_is_the_sum_of_its_buckets(self, start, end):
        inside = [row for at, row in self.plain.items() if start <= at < end]
        window = self.ledger.window(start, end)
        assert window.counts == sum((c for c, _ in inside), Counts())
        assert window.events == sum((e for _, e in inside), Counts())
        assert window.buckets == len(inside)

    @rule(some=st.lists(moments, max_size=4))
    def since_is_the_window_to_the_newest(self, some):
        for moment, sums in zip(some, self.ledger.since(some), strict=True):
            window = self.ledger.window(moment, T0 + 30 * DAY)
            counts, events = window.counts, window.events
            assert sums[:3] == (counts.bad, counts.total, window.buckets)
            assert sums[3:] == (events.bad, events.total)

    @rule(start=moments, end=moments)
    def rows_are_the_buckets_in_order(self, start, end):
        assert list(self.ledger.rows(start, end)) == [
            (at, c.good, c.total, e.good, e.total)
            for at, (c, e) in sorted(self.plain.items())
            if start <= at < end
        ]

    @rule()
    def newest_bad(self):
        bads = [start for start, (c, _) in self.plain.items() if c.bad]
        assert self.ledger.last_bad == max(bads, default=-1)

    @invariant()
    def counters(self):
        ledger = self.ledger
        assert ledger.first == self.first
        assert ledger.known_good == sum(c.good for c in self.known.values())
        assert ledger.known_bad == sum(c.bad for c in self.known.values())
        assert ledger.revisions == self.revisions
        window = ledger.window(0, 1 << 62)
        assert window.buckets == len(self.plain)
        assert ledger.now_known == self.forgotten + window.counts


LedgerMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=50)
TestLedger = LedgerMachine.TestCase


# -- slots that hold bad -------------------------------------------------------------


@given(
    st.dictionaries(st.integers(0, 200), st.integers(0, 2), max_size=60),
    st.integers(-5, 205),
    st.sampled_from([1, 2, 3, 6]),
)
def test_bad_slots_are_the_slots_with_anything_bad_and_what_lies_between(
    held, since, width
):
    ledger = SeriesLedger()
    for tenth, bad in sorted(held.items()):
        ledger.put(tenth * 10, Counts(2 - bad, 2))
    first = -(-since // width)
    slots = {}
    for tenth, bad in held.items():
        if tenth // width >= first:
            slots.setdefault(tenth // width, []).append(bad)
    expected, before = [], None
    for slot, bads in sorted(slots.items()):
        if sum(bads):
            joined = before is not None and not any(
                before < one < slot for one in slots
            )
            expected.append((slot, sum(bads), 2 * len(bads), joined))
            before = slot
    assert list(ledger.bad_slots(since * 10, width * 10)) == expected


# -- stories -------------------------------------------------------------------------


def minutes(ledger, first, last):
    for minute in range(first, last):
        ledger.put(T0 + minute * MINUTE, Counts(1, 1))


def save(ledger, saved):
    for page in ledger.dirty:
        saved[page] = ledger.page(page)
    ledger.dirty.clear()


def test_an_empty_ledger_knows_nothing():
    ledger = SeriesLedger()
    ledger.evict(T0 // PAGE_MS)
    ledger.forget(T0)
    assert (len(ledger), ledger.first, ledger.last, ledger.last_bad) == (
        0,
        None,
        None,
        -1,
    )
    assert ledger.window(0, T0).buckets == 0
    assert list(ledger.rows()) == []


def test_a_bucket_without_total_is_no_bucket():
    ledger = SeriesLedger()
    assert not ledger.put(T0, Counts())
    ledger.put(T0, Counts(1, 2))
    assert ledger.put(T0, Counts())
    assert len(ledger) == 0


def test_a_bucket_that_comes_back_is_not_known_twice():
    ledger = SeriesLedger()
    for counts in (Counts(1, 1), Counts(), Counts(0, 1)):
        ledger.put(T0, counts)
    assert (ledger.known_good, ledger.known_bad, ledger.revisions) == (1, 0, 2)


def test_that_a_bucket_was_taken_out_is_remembered_by_its_page():
    ledger = SeriesLedger()
    ledger.put(T0, Counts(1, 1))
    ledger.remove(T0)
    again = SeriesLedger()
    again.restore(ledger.page(T0 // PAGE_MS))
    again.put(T0, Counts(0, 1))
    assert (again.known_good, again.known_bad, again.revisions) == (0, 0, 1)


def test_forgetting_keeps_what_was_taken_out_of_the_hours_that_stay():
    ledger = SeriesLedger()
    minutes(ledger, 0, 61)
    ledger.remove(T0 + HOUR)
    ledger.forget(T0 + HOUR)
    ledger.put(T0 + HOUR, Counts(1, 1))
    assert ledger.known_good == 61


def test_forgetting_drops_whole_hours_and_keeps_when_it_all_began():
    ledger = SeriesLedger()
    minutes(ledger, 0, 180)
    ledger.remove(T0 + MINUTE)
    ledger.forget(T0 + 90 * MINUTE)
    assert ledger.first == T0
    assert ledger.window(0, T0 + DAY).counts == Counts(120, 120)
    assert ledger.dirty == {T0 // PAGE_MS + 1, T0 // PAGE_MS + 2}
    assert ledger.known_good == 180


def test_the_newest_hour_and_what_is_not_saved_are_never_folded():
    saved = {}
    ledger = SeriesLedger(saved.get)
    minutes(ledger, 0, 60)
    save(ledger, saved)
    minutes(ledger, 60, 180)
    ledger.evict(T0 // PAGE_MS + 100)
    assert len(ledger) == 6 + 60 + 60
    save(ledger, saved)
    ledger.evict(T0 // PAGE_MS + 100)
    assert len(ledger) == 6 + 6 + 60


def test_nothing_is_folded_that_could_not_be_read_back():
    ledger = SeriesLedger()
    minutes(ledger, 0, 180)
    ledger.dirty.clear()
    ledger.evict(T0 // PAGE_MS + 100)
    assert len(ledger) == 180


def test_a_late_bucket_brings_its_hour_back_and_is_folded_again_once_saved():
    saved = {}
    ledger = SeriesLedger(saved.get)
    minutes(ledger, 0, 180)
    ledger.remove(T0 + 7 * MINUTE)
    save(ledger, saved)
    ledger.evict(T0 // PAGE_MS + 2)
    ledger.put(T0 + 7 * MINUTE, Counts(0, 1))
    assert len(ledger) == 60 + 6 + 60
    assert ledger.dirty == {T0 // PAGE_MS}
    save(ledger, saved)
    ledger.evict(T0 // PAGE_MS + 2)
    assert len(ledger) == 6 + 6 + 60
    assert ledger.window(0, T0 + DAY).counts == Counts(179, 180)
    assert ledger.last_bad == T0 + 7 * MINUTE


def test_the_oldest_bucket_is_known_though_all_older_ones_were_taken_out():
    saved = {}
    ledger = SeriesLedger(saved.get)
    ledger.put(T0, Counts(1, 1))
    minutes(ledger, 67, 180)
    save(ledger, saved)
    ledger.evict(T0 // PAGE_MS + 2)
    ledger.remove(T0)
    assert ledger.first == T0 + 67 * MINUTE
    assert next(iter(ledger.rows())) == (ledger.first, 1, 1, 1, 1)


def test_the_newest_bucket_is_known_though_all_younger_ones_were_taken_out():
    saved = {}
    ledger = SeriesLedger(saved.get)
    minutes(ledger, 0, 61)
    save(ledger, saved)
    ledger.evict(T0 // PAGE_MS + 1)
    ledger.remove(T0 + HOUR)
    assert ledger.last == T0 + 59 * MINUTE
    assert ledger.put(T0 + 59 * MINUTE, Counts(0, 1))
    assert ledger.window(0, T0 + DAY).counts == Counts(59, 60)


@pytest.mark.parametrize(
    ("lost", "told"),
    [
        (
            None,
            "bad, total, buckets (0, 60, 60), but its page in the store holds (0, 0, 0)",
        ),
        (
            packed([T0], [[0], [9], [1]], []),
            "but its page in the store holds (0, 9, 1)",
        ),
    ],
    ids=["gone", "another"],
)
def test_a_folded_hour_that_cannot_be_read_back_as_it_was_is_an_error(lost, told):
    saved = {}
    ledger = SeriesLedger(saved.get)
    minutes(ledger, 0, 180)
    save(ledger, saved)
    ledger.evict(T0 // PAGE_MS + 2)
    saved[T0 // PAGE_MS] = lost
    with pytest.raises(LostPageError) as error:
        ledger.put(T0, Counts(0, 1))
    assert told in str(error.value)


def test_history_does_not_remember_a_first_bucket_that_it_does_not_hold():
    saved = {}
    ledger = SeriesLedger(saved.get)
    minutes(ledger, 0, 3)
    history = ledger.history(T0 // PAGE_MS)
    ledger.remove(T0)
    save(ledger, saved)
    again = SeriesLedger(saved.get)
    again.restore_history(history)
    again.restore(saved[T0 // PAGE_MS])
    assert again.first == ledger.first == T0 + MINUTE


def test_history_says_when_it_has_to_be_saved_again():
    saved = {}
    ledger = SeriesLedger(saved.get)
    minutes(ledger, 0, 180)
    save(ledger, saved)
    ledger.history(T0 // PAGE_MS + 1)
    minutes(ledger, 180, 190)
    assert not ledger.history_dirty
    ledger.put(T0 + 61 * MINUTE, Counts(0, 1))
    assert not ledger.history_dirty
    ledger.put(T0 + 59 * MINUTE, Counts(0, 1))
    assert ledger.history_dirty


def test_a_page_of_an_hour_of_minute_slices_takes_about_200_bytes():
    ledger = SeriesLedger()
    minutes(ledger, 0, 60)
    data = ledger.page(T0 // PAGE_MS)
    assert len(data) < 220
    assert list(unpacked(data).starts) == [T0 + minute * MINUTE for minute in range(60)]


def test_a_bucket_that_begins_within_a_second_is_kept_to_the_millisecond():
    ledger = SeriesLedger()
    minutes(ledger, 0, 2)
    ledger.put(T0 + 2 * MINUTE + 480, Counts(0, 1))
    ledger.put(T0 + 30_250, Counts(0, 1))
    starts = [T0, T0 + 30_250, T0 + MINUTE, T0 + 2 * MINUTE + 480]
    assert [start for start, *_ in ledger.rows()] == starts
    assert ledger.last == starts[-1]
    assert ledger.window(T0 + 30_250, T0 + 2 * MINUTE + 480).buckets == 2
    assert ledger.since([T0 + 2 * MINUTE + 480])[0][:3] == (1, 1, 1)


@pytest.mark.parametrize("wide", [1, 1 << 15, 1 << 31, 1 << 33, 1 << 54])
@pytest.mark.parametrize("unit", [MINUTE, 10_000 - 1])
def test_many_pages_come_back_as_one_by_one(wide, unit):
    saved = {}
    ledger = SeriesLedger()
    for start in range(T0, T0 + 9 * HOUR, 7 * unit):
        odd = wide if start % 4 else 0
        ledger.put(start, Counts(odd, wide), Counts(1, 1) if start % HOUR else None)
    ledger.put(T0 + 8 * HOUR + 1, Counts(0, wide))
    save(ledger, saved)
    history = ledger.history(T0 // PAGE_MS + 4)
    beside = [data for page, data in saved.items() if page >= T0 // PAGE_MS + 4]
    pages, along = SeriesLedger(), SeriesLedger()
    pages.restore(*saved.values())
    along.restore_history(history, *reversed(beside))
    for again in (pages, along):
        assert list(again.rows()) == list(ledger.rows())
        assert (again.first, again.last) == (ledger.first, ledger.last)
        assert [c.typecode for c in again._totals.columns] == [
            c.typecode for c in ledger._totals.columns
        ]


TORN = {
    "bad events": {"bad": [0]},
    "starts": {"held": Starts(T0, MINUTE, [1])},
    "events behind slices": {"events_bad": [0], "events_total": [1]},
    "buckets": {"buckets": [1, 1, 1, 1]},
}


@pytest.mark.parametrize("what", TORN)
def test_a_page_whose_columns_differ_in_length_is_none(what):
    sound = LedgerPage(Starts(T0, MINUTE, [1, 1]), [0, 0, 0], [1, 1, 1])
    torn = msgspec.structs.replace(sound, **TORN[what])
    SeriesLedger().restore(msgspec.msgpack.encode(sound))

    with pytest.raises(msgspec.DecodeError, match="differ in length"):
        SeriesLedger().restore(msgspec.msgpack.encode(torn))


def memory(ledger):
    """Bytes of the rows themselves; the rest does not grow."""
    totals = ledger._totals
    return sum(sys.getsizeof(column) for column in (totals.ticks, *totals.columns))


@pytest.mark.parametrize(
    ("step", "events", "bound"),
    [
        (MINUTE, None, 10_000),  # 870 rows of 10 bytes
        (MINUTE, Counts(59, 60), 17_000),  # of 18 bytes
        (10_000, None, 50_000),  # 3,300 rows of 14 bytes
    ],
    ids=["minutes", "minutes and their events", "tens of seconds"],
)
def test_memory_of_30_days_is_bounded(step, events, bound):
    saved = {}
    ledger = SeriesLedger(saved.get)
    for start in range(T0, T0 + 30 * DAY, step):
        ledger.put(start, Counts(1, 1), events)
        if start % HOUR == 0:
            save(ledger, saved)
            ledger.evict((start - FINE_MS) // PAGE_MS)
            ledger.forget(start - 31 * DAY)
    assert memory(ledger) < bound
    assert len(ledger._folding.open) < 3
    assert ledger.window(T0, T0 + 30 * DAY).buckets == 30 * DAY // step
