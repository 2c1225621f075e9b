"""Facts: joins against a plain maximum, sums against a plain sum, pages and eviction."""

from functools import reduce

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from slo.facts import Cells, Deltas, join
from slo.model import BUCKET_MS, HOUR, MINUTE
from slo.pages import packed_cells, unpacked_cells
from tests.slo.made import T0

SENTINELS = frozenset({-1.0})
numbers = st.sampled_from([-1.0, 0.0, 0.25, 1.0, 7.0, 60.0, 1e15]) | st.floats(
    -1e9, 1e9, allow_nan=False
)
statements = st.tuples(
    st.just(T0), st.integers(0, 3).map(float), numbers, numbers, numbers
)


# -- the join ------------------------------------------------------------------------


@given(statements, statements, statements)
def test_joining_is_commutative_associative_and_idempotent(a, b, c):
    assert join(a, b, SENTINELS) == join(b, a, SENTINELS)
    assert join(a, a, SENTINELS) == a
    left = join(join(a, b, SENTINELS), c, SENTINELS)
    assert left == join(a, join(b, c, SENTINELS), SENTINELS)
    assert left in (a, b, c)


def cell(count, value, *, low=None, high=None, start=T0):
    low = value if low is None else low
    return (start, count, value, low, value if high is None else high)


@pytest.mark.parametrize(
    ("winner", "loser"),
    [
        (cell(60, 0.2), cell(59, 90.0)),
        (cell(2, 0.2), cell(1, -1.0)),
        (cell(1, -1.0), cell(1, 300.0)),
        (cell(0, -1.0), cell(0, 0.0)),
        (cell(1, 5.0, low=-1.0), cell(1, 300.0)),
        (cell(1, 5.0), cell(1, 4.0)),
        (cell(2, 9.0, high=5.0), cell(2, 20.0, high=4.0)),
        (cell(2, 9.0, high=5.0), cell(2, 8.0, high=5.0)),
        (cell(2, 9.0, low=2.0, high=5.0), cell(2, 9.0, low=1.0, high=5.0)),
    ],
    ids=[
        "the greater count, whatever the value",
        "the greater count, even over a sentinel",
        "a sentinel at an equal count",
        "a sentinel where counts are absent",
        "a sentinel in the minimum alone",
        "the greater number",
        "the greater maximum before the greater sum",
        "then the greater sum",
        "then the greater minimum",
    ],
)
def test_of_two_statements_of_a_cell_holds(winner, loser):
    assert join(winner, loser, SENTINELS) == winner
    assert join(loser, winner, SENTINELS) == winner


# -- cells against a plain maximum -----------------------------------------------------

starts = st.integers(0, 4 * 60).map(lambda n: T0 + n * MINUTE) | st.integers(0, 5).map(
    lambda n: T0 + n * 3_000
)
cells = st.builds(
    lambda start, count, value: (start, float(count), value, value, value),
    starts,
    st.integers(0, 2),
    st.sampled_from([-1.0, 0.0, 0.25, 1.0]),
)


