"""A client that knows no broker is replaced, and no other is."""

import pytest
from confluent_kafka import KafkaError, KafkaException

from streams.kafka import Connection
from streams.runtimes import hearing
from streams.runtimes.hearing import PROBE_S, Hearing


class Scene:
    """A consumer whose brokers answer it, or others, as they are told to."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.hears = True
        self.answers = True
        self.asked = 0
        self.hearing = Hearing(Connection("a:9092"), "observations", lambda: self.now_s)

    def list_topics(self, topic: str, timeout: float) -> None:
        assert (topic, timeout) == ("observations", PROBE_S)
        self.asked += 1
        if not self.hears:
            self.now_s += timeout
            raise KafkaException(KafkaError(KafkaError._TRANSPORT))

    def lost_within(self, seconds: float) -> float | None:
        """When it was found lost, stepped ten times a second."""
        begun, end = self.now_s, self.now_s + seconds
        while self.now_s < end:
            self.now_s += 0.1
            if self.hearing.lost(self):
                return self.now_s - begun
        return None


@pytest.fixture
def scene(monkeypatch):
    made = Scene()
    monkeypatch.setattr(hearing, "answers", lambda *_: made.answers)
    return made


def test_a_deaf_client_is_lost_within_eight_seconds_but_not_at_once(scene):
    scene.hears = False
    found = scene.lost_within(60)
    assert found is not None
    assert 4 < found < 8


def test_a_client_that_hears_is_asked_every_two_seconds_and_never_lost(scene):
    assert scene.lost_within(60) is None
    assert 28 <= scene.asked <= 30


def test_brokers_that_answer_nobody_make_no_client_deaf(scene):
    scene.hears = scene.answers = False
    assert scene.lost_within(60) is None


def test_a_client_that_heard_again_has_its_patience_anew(scene):
    scene.hears = False
    assert scene.lost_within(4) is None
    scene.hears = True
    assert scene.lost_within(3) is None
    scene.hears = False
    found = scene.lost_within(60)
    assert found is not None
    assert 4 < found < 8
