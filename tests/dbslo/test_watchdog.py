"""A worker that stands still ends its process; one that waits for others does not."""

import subprocess
import sys
import time
from pathlib import Path
from threading import Event

import pytest

from dbslo.serve import exposed
from dbslo.watchdog import STUCK, Beat, Pulse, Watchdog

ROOT = Path(__file__).parents[2]
LIMIT_S = 10.0


class Worker:
    def __init__(self) -> None:
        self.at_s: float | None = 0.0

    def beats(self) -> list[Beat]:
        return [] if self.at_s is None else [Beat("evaluate", self.at_s)]


def gone() -> None:
    raise ConnectionError


def watchdog(worker: Worker, **neighbours) -> Watchdog:
    named = {name.replace("_", " "): ask for name, ask in neighbours.items()}
    return Watchdog(worker, named, LIMIT_S, lambda _: None)


def test_a_worker_that_goes_round_is_let_be_and_one_that_stands_still_is_named():
    worker = Worker()
    dog = watchdog(worker, the_store=lambda: None)
    dog.look(LIMIT_S)
    assert dog.stuck == []
    dog.look(LIMIT_S + 1)
    assert dog.stuck == ["evaluate has stood still for 11 s"]
    worker.at_s = LIMIT_S
    dog.look(LIMIT_S + 2)
    assert dog.stuck == []


def test_a_worker_that_has_ended_stands_for_nothing():
    worker = Worker()
    worker.at_s = None
    dog = watchdog(worker)
    dog.look(1e9)
    assert dog.stuck == []


def test_while_the_store_is_away_nobody_is_stuck_and_afterwards_there_is_time_again():
    worker, begun = Worker(), time.monotonic()
    worker.at_s = begun - 1_000
    answers: list[bool] = []

    def ask() -> None:
        if not answers:
            raise ConnectionError

    dog = watchdog(worker, the_store=ask)
    dog.look(time.monotonic())
    assert (dog.stuck, dog.waits_for) == ([], ["the store does not answer"])
    answers.append(True)
    dog.look(time.monotonic())
    assert (dog.stuck, dog.waits_for) == ([], [])
    dog.look(time.monotonic() + LIMIT_S + 1)
    assert dog.stuck


def test_a_neighbour_that_hangs_is_away_and_is_not_asked_twice_at_once():
    hangs, asked = Event(), []

    def ask() -> None:
        asked.append(1)
        hangs.wait()

    worker = Worker()
    worker.at_s = time.monotonic() - 1_000
    dog = Watchdog(worker, {"Kafka": ask}, LIMIT_S, lambda _: None, answer_s=0.1)
    for later_s in (0, LIMIT_S):
        dog.look(time.monotonic() + later_s)
        assert (dog.stuck, dog.waits_for) == ([], ["Kafka does not answer"])
    assert len(asked) == 1
    hangs.set()


def test_every_round_of_a_worker_is_a_beat():
    pulse = Pulse()
    assert (pulse.rounds, pulse.is_set(), pulse.is_set(), pulse.rounds) == (
        0,
        False,
        False,
        2,
    )
    pulse.set()
    assert pulse.is_set()


STANDS_STILL = """
import logging, sys, threading, time
from dbslo.kafka_engine import Stage
from dbslo.watchdog import Watchdog, give_up

def goes_round_and_then_waits_for_ever(stop):
    for _ in range(3):
        stop.is_set()
    threading.Lock().acquire() and threading.Event().wait()

logging.basicConfig()
stage = Stage("evaluate", goes_round_and_then_waits_for_ever, lambda: None)
class Workers:
    def beats(self):
        return [stage.beat]
stage.start()
Watchdog(Workers(), {"the store": lambda: None}, 1.0, give_up).start()
time.sleep(60)
"""


def test_a_thread_that_hangs_ends_its_process_with_the_reason_and_every_stack():
    begun = time.monotonic()
    ended = subprocess.run(
        [sys.executable, "-c", STANDS_STILL],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )
    assert ended.returncode == STUCK
    assert time.monotonic() - begun < 40
    assert "evaluate has stood still for 1 s" in ended.stderr
    assert "goes_round_and_then_waits_for_ever" in ended.stderr


@pytest.mark.parametrize(
    ("host", "token", "warned"),
    [
        ("127.0.0.1", "", False),
        ("::1", "", False),
        ("localhost", "", False),
        ("0.0.0.0", "", True),
        ("::", "", True),
        ("10.1.2.3", "", True),
        ("db-host", "", True),
        ("0.0.0.0", "t" * 32, False),
    ],
)
def test_metrics_beyond_this_machine_without_a_token_are_a_warning(host, token, warned):
    class Given:
        class settings:  # noqa: N801 - what `exposed` reads of them
            metrics_listen = (host, 9466)
            metrics_token = token

    assert bool(list(exposed(Given))) is warned
