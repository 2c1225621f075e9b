"""Rows that a connector sends again count once, and no new row is dropped."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slo.model import DAY, SECOND
from streams.marks import MAX_CHARACTERS, RECENT, Marks, MarksError, marks_of
from streams.positions import Positions
from streams.sources.changes import decode, position_of
from tests.streams.stage import NOW, mysql_row, row, text

PAST = 3 * DAY


def at(change, key=b"1"):
    """The position of a change event."""
    value = text(change)
    found = position_of(decode(value), key, value)
    assert found is not None
    return found


def fresh(marks, *changes):
    """For each of them, whether it was new."""
    found = []
    for one in changes:
        change, key = one if isinstance(one, tuple) else (one, b"1")
        found.append(marks.fresh(at(change, key)))
    return found


def stored(marks):
    """The marks as the next worker reads them."""
    return marks_of(marks.text(PAST))


# -- laws: a stream with restarts ------------------------------------------------------


def postgres(rng, size):
    """Transactions by commit; rows of concurrent ones have LSNs in any order."""
    commit, lsn, changes = 1_000, 1_000, []
    while len(changes) < size:
        began, time = lsn + rng.randint(1, 40), NOW + len(changes)
        for _ in range(rng.randint(1, 4)):
            began += rng.randint(0, 30)  # 0: several rows share a position
            key = str(len(changes)).encode()
            changes.append((row(time, lsn=began, commit=commit), key))
        lsn = max(lsn - rng.randint(0, 60), 0)  # the next one began before this one
        commit = max(commit + 1, began + rng.randint(1, 9))
    return changes


def binlog(rng, size):
    """Files that rotate past a power of ten, events of several rows."""
    file, pos, changes = 999_997, 4, []
    while len(changes) < size:
        time = NOW + len(changes) // 3 * SECOND - rng.randint(0, 2) * SECOND
        for index in range(rng.randint(1, 4)):
            name = f"mysql-bin.{file:06d}"
            server = 7 if pos % 3 else 8
            changes.append(
                mysql_row(time, pos=pos, index=index, file=name, server_id=server)
            )
        pos += rng.randint(20, 90)
        if rng.random() < 0.2:
            file, pos = file + 1, 4
    return [(change, b"1") for change in changes]


def gtids(rng, size, shape="{uuid}:{n}"):
    """Transactions of several servers, interleaved in one binlog."""
    numbers = dict.fromkeys(("3e11fa47-71ca", "aaaabbbb-71ca", "0c0c0c0c-71ca"), 0)
    pos, changes = 4, []
    while len(changes) < size:
        uuid = rng.choice(list(numbers))
        numbers[uuid] += rng.randint(1, 3)
        gtid = shape.format(uuid=uuid, n=numbers[uuid])
        for _ in range(rng.randint(1, 3)):
            pos += rng.randint(20, 90)
            changes.extend(
                (mysql_row(NOW, pos=pos, index=index, gtid=gtid), b"1")
                for index in range(rng.randint(1, 3))
            )
    return changes


def mariadb(rng, size):
    changes = gtids(rng, size, shape="0-{uuid}-{n}")
    servers = {"3e11fa47-71ca": "11", "aaaabbbb-71ca": "12", "0c0c0c0c-71ca": "13"}
    for change, _ in changes:
        source = change["source"]
        source["connector"] = "mariadb"
        for uuid, server in servers.items():
            source["gtid"] = source["gtid"].replace(uuid, server)
    return changes


STREAMS = {
    "postgres": postgres,
    "binlog": binlog,
    "gtids": gtids,
    "mariadb": mariadb,
}


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(STREAMS)), st.integers(0, 2**32))
def test_whatever_is_sent_again_counts_once_and_nothing_new_is_lost(kind, seed):
    rng = random.Random(seed)
    changes = STREAMS[kind](rng, 60)
    marks, counted, sent = Marks(), [0] * len(changes), 0
    while sent < len(changes):
        for number in range(sent, min(sent + rng.randint(1, 12), len(changes))):
            change, key = changes[number]
            counted[number] += marks.fresh(at(change, key))
            sent = number + 1
        if rng.random() < 0.5:
            sent = rng.randint(max(0, sent - 40), sent)  # the connector crashed
        if rng.random() < 0.5:
            marks = stored(marks)  # our worker did

    assert counted == [1] * len(changes)


@given(st.sampled_from(sorted(STREAMS)), st.integers(0, 2**32))
def test_marks_survive_as_text(kind, seed):
    marks = Marks()
    for change, key in STREAMS[kind](random.Random(seed), 30):
        marks.fresh(at(change, key))

    assert stored(marks).text(PAST) == marks.text(PAST)


# -- positions, one by one -------------------------------------------------------------


def test_commits_order_rows_of_postgres_though_their_lsns_do_not_grow():
    rows = [
        row(lsn=500, commit=400),
        row(lsn=450, commit=600),
        row(lsn=700, commit=650),
    ]
    marks = Marks()

    assert fresh(marks, *rows) == [True, True, True]
    assert fresh(stored(marks), *rows) == [False, False, False]


def test_a_copy_writes_many_rows_at_one_position():
    rows = [(row(lsn=500), f"{n}".encode()) for n in range(291)]
    marks = Marks()

    assert fresh(marks, *rows[:100]) == [True] * 100
    marks = stored(marks)
    assert fresh(marks, *rows[50:]) == [False] * 50 + [True] * 191
    assert len(marks.text(PAST)) <= MAX_CHARACTERS
    assert fresh(stored(marks), *rows) == [False] * 291


def test_the_order_of_the_transaction_tells_rows_at_one_position_apart():
    same_key = [row(lsn=500, order=n) for n in (1, 2, 3)]
    marks = Marks()

    assert fresh(marks, *same_key) == [True, True, True]
    assert fresh(stored(marks), *same_key, row(lsn=500, order=4)) == [
        *[False] * 3,
        True,
    ]


def test_rows_without_a_key_are_told_apart_by_their_images():
    one, other = row(lsn=500), row(lsn=500)
    other["after"] = {"id": 2}
    marks = Marks()

    assert fresh(marks, (one, None), (other, None), (one, None)) == [True, True, False]


def test_the_first_transaction_after_a_start_does_not_state_the_last_commit():
    first = [row(lsn=n, commit=None) for n in (500, 510)]
    second = [row(NOW, lsn=490, commit=600), row(NOW, lsn=640, commit=600)]
    marks = Marks()

    assert fresh(marks, *first, *second) == [True] * 4
    marks = stored(marks)
    assert fresh(marks, *first, *second) == [False] * 4
    assert fresh(marks, row(NOW + 5, lsn=700, commit=650)) == [True]


def test_a_slot_read_without_offsets_sends_no_row_twice():
    rows = [row(NOW, lsn=480, commit=400), row(NOW + 1, lsn=550, commit=500)]
    again = [row(NOW, lsn=480, commit=None), row(NOW + 1, lsn=550, commit=500)]
    late = [row(NOW + 9, lsn=n, commit=None) for n in (540, 545)]
    marks = Marks()

    assert fresh(marks, *rows) == [True, True]
    assert fresh(marks, *again) == [False, False]
    assert fresh(marks, *late) == [True, True]  # began before, committed after
    assert fresh(stored(marks), *late, *again) == [False] * 4


def test_without_a_sequence_the_time_of_the_commit_orders_rows():
    rows = [
        row(NOW, lsn=500, sequence=None, ts_us=NOW * 1000 + 1),
        row(NOW, lsn=400, sequence=None, ts_us=NOW * 1000 + 2),
    ]
    marks = Marks()

    assert fresh(marks, *rows) == [True, True]
    assert fresh(stored(marks), *rows) == [False, False]


def test_files_are_ordered_by_number_not_by_text():
    rows = [
        mysql_row(pos=900, file="mysql-bin.999999"),
        mysql_row(pos=4, file="mysql-bin.1000000"),
    ]
    marks = Marks()

    assert fresh(marks, *rows) == [True, True]
    assert fresh(stored(marks), *rows) == [False, False]


def test_rows_of_one_event_share_its_position():
    rows = [mysql_row(pos=400, index=n) for n in range(5)]
    marks = Marks()

    assert fresh(marks, *rows[:3]) == [True] * 3
    assert fresh(stored(marks), *rows) == [False] * 3 + [True] * 2


def test_events_of_a_compressed_transaction_share_its_place_too():
    """Binlog transaction compression: only the order tells the inner rows apart."""
    rows = [mysql_row(pos=400, index=n % 3, order=n + 1) for n in range(9)]
    marks = Marks()

    assert fresh(marks, *rows) == [True] * 9
    assert fresh(stored(marks), *rows) == [False] * 9


def test_a_transaction_is_known_by_its_gtid_on_another_server():
    def rows(file, first):
        return [
            (mysql_row(pos=first + n, file=file, gtid="u-1:7"), f"{n}".encode())
            for n in range(4)
        ]

    marks = Marks()

    assert fresh(marks, *rows("a-bin.000007", 400)[:2]) == [True, True]
    assert fresh(stored(marks), *rows("b-bin.000002", 90)) == [False] * 2 + [True] * 2


@pytest.mark.parametrize("gtid", [None, "u-1:{n}", "0-1-{n}"])
def test_positions_that_begin_anew_are_new_where_time_says_so(gtid):
    def written(n, time):
        name = gtid and gtid.format(n=n)
        return mysql_row(time, pos=n * 10, file="mysql-bin.000001", gtid=name)

    old = [written(n, NOW + n * SECOND) for n in (50, 51, 52)]
    new = [written(n, NOW + (60 + n) * SECOND) for n in (1, 2)]
    marks = Marks()

    assert fresh(marks, *old) == [True] * 3
    assert fresh(marks, *old) == [False] * 3
    marks = stored(marks)
    assert fresh(marks, *new) == [True] * 2
    assert fresh(marks, *new) == [False] * 2
    assert fresh(marks, written(3, NOW + 62 * SECOND)) == [True]


def test_a_row_that_was_overtaken_is_new():
    """A replica that applies in parallel may write its binlog out of order."""
    early, late = mysql_row(pos=9, gtid="u-1:104"), mysql_row(pos=5, gtid="u-1:105")
    marks = Marks()

    assert fresh(marks, mysql_row(pos=1, gtid="u-1:103"), late, early) == [True] * 3
    assert fresh(stored(marks), late, early) == [False, False]


def test_what_was_overtaken_too_far_is_taken_for_a_repetition():
    many = [mysql_row(pos=n, gtid=f"u-1:{n}") for n in range(100, 102 + RECENT)]
    marks = Marks()

    assert all(fresh(marks, *many))
    assert fresh(marks, mysql_row(pos=9, gtid="u-1:99")) == [False]


def test_tagged_gtids_are_servers_of_their_own():
    marks = Marks()
    rows = [mysql_row(pos=1, gtid="u-1:9"), mysql_row(pos=2, gtid="u-1:blue:1")]

    assert fresh(marks, *rows) == [True, True]
    assert fresh(marks, *rows) == [False, False]


# -- how much is kept -------------------------------------------------------------------


def test_servers_that_fell_silent_beyond_the_horizon_are_forgotten():
    marks = Marks()
    for n in range(200):
        day = NOW + n * DAY
        marks.fresh(at(mysql_row(day, gtid=f"3e11fa47-71ca-11e1-9e33-{n:012d}:1")))

    assert len(marks.text(PAST)) < 2_000


def of(server: int, number: int, after_ms: int = 0):
    gtid = f"3e11fa47-71ca-11e1-9e33-{server:012d}:{number}"
    return at(mysql_row(NOW + after_ms, gtid=gtid))


def test_of_more_servers_than_fit_those_that_wrote_least_are_forgotten():
    marks = Marks()
    for number in range(1, 6):
        assert marks.fresh(of(0, number))
    for server in range(1, 100_000):
        marks.fresh(of(server, 1, server))

    kept = marks_of(marks.text(PAST))

    assert len(marks.text(PAST)) <= MAX_CHARACTERS
    for known in (marks, kept):
        assert not known.fresh(of(0, 5)), "the busy one is remembered"
        assert not known.forgot(of(0, 5))
        assert known.fresh(of(0, 6))
        assert not known.fresh(of(7, 1, 7)), "nobody knows any more whether it is new"
        assert known.forgot(of(7, 1, 7))
        assert known.fresh(of(7, 2, 100_001)), "younger than all that is forgotten"


def test_names_of_any_length_leave_a_mark_short():
    marks = Marks()
    for gtid in ("x" * 10**6 + ":1", "y" * 10**6 + ":1"):
        assert marks.fresh(at(mysql_row(gtid=gtid, name="n" * 10**6)))

    assert len(marks.text(PAST)) < 500
    assert not marks.fresh(at(mysql_row(gtid="y" * 10**6 + ":1", name="n" * 10**6)))


NO_POSITIONS = {
    "beyond any log": mysql_row(pos=2**64),
    "before any log": mysql_row(pos=-5),
    "digits without end": mysql_row(file="bin." + "9" * 5_000),
    "a GTID without end": mysql_row(gtid="u:" + "9" * 5_000, file="b." + "9" * 5_000),
    "an order beyond any transaction": mysql_row(order=2**64),
    "an LSN beyond any log": row(lsn=2**64, sequence=None),
    "a negative commit": row(lsn=5, commit=-7),
}


@pytest.mark.parametrize("name", NO_POSITIONS)
def test_a_position_that_no_log_has_is_none(name):
    change = decode(text(NO_POSITIONS[name]))

    assert position_of(change, b"k", text(NO_POSITIONS[name])) is None


def test_a_large_position_leaves_room_for_several_connectors():
    marks = Marks()
    big = 2**62
    for name in ("one", "two", "three"):
        for n in range(2 * RECENT):
            marks.fresh(at(row(lsn=big + n, commit=big, name=name), f"{n}".encode()))

    assert len(marks.text(PAST)) <= MAX_CHARACTERS


@pytest.mark.parametrize(
    ("written", "word"),
    [
        ("somebody else's note", "not ours"),
        ('{"a": 1}', "not ours"),
        ("[1, 5]", "not ours"),
        ('[1, [["returns", "wal", 5, [], [], []]]]', "not ours"),
        (f"[1, {'[' * 4_000}", "not ours"),
        ("[99, []]", "upgrade"),
    ],
)
def test_marks_of_others_are_refused_with_the_remedy(written, word):
    with pytest.raises(MarksError, match=word):
        marks_of(written)


# -- commits, aborts, partitions ----------------------------------------------------------


def test_an_abort_goes_back_to_what_was_committed():
    positions = Positions()
    first, second, third = (at(row(lsn=n)) for n in (500, 510, 520))

    positions.of("t", 0).fresh(first)
    positions.flushed()
    positions.of("t", 0).fresh(second)  # folded while the commit was under way
    positions.committed()
    positions.of("t", 0).fresh(third)
    positions.discard()

    marks = positions.of("t", 0)
    assert [marks.fresh(p) for p in (first, second, third)] == [False, True, True]


def test_a_flush_that_fails_is_undone_too():
    positions = Positions()
    positions.assigned("t", 0, "")
    positions.of("t", 0).fresh(at(row(lsn=500)))
    positions.flushed()
    positions.discard()

    assert positions.of("t", 0).fresh(at(row(lsn=500)))


def test_partitions_have_marks_of_their_own_and_lose_them_with_the_partition():
    positions = Positions()
    positions.of("t", 0).fresh(at(row(lsn=500)))
    note = positions.text("t", 0, PAST)

    assert positions.of("t", 1).fresh(at(row(lsn=500)))
    positions.revoked("t", 0)
    assert positions.text("t", 0, PAST) == ""
    positions.assigned("t", 0, note)
    assert not positions.of("t", 0).fresh(at(row(lsn=500)))


def test_random_bytes_are_no_marks():
    rng = random.Random(5)
    for _ in range(200):
        note = "".join(chr(rng.randint(32, 126)) for _ in range(rng.randint(1, 60)))
        with pytest.raises(MarksError):
            marks_of(note)