class CellsMachine(RuleBasedStateMachine):
    """Cells that are saved, evicted and restarted beside a dict of the winners."""

    def __init__(self):
        super().__init__()
        self.saved: dict[int, bytes] = {}
        self.fetched: list[int] = []
        self.facts = Cells(MINUTE, SENTINELS, self.fetch)
        self.said: dict[int, list] = {}

    def fetch(self, page):
        self.fetched.append(page)
        return self.saved.get(page)

    @property
    def plain(self):
        return [
            reduce(lambda a, b: join(a, b, SENTINELS), said)
            for _, said in sorted(self.said.items())
        ]

    @rule(cell=cells)
    def merge(self, cell):
        before = self.plain
        changed = self.facts.merge(cell)
        self.said.setdefault(cell[0], []).append(cell)
        assert changed == (self.plain != before)

    @rule()
    def save(self):
        asked = list(self.fetched)  # what is joined on the way is not kept
        for page in self.facts.dirty:
            self.saved[page] = self.facts.page(page)
        self.facts.dirty.clear()
        self.fetched[:] = asked

    @rule(hours=st.integers(0, 5), minutes=st.integers(0, 300))
    def evict(self, hours, minutes):
        self.facts.evict(T0 // HOUR + hours, T0 + minutes * MINUTE)
        self.fetched.clear()

    @rule(hours=st.integers(0, 5))
    def restart(self, hours):
        self.save()
        resident = T0 // HOUR + hours
        self.facts = Cells(MINUTE, SENTINELS, self.fetch, resident)
        self.fetched.clear()
        for page, data in self.saved.items():
            if page >= resident:
                self.facts.hold(page, data)

    @rule(hour=st.integers(0, 4))
    def a_page_is_whole_wherever_its_cells_are(self, hour):
        begin, end = T0 + hour * HOUR, T0 + (hour + 1) * HOUR
        expected = [one for one in self.plain if begin <= one[0] < end]
        asked = list(self.fetched)
        assert unpacked_cells(self.facts.page(T0 // HOUR + hour)) == expected
        self.fetched[:] = asked

    @rule(first=st.integers(0, 300), length=st.integers(0, 200))
    def between(self, first, length):
        begin, end = T0 + first * MINUTE, T0 + (first + length) * MINUTE
        expected = [one for one in self.plain if begin <= one[0] < end]
        assert list(self.facts.between(begin, end)) == expected

    @rule(minute=st.integers(0, 250))
    def ready(self, minute):
        self.facts.ready(T0 + minute * MINUTE)

    @invariant()
    def each_page_is_asked_for_once(self):
        assert len(self.fetched) == len(set(self.fetched))


CellsMachine.TestCase.settings = settings(max_examples=80, stateful_step_count=40)
TestCells = CellsMachine.TestCase


large = st.sampled_from([2.0**53, 2.0**64, 9e22, 1e308])


@given(st.dictionaries(starts, st.tuples(*[numbers | large] * 4), max_size=20))
def test_a_page_of_cells_reads_back_as_it_was(held):
    some = [(start, *values) for start, values in sorted(held.items())]
    assert unpacked_cells(packed_cells(some)) == some


def test_a_page_of_whole_numbers_takes_less_than_fractions():
    def page(value):
        return packed_cells(
            [cell(60.0, value, start=T0 + n * MINUTE) for n in range(60)]
        )

    assert len(page(12.0)) < 220 < len(page(12.5)) < 720


def test_a_statement_that_loses_is_counted_and_one_that_repeats_is_not():
    facts = Cells(MINUTE, SENTINELS)
    for one in (cell(1.0, 5.0), cell(1.0, 5.0), cell(1.0, 4.0), cell(1.0, 6.0)):
        facts.merge(one)
    assert facts.outweighed == 2  # 4 lost to 5, and 5 to 6
    assert list(facts.between(T0, T0 + BUCKET_MS)) == [cell(1.0, 6.0)]


@given(
    st.lists(st.tuples(cells, st.integers(0, 9)), max_size=30),
    st.sets(st.integers(0, 4)),
)
def test_statements_taken_together_are_merged_one_by_one(said, evicted):
    saved, also_saved = {}, {}
    facts, other = (Cells(MINUTE, SENTINELS, one.get) for one in (saved, also_saved))
    for part in range(10):
        run = [cell for cell, when in said if when == part]
        changed = [cell[0] for cell in run if other.merge(cell)]
        assert facts.take([(0, one[0], 0, *one[1:]) for one in run]) == changed
        assert facts.dirty == other.dirty
        if part in evicted:
            for one, pages in ((facts, saved), (other, also_saved)):
                pages |= {page: one.page(page) for page in one.dirty}
                one.dirty.clear()
                one.evict(T0 // HOUR + 2, T0 + 3 * HOUR)
    begin, end = T0, T0 + 6 * HOUR
    assert list(facts.between(begin, end)) == list(other.between(begin, end))
    assert facts.outweighed == other.outweighed


@pytest.mark.parametrize("offset", [0, 20_000], ids=["on the grid", "beside it"])
def test_cells_taken_as_the_first_of_their_buckets_are_there_like_all_others(offset):
    some = [cell(1.0, 5.0, start=T0 + n * HOUR + offset) for n in range(3)]
    buckets = [one[0] // BUCKET_MS for one in some]
    facts, other = Cells(MINUTE), Cells(MINUTE)
    assert facts.take_first(buckets, [(one,) for one in some], even=not offset)
    for one in some:
        other.merge(one)
    assert list(facts.between(T0, T0 + 4 * HOUR)) == some
    assert facts.dirty == other.dirty
    again, twice = buckets[2:], [buckets[2] + 6] * 2
    assert not facts.take_first(again, [(some[2],)], even=True)
    assert not facts.take_first(twice, [(some[0],)] * 2, even=True)
    assert list(facts.between(T0, T0 + 4 * HOUR)) == some


# -- deltas against a plain sum --------------------------------------------------------


class DeltasMachine(RuleBasedStateMachine):
    """Deltas that are saved, evicted and restarted beside a dict of sums."""

    def __init__(self):
        super().__init__()
        self.saved: dict[int, bytes] = {}
        self.facts = Deltas(self.saved.get)
        self.plain: dict[int, tuple[int, int]] = {}

    @rule(start=starts, good=st.integers(0, 9), bad=st.integers(0, 9))
    def add(self, start, good, bad):
        self.facts.add(start, good, good + bad)
        bucket = start // BUCKET_MS * BUCKET_MS
        held = self.plain.get(bucket, (0, 0))
        self.plain[bucket] = (held[0] + good, held[1] + good + bad)

    @rule()
    def save(self):
        for page in self.facts.dirty:
            self.saved[page] = self.facts.page(page)
        self.facts.dirty.clear()

    @rule(hours=st.integers(0, 5), minutes=st.integers(0, 300))
    def evict(self, hours, minutes):
        self.facts.evict(T0 // HOUR + hours, T0 + minutes * MINUTE)

    @rule(hours=st.integers(0, 5))
    def restart(self, hours):
        self.save()
        resident = T0 // HOUR + hours
        self.facts = Deltas(self.saved.get, resident)
        for page, data in self.saved.items():
            if page >= resident:
                self.facts.hold(page, data)

    @rule(first=st.integers(0, 300), length=st.integers(0, 200))
    def between(self, first, length):
        begin, end = T0 + first * MINUTE, T0 + (first + length) * MINUTE
        expected = [
            sums for start, sums in sorted(self.plain.items()) if begin <= start < end
        ]
        assert list(self.facts.between(begin, end)) == expected

    @rule(hour=st.integers(0, 4))
    def a_page_of_an_evicted_hour_is_still_whole(self, hour):
        again = Deltas()
        again.restore(self.facts.page(T0 // HOUR + hour))
        begin, end = T0 + hour * HOUR, T0 + (hour + 1) * HOUR
        assert again.between(begin, end) == self.facts.between(begin, end)


DeltasMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40)
TestDeltas = DeltasMachine.TestCase


@given(
    st.sampled_from([0, 10_000, 15_000, 20_000, MINUTE, 7 * MINUTE, 5 * MINUTE]),
    st.sets(st.integers(0, 400)),
    st.sampled_from([0, 3_000]),
    st.integers(0, 400),
    st.integers(0, 400),
)
def test_no_cell_is_overlooked_whatever_its_period(period, numbers, off, first, last):
    facts = Cells(period)
    starts = sorted(T0 + n * (period or 5_000) + off for n in numbers)
    for start in starts:
        facts.merge(cell(1.0, 1.0, start=start))
    begin, end = T0 + first * BUCKET_MS, T0 + last * BUCKET_MS
    found = [one[0] for one in facts.between(begin, end)]
    assert found == [start for start in starts if begin <= start < end]


# -- stories ---------------------------------------------------------------------------


def test_what_is_not_saved_yet_is_never_forgotten():
    facts = Cells(MINUTE)
    facts.merge(cell(1.0, 5.0))
    facts.evict(T0 // HOUR + 3)
    assert list(facts.between(T0, T0 + HOUR)) == [cell(1.0, 5.0)]
    assert facts.dirty == {T0 // HOUR}


def test_a_page_that_could_not_be_read_is_asked_for_again():
    answers = [ConnectionError("the store is away"), packed_cells([cell(1.0, 5.0)])]

    def fetch(page):
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    facts = Cells(MINUTE, SENTINELS, fetch, T0 // HOUR + 1)
    with pytest.raises(ConnectionError):
        facts.merge(cell(1.0, 4.0))
    assert not facts.merge(cell(1.0, 4.0))
    assert list(facts.between(T0, T0 + HOUR)) == [cell(1.0, 5.0)]


def test_evicting_less_than_before_forgets_nothing():
    saved = {}
    facts = Cells(MINUTE, SENTINELS, saved.get)
    facts.evict(T0 // HOUR + 2)
    facts.merge(cell(1.0, 5.0))
    saved[T0 // HOUR] = facts.page(T0 // HOUR)
    facts.dirty.clear()
    facts.evict(T0 // HOUR + 1)
    assert list(facts.between(T0, T0 + HOUR)) == [cell(1.0, 5.0)]


def test_a_month_of_minutes_holds_the_newest_as_they_are_read_and_hours_packed():
    saved = {}
    facts = Cells(MINUTE, SENTINELS, saved.get)
    for minute in range(30 * 24 * 60):
        facts.merge(cell(1.0, minute % 7 + 0.5, start=T0 + minute * MINUTE))
        if minute % 30 == 29:
            saved |= {page: facts.page(page) for page in facts.dirty}
            facts.dirty.clear()
            now = T0 + minute * MINUTE
            facts.evict(now // HOUR - 2, now - 5 * MINUTE)
            assert len(facts.buckets) == 6
            assert len(facts._packed) <= 3
    assert len(facts.between(now - 3 * HOUR, now)) == 180
