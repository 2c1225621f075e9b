"""Getting into a real broker that lets nobody in without credentials."""

import base64
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from threading import Event, Thread
from urllib.parse import parse_qs, urlsplit

import pytest
from confluent_kafka import Producer

from streams.access import prove
from streams.batch import Batch, encode
from streams.evaluate import Evaluator
from streams.ingest import Ingest
from streams.kafka import Connection, WorkerStoppedError
from streams.runtimes.faust import FaustWorker
from streams.runtimes.ingest import IngestWorker
from streams.runtimes.native import EvaluateWorker
from streams.runtimes.security import security
from streams.runtimes.settings import EvaluateSettings, IngestSettings
from streams.runtimes.tokens import iam_tokens
from streams.store import Store
from streams.topics import topics_of
from tests.conftest import _real
from tests.fleet import PLAN
from tests.real.servers.guarded import PASSWORD, GuardedKafka, unsecured
from tests.real.servers.kafka import QUIET
from tests.real.walk import until

pytestmark = pytest.mark.real

RUNTIMES = {"native": EvaluateWorker, "faust": FaustWorker}
WRONG = "wr0ng-horse-battery"
GROUPS = count(1)
LASTS_S = 6
BEARER = {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "OAUTHBEARER"}


@pytest.fixture(scope="module")
def guarded() -> Iterator[GuardedKafka]:
    with _real(GuardedKafka.running()) as broker:
        yield broker


def way(broker: GuardedKafka, name: str) -> Connection:
    """A connection with the right credentials."""
    if name == "SSL":
        return Connection(broker.tls, broker.certified())
    if name == "OAUTHBEARER":
        return Connection(broker.sasl, BEARER, lambda: unsecured(3600))
    if name == "SASL_SSL":
        trusted = {"ssl.ca.location": str(broker.files / "ca.crt")}
        options = broker.options("SCRAM-SHA-512") | trusted
        return Connection(broker.both, options | {"security.protocol": name})
    return Connection(broker.sasl, broker.options(name))


WAYS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "SSL", "SASL_SSL", "OAUTHBEARER")


class Engine:
    """Stage 2 over a topic of its own, whose batches come in by the open door."""

    def __init__(self, broker: GuardedKafka, folder) -> None:
        self.topic = broker.topic("observations")
        self.store = Store(f"sqlite:///{folder}/store.db")
        self._producer = Producer({"bootstrap.servers": broker.bootstrap, **QUIET})
        self._topics = topics_of(PLAN.inventory, {})

    def batch(self) -> int:
        """One more; the offset after it."""
        told: list[int] = []
        empty = encode(Batch(1, "0", 0, [], {}, [], [], []))
        self._producer.produce(
            self.topic, empty, on_delivery=lambda _, m: told.append(m.offset())
        )
        assert self._producer.flush(20) == 0
        return told[0] + 1

    def applied(self) -> int:
        found = self.store.progress(0)
        return found.next if found else 0

    @contextmanager
    def at_work(self, runtime: str, connection: Connection) -> Iterator[None]:
        def evaluator(partition: int, partitions: int) -> Evaluator:
            return Evaluator(
                PLAN,
                self.store,
                self._topics,
                partition=partition,
                partitions=partitions,
            )

        group = f"access-{next(GROUPS)}"
        given = EvaluateSettings(connection, "0", group, self.topic)
        worker = RUNTIMES[runtime](given, evaluator, clock, lambda _: None)
        stop, failed = Event(), []

        def run() -> None:
            try:
                worker.run(stop)
            except BaseException as error:  # noqa: BLE001 - shown below
                failed.append(error)

        thread = Thread(target=run)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(60)
            assert not thread.is_alive()
            assert failed == []


@pytest.fixture
def engine(guarded, tmp_path) -> Iterator[Engine]:
    made = Engine(guarded, tmp_path)
    yield made
    made.store.close()


def clock() -> int:
    return time.time_ns() // 1_000_000


@pytest.mark.parametrize(
    ("runtime", "name"),
    [
        *(("native", name) for name in WAYS),
        *(("faust", name) for name in ("SSL", "SASL_SSL")),
    ],
)
def test_whoever_has_the_right_credentials_works(guarded, engine, runtime, name):
    connection = way(guarded, name)
    prove(connection)
    after = engine.batch()
    with engine.at_work(runtime, connection):
        until("the batch is applied", lambda: engine.applied() >= after)


@pytest.mark.parametrize("name", ["SASL_SSL", "OAUTHBEARER"])
def test_stage_1_writes_its_transactions_with_credentials(guarded, name):
    plan, topics = PLAN, topics_of(PLAN.inventory, {})
    guarded_topics = [guarded.topic(stem) for stem in ("observations", "dead")]
    settings = IngestSettings(
        way(guarded, name),
        f"access-{next(GROUPS)}",
        f"ingest-{next(GROUPS)}",
        *guarded_topics,
    )
    source = next(iter(topics.prefixes))
    if source not in guarded.admin().list_topics(timeout=10).topics:
        guarded.create(source)
    made = Ingest(plan, topics, worker="0", partitions=1)
    worker = IngestWorker(made, topics, settings, clock, partitions=1)
    worker.start()
    try:
        until("a transaction is written", lambda: worker.step() or worker.flushes > 1)
    finally:
        worker.close()


