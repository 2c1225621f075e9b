"""The inbox, run as the Compose file runs it: a ticket becomes a line of the log."""

import contextlib
import http.client
import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from tests.deploy.compose import mounted, services

SCRIPT = mounted("inbox", "/opt/inbox/inbox.py")


class Inbox:
    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        assert process.stdout is not None
        self.lines = process.stdout
        port = self.lines.readline().split()[-1]
        self.url = f"http://127.0.0.1:{port}"

    def post(self, body: bytes, path: str = "/tickets") -> int:
        request = urllib.request.Request(self.url + path, data=body, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status
        except urllib.error.HTTPError as refusal:
            with refusal:
                return refusal.code

    def announce(self, size: int) -> int:
        """The answer to a body of this size of which nothing is sent."""
        host = self.url.removeprefix("http://")
        connection = http.client.HTTPConnection(host, timeout=10)
        with contextlib.closing(connection):
            connection.putrequest("POST", "/tickets")
            connection.putheader("Content-Length", str(size))
            connection.endheaders()
            return connection.getresponse().status


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    command = [sys.executable, str(SCRIPT), "127.0.0.1", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Inbox(process)
        finally:
            process.kill()


def test_a_ticket_becomes_one_line(inbox):
    ticket = {"status": "firing", "alerts": [{"summary": "zwölf\nZeilen"}]}
    assert inbox.post(json.dumps(ticket).encode()) == 204
    line = json.loads(inbox.lines.readline())
    assert line == {"path": "/tickets", "document": ticket}


def test_what_is_not_json_is_refused_and_the_next_ticket_still_arrives(inbox):
    assert inbox.post(b"{") == 400
    assert inbox.post(b"\xff") == 400
    assert inbox.post(b"{}", "/notices") == 204
    assert json.loads(inbox.lines.readline())["path"] == "/notices"


def test_a_body_that_says_it_is_too_large_is_refused_before_it_is_read(inbox):
    assert inbox.announce(2_000_000) == 413
    assert inbox.announce(-1) == 400
    assert inbox.post(b"1") == 204


def test_the_health_check_is_answered(inbox):
    with urllib.request.urlopen(inbox.url, timeout=10) as answer:
        assert answer.status == 200


def test_it_is_started_with_an_address_and_a_port():
    assert services()["inbox"]["entrypoint"][1:3] == ["/opt/inbox/inbox.py", "0.0.0.0"]
