"""One suite for every notifier: who may retry, by when, and what is never said."""

import json
import socket
import ssl
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

from alerts.delivery import Notifier, NotifyError
from alerts.notifiers.log import Log
from alerts.notifiers.pagerduty import PagerDuty
from alerts.notifiers.webhook import Webhook
from alerts.testing.loopback import LoopbackServer, Reply
from alerts.testing.pagerduty import ROUTING_KEY
from slo.model import HOUR, MINUTE, SECOND
from tests.alerts.notices import KEY, NOTICE, T0, resolved

TOKEN = "t0ken-Of-The-Webhook"
Clock = Callable[[], int]


class Http(NamedTuple):
    """A notifier that POSTs: how it is built for a URL, and its secrets."""

    build: Callable[[str, Clock], Notifier]
    secrets: tuple[str, ...]
    key: str  # where its body holds the dedup key
    action: str


HTTP = {
    "pagerduty": Http(
        lambda url, clock: PagerDuty(ROUTING_KEY, clock, url),
        (ROUTING_KEY,),
        "dedup_key",
        "event_action",
    ),
    "webhook": Http(
        lambda url, clock: Webhook(
            f"{url}/hook/{TOKEN}?code={TOKEN}",
            clock,
            {"Authorization": f"Bearer {TOKEN}"},
        ),
        (TOKEN,),
        "key",
        "action",
    ),
}

RETRIED = {408, 425, 429}
STATUSES = sorted({status.value for status in HTTPStatus} - {100} | {299, 499, 599})


def fixed() -> int:
    return T0


def wall() -> int:
    return time.time_ns() // 1_000_000


def echo(request) -> Reply:
    """A server that repeats all it was told, as careless ones do."""
    said = f"{request.path} {request.headers} {request.body.decode()}"
    return Reply(400, json.dumps({"errors": [said], "message": said}).encode())


@pytest.fixture
def server() -> Iterator[LoopbackServer]:
    with LoopbackServer(lambda _: Reply(202)) as running:
        yield running


@pytest.fixture(params=HTTP)
def http(request) -> Http:
    return HTTP[request.param]


def failure(notifier: Notifier, deadline_ms: int = T0 + 10 * SECOND) -> NotifyError:
    with pytest.raises(NotifyError) as caught:
        notifier.notify(NOTICE, deadline_ms)
    return caught.value


def told(http: Http, server: LoopbackServer) -> list[tuple[str, str]]:
    bodies = [json.loads(request.body) for request in server.requests]
    return [(body[http.key], body[http.action]) for body in bodies]


# -- told, repeated, resolved: every notifier -------------------------------------


@contextmanager
def over_http(kind: Http) -> Iterator[tuple[Notifier, Callable[[], Any]]]:
    with LoopbackServer(lambda _: Reply(202)) as running:
        yield kind.build(running.url, fixed), lambda: told(kind, running)


@contextmanager
def to_the_log() -> Iterator[tuple[Notifier, Callable[[], Any]]]:
    lines: list[str] = []

    def read() -> list[tuple[str, str]]:
        found = [json.loads(line) for line in lines]
        return [(one["key"], one["action"]) for one in found]

    yield Log(lines.append), read


EVERY = {
    "log": to_the_log,
    **{name: lambda kind=kind: over_http(kind) for name, kind in HTTP.items()},
}


@pytest.mark.parametrize("kind", EVERY)
def test_trigger_repeat_and_resolve_bear_one_stable_key(kind):
    with EVERY[kind]() as (notifier, heard):
        for notice in (NOTICE, NOTICE, resolved()):
            notifier.notify(notice, T0 + SECOND)
        assert heard() == [(KEY, "trigger"), (KEY, "trigger"), (KEY, "resolve")]


def test_a_log_that_cannot_be_written_is_tried_again():
    def full(_: str) -> None:
        raise OSError(28, "No space left on device")

    error = failure(Log(full))
    assert (error.retry, str(error)) == (True, "the log could not be written (OSError)")


# -- the retry matrix --------------------------------------------------------------


@pytest.mark.parametrize("status", STATUSES)
def test_each_status_is_told_retried_or_refused_for_ever(http, server, status):
    server.order(Reply(status))
    notifier = http.build(server.url, fixed)
    if 200 <= status < 300:
        notifier.notify(NOTICE, T0 + 10 * SECOND)
        return
    error = failure(notifier)
    assert error.retry == (status in RETRIED or status < 200 or status >= 500)
    assert f"HTTP {status}" in str(error)
    assert server.url in str(error)


