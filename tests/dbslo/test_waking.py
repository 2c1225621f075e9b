"""Who sends is woken by the commit that leaves something to be told."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from dbslo.demo import fleet
from dbslo.engines import EmbeddedEngine
from dbslo.given import given
from dbslo.wiring import beside
from slo.notice import Notice
from streams.store import Change, Store
from streams.timing import Timings
from tests.alerts.notices import NOTICE, T0

FLEET = Path(str(fleet.FLEET))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    found = Store(f"sqlite:///{tmp_path}/s.sqlite")
    yield found
    found.close()


def change(after: int, *notices: Notice) -> Change:
    return Change(after, T0, notices=notices)


def test_a_commit_with_a_notice_says_so_once_it_can_be_read(store: Store) -> None:
    waiting: list[int] = []
    store.noticed = lambda: waiting.append(len(store.letters()))
    progress = store.take(0)
    progress = store.commit(progress, change(1))
    assert waiting == []
    store.commit(progress, change(2, NOTICE))
    assert waiting == [1]


def test_an_engine_wakes_its_sender(store: Store, monkeypatch) -> None:
    monkeypatch.setenv("DBSLO_METRICS_LISTEN", "127.0.0.1:0")
    have = given(FLEET / "inventory.yaml", (FLEET / "slos.yaml",), None)
    timings = Timings()
    engine = EmbeddedEngine(have, store, timings)
    with beside(engine, store, have, timings) as (_, telling):
        assert telling is not None
        assert store.noticed == telling.wake