# -- wrong ones -----------------------------------------------------------------------


def wrong(broker: GuardedKafka, name: str) -> Connection:
    options = {
        "the password": broker.options("SCRAM-SHA-512", sasl_password=WRONG),
        "the user": broker.options("PLAIN", sasl_username="mallory"),
        "the mechanism": broker.options("SCRAM-SHA-1"),
        "a setting": broker.options("PLAIN") | {"sasl.pasword": WRONG},
        "no credentials": {},
    }
    if name in options:
        return Connection(broker.sasl, options[name])
    certified = broker.certified()
    if name == "the authority":
        mine = {"ssl.ca.location": str(broker.files / "client.crt")}
        return Connection(broker.tls, certified | mine)
    if name == "a file":
        return Connection(broker.tls, certified | {"ssl.ca.location": "/gone.crt"})
    return Connection(broker.sasl, BEARER, lambda: (WRONG, clock() + 60_000))


@pytest.mark.parametrize(
    ("name", "named"),
    [
        ("the password", "sasl.password in DBSLO_KAFKA_OPTIONS"),
        ("the user", "sasl.username"),
        ("the mechanism", "check sasl.mechanism"),
        ("a setting", 'No such configuration property: "sasl.pasword"'),
        ("no credentials", "security.protocol in DBSLO_KAFKA_OPTIONS"),
        ("the authority", "ssl.ca.location"),
        ("a file", "ssl.ca.location"),
        ("the token", "sasl"),
    ],
)
def test_what_is_wrong_ends_with_the_name_of_the_setting_and_never_with_the_secret(
    guarded, caplog, name, named
):
    begun = time.monotonic()
    with pytest.raises(WorkerStoppedError) as told:
        prove(wrong(guarded, name), seconds=2)
    assert named in str(told.value)
    assert time.monotonic() - begun < 10
    for secret in (WRONG, PASSWORD):
        assert secret not in str(told.value) + repr(told.value.__cause__) + caplog.text


def test_a_worker_with_a_wrong_password_ends_and_keeps_it_to_itself(
    guarded, engine, caplog
):
    connection = wrong(guarded, "the password")
    settings = EvaluateSettings(connection, "0", f"access-{next(GROUPS)}", engine.topic)
    worker = EvaluateWorker(settings, lambda *_: None, clock, lambda _: None)
    with pytest.raises(WorkerStoppedError) as told:
        worker.run(Event())
    assert WRONG not in str(told.value) + caplog.text


def test_what_faust_cannot_do_is_refused_before_anything_is_weaker(guarded):
    for options, named in (
        ({"security.protocol": "SSL", "ssl.ca.pem": "..."}, "ssl.ca.pem"),
        ({"security.protocol": "SSL", "ssl.ca.location": "/gone"}, "ssl.ca.location"),
        (
            guarded.certified(ssl_key_location=str(guarded.files / "ca.key")),
            "ssl.key.location",
        ),
        (BEARER, "OAUTHBEARER"),
    ):
        with pytest.raises(WorkerStoppedError, match=named):
            security(Connection("a:9092", options))


# -- tokens ---------------------------------------------------------------------------


def test_a_token_is_renewed_before_it_ends_and_work_goes_on(guarded, engine):
    made: list[float] = []

    def tokens() -> tuple[str, int]:
        made.append(time.monotonic())
        return unsecured(LASTS_S)

    after = engine.batch()
    with engine.at_work("native", Connection(guarded.sasl, BEARER, tokens)):
        until("the batch is applied", lambda: engine.applied() >= after)
        first = time.monotonic()
        until("the first tokens have ended", lambda: made[-1] > first + LASTS_S / 2)
        until("its time is over", lambda: time.monotonic() > first + LASTS_S + 1)
        after = engine.batch()
        until("one more is applied", lambda: engine.applied() >= after)


def test_a_token_of_amazons_is_a_signed_url_of_its_region_that_ends(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", WRONG)
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    begun = clock()
    text, expires_ms = iam_tokens("eu-central-1")()
    url = urlsplit(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode())
    asked = {name: value for name, (value,) in parse_qs(url.query).items()}
    assert (url.scheme, url.netloc) == ("https", "kafka.eu-central-1.amazonaws.com")
    assert asked["Action"] == "kafka-cluster:Connect"
    assert asked["X-Amz-Credential"].startswith("AKIDEXAMPLE/")
    assert asked["X-Amz-Credential"].endswith(
        "/eu-central-1/kafka-cluster/aws4_request"
    )
    assert asked["X-Amz-Signature"]
    lasts_ms = int(asked["X-Amz-Expires"]) * 1000
    assert begun + lasts_ms - 2_000 <= expires_ms <= clock() + lasts_ms
    assert WRONG not in text
