"""Cells by columns: the same cells, and the same facts, as one by one."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from slo.model import HOUR, MINUTE
from streams.batch import decode, encode
from streams.packed import FEW, LATEST_MS, PackedCells, columns_of
from tests.streams.bench import GOOD, LAG, NOBODY, ROWS, T0, TOTAL, Bench, batch

numbers = st.floats(0, 1e9)
moments = st.integers(1 << 32, LATEST_MS - 1)
written = st.tuples(st.integers(0, 65_535), moments, moments, *[numbers] * 4)


def packed(cells):
    return PackedCells(msgspec.Raw(msgspec.msgpack.encode(cells)))


@given(st.lists(written, min_size=FEW + 1, max_size=2 * FEW))
def test_cells_as_stage_1_writes_them_are_columns(cells):
    found = packed(cells)
    assert found == cells
    assert (len(found), found[3], found[-2:]) == (len(cells), cells[3], cells[-2:])
    columns, plain = found.columns, columns_of(cells)
    for one in (columns, plain):
        assert one.route.tolist() == [cell[0] for cell in cells]
        assert one.start.tolist() == [cell[1] for cell in cells]
        assert one.stats.tolist() == [list(cell[3:]) for cell in cells]


PLAIN = (1, T0, T0, 1.0, 2.0, 3.0, 4.0)
ODD = {
    "a moment before 1970": (1, -MINUTE, *PLAIN[2:]),
    "a moment in a few bytes": (1, 60_000, *PLAIN[2:]),
    "a moment beyond ours": (1, LATEST_MS, *PLAIN[2:]),
    "a route beyond 16 bits": (65_536, *PLAIN[1:]),
    "a route before all others": (-1, *PLAIN[1:]),
    "a number without a point": (*PLAIN[:-1], 4),
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
@pytest.mark.parametrize("place", [0, FEW // 2, FEW])
def test_what_stage_1_does_not_write_is_read_one_by_one(odd, place):
    cells = [PLAIN] * (FEW + 1)
    cells[place] = odd
    found = packed(cells)
    assert found.columns is None
    assert found == cells


@pytest.mark.parametrize(
    "broken",
    [(*PLAIN, 1.0), PLAIN[:-1], (*PLAIN[:-1], None), ("1", *PLAIN[1:]), 7],
    ids=["one too many", "one too few", "no number", "a text", "no cell"],
)
@pytest.mark.parametrize("size", [1, 2 * FEW])
def test_a_batch_of_anything_else_is_none(broken, size):
    whole = batch(T0, [*[PLAIN] * size, broken])
    with pytest.raises(msgspec.DecodeError):
        decode(msgspec.msgpack.encode(whole))


def test_a_batch_is_written_again_as_it_came():
    for size in (0, 1, 2 * FEW):
        payload = encode(batch(T0, [PLAIN] * size))
        assert encode(decode(payload)) == payload
        assert decode(payload) == batch(T0, [PLAIN] * size)


values = st.sampled_from([0.0, 0.5, 2.0, 10.0])
said = st.tuples(
    st.sampled_from([LAG, LAG, GOOD, TOTAL, NOBODY, ROWS]),
    st.integers(0, 200).map(lambda n: n * MINUTE) | st.integers(0, 2 * HOUR),
    st.integers(0, 2),
    values,
)


@settings(max_examples=30)
@given(st.lists(said, min_size=2 * FEW, max_size=6 * FEW), st.integers(1, 4))
def test_cells_taken_by_columns_are_facts_as_if_taken_one_by_one(
    tmp_path_factory, stated, flushes
):
    cells = [
        (route, T0 + at, T0 + at, float(samples), value, value, value)
        for route, at, samples, value in stated
    ]
    folder, now = tmp_path_factory.mktemp("packed"), T0 + 4 * HOUR
    several, single = (Bench(f"sqlite:///{folder}/{n}.sqlite") for n in ("a", "b"))
    size = -(-len(cells) // flushes)
    for begin in range(0, len(cells), size):
        some = cells[begin : begin + size]
        middle = len(some) // 2
        sent = [decode(encode(batch(now, p))) for p in (some[:middle], some[middle:])]
        several.apply(*sent)
        for at in range(0, len(some), FEW):
            single.apply(batch(now, some[at : at + FEW]))
    for restarted in (False, True):
        dumps = [one.dump(now) for one in (several, single)]
        assert dumps[0] == dumps[1]
        if not restarted:
            tallies = [one.evaluator.tally.adjusted for one in (several, single)]
            assert tallies[0]["outweighed"] == tallies[1]["outweighed"]
        for one in (several, single):
            one.restart()
            one.apply(batch(now, [cells[0]]))


@pytest.mark.parametrize("others", [0, FEW])
@pytest.mark.parametrize("number", [-1, 99])
def test_a_batch_that_names_a_route_that_it_does_not_have_is_none(number, others):
    """A number below zero would be another's, counted from the end."""
    known = [(LAG, *PLAIN[1:])] * others
    for said in (
        {"cells": [(number, *PLAIN[1:]), *known]},
        {"cells": known, "deltas": [(number, T0, 1, 1)]},
    ):
        with pytest.raises(msgspec.DecodeError, match="another route"):
            decode(encode(replace(batch(T0, []), **said)))


def test_what_is_nested_too_deeply_is_no_batch():
    with pytest.raises(msgspec.DecodeError, match="too deeply"):
        decode(b"\x91" * 50_000)