def test_a_redirect_is_not_followed(http, server):
    server.order(Reply(302, headers={"Location": f"{server.url}/elsewhere"}))
    error = failure(http.build(server.url, fixed))
    assert not error.retry
    assert "configure the final URL" in str(error)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("status", "header", "asked_ms"),
    [
        (429, "7", 7 * SECOND),
        (503, "120", 2 * MINUTE),
        (429, "Tue, 14 Nov 2023 22:13:50 GMT", 30 * SECOND),  # T0 is 22:13:20
        (503, "Tue, 14 Nov 2023 22:00:00 GMT", 0),  # past: at once
        (429, "", MINUTE),  # PagerDuty wants minutes
        (429, "soon", MINUTE),
        (429, "-5", MINUTE),
        (503, "", None),
        (503, "99999999999999999999", HOUR),  # no header silences a page for ever
        (429, "Fri, 01 Jan 2999 00:00:00 GMT", HOUR),
        (400, "60", None),  # refused for ever: nothing to wait for
    ],
)
def test_retry_after_is_honoured_up_to_an_hour(http, server, status, header, asked_ms):
    headers = {"Retry-After": header} if header else {}
    server.order(Reply(status, headers=headers))
    assert failure(http.build(server.url, fixed)).after_ms == asked_ms


# -- no answer -----------------------------------------------------------------------


@pytest.mark.parametrize("how", ["hold", "trickle"])
def test_a_server_that_does_not_finish_is_left_at_the_deadline(http, server, how):
    server.order(Reply(202, **{how: True}))
    started = wall()
    error = failure(http.build(server.url, wall), started + 300)
    assert error.retry
    assert "no answer in time" in str(error)
    assert 250 <= wall() - started < 5_000


def test_after_the_deadline_not_a_byte_leaves(http, server):
    error = failure(http.build(server.url, fixed), T0)
    assert error.retry
    assert server.requests == ()


def test_a_dropped_connection_is_tried_again(http, server):
    server.order(Reply(202, drop=True))
    assert failure(http.build(server.url, fixed)).retry
    http.build(server.url, fixed).notify(NOTICE, T0 + SECOND)


def test_an_accepted_notice_is_told_though_the_answer_breaks_off(http):
    answer = b"HTTP/1.1 202 Accepted\r\nContent-Length: 500\r\n\r\n{"
    with one_answer(answer) as url:
        http.build(url, fixed).notify(NOTICE, T0 + 10 * SECOND)


@pytest.mark.parametrize(
    "answer", [b"\x16\x03\x01 not HTTP\r\n\r\n", b"HTTP/1.1 what\r\n\r\n", b""]
)
def test_an_answer_that_is_not_http_is_tried_again(http, answer):
    with one_answer(answer) as url:
        assert failure(http.build(url, fixed)).retry


def test_nobody_listening_is_tried_again(http):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    assert failure(http.build(f"http://127.0.0.1:{port}", fixed)).retry


def test_a_name_that_does_not_resolve_is_tried_again(http):
    assert failure(http.build("http://nowhere.invalid", fixed)).retry


def test_plain_http_where_tls_is_due_is_tried_again(http, server):
    url = server.url.replace("http://", "https://")
    assert failure(http.build(url, fixed)).retry


@contextmanager
def one_answer(answer: bytes) -> Iterator[str]:
    """A server that answers one connection with these bytes and closes it."""

    def serve(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with connection:
            connection.recv(65_536)
            connection.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve, args=(listening,))
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        thread.join()


# -- secrets ---------------------------------------------------------------------------


def everything_said(notifier: Notifier, error: BaseException) -> str:
    trace = "".join(traceback.format_exception(error))
    return f"{notifier!r} {notifier} {error!r} {error} {trace}".lower()


def test_no_error_names_a_secret_though_the_server_repeats_them(http):
    with LoopbackServer(echo) as server:
        notifier = http.build(server.url, fixed)
        said = everything_said(notifier, failure(notifier))
        sent = server.requests[0]
    for secret in http.secrets:
        assert secret in f"{sent.path} {sent.headers} {sent.body.decode()}"
        assert secret.lower() not in said


