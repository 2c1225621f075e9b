"""The schema's revisions on both databases: made, adopted, upgraded once, refused."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, inspect, select, text

from slo.model import HOUR, MINUTE
from streams.evaluate import Evaluator
from streams.store import SchemaError, Store, schema, upgrade
from streams.store.migrations.versions import r0001_first
from tests.fleet import PLAN
from tests.streams.bench import LAG, ROWS, T0, TOPICS, Bench, batch, broken, cell


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.real)])
def urls(request, tmp_path) -> Iterator[str]:
    """Stores that nobody has made yet."""
    if request.param == "sqlite":
        return (f"sqlite:///{tmp_path}/{n}.db" for n in range(9))
    server = request.getfixturevalue("postgres")
    return (server.url(server.database()) for _ in range(9))


def scripts() -> ScriptDirectory:
    config = Config()
    folder = Path(upgrade.__file__).with_name("migrations")
    config.set_main_option("script_location", str(folder))
    config.set_main_option("path_separator", "os")
    return ScriptDirectory.from_config(config)


def test_the_known_revisions_are_those_in_the_folder_oldest_first():
    found = [one.revision for one in scripts().walk_revisions()]
    assert tuple(reversed(found)) == schema.REVISIONS


def test_the_revisions_make_what_the_tables_say(urls):
    store = Store(next(urls))
    with store.reading() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, schema.metadata) == []
    store.close()


def test_a_table_that_no_revision_makes_would_be_noticed(urls):
    store = Store(next(urls))
    with store.writing() as connection:
        connection.execute(text("DROP TABLE placement"))
    with store.reading() as connection:
        context = MigrationContext.configure(connection)
        assert compare_metadata(context, schema.metadata) != []
    store.close()


def filled(url: str) -> tuple[list[str], list]:
    """A store with an incident and a history; its dump and its letters."""
    bench = Bench(url)
    broken(bench, 60, 30, 80)
    bench.apply(batch(T0 + 2 * HOUR, [], [(ROWS, T0, 1, 2)]))
    found = bench.dump(T0 + 2 * HOUR), bench.store.letters()
    bench.store.close()
    return found


def rows_of(connection: Connection, table) -> list[dict]:
    return [dict(row) for row in connection.execute(select(table)).mappings()]


def as_it_was(new: str, old: str) -> str:
    """A store of the first schema, before revisions were numbered, with the same rows."""
    source, made = create_engine(new), create_engine(old)
    with source.connect() as there, made.begin() as here:
        r0001_first.metadata.create_all(here)
        for table in r0001_first.metadata.sorted_tables:
            if rows := rows_of(there, table):
                here.execute(table.insert(), rows)
        here.execute(text("UPDATE meta SET value = '1'"))
        assert not inspect(here).has_table("alembic_version")
    source.dispose()
    made.dispose()
    return old


def test_a_store_without_numbers_is_adopted_and_keeps_every_line(urls):
    new, old = next(urls), next(urls)
    lines, letters = filled(new)
    assert len(lines) > 50
    bench = Bench(as_it_was(new, old))
    assert bench.dump(T0 + 2 * HOUR) == lines
    assert bench.store.letters() == letters
    with bench.store.reading() as connection:
        assert upgrade.revision_of(connection) == schema.REVISIONS[-1]
    late = T0 + 3 * HOUR
    bench.apply(batch(late, [cell(LAG, late - MINUTE, 0.2)]))
    assert len(bench.dump(late)) > len(lines)
    bench.store.close()


def test_two_workers_that_start_at_once_upgrade_a_store_once(urls):
    new, old = next(urls), next(urls)
    lines, _ = filled(new)
    as_it_was(new, old)
    together = Barrier(4)

    def start(_: int) -> str:
        together.wait(10)
        store = Store(old)
        with store.reading() as connection:
            found = upgrade.revision_of(connection)
        store.close()
        return found

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(start, range(4))) == {schema.REVISIONS[-1]}
    bench = Bench(old)
    assert bench.dump(T0 + 2 * HOUR) == lines
    bench.store.close()


def test_several_stores_are_made_at_once_in_one_process(urls):
    wanted, together = [next(urls) for _ in range(4)], Barrier(4)

    def start(url: str) -> str:
        together.wait(10)
        store = Store(url)
        with store.reading() as connection:
            found = upgrade.revision_of(connection)
        store.close()
        return found

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(start, wanted)) == {schema.REVISIONS[-1]}


@pytest.mark.parametrize(
    ("table", "column"), [("alembic_version", "version_num"), ("meta", "value")]
)
def test_a_store_that_is_newer_than_we_are_is_refused_with_the_remedy(
    urls, table, column
):
    url = next(urls)
    store = Store(url)
    with store.writing() as connection:
        if table == "meta":
            connection.execute(text("DROP TABLE alembic_version"))
        connection.execute(text(f"UPDATE {table} SET {column} = '9999'"))
    store.close()
    with pytest.raises(SchemaError, match=r"schema 9999, .*use the version that wrote"):
        Store(url)


def test_what_older_versions_ask_for_tells_them_that_the_store_is_newer(urls):
    store = Store(next(urls))
    with store.reading() as connection:
        (row,) = rows_of(connection, schema.meta)
    assert int(row["value"]) == len(schema.REVISIONS), "the first version knew '1'"
    store.close()


def test_an_upgrade_that_fails_leaves_the_store_as_it_was(urls):
    """A column of that name stands in the way of the second revision."""
    new, old = next(urls), next(urls)
    filled(new)
    as_it_was(new, old)
    engine = create_engine(old)
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE progress ADD COLUMN saved_ms BIGINT"))
    with pytest.raises(Exception, match="saved_ms"):
        Store(old)
    with engine.connect() as connection:
        assert not inspect(connection).has_table("alembic_version")
        assert rows_of(connection, schema.meta) == [{"key": "schema", "value": "1"}]
    engine.dispose()


def test_evaluators_of_an_older_worker_may_finish_on_a_newer_store(urls):
    """Its statements name no column that it does not know."""
    url = next(urls)
    store = Store(url)
    old = r0001_first.metadata.tables["progress"]
    row = {"partition": 5, "next": 7, "epoch": 1, "cluster_id": "", "topic_id": ""}
    with store.writing() as connection:
        connection.execute(old.insert(), [{**row, "frontier": b""}])
    assert store.take(5).next == 7
    assert Evaluator(PLAN, store, TOPICS, partition=0).assigned() == 0
    store.close()
