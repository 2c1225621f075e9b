"""A record that is left out between the fetch and the store is missed."""

from hypothesis import given
from hypothesis import strategies as st

from streams.runtimes.chain import Chain

offsets = st.sets(st.integers(10, 60), min_size=1).map(sorted)


@given(offsets, st.data())
def test_a_record_follows_what_the_store_holds_only_if_none_was_left_out(logged, data):
    """Holes in the offsets are no loss; a record that never came is."""
    cut = data.draw(st.integers(0, len(logged)))
    lost = data.draw(st.sets(st.sampled_from(logged)))
    chain: Chain[str] = Chain()
    chain.begin({"p": 5})
    held, applied = 5, []
    for fetch in (logged[:cut], logged[cut:]):
        chain.fetched({"p": fetch})
        for offset in fetch:
            if offset not in lost and chain.after("p", offset) <= held:
                applied.append(offset)
                held = offset + 1
    before_the_first_loss = [o for o in logged if not lost or o < min(lost)]
    assert applied == before_the_first_loss


def test_a_partition_that_was_never_begun_has_nothing_before_its_first_record():
    chain: Chain[str] = Chain()
    chain.fetched({"p": [7, 9]})
    assert [chain.after("p", offset) for offset in (7, 9)] == [7, 8]


def test_a_seek_begins_the_chain_anew():
    chain: Chain[str] = Chain()
    chain.begin({"p": 0})
    chain.fetched({"p": [3, 4]})
    chain.begin({"p": 3})
    chain.fetched({"p": [3, 4]})
    assert [chain.after("p", offset) for offset in (3, 4)] == [3, 4]