@pytest.mark.parametrize("case", [str.upper, str.lower, str.title])
def test_no_error_names_a_secret_in_another_spelling(http, case):
    def shout(request) -> Reply:
        said = case(f"{request.path} {request.headers} {request.body.decode()}")
        return Reply(403, json.dumps({"errors": [said]}).encode())

    with LoopbackServer(shout) as server:
        notifier = http.build(server.url, fixed)
        said = everything_said(notifier, failure(notifier))
    for secret in http.secrets:
        assert secret.lower() not in said


@pytest.mark.parametrize("status", [s for s in STATUSES if not 200 <= s < 300])
def test_no_status_makes_it_name_a_secret(http, server, status):
    server.order(Reply(status))
    notifier = http.build(server.url, fixed)
    said = everything_said(notifier, failure(notifier))
    for secret in http.secrets:
        assert secret.lower() not in said


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://nowhere.invalid"])
def test_no_failed_connection_names_a_secret(http, url):
    notifier = http.build(url, fixed)
    said = everything_said(notifier, failure(notifier))
    for secret in http.secrets:
        assert secret.lower() not in said


@pytest.mark.parametrize(
    "url",
    [
        "",
        "ftp://host/SECRET",
        "https:///SECRET",
        "//host/SECRET",
        "https://host:SECRET/",
        "https://host:99999/SECRET",
        "https://host/SECRET with a space",
        "https://host/SECRET\x7f",
        "https://hôst/SECRET",
    ],
)
@pytest.mark.parametrize(
    "build",
    [lambda url: PagerDuty(ROUTING_KEY, fixed, url), lambda u: Webhook(u, fixed)],
)
def test_an_unusable_url_is_refused_at_once_without_being_quoted(build, url):
    with pytest.raises(ValueError, match="the URL") as caught:
        build(url)
    assert "SECRET" not in str(caught.value)


def test_a_header_with_a_line_break_is_refused_without_being_quoted():
    with pytest.raises(ValueError, match="line break") as caught:
        Webhook("http://h", fixed, {"Authorization": f"Bearer {TOKEN}\n"})
    assert TOKEN not in str(caught.value)


def test_an_empty_routing_key_is_refused():
    with pytest.raises(ValueError, match="routing key is empty"):
        PagerDuty("", fixed)


# -- TLS ----------------------------------------------------------------------------


@pytest.fixture
def tls_server(server, tmp_path) -> LoopbackServer:
    """The server behind TLS, with a certificate of its own for localhost."""
    certificate, key = tmp_path / "server.pem", tmp_path / "server.key"
    write_certificate(certificate, key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    listening = server._server
    listening.socket = context.wrap_socket(listening.socket, server_side=True)
    return server


def write_certificate(certificate: Path, key: Path) -> None:
    made = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(made.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False
        )
        .sign(made, hashes.SHA256())
    )
    certificate.write_bytes(signed.public_bytes(Encoding.PEM))
    private = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    key.write_bytes(made.private_bytes(*private))


def over_tls(server: LoopbackServer, host: str = "localhost") -> str:
    return server.url.replace("http://127.0.0.1", f"https://{host}")


def test_it_speaks_tls_to_a_server_that_it_trusts(
    http, tls_server, tmp_path, monkeypatch
):
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "server.pem"))
    tls_server.order(Reply(202), Reply(400))
    notifier = http.build(over_tls(tls_server), wall)
    notifier.notify(NOTICE, wall() + 10 * SECOND)
    assert told(http, tls_server) == [(KEY, "trigger")]
    assert not failure(notifier, wall() + 10 * SECOND).retry


def test_over_tls_too_a_server_that_does_not_finish_is_left_at_the_deadline(
    http, tls_server, tmp_path, monkeypatch
):
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "server.pem"))
    tls_server.order(Reply(202, trickle=True))
    started = wall()
    error = failure(http.build(over_tls(tls_server), wall), started + 1_000)
    assert "no answer in time" in str(error)
    assert wall() - started < 5_000


def test_a_server_that_it_does_not_trust_hears_nothing(http, tls_server):
    error = failure(http.build(over_tls(tls_server), wall), wall() + 10 * SECOND)
    assert error.retry
    assert "SSLCertVerificationError" in str(error)
    assert tls_server.requests == ()


def test_a_certificate_for_another_name_is_not_trusted(
    http, tls_server, tmp_path, monkeypatch
):
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "server.pem"))
    url = over_tls(tls_server, "127.0.0.1")
    assert "SSLCertVerificationError" in str(
        failure(http.build(url, wall), wall() + 10 * SECOND)
    )
    assert tls_server.requests == ()
