"""Captured payloads of three families, through a real broker, counted twice.

Every payload of DBSLO_SAMPLES, and of our own for what those lack, is moved to the
present and produced into Kafka. What the ledger says in the end must be what a count
says that imports nothing of ours, line by line.
"""

import ast
import base64
import gc
import gzip
import json
import re
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from datetime import datetime, timedelta
from pathlib import Path
from threading import Event, Thread
from typing import Any, NamedTuple

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from dbslo.load import load_plan
from slo.model import SECOND
from slo.plan import Plan
from streams.evaluate import Evaluator
from streams.ingest import Ingest
from streams.kafka import Connection
from streams.reading import dump, views
from streams.runtimes.ingest import IngestWorker
from streams.runtimes.native import EvaluateWorker
from streams.runtimes.settings import EvaluateSettings, IngestSettings
from streams.store import Store
from streams.topics import topics_of
from tests.ground.cache import Missing
from tests.real import bruteforce
from tests.real.bruteforce import Count, Record, unfold
from tests.real.servers.kafka import QUIET, Kafka
from tests.real.walk import until

pytestmark = pytest.mark.real

OURS = Path(__file__).parents[1] / "fixtures" / "payloads"
FAMILIES = {
    "cw_metric_stream_json": "cloudwatch",
    "dd_series": "datadog",
    "dd_vector_native_json": "vector",
    "debezium_mysql": "debezium",
    "debezium_postgres": "debezium",
    "debezium_meta_topics": "debezium",
    "heartbeat_and_ghost_tables": "debezium",
}
DELAY_MS = {"cloudwatch": 150_000, "datadog": 5_000, "vector": 5_000, "debezium": 20}
"""How long after its newest event a record arrives."""

NO_PAYLOAD = re.compile(r"SOURCE\.txt|.*\.(md|sql)")
PARTITIONS = 2
MINUTE = 60 * SECOND
ORPHANS = "fix-shop"  # the connector in whose topics documents without a name are put

INDICATORS = {  # SLO: SLI and budgeting method
    "connects": ("connect.success_ratio", "RatioTimeslices"),
    "transactions": ("transactions.success_ratio", "Occurrences"),
    "faults": ("server_fault_ratio", "Occurrences"),
    "lock-waits": ("locks.wait_share", "Timeslices"),
    "blocked": ("locks.blocked_transactions", "Timeslices"),
    "deadlocks": ("deadlock_ratio", "Occurrences"),
    "beats": ("replica.freshness_heartbeat", "Timeslices"),
    "reader-lag": ("aurora.replica_lag", "Timeslices"),
    "replica-lag": ("rds.replica_lag", "Timeslices"),
    "changes": ("cdc.end_to_end_freshness", "Timeslices"),
    "rows": ("cdc.end_to_end_freshness", "Occurrences"),
    "alive": ("cdc.liveness", "Timeslices"),
}
SPECIFICATION = """
apiVersion: openslo/v1
kind: SLO
metadata: {{name: {name}}}
spec:
  service: databases
  indicator:
    metadata: {{name: {name}}}
    spec:
      ratioMetric:
        rawType: success
        raw:
          metricSource: {{type: dbslo, spec: {{sli: {sli}, selector: {{env: walk}}}}}}
  timeWindow: [{{duration: 30d, isRolling: true}}]
  budgetingMethod: {method}
  objectives: [{{target: 0.99{slices}}}]
"""


# -- moving payloads to the present ------------------------------------------------------

Move = Callable[[int], int]
"""From epoch ms to epoch ms."""

TIME_KEYS = re.compile(r"(__)?(source_)?(ts|timestamp)(_ms|_us|_ns)?")
ISO = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?(Z?)")


def moved(data: bytes, move: Move) -> bytes:
    """The same payload with every time moved, in the same wrapping."""
    if data.startswith(b"\x1f\x8b"):
        return gzip.compress(moved(gzip.decompress(data), move), mtime=0)
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return data
    try:
        return _dumped(_moved(json.loads(text), move))
    except json.JSONDecodeError:
        return b"\n".join(_line(line, move) for line in text.split("\n"))


