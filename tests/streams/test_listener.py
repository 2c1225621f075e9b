"""What probes and scrapers are told, and who is told nothing."""

from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from slo.policy import DEFAULT
from streams.listener import ALIVE, READY, Listener, Standing
from streams.metrics import EngineCollector, Figures
from streams.timing import Timings

TOKEN = "0123456789abcdef0123456789abcdef"


def nothing() -> EngineCollector:
    """The figures of an engine that has counted nothing."""
    return EngineCollector(
        list, Figures, Timings(), policy=DEFAULT, clock=lambda: 0, version="0"
    )


def asked(url: str, **headers: str) -> tuple[int, str, dict[str, str]]:
    try:
        with urlopen(Request(url, headers=headers), timeout=10) as answer:
            return answer.status, answer.read().decode(), dict(answer.headers)
    except HTTPError as error:
        with error:
            return error.code, error.read().decode(), dict(error.headers)


@pytest.fixture
def standing():
    return {ALIVE: Standing([], []), READY: Standing([], [])}


@pytest.fixture
def listener(standing):
    probes = {path: lambda path=path: standing[path] for path in (ALIVE, READY)}
    with Listener("127.0.0.1", 0, nothing(), probes, TOKEN) as made:
        yield made


def test_each_probe_has_an_answer_of_its_own_and_notes_change_none(listener, standing):
    standing[READY] = Standing(["the store does not answer"], ["a notice has waited"])
    standing[ALIVE] = Standing([], ["the store does not answer"])
    assert asked(listener.url + ALIVE)[:2] == (200, "note: the store does not answer\n")
    assert asked(listener.url + READY)[:2] == (
        503,
        "the store does not answer\nnote: a notice has waited\n",
    )
    standing[ALIVE] = Standing([], [])
    assert asked(listener.url + ALIVE)[:2] == (200, "ok\n")


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer",
        f"Bearer {TOKEN[:-1]}",
        f"Bearer {TOKEN}0",
        f"Basic {TOKEN}",
        TOKEN,
        "Bearer \xe9",
    ],
)
def test_who_does_not_bear_the_token_sees_no_figures_and_is_told_how(
    listener, authorization
):
    headers = {"Authorization": authorization} if authorization else {}
    status, said, given = asked(f"{listener.url}/metrics", **headers)
    assert status == 401
    assert given["WWW-Authenticate"] == 'Bearer realm="dbslo"'
    assert TOKEN[:-1] not in said


def test_who_bears_the_token_sees_the_figures(listener):
    for scheme in ("Bearer", "bearer"):
        found = asked(f"{listener.url}/metrics", Authorization=f"{scheme} {TOKEN}")
        assert found[0] == 200


def test_without_a_token_everybody_does(standing):
    with Listener("127.0.0.1", 0, nothing(), {}) as open_to_all:
        assert asked(f"{open_to_all.url}/metrics")[0] == 200
        assert asked(f"{open_to_all.url}/healthz")[0] == 404
