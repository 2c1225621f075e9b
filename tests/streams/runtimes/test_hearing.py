"""A client that knows no broker is replaced, and no other is."""

import pytest
from confluent_kafka import KafkaError, KafkaException

from streams.kafka import Connection
from streams.runtimes import hearing
from streams.runtimes.hearing import Hearing

NEVER = float("inf")


class Scene:
    """A consumer whose brokers take as long to answer it, or others, as they are told."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.it_waits_s = 0.01
        self.others_wait_s = 0.01
        self.asked = 0
        self.error = KafkaError._TRANSPORT
        self.brings = 0
        self.hearing = Hearing(Connection("a:9092"), "observations", lambda: self.now_s)

    def list_topics(self, topic: str, timeout: float) -> None:
        assert topic == "observations"
        self.asked += 1
        if not self._answered(self.it_waits_s, timeout):
            raise KafkaException(KafkaError(self.error))

    def others(self, _connection: Connection, timeout: float) -> bool:
        return self._answered(self.others_wait_s, timeout)

    def _answered(self, takes_s: float, timeout_s: float) -> bool:
        self.now_s += min(takes_s, timeout_s)
        return takes_s <= timeout_s

    def lost_within(self, seconds: float) -> float | None:
        """When it was found lost, stepped ten times a second."""
        begun, end = self.now_s, self.now_s + seconds
        while self.now_s < end:
            self.now_s += 0.1
            if self.hearing.lost(self, self.brings):
                return self.now_s - begun
        return None


@pytest.fixture
def scene(monkeypatch):
    made = Scene()
    monkeypatch.setattr(hearing, "answers", made.others)
    return made


def test_a_deaf_client_is_lost_within_eight_seconds_but_not_at_once(scene):
    scene.it_waits_s = NEVER
    found = scene.lost_within(60)
    assert found is not None
    assert 5 < found < 8


def test_a_client_that_hears_is_asked_every_two_seconds_and_never_lost(scene):
    assert scene.lost_within(60) is None
    assert 26 <= scene.asked <= 30


def test_brokers_that_answer_nobody_make_no_client_deaf(scene):
    scene.it_waits_s = scene.others_wait_s = NEVER
    assert scene.lost_within(60) is None
    assert scene.asked > 10


def test_a_broker_that_is_known_and_late_makes_no_client_deaf(scene):
    """Its answer stands behind a large fetch; others are answered at once."""
    scene.it_waits_s, scene.error = NEVER, KafkaError._TIMED_OUT
    assert scene.lost_within(60) is None


def test_a_client_that_brings_records_hears(scene):
    """It was suspected before, and is again once it brings nothing."""
    scene.it_waits_s = NEVER
    assert scene.lost_within(4) is None
    scene.brings = 1
    assert scene.lost_within(60) is None
    scene.brings = 0
    found = scene.lost_within(60)
    assert found is not None
    assert 5 < found < 8


@pytest.mark.parametrize("seconds", [0.9, 1.5, 1.9, 2.5])
def test_slow_brokers_make_no_client_deaf(scene, seconds):
    """They answer another client as slowly."""
    scene.it_waits_s = scene.others_wait_s = seconds
    assert scene.lost_within(120) is None


def test_a_client_that_heard_again_has_its_patience_anew(scene):
    scene.it_waits_s = NEVER
    assert scene.lost_within(4) is None
    scene.it_waits_s = 0.01
    assert scene.lost_within(4) is None
    scene.it_waits_s = NEVER
    found = scene.lost_within(60)
    assert found is not None
    assert 5 < found < 8
