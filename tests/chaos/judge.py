"""The judge: what came out, held against what must have come out, one check a line."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from confluent_kafka import Consumer, TopicPartition

from dbslo.capture import Captured
from dbslo.replay import replay
from slo.names import DEAD_LETTER_TOPIC
from streams.reading import dump
from streams.store import Store
from streams.topics import topics_of
from tests.chaos import fleet
from tests.chaos.faults import Happened
from tests.chaos.generator import Made
from tests.chaos.stage import Exit, Stage
from tests.real.bruteforce import Count, Record


class Bounds(Protocol):
    """What a run must have done at least, and the longest stall of a kill."""

    @property
    def kills(self) -> int:
        """SIGKILLs under load."""

    @property
    def inside(self) -> int:
        """Those of them inside a transaction."""

    @property
    def longest_ms(self) -> int:
        """The longest stall."""


class Check(NamedTuple):
    """One thing that must hold, and what was found."""

    name: str
    passed: bool
    found: str

    def __str__(self) -> str:
        return f"{'passed' if self.passed else 'FAILED'}  {self.name}: {self.found}"


class Answer(NamedTuple):
    """What must come out: by a count by hand, and by replay of the same records."""

    lines: list[str]
    letters: set[tuple[str, int, int]]
    replayed: list[str]
    incidents: Counter[str]


def placed(sent: Iterable[Made]) -> list[Record]:
    """The records as the broker has them: offsets rise by one in every partition."""
    written: Counter[tuple[str, int]] = Counter()
    records = []
    for made in sent:
        place = (made.topic, made.partition)
        records.append(
            Record(*place, written[place], made.arrival_ms, made.key, made.value)
        )
        written[place] += 1
    return records


def answer(records: Sequence[Record], folder: Path, divisor: int) -> Answer:
    """Both counts of the same records."""
    last_ms = records[-1].arrival
    count = Count(
        records,
        fleet=fleet.FLEET,
        slos=fleet.SLOS,
        formats=fleet.FORMATS,
        until=last_ms,
    )
    plan = fleet.plan(folder, divisor)
    topics = topics_of(plan.inventory, fleet.FORMATS)
    where = folder / "replay.sqlite"
    where.unlink(missing_ok=True)
    url = f"sqlite:///{where}"
    captured = [
        Captured(r.arrival, r.topic, r.partition, r.offset, r.key, r.value)
        for r in records
    ]
    store = Store(url)
    replay(plan, topics, captured, store, lambda _: None)
    incidents = Counter(incident.key for incident in store.incidents())
    lines = sorted(dump(plan, store, topics, last_ms))
    store.close()
    return Answer(count.lines, count.letters, lines, incidents)


# -- the checks -----------------------------------------------------------------------


def written(stage: Stage, records: Sequence[Record]) -> Check:
    """Every record lies where it is said to lie."""
    wanted = Counter((record.topic, record.partition) for record in records)
    reader = Consumer({"bootstrap.servers": stage.kafka.bootstrap, "group.id": "judge"})
    found = {
        place: reader.get_watermark_offsets(TopicPartition(*place), timeout=10)[1]
        for place in wanted
    }
    reader.close()
    total = sum(found.values())
    return Check("all records are in Kafka once", found == wanted, f"{total:,}")


def ledgers(stage: Stage, wanted: Answer, last_ms: int) -> list[Check]:
    """The ledger, line by line, and that the lines tell something."""
    text = stage.ask("ledger", "--dump", "--until", str(last_ms))
    lines = sorted(line for line in text.splitlines() if line.count("\t") == 3)
    (stage.folder / "ledger.tsv").write_text("\n".join(lines))
    (stage.folder / "answer.tsv").write_text("\n".join(wanted.lines))
    return [
        _same("the ledger is what a count by hand says", lines, wanted.lines),
        _same("the ledger is what a replay says", lines, wanted.replayed),
        _telling(lines),
    ]


def _same(name: str, lines: list[str], wanted: list[str]) -> Check:
    differing = sorted(set(lines) ^ set(wanted))
    found = f"{len(lines):,} lines"
    if lines != wanted:
        found += f", {len(wanted):,} wanted, {len(differing):,} differ: {differing[:6]}"
    return Check(name, lines == wanted, found)


def _telling(lines: Iterable[str]) -> Check:
    """Good and bad of every objective whose data can be both; else equality says little."""
    good: Counter[str] = Counter()
    bad: Counter[str] = Counter()
    for line in lines:
        series, _, its_good, total = line.split("\t")
        good[series.partition("/")[0]] += int(its_good)
        bad[series.partition("/")[0]] += int(total) - int(its_good)
    everybody = {slo["name"] for slo in fleet.SLOS}
    both = {name for name in everybody if good[name] and bad[name]}
    found = (
        f"good {sum(good.values()):,}, bad {sum(bad.values()):,}, of {len(both)} SLOs"
    )
    wanted = everybody - {"alive", "changes"}  # nobody falls silent for 30 s
    return Check("the ledger holds good and bad", wanted <= both, found)


def dead_letters(stage: Stage, wanted: Answer) -> Check:
    """Each payload that is none is a dead letter, and nothing else is."""
    settings = {
        "bootstrap.servers": stage.kafka.bootstrap,
        "group.id": "judge",
        "isolation.level": "read_committed",
        "enable.partition.eof": True,
    }
    reader = Consumer(settings)
    reader.assign([TopicPartition(DEAD_LETTER_TOPIC, 0, 0)])
    places: list[tuple[str, int, int]] = []
    ended = False
    while not ended:
        for message in reader.consume(500, 1.0):
            if message.error():
                ended = True
            else:
                one = json.loads(message.value())
                places.append((one["topic"], one["partition"], one["offset"]))
    reader.close()
    same = set(places) == wanted.letters and len(places) == len(set(places))
    found = f"{len(places):,} letters, {len(wanted.letters):,} wanted"
    return Check("every broken payload is a dead letter, once", same, found)


def pages(stage: Stage, wanted: Answer, outages: Iterable[str]) -> list[Check]:
    """One incident for each outage, as PagerDuty counts; none left open."""
    incidents = [i for i in stage.pager.incidents if i["dedup_key"] != fleet.BLIND]
    found = Counter(incident["dedup_key"] for incident in incidents)
    expected = Counter(map(fleet.key_of, outages))
    triggers = sum(incident["triggers"] for incident in incidents)
    told = f"{dict(found)}, {triggers} triggers, {len(stage.pager.events)} events"
    still = [i["dedup_key"] for i in stage.pager.incidents if i["status"] != "resolved"]
    return [
        Check("one incident for each outage, no second one", found == expected, told),
        Check(
            "replay finds the same", wanted.incidents == expected, str(dict(expected))
        ),
        Check("no incident is left open", not still, f"{still or 'none'}"),
    ]


def faults(happened: Sequence[Happened], size: Bounds, on_ms: int) -> list[Check]:
    """How much was done, while records came, and what it cost."""
    done = sum(one.kills for one in happened if one.at_ms <= on_ms)
    open_ = sum(one.inside for one in happened)
    stalls = [one.stall_ms for one in happened if one.kills and one.alone]
    longest = max(stalls, default=0)
    told = f"greatest {longest:,} ms, mean {sum(stalls) // max(len(stalls), 1):,} ms"
    most = size.longest_ms
    return [
        Check("processes were killed under load", done >= size.kills, f"{done}"),
        Check("some inside a transaction", open_ >= size.inside, f"{open_}"),
        Check(f"a kill stalls for {most / 1_000:g} s at most", longest <= most, told),
    ]


def blind(stage: Stage, *, wanted: bool) -> Check:
    """Whether dbslo said that it was blind, once, and that it sees again."""
    found = [i for i in stage.pager.incidents if i["dedup_key"] == fleet.BLIND]
    seeing = [i["status"] for i in found] == ["resolved"]
    told = f"{[(i['status'], i['triggers']) for i in found]}"
    name = "dbslo says that it is blind, and sees again"
    return Check(
        name if wanted else "dbslo is never blind",
        seeing if wanted else not found,
        told,
    )


def pause(paused_s: float, away_s: float, caught_up_ms: int) -> list[Check]:
    """The pause of a store that is away: in the metrics, and made up for."""
    return [
        Check(
            "the metrics show the pause", paused_s >= away_s - 5, f"{paused_s:.0f} s"
        ),
        Check(
            "the catch-up is complete", caught_up_ms < 30_000, f"{caught_up_ms:,} ms"
        ),
    ]


def slept(told: str) -> Check:
    """A sender slept between trigger and mark, while others told the rest."""
    name = "a sender slept between trigger and mark, and others resolved"
    return Check(name, "others had resolved" in told, told or "none did")


def exits(stage: Stage) -> list[Check]:
    """Nobody ended but by our signals; nothing runs any more."""
    own = [one for one in stage.supervisor.exits if not one.wanted]
    ours = len(stage.supervisor.exits) - len(own)
    running = [slot.name for slot in stage.supervisor.slots if slot.alive]
    return [
        Check(
            "no worker ends by itself",
            not own,
            f"{_told(own)}; {ours} by us",
        ),
        Check("nothing is left running", not running, str(running or "nothing")),
    ]


def _told(own: Sequence[Exit]) -> str:
    said = (f"{one.slot} with {one.code}, saying\n{one.said}\n" for one in own)
    return ", ".join(said) or "none by itself"
