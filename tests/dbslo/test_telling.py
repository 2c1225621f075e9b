"""Pages that PagerDuty refuses for good: somebody is told all the same."""

import json
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest

import dashboards
from alerts.testing.loopback import LoopbackServer, Reply, Request
from alerts.testing.pagerduty import PagerDutyServer
from dbslo.demo import fleet
from dbslo.engines import EmbeddedEngine
from dbslo.given import given
from dbslo.health import Watcher
from dbslo.settings import read_settings
from dbslo.telling import Telling, real_clock, refused_pages
from slo.notice import Action, Channel, Notice
from streams.store import Store
from streams.store.outbox import put_notices
from streams.timing import Timings

FLEET = Path(str(fleet.FLEET))
KEY = "dbslo/prod/databases/payments"
PAGE = Notice(
    KEY,
    Channel.PAGE,
    Action.TRIGGER,
    "critical",
    "prod",
    "databases",
    "payments",
    1_000,
    1_000,
)
REFUSAL = b'{"status": "invalid event", "errors": ["Invalid routing key"]}'


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    found = Store(f"sqlite:///{tmp_path}/s.sqlite")
    yield found
    found.close()


def until(holds, seconds: float = 20.0):
    give_up_at = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < give_up_at
        time.sleep(0.02)
    return found


def want(store: Store, notice: Notice) -> None:
    with store.writing() as connection:
        put_notices(connection, [notice], real_clock())


def test_a_page_that_is_refused_for_good_reaches_the_log_and_the_webhook_and_shows(
    store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    answer = Reply(400, REFUSAL)
    heard: list[Request] = []

    def hear(request: Request) -> Reply:
        heard.append(request)
        return Reply(200)

    with LoopbackServer(lambda _: answer) as pages, LoopbackServer(hear) as hook:
        settings = read_settings(
            {
                "DBSLO_PAGERDUTY_URL": pages.url,
                "DBSLO_PAGERDUTY_KEY": "0" * 32,
                "DBSLO_WEBHOOK_URL": hook.url,
            },
            tmp_path / "none.yaml",
        )
        telling = Telling(store, settings)
        want(store, PAGE)
        with caplog.at_level(logging.INFO, "dbslo"):
            telling.start()
            (sentence,) = until(lambda: refused_pages(store.letters()))
            telling.stop()
    assert sentence.startswith(f"a page for {KEY} was refused for good: pagerduty: ")
    assert f"dbslo deadletter retry notice:{KEY}" in sentence
    (request,) = heard
    assert msgspec.json.decode(request.body, type=Notice) == PAGE
    (error,) = [r for r in caplog.records if r.levelno == logging.ERROR]
    assert error.getMessage() == "a page was refused for good"
    assert error.fields["key"] == KEY
    assert telling.counts["pagerduty", "dead"] == 1


def test_a_refused_page_is_no_news_once_its_retry_went_through(store: Store) -> None:
    want(store, PAGE)
    claim = store.claim("a", real_clock(), 1_000)
    assert claim is not None
    store.dead(claim, real_clock(), "pagerduty: refused (400)")
    assert len(refused_pages(store.letters())) == 1
    have = given(FLEET / "inventory.yaml", (FLEET / "slos.yaml",))
    engine = EmbeddedEngine(have, store, Timings())
    watcher = Watcher(engine, store, None, real_clock)
    (problem,) = watcher.ready().notes
    assert f"a page for {KEY} was refused for good" in problem
    assert store.again(KEY, real_clock())
    assert refused_pages(store.letters()) == []
    assert watcher.ready().notes == []


def test_what_is_only_late_or_only_a_ticket_is_not_called_refused(store: Store) -> None:
    want(store, PAGE)
    claim = store.claim("a", real_clock(), 1_000)
    assert claim is not None
    store.retry(claim, real_clock(), 60_000, "pagerduty: 500")
    ticket = msgspec.structs.replace(PAGE, key="ticket", channel=Channel.TICKET)
    want(store, ticket)
    claim = store.claim("a", real_clock(), 1_000)
    assert claim is not None
    store.dead(claim, real_clock(), "webhook: refused (400)")
    assert refused_pages(store.letters()) == []


def test_a_page_leads_to_the_panel_of_the_burn(store: Store, tmp_path: Path) -> None:
    board = Path(dashboards.__file__).parent / "generated" / "dbslo-slo-detail.json"
    titles = {
        panel["id"]: panel["title"] for panel in json.loads(board.read_text())["panels"]
    }
    with PagerDutyServer() as server:
        settings = read_settings(
            {
                "DBSLO_PAGERDUTY_URL": server.url,
                "DBSLO_PAGERDUTY_KEY": "0" * 32,
                "DBSLO_GRAFANA_URL": "https://grafana.example",
            },
            tmp_path / "none.yaml",
        )
        telling = Telling(store, settings)
        want(store, PAGE)
        telling.start()
        (event,) = until(lambda: server.events)
        telling.stop()
    query = parse_qs(urlsplit(event["client_url"]).query)
    (panel,) = query["viewPanel"]
    assert titles[int(panel)].startswith("Burn rate by window")
