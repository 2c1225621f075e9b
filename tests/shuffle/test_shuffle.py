"""Whatever the order, the batches, the partitions and the restarts: one ledger."""

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.shuffle.__main__ import differences
from tests.shuffle.mixture import SHARED, mixture
from tests.shuffle.walk import walked

SEEDS = range(1, 6)


@pytest.fixture(scope="module")
def records():
    return mixture(7)


@pytest.fixture(scope="module")
def plain(records):
    return walked(records, 0)


def test_the_mixture_tells_something(plain):
    """Good and bad of every kind of series; else equality would prove little."""
    parts = [line.split("\t") for line in plain.lines]
    good = {series.split("/")[0] for series, _, good, _ in parts if int(good)}
    bad = {series.split("/")[0] for series, _, good, total in parts if good != total}
    assert len(plain.lines) > 4_000
    assert len(good) >= 9
    assert bad >= {
        "blocked-transactions",
        "cdc.end_to_end_freshness.occurrences",
        "changes-fresh",
        "connectors-alive",
        "transactions",
    }


def thinned(records, every):
    """All rows, and some of the rest.

    A row that was left out where it came first, and not where its run is sent again,
    would come behind its successors: no connector does that, and marks forbid it.
    """
    return [one for at, one in enumerate(records) if keyed(one) or at % every == 0]


def counted_rows(lines):
    return [line for line in lines if line.startswith("cdc.end_to_end_freshness.")]


def test_rows_that_a_connector_sends_again_change_no_line(plain):
    """Equal shuffles would not show it: each of them holds the same runs."""
    both = [mixture(7), mixture(7, again=False)]
    without, again = (walked([o for o in m if keyed(o)], 0).lines for m in both[::-1])

    assert len(both[0]) > len(both[1]) + 1_000
    assert len(counted_rows(again)) > 1_000
    assert counted_rows(again) == counted_rows(without)


def keyed(one):
    return one.topic not in SHARED


@pytest.mark.parametrize("seed", SEEDS)
def test_a_shuffle_gives_the_same_ledger(seed, records, plain):
    other = walked(records, seed)

    assert differences(plain, other) == []
    assert other.restarts > 0
    assert other.flushes > 50


@settings(
    max_examples=3,
    phases=[Phase.generate],  # a smaller seed is no simpler mixture
    deadline=None,
    suppress_health_check=list(HealthCheck),
    database=None,
)
@given(st.integers(1, 2**32))
def test_so_does_any_other_of_any_other_mixture(seed):
    some = thinned(mixture(seed), 8)

    assert differences(walked(some, 0), walked(some, seed)) == []
