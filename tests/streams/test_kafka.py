"""Settings of Kafka clients, and what errors tell an operator."""

import pytest
from confluent_kafka import KafkaError, KafkaException

from streams.kafka import (
    Connection,
    WorkerStoppedError,
    answered,
    consumer_settings,
    producer_settings,
    refusal,
)
from streams.runtimes.security import security

OPTIONS = {
    "security.protocol": "SASL_PLAINTEXT",
    "sasl.mechanism": "SCRAM-SHA-512",
    "sasl.username": "dbslo",
    "sasl.password": "hunter2",
}


def test_the_operators_options_win_over_ours():
    slower = Connection("a:9092", {"fetch.wait.max.ms": 500})
    assert consumer_settings(slower, "g")["fetch.wait.max.ms"] == 500
    packed = Connection("a:9092", {"compression.type": "gzip"})
    assert producer_settings(packed, "t")["compression.type"] == "gzip"


def test_no_consumer_of_ours_jumps_over_what_expired_or_reads_what_was_aborted():
    found = consumer_settings(Connection("a:9092"), "g")
    assert found["auto.offset.reset"] == "error"
    assert found["isolation.level"] == "read_committed"
    assert found["enable.auto.commit"] is False


def test_a_transactional_producer_never_begins_anew_and_all_others_do():
    """It would forget who coordinates; they, told of no broker, would ask nobody.

    Where brokers were away, each connects again within a second.
    """
    plain = Connection("a:9092")
    clients = [plain.settings(), consumer_settings(plain, "g")]
    strategies = []
    for settings in (*clients, producer_settings(plain, "t")):
        strategies.append(settings["metadata.recovery.strategy"])
        assert settings["reconnect.backoff.max.ms"] == 1_000
    assert strategies == ["rebootstrap", "rebootstrap", "none"]


def test_an_answer_that_may_change_is_asked_for_again():
    answers = iter([KafkaError.LEADER_NOT_AVAILABLE, KafkaError._TIMED_OUT])

    def ask() -> str:
        code = next(answers, None)
        if code is not None:
            raise KafkaException(KafkaError(code))
        return "told"

    assert answered(ask) == "told"


@pytest.mark.parametrize(
    ("code", "patience_s"),
    [(KafkaError.TOPIC_AUTHORIZATION_FAILED, 60), (KafkaError.LEADER_NOT_AVAILABLE, 0)],
)
def test_a_refusal_and_the_end_of_patience_stop_the_worker(code, patience_s):
    def ask() -> None:
        raise KafkaException(KafkaError(code))

    with pytest.raises(WorkerStoppedError, match="does not let us go on"):
        answered(ask, patience_s)


def test_a_fenced_worker_is_told_of_its_double():
    told = str(refusal(KafkaError(KafkaError._FENCED)))
    assert "another worker runs in our slot" in told
    assert "a slot of its own" in told


# -- for a client that is not librdkafka -------------------------------------------------


def test_plain_text_needs_no_proof():
    assert security(Connection("a:9092")) is None


def test_a_password_goes_to_the_client_and_into_no_text():
    found = security(Connection("a:9092", OPTIONS))
    assert found is not None
    assert found[:4] == (None, "SCRAM-SHA-512", "dbslo", "hunter2")
    assert "hunter2" not in f"{found} {found!r} {Connection('a:9092', OPTIONS)!r}"


def test_tls_is_asked_for_by_name():
    found = security(Connection("a:9092", {"security.protocol": "ssl"}))
    assert found is not None
    assert found.context is not None
    assert found.mechanism is None


def test_a_mechanism_that_only_librdkafka_has_is_refused_with_the_remedy():
    options = {**OPTIONS, "sasl.mechanism": "OAUTHBEARER"}
    with pytest.raises(WorkerStoppedError, match="the native runtime can"):
        security(Connection("a:9092", options))
