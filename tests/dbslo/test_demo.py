"""The demo as people start it: a program that ends by itself and judges itself."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, Self
from urllib.request import urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families

from slo.contract import METRICS

ROOT = Path(__file__).parents[2]
PROGRAM = (sys.executable, "-m", "dbslo", "demo")
KEY = "dbslo/prod/databases/payments"


def environment(**more: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("DBSLO_")}
    return kept | more


def demo(*args: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PROGRAM, *args],
        cwd=ROOT,
        env=environment(**env),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def lines(found: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in found.stdout.splitlines()]


class OwnPagerDuty:
    """A server that knows nothing of ours: it keeps what is posted."""

    def __init__(self, status: int = 202) -> None:
        posted: list[dict[str, Any]] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                size = int(self.headers["Content-Length"])
                posted.append({"path": self.path, **json.loads(self.rfile.read(size))})
                self.send_response(status)
                self.end_headers()
                self.wfile.write(b'{"status": "success"}')

            def log_message(self, *_: object) -> None:
                pass

        self.posted = posted
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(scope="module")
def told() -> list[dict[str, Any]]:
    """What the default demo says, as JSON lines."""
    found = demo("--json")
    assert found.returncode == 0, found.stdout[-2000:] + found.stderr
    assert found.stderr == ""
    return lines(found)


def test_the_outage_opens_one_incident_which_resolves_and_the_failover_none(told):
    end = told[-1]
    assert end["kind"] == "end"
    assert end["ok"]
    (incident,) = end["incidents"]
    assert incident["key"] == KEY
    assert incident["severity"] in ("critical", "error")
    assert incident["resolved_ms"] > incident["opened_ms"]
    spent = end["spent"]["connections/orders-proxy"]
    # 28 s of 60 in one minute of the 43.2 that 99.9 % of 30 days allow
    assert spent == pytest.approx(28 / 60 / 43.2, rel=1e-3)


def test_the_page_comes_minutes_after_the_replicas_broke(told):
    start = next(line for line in told if line["kind"] == "story")["time"]
    paged = [one for one in told if one["kind"] == "verdict" and one["to"] == "page"]
    assert {one["slo"] for one in paged} == {"rds-replicas-fresh"}
    assert len({one["resource"] for one in paged}) == 5
    assert start < min(one["time"] for one in paged)


def test_pagerduty_is_triggered_first_and_told_of_the_end_last(told):
    pages = [line for line in told if line["kind"] == "page"]
    assert {page["key"] for page in pages} == {KEY}
    actions = [page["action"] for page in pages]
    assert actions[0] == "trigger"
    assert actions[-1] == "resolve"
    assert actions.count("resolve") == 1


def test_everything_that_a_person_needs_is_on_plain_lines():
    found = demo("--incident", "aurora-failover")
    assert found.returncode == 0, found.stdout + found.stderr
    assert "\x1b" not in found.stdout
    for part in ("/metrics", "/events", "orders fails over", "nobody was paged"):
        assert part in found.stdout
    assert "5m burns 93.3x, 1h burns 7.8x, 98.9% of the budget left" in found.stdout


@pytest.mark.parametrize("name", ["source-gap", "lock-queue"])
def test_what_must_page_nobody_pages_nobody(name):
    found = demo("--incident", name, "--json")
    assert found.returncode == 0, found.stdout[-2000:] + found.stderr
    end = lines(found)[-1]
    assert end["incidents"] == []


@pytest.mark.parametrize("name", ["cdc-zombie", "receiver-stalled"])
def test_a_stalled_stream_pages_once(name):
    with OwnPagerDuty() as server:
        found = demo("--incident", name, DBSLO_PAGERDUTY_URL=server.url)
    assert found.returncode == 0, found.stdout + found.stderr
    assert "(DBSLO_PAGERDUTY_URL)" in found.stdout
    actions = [event["event_action"] for event in server.posted]
    assert actions[0] == "trigger"
    assert actions[-1] == "resolve"
    assert len({event["dedup_key"] for event in server.posted}) == 1
    assert {event["path"] for event in server.posted} == {"/v2/enqueue"}
    assert all(len(event["routing_key"]) == 32 for event in server.posted)


def test_a_pagerduty_that_refuses_makes_the_demo_fail_and_says_why():
    with OwnPagerDuty(status=400) as server:
        found = demo("--incident", "cdc-zombie", DBSLO_PAGERDUTY_URL=server.url)
    assert found.returncode == 1
    assert server.posted
    assert "PagerDuty was not triggered" in found.stderr
    assert "400" in found.stderr


def test_a_pagerduty_that_is_not_there_makes_the_demo_fail():
    gone = "http://127.0.0.1:9"
    found = demo("--incident", "cdc-zombie", DBSLO_PAGERDUTY_URL=gone)
    assert found.returncode == 1
    assert "not as promised" in found.stderr
    key = "dbslo/prod/databases/orders"
    summary = next(x for x in found.stdout.splitlines() if x.startswith("one incident"))
    untold = r"\(PagerDuty was not told\)"
    pattern = rf"one incident: {key}, opened \S+ {untold}, over \S+ {untold}"
    assert re.fullmatch(pattern, summary)
    assert "triggers" not in found.stdout
    assert "resolves" not in found.stdout
    assert found.stdout.count(f"PagerDuty was not told of {key}") == 1


def test_the_story_and_its_summary_agree_about_every_moment():
    """A step of this one takes minutes, and the page resolves within it."""
    found = demo("--incident", "github-cross-region")
    assert found.returncode == 0, found.stdout + found.stderr
    told = found.stdout.splitlines()
    clocks = [line.split()[0] for line in told if re.match(r"[+-]\d", line)]
    assert clocks == sorted(clocks, key=seconds)
    pages = [line.split() for line in told if " PagerDuty " in line]
    (summary,) = [line for line in told if line.startswith("one incident")]
    assert pages[0][2] == "triggers"
    assert pages[-1][2] == "resolves"
    wanted = f"triggered {pages[0][0]}, resolved {pages[-1][0]}"
    assert summary.endswith(wanted)


def seconds(shown: str) -> int:
    hours, minutes, rest = (int(part) for part in shown.lstrip("+-").split(":"))
    return (hours * 3600 + minutes * 60 + rest) * (-1 if shown[0] == "-" else 1)


@pytest.fixture
def kept() -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """A demo that stays up at its end."""
    process = subprocess.Popen(
        [*PROGRAM, "--keep", "--json", "--incident", "aurora-failover"],
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        for line in process.stdout:
            told = json.loads(line)
            if told["kind"] == "end":
                break
        else:
            pytest.fail("the demo ended before its end")
        yield process, told
    finally:
        process.kill()
        process.communicate()


def test_kept_up_it_serves_every_metric_until_it_is_told_to_stop(kept):
    process, end = kept
    with urlopen(end["metrics"], timeout=10) as answer:
        families = {
            family.name: family
            for family in text_string_to_metric_families(answer.read().decode())
        }
    assert families.keys() == {name.removesuffix("_total") for name in METRICS}
    silent = {name for name, family in families.items() if not family.samples}
    # one process with its own broker waits for nothing and loses nothing, nothing
    # restates, and the sources of the demo are all believable
    assert silent <= {
        "dbslo_consumer_lag_messages",
        "dbslo_lost_messages",
        "dbslo_refused",
        "dbslo_notify",
        "dbslo_exhaustion_seconds",
    }
    with urlopen(end["pagerduty"].split(" ")[0], timeout=10) as answer:
        assert json.loads(answer.read()) == []
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=30) == 0


def test_interrupted_it_ends_at_once_and_says_so():
    process = subprocess.Popen(
        [*PROGRAM, "--incident", "gitlab-replica"],
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    while not process.stdout.readline().startswith("+0:00:00"):
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 1
    assert errors == "stopped before its end\n"
