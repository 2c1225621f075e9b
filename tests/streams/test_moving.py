"""Where history lives, and that a move forgets no table."""

import pytest

from streams.homes import Homes, placement
from streams.partition import partition_of
from streams.store import PlacementError, Store, schema
from streams.store.moving import APART, STEPS, Head, Note, UnsettledError, note, rewrite
from tests.fleet import PLAN

HERE = partition_of("orders", 4)


@pytest.fixture
def store(tmp_path):
    made = Store(f"sqlite:///{tmp_path}/store.db")
    yield made
    made.close()


def test_every_table_with_a_partition_is_moved_or_says_why_not():
    with_partition = {
        name for name, table in schema.metadata.tables.items() if "partition" in table.c
    }
    assert {step.table.name for step in STEPS} | APART.keys() == with_partition


def test_whatever_is_known_lives_where_its_cluster_does():
    homes = Homes(PLAN, 4)
    rows = placement(PLAN.series, HERE)
    assert {homes.placed(name, 0) for name in rows} == {HERE}
    assert {homes.of_series(series.key) for series in PLAN.series} == {HERE}
    assert {name for name in rows if name.startswith("@")} == {
        f"@{resource.key}" for resource in PLAN.inventory.clusters[0].resources
    }


def test_what_is_no_longer_known_stays_together_in_a_partition_that_there_is():
    homes = Homes(PLAN, 2)
    assert homes.of_resource("instance:gone") is None
    assert [homes.placed("@instance:gone", was) for was in (0, 1, 2, 3)] == [0, 1, 0, 1]


def test_nobody_evaluates_while_a_move_is_noted(store):
    store.place({"orders": 0})
    note(store, Note(2, 4, "topic"))
    with pytest.raises(PlacementError, match="dbslo move --yes"):
        store.place({"orders": 0})
    rewrite(store, Homes(PLAN, 4), [Head(n, 7, b"") for n in range(4)], ("k", "t"))
    assert store.placed() == {"orders": HERE}
    store.place({"orders": HERE})


def test_a_resource_that_changes_its_cluster_is_refused_with_the_remedy(store):
    store.place({"orders": 0, "@instance:orders-a": 0})
    with pytest.raises(PlacementError, match=r"orders-a from 0 to 3.*dbslo move"):
        store.place({"bills": 3, "@instance:orders-a": 3})


def test_a_journal_that_is_not_empty_stops_the_move(store):
    with store.writing() as connection:
        row = {"partition": 0, "next": 7, "facts": b"", "counts": b""}
        connection.execute(schema.journal.insert(), [row])
    with pytest.raises(UnsettledError):
        rewrite(store, Homes(PLAN, 4), [], ("k", "t"))


def test_every_epoch_grows_so_that_whoever_held_a_partition_is_fenced(store):
    held = store.take(0)
    heads = [Head(n, held.next, b"") for n in range(2)]
    rewrite(store, Homes(PLAN, 2), heads, ("k", "t"))
    epochs = {store.progress(number).epoch for number in store.partitions()}
    assert epochs == {held.epoch + 1}
