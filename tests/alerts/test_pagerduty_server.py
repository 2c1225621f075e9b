"""The PagerDuty on loopback behaves as Events API v2 does."""

import json
from urllib.request import Request, urlopen

import pytest

from alerts.notifiers.pagerduty import event
from alerts.testing.loopback import Reply
from alerts.testing.pagerduty import ROUTING_KEY, PagerDutyServer
from tests.alerts.notices import KEY, NOTICE, about, resolved


@pytest.fixture
def server():
    with PagerDutyServer() as running:
        yield running


def get(server, path: str) -> str:
    with urlopen(server.url + path, timeout=5) as answer:
        return answer.read().decode()


def post(server, body: bytes, path: str = "/v2/enqueue") -> tuple[int, dict]:
    request = Request(server.url + path, body, {"Content-Type": "application/json"})
    try:
        with urlopen(request, timeout=5) as answer:
            return answer.status, json.loads(answer.read())
    except OSError as error:
        status, text = error.code, error.read()
        error.close()
        return status, json.loads(text)


def send(server, notice, **changes) -> tuple[int, dict]:
    sent = event(notice) | {"routing_key": ROUTING_KEY} | changes
    return post(server, json.dumps(sent).encode())


def test_an_event_is_accepted_with_its_key(server):
    assert send(server, NOTICE) == (
        202,
        {"status": "success", "message": "Event processed", "dedup_key": KEY},
    )


def test_incidents_follow_their_events(server):
    for notice in (
        NOTICE,
        about(KEY, severity="error"),
        about("other"),
        resolved(),
        resolved(),
        NOTICE,
    ):
        assert send(server, notice)[0] == 202
    shown = json.loads(get(server, "/incidents"))
    assert [
        (i["dedup_key"], i["status"], i["severity"], i["triggers"]) for i in shown
    ] == [
        (KEY, "resolved", "error", 2),
        ("other", "triggered", "critical", 1),
        (KEY, "triggered", "critical", 1),
    ]
    assert len(json.loads(get(server, "/events"))) == 6


def test_a_resolve_without_a_trigger_is_accepted_and_does_nothing(server):
    assert send(server, resolved())[0] == 202
    assert server.incidents == []


def test_a_trigger_without_a_key_gets_one_of_its_own(server):
    sent = event(NOTICE) | {"routing_key": ROUTING_KEY}
    del sent["dedup_key"]
    keys = {post(server, json.dumps(sent).encode())[1]["dedup_key"] for _ in range(2)}
    assert len(keys) == 2
    assert len(server.incidents) == 2


PAYLOAD = event(NOTICE)["payload"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"routing_key": "short"}, "should be 32 characters"),
        ({"routing_key": None}, "should be 32 characters"),
        ({"routing_key": "-" * 32}, "non-alphanumeric"),
        ({"event_action": "open"}, "'event_action' must be one of"),
        ({"dedup_key": "k" * 256}, "1 to 255 characters"),
        ({"dedup_key": 5}, "1 to 255 characters"),
        ({"event_action": "resolve", "dedup_key": None}, "'dedup_key' is missing"),
        ({"payload": None}, "'payload' is missing"),
        ({"payload": PAYLOAD | {"summary": "s" * 1025}}, "payload.summary"),
        ({"payload": PAYLOAD | {"summary": ""}}, "payload.summary"),
        ({"payload": PAYLOAD | {"source": ""}}, "payload.source"),
        ({"payload": PAYLOAD | {"severity": "page"}}, "payload.severity"),
        ({"links": [{"text": "no href"}]}, "'href'"),
        ({"links": "http://x"}, "'links' must be a list"),
    ],
)
def test_an_invalid_event_is_refused_with_every_reason(server, changes, reason):
    status, body = send(server, NOTICE, **changes)
    assert (status, body["status"]) == (400, "invalid event")
    assert reason in "; ".join(body["errors"])
    assert server.events == []
    assert server.incidents == []


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[1]"])
def test_what_is_no_event_at_all_is_refused(server, body):
    assert post(server, body)[0] == 400


def test_an_event_above_512_kb_is_too_large(server):
    assert send(server, NOTICE, client="x" * 600_000)[0] == 413


def test_ordered_faults_come_first_and_change_no_incident(server):
    server.order(Reply(429, b"{}"), Reply(503, b"{}"))
    assert [send(server, NOTICE)[0] for _ in range(3)] == [429, 503, 202]
    assert server.incidents[0]["triggers"] == 1
    assert len(server.requests) == 3


@pytest.mark.parametrize("path", ["/", "/events", "/incidents"])
def test_no_page_shows_a_routing_key(server, path):
    send(server, NOTICE)
    assert KEY in get(server, path)
    assert ROUTING_KEY not in get(server, path)


def test_the_page_for_people_shows_what_was_sent_and_runs_none_of_it(server):
    hostile = {"payload": PAYLOAD | {"summary": "<script>alert(1)</script>"}}
    assert "none yet" in get(server, "/")
    send(server, NOTICE, **hostile)
    page = get(server, "/")
    assert "&lt;script&gt;" in page
    assert "<script>" not in page
    assert "triggered" in page


def test_any_other_path_is_not_found(server):
    assert post(server, b"{}", "/v1/enqueue")[0] == 404
    with pytest.raises(OSError, match="404") as caught:
        get(server, "/nothing")
    caught.value.close()