def _line(line: str, move: Move) -> bytes:
    try:
        return _dumped(_moved(json.loads(line), move))
    except json.JSONDecodeError:
        return line.encode()


def _dumped(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")


def _moved(value: Any, move: Move, key: str = "") -> Any:
    if isinstance(value, list):
        if key == "points":
            return [_point(one, move) for one in value]
        return [_moved(one, move) for one in value]
    if isinstance(value, dict):
        return {name: _moved(one, move, name) for name, one in value.items()}
    if isinstance(value, str):
        return _text(value, move, key)
    if isinstance(value, int | float) and TIME_KEYS.fullmatch(key):
        return _number(value, move)
    return value


def _point(point: Any, move: Move) -> Any:
    if isinstance(point, list) and point and isinstance(point[0], int | float):
        return [_number(point[0], move), *point[1:]]
    return _moved(point, move)


def _number(value: float, move: Move) -> float:
    """Seconds, or a thousand times finer as often as it is large enough."""
    for unit in (1, 1_000, 1_000_000, 1_000_000_000):
        if 10**9 <= value // unit < 2 * 10**9:
            ms = int(value * SECOND // unit)
            return value + (move(ms) - ms) * unit // SECOND
    return value  # in 1970, in 2099, or no time at all


def _text(value: str, move: Move, key: str) -> str:
    if key == "data":
        try:
            inner = base64.b64decode(value, validate=True)
        except ValueError:
            return value
        return base64.b64encode(moved(inner, move)).decode()
    if value.isdigit() and re.fullmatch("ts_[mun]s", key):
        return str(_number(int(value), move))
    iso = ISO.fullmatch(value)
    if iso is None:
        return value
    whole = datetime.fromisoformat(iso[1] + "+00:00")
    ms = round(whole.timestamp() * SECOND)
    if not 10**12 <= ms < 2 * 10**12:
        return value
    whole += timedelta(milliseconds=move(ms) - ms)
    return whole.strftime("%Y-%m-%dT%H:%M:%S") + (iso[2] or "") + iso[3]


def newest(data: bytes) -> int | None:
    """The newest time in a payload, None where it holds none."""
    seen: list[int] = []

    def look(ms: int) -> int:
        seen.append(ms)
        return ms

    moved(data, look)
    return max(seen, default=None)


# -- payloads to records -------------------------------------------------------------------


class Payload(NamedTuple):
    """A file, its times moved so that what it says arrives by the same minute."""

    family: str
    name: str
    data: bytes

    @property
    def negative(self) -> bool:
        return self.name.startswith("NEGATIVE_")


def payloads(roots: list[Path], end_ms: int) -> list[Payload]:
    """All payloads of the three families, arriving by a minute."""
    found = []
    for root in roots:
        for folder, family in FAMILIES.items():
            for file in sorted((root / folder).glob("*")):
                if file.is_file() and not NO_PAYLOAD.fullmatch(file.name):
                    data = file.read_bytes()
                    behind = end_ms - DELAY_MS[family] - (newest(data) or 0)
                    by = behind // MINUTE * MINUTE
                    data = moved(data, lambda ms, by=by: ms + by)
                    found.append(Payload(family, file.name, data))
    return found


class Made(NamedTuple):
    """A record to produce."""

    topic: str
    arrival: int
    key: bytes | None
    value: bytes | None


def firehose(data: bytes) -> bytes:
    """The HTTP body of a Firehose delivery, gzipped."""
    half = data.find(b"\n", len(data) // 2) + 1 or len(data)
    pieces = [base64.b64encode(one).decode() for one in (data[:half], data[half:])]
    records = [{"data": one} for one in pieces]
    return gzip.compress(json.dumps({"requestId": "1", "records": records}).encode())


def lines(data: bytes) -> list[bytes]:
    return [line for line in data.split(b"\n") if line.strip()]


def metric_records(payload: Payload, topic: str, mixed: str) -> Iterator[Made]:
    """A file as it is, line by line, and in the wrappings that it may come in."""
    pieces = [(topic, payload.data)]
    if payload.name.endswith("ndjson"):
        pieces += [(topic, line) for line in lines(payload.data)]
        pieces.append((topic, gzip.compress(payload.data)))
        if not payload.negative:
            pieces.append((mixed, payload.data))
        if payload.family == "cloudwatch":
            pieces.append((topic, firehose(payload.data)))
    for where, data in pieces:
        yield Made(where, (newest(data) or 0) + DELAY_MS[payload.family], None, data)


def change_records(payload: Payload) -> Iterator[Made]:
    """Every document of a file is one record, in a topic of its connector."""
    several = payload.name.endswith(("ndjson", "txt"))
    arrivals: dict[str, int] = {}
    for data in lines(payload.data) if several else [payload.data]:
        document, key = read(data), None
        if document.keys() == {"topic", "key", "value"}:
            topic, value = document["topic"], document["value"]
            key = document["key"] and json.dumps(document["key"]).encode()
            value = value and json.dumps(value).encode()
        else:
            topic, value = topic_of(document, payload.name), data
        arrival = (newest(value or b"") or 0) + DELAY_MS["debezium"]
        arrival = arrivals[topic] = max(arrival, arrivals.get(topic, 0))
        yield Made(topic, arrival, key, value)


def read(data: bytes) -> dict[str, Any]:
    """The document of a payload, empty where it is none."""
    try:
        document = json.loads(data)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def inner_of(document: dict[str, Any]) -> dict[str, Any]:
    """What a change event says, out of its schema."""
    inner = document.get("payload")
    return inner if isinstance(inner, dict) else document


def source_of(document: dict[str, Any]) -> dict[str, Any]:
    source = inner_of(document).get("source")
    return source if isinstance(source, dict) else {}


def topic_of(document: dict[str, Any], name: str) -> str:
    """One topic for each file and connector, for their positions are each its own."""
    inner, prefix = inner_of(document), source_of(document).get("name") or ORPHANS
    if inner.get("status") in ("BEGIN", "END"):
        return f"{prefix}.transaction"
    if "ddl" in inner:
        return prefix
    return f"{prefix}.{re.sub('[^a-zA-Z0-9_-]+', '-', name)}"


# -- the fleet that they speak of ------------------------------------------------------------


Named = dict[tuple[str, str], set[tuple[str, str]]]
"""(kind, resource) to the (wire format, metric) pairs that speak of it."""


def names_in(found: list[Payload]) -> Named:
    """Everything that the payloads name, but for strangers."""
    names: Named = defaultdict(set)
    for payload in found:
        if payload.family == "debezium":
            continue
        for document in unfold(payload.data):
            for kind, name, metric, wire in whole(named(document)):
                if RESOURCE.fullmatch(name) and not name.startswith("stranger"):
                    names[kind, name].add((wire, metric))
    return names


def fleet_of(names: Named, prefixes: Mapping[str, str]) -> list[dict[str, Any]]:
    """A cluster for each."""
    fleet: list[dict[str, Any]] = [
        {"engine": engine_of({metric for _, metric in seen}), kind: [name]}
        for (kind, name), seen in sorted(names.items())
    ]
    fleet += [
        {"engine": engine, "cdc_prefixes": [prefix]}
        for prefix, engine in sorted(prefixes.items())
    ]
    env = {"env": "walk"}
    return [
        {"name": f"cluster-{number}", "labels": env, **cluster}
        for number, cluster in enumerate(fleet)
    ]


def whole(found: Iterator[tuple[str, str, str, str]]) -> Iterator[tuple[str, ...]]:
    """What names can be read, of documents that may be anything."""
    try:
        for one in found:
            if all(isinstance(text, str) for text in one):
                yield one
    except (AttributeError, KeyError, TypeError):
        return


RESOURCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}")


def is_object(document: Any) -> bool:
    return isinstance(document, dict)


def named(document: Any) -> Iterator[tuple[str, str, str, str]]:
    """Kind, resource, metric and wire format of whatever a document names."""
    if not isinstance(document, dict):
        return
    dimensions = document.get("dimensions") or {}
    for kind, dimension in (
        ("instances", "DBInstanceIdentifier"),
        ("proxies", "ProxyName"),
    ):
        if dimension in dimensions:
            yield kind, dimensions[dimension], document["metric_name"], "CloudWatch"
    event = document.get("metric") or document
    if isinstance(event, dict) and event.get("namespace") in ("mysql", "postgresql"):
        metric = f"{event['namespace']}.{event['name']}"
        tags = event.get("tags") or {}
        whom = tags.get("resource.database_instance") or tags.get("host")
        if isinstance(whom, str):
            yield "instances", whom, metric, "Vector"
    for series in filter(is_object, document.get("series") or []):
        wire = "Datadog v2" if any(map(is_object, series["points"])) else "Datadog v1"
        tags = [*(series.get("tags") or []), f"host:{series.get('host') or ''}"]
        tags += [f"{r['type']}:{r['name']}" for r in series.get("resources") or []]
        found = [re.fullmatch(NAMING_TAG, tag) for tag in reversed(tags)]
        best = max(
            (one for one in found if one), key=lambda one: len(one[1]), default=0
        )
        if best:
            yield "instances", best[2], series["metric"], wire


NAMING_TAG = "(host|dbinstanceidentifier|.*database_instance):(.+)"


def engine_of(metrics: set[str]) -> str:
    if any(metric.startswith("postgresql.") for metric in metrics):
        return "postgres"
    theirs = ("mysql.", "aws.rds.", "ReplicaLag")
    mysql = all(metric.startswith(theirs) for metric in metrics)
    return "mysql" if mysql or "ReplicaLag" in metrics else "aurora-mysql"


def connectors(found: list[Payload]) -> dict[str, str]:
    """Prefix to engine."""
    prefixes = {ORPHANS: "mysql"}
    for payload in found:
        if payload.family != "debezium":
            continue
        for document in filter(is_object, unfold(payload.data)):
            stated = str(document.get("topic") or "")
            value = document.get("value") if stated else document
            source = source_of(value if is_object(value) else {})
            name = source.get("name")
            if stated.startswith("__debezium-heartbeat."):
                name = stated.partition(".")[2]
            if name:
                engine = {"postgresql": "postgres"}.get(source.get("connector", ""))
                prefixes[name] = engine or prefixes.get(name, "mysql")
    return prefixes


def plan_of(fleet: list[dict[str, Any]], folder: Path) -> Plan:
    inventory, slos = folder / "inventory.yaml", folder / "slos.yaml"
    inventory.write_text(json.dumps({"clusters": fleet}))
    slos.write_text(
        "---".join(
            SPECIFICATION.format(
                name=name,
                sli=sli,
                method=method,
                slices=", timeSliceWindow: 1m, timeSliceTarget: 1"
                if method == "Timeslices"
                else ", timeSliceWindow: 1m"
                if method == "RatioTimeslices"
                else "",
            )
            for name, (sli, method) in INDICATORS.items()
        )
    )
    return load_plan([slos], inventory)


# -- the walk ------------------------------------------------------------------------------


def clock() -> int:
    return time.time_ns() // 1_000_000


class SamplesWalk:
    """Both counts of the same records."""

    def __init__(self, kafka: Any, samples: Path, folder: Path) -> None:
        self.kafka = kafka
        self.end_ms = clock() // MINUTE * MINUTE - 3 * MINUTE
        self.payloads = payloads([samples, OURS], self.end_ms)
        names, prefixes = names_in(self.payloads), connectors(self.payloads)
        fleet = fleet_of(names, prefixes)
        self.wires: dict[str, set[str]] = {prefix: {"Debezium"} for prefix in prefixes}
        for (_, name), seen in names.items():
            self.wires.setdefault(name, set()).update(wire for wire, _ in seen)
        self.plan = plan_of(fleet, folder)
        stems = ("cloudwatch", "datadog", "vector", "mixed")
        self.shared = {stem: kafka.topic(stem, 2) for stem in stems}
        formats = {topic: stem for stem, topic in self.shared.items()}
        formats[self.shared["mixed"]] = "auto"
        self.topics = topics_of(self.plan.inventory, formats)
        self.records = self._produce()
        self.until_ms = max(record.arrival for record in self.records)
        self.store = Store(f"sqlite:///{folder}/store.db")
        self._walk()
        self.lines = list(dump(self.plan, self.store, self.topics, self.until_ms))
        self.expected = Count(
            self.records,
            fleet=fleet,
            slos=[
                {"name": name, "sli": sli, "method": method}
                for name, (sli, method) in INDICATORS.items()
            ],
            formats=formats,
            until=self.until_ms,
        )

    # -- records -----------------------------------------------------------------------

    def _made(self) -> Iterator[Made]:
        for payload in self.payloads:
            if payload.family == "debezium":
                yield from change_records(payload)
            else:
                topic = self.shared[payload.family]
                yield from metric_records(payload, topic, self.shared["mixed"])

    def _produce(self) -> list[Record]:
        """Everything in the order of arrival; what names no time arrives last."""
        made = [
            one if one.arrival > MINUTE * MINUTE else one._replace(arrival=self.end_ms)
            for one in self._made()
        ]
        made.sort(key=lambda one: one.arrival)
        for topic in {one.topic for one in made} - set(self.shared.values()):
            self.kafka.create(topic)
        producer = Producer({"bootstrap.servers": self.kafka.bootstrap, **QUIET})
        written: Counter[tuple[str, int]] = Counter()
        records = []
        for number, one in enumerate(made):
            shared = one.topic in self.shared.values()
            place = (one.topic, number % 2 if shared else 0)
            producer.produce(
                one.topic,
                one.value,
                one.key,
                partition=place[1],
                timestamp=one.arrival,
            )
            records.append(Record(*place, written[place], *one[1:]))
            written[place] += 1
        assert producer.flush(30) == 0
        return records

    # -- the engine --------------------------------------------------------------------

    def _walk(self) -> None:
        """Both stages, until all is applied and every cluster's now is past the end."""
        observations = self.kafka.topic("observations", PARTITIONS)
        self.dead_letters = self.kafka.topic("dead-letters")
        connection = Connection(self.kafka.bootstrap)
        self.ingest = Ingest(self.plan, self.topics, worker="0", partitions=PARTITIONS)
        stage1 = IngestWorker(
            self.ingest,
            self.topics,
            IngestSettings(
                connection,
                group=f"ingest-{observations}",
                observations=observations,
                dead_letters=self.dead_letters,
            ),
            clock,
            partitions=PARTITIONS,
        )

        def evaluator(partition: int, partitions: int) -> Evaluator:
            return Evaluator(
                self.plan,
                self.store,
                self.topics,
                partition=partition,
                partitions=partitions,
            )

        stage2 = EvaluateWorker(
            EvaluateSettings(
                connection, group=f"evaluate-{observations}", observations=observations
            ),
            evaluator,
            clock,
            lambda _: None,
        )
        stop = Event()
        threads = [Thread(target=one.run, args=(stop,)) for one in (stage1, stage2)]
        for thread in threads:
            thread.start()
        try:
            until(
                "stage 1 has read everything",
                lambda: stage1.records >= len(self.records),
            )
            until("every cluster is past the last record", self._past_the_end)
        finally:
            stop.set()
            for thread in threads:
                thread.join(30)

    def _past_the_end(self) -> bool:
        """A cluster's now passes a record only when it and all before are applied."""
        found = views(self.plan, self.store, self.topics)
        return len(found) == len(self.plan.series) and all(
            one.now_ms > self.until_ms + MINUTE for one in found
        )

    def letters(self) -> list[dict[str, Any]]:
        """The dead letters, as they lie in their topic."""
        group = f"reader-{self.dead_letters}"
        settings = {"bootstrap.servers": self.kafka.bootstrap, "group.id": group}
        consumer = Consumer(settings)
        place = TopicPartition(self.dead_letters, 0, 0)
        _, end = consumer.get_watermark_offsets(place, timeout=10)
        consumer.assign([place])
        found: list[dict[str, Any]] = []

        def all_read() -> bool:
            messages = consumer.consume(500, 0.1)
            found.extend(json.loads(message.value()) for message in messages)
            return consumer.position([place])[0].offset >= end

        until("the dead letters are read", all_read, 20)
        consumer.close()
        return found


@pytest.fixture(scope="module")
def kafka() -> Iterator[Kafka]:
    """A broker of this module's own: the topics of captures have everyday names."""
    with ExitStack() as stack:
        try:
            broker = stack.enter_context(Kafka.running())
        except Missing as missing:
            pytest.skip(str(missing))
        yield broker
        gc.collect()  # clients in cycles would complain of a broker that is gone


@pytest.fixture(scope="module")
def walk(kafka, samples, tmp_path_factory) -> Iterator[SamplesWalk]:
    made = SamplesWalk(kafka, samples, tmp_path_factory.mktemp("samples"))
    yield made
    made.store.close()


def test_the_ledger_is_what_a_count_by_hand_says(walk):
    assert sorted(walk.lines) == walk.expected.lines
    assert len(walk.lines) > 100


WIRES = ["CloudWatch", "Datadog v1", "Datadog v2", "Vector", "Debezium"]


@pytest.mark.parametrize("wire", WIRES)
def test_every_format_yields_three_slis_that_are_good_and_bad(walk, wire):
    """By the series of resources that no other format speaks of."""
    good: Counter[str] = Counter()
    bad: Counter[str] = Counter()
    for line in walk.lines:
        series, _, its_good, total = line.split("\t")
        slo, _, resource = series.partition("/")
        if walk.wires[resource] == {wire}:
            sli, _ = INDICATORS[slo]
            good[sli] += int(its_good)
            bad[sli] += int(total) - int(its_good)
    both = {sli for sli in good if good[sli] and bad[sli]}
    assert len(both) >= 3, f"good {good}, bad {bad}"


DEAD = ("malformed", "refused", "late")


def test_whatever_does_not_count_is_a_dead_letter_with_a_reason(walk):
    letters = walk.letters()
    places = [(one["topic"], one["partition"], one["offset"]) for one in letters]
    assert len(places) == len(set(places)), "one letter for each record"
    assert set(places) == walk.expected.letters
    assert all(re.match(r"\w+: .", one["reason"]) for one in letters)
    assert len(letters) > 5


def test_nothing_is_lost_and_every_statement_has_one_result(walk):
    counted: Counter[tuple[str, str]] = Counter()
    for (topic, result), count in walk.ingest.records.items():
        counted[topic, "dead" if result in DEAD else result] += count
    expected = +walk.expected.results
    for topic, records in Counter(at[0] for at in walk.expected.broken).items():
        beyond = counted[topic, "dead"] - expected[topic, "dead"]
        assert beyond >= records, "broken bytes are at least one part of their record"
        expected[topic, "dead"] += beyond
    assert counted == expected
    refused = walk.ingest.refused
    assert all(reason for _, reason in refused)
    dead = [count for (_, result), count in counted.items() if result == "dead"]
    assert sum(refused.values()) == sum(dead)


def test_broken_documents_do_not_harm_their_neighbours(walk):
    """Every minute that NEGATIVE files state beside their broken lines is counted."""
    between = [one for one in walk.lines if one.startswith("replica-lag/fix-neighbour")]
    verdicts = [tuple(line.split("\t")[2:]) for line in between]
    assert verdicts == [("1", "1"), ("0", "1")]


def test_the_count_by_hand_imports_nothing_but_the_standard_library():
    tree = ast.parse(Path(bruteforce.__file__).read_text())
    names = {
        name.partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in (
            [node.module or "."]
            if isinstance(node, ast.ImportFrom)
            else [alias.name for alias in node.names]
        )
    }
    assert names <= sys.stdlib_module_names
