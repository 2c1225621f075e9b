"""From a capture to everything that a person asks of the store it left."""

import base64
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from dbslo import output
from dbslo.cli import main
from dbslo.demo import fleet, trace
from dbslo.demo.traffic import Onset, Record, Span, traffic
from dbslo.load import load_plan
from slo.model import MINUTE
from streams.store import Store

T0 = 1_794_000_000_000 // MINUTE * MINUTE
FOLDER = Path(str(fleet.FLEET))
PLAN = load_plan([FOLDER / "slos.yaml"], FOLDER / "inventory.yaml")
FLEET = [
    "--inventory",
    str(FOLDER / "inventory.yaml"),
    "--specs",
    str(FOLDER / "slos.yaml"),
]
BROKEN = Record(T0, "cloudwatch", None, b'{"metric_name": "ReplicaLag", "secret": "x')


def capture(path: Path, records: list[Record]) -> Path:
    offsets: dict[str, int] = {}
    with path.open("w") as out:
        for record in records:
            offset = offsets[record.topic] = offsets.get(record.topic, -1) + 1
            line = {
                "topic": record.topic,
                "partition": 0,
                "offset": offset,
                "timestamp_ms": record.arrival_ms,
                "key": None if record.key is None else record.key.decode(),
                "value_b64": base64.b64encode(record.value).decode(),
                "headers": [],
            }
            out.write(json.dumps(line) + "\n")
    return path


def call(*args: str):
    return CliRunner().invoke(main, list(args), env={}, catch_exceptions=False)


@pytest.fixture(scope="module")
def replayed(tmp_path_factory):
    """Forty minutes of a broken replica, with one record that is no JSON."""
    folder = tmp_path_factory.mktemp("replayed")
    onset = Onset(trace.load("razorpay-replicas"), T0)
    span = Span(T0 - 10 * MINUTE, T0 + 30 * MINUTE)
    records = list(traffic(PLAN.inventory, [onset], span))
    at = next(i for i, one in enumerate(records) if one.arrival_ms >= T0)
    path = capture(folder / "capture.ndjson", [*records[:at], BROKEN, *records[at:]])
    store = f"sqlite:///{folder}/ledger.sqlite"
    found = call("replay", str(path), *FLEET, "--store", store, "--json")
    assert found.exit_code == 0, found.stderr
    return path, store, found


def test_replay_prints_each_change_of_verdict_as_one_json_line(replayed):
    _, _, found = replayed
    changes = [json.loads(line) for line in found.stdout.splitlines()]
    keys = {
        "time",
        "slo",
        "resource",
        "from",
        "to",
        "tier",
        "windows",
        "coverage",
        "reason",
    }
    assert all(change.keys() == keys for change in changes)
    assert [c["time"] for c in changes] == sorted(c["time"] for c in changes)
    paged = {(c["slo"], c["resource"]) for c in changes if c["to"] == "page"}
    assert paged == {("rds-replicas-fresh", f"payments-1-r{n}") for n in range(1, 6)}
    assert "1 dead letters" in found.stderr


def test_replay_for_people_says_the_same_without_json(replayed):
    path, _, found = replayed
    plain = call("replay", str(path), *FLEET)
    assert plain.exit_code == 0
    assert len(plain.stdout.splitlines()) == len(found.stdout.splitlines())
    assert "watch -> page" in plain.stdout


def test_replayed_twice_the_ledger_is_the_same_line_by_line(replayed, tmp_path):
    path, store, _ = replayed
    again = f"sqlite:///{tmp_path}/again.sqlite"
    assert call("replay", str(path), *FLEET, "--store", again).exit_code == 0
    dumps = [
        call(
            "ledger", "--dump", "--until", "2099-01-01T00:00:00Z", *FLEET, "--store", s
        )
        for s in (store, again)
    ]
    assert dumps[0].stdout == dumps[1].stdout
    lines = [line.split("\t") for line in dumps[0].stdout.splitlines()]
    assert lines == sorted(lines, key=lambda line: (line[0], int(line[1])))
    assert all(0 <= int(good) <= int(total) for _, _, good, total in lines)
    one = call("ledger", "--dump", "--json", *FLEET, "--store", store).stdout
    assert [list(map(str, json.loads(x).values())) for x in one.splitlines()] == lines


def test_a_replay_refuses_a_store_that_has_history(replayed):
    path, store, _ = replayed
    ledger = ["ledger", "--dump", *FLEET, "--store", store]
    before = call(*ledger).stdout
    found = call("replay", str(path), *FLEET, "--store", store)
    assert found.exit_code == 2
    assert "the store has history already" in found.stderr
    assert call(*ledger).stdout == before


def test_a_replay_says_until_when_it_judged(tmp_path):
    def said(*last: int) -> str:
        records = [
            Record(T0 + at * MINUTE, topic, None, b"{}")
            for topic, until in zip(("cloudwatch", "datadog"), last, strict=True)
            for at in range(until)
        ]
        records.sort(key=lambda one: one.arrival_ms)
        path = capture(tmp_path / "c.ndjson", records)
        return call("replay", str(path), *FLEET).stderr

    cut = output.rfc3339(T0 + 8 * MINUTE)
    assert f"judged until {cut}: an input ends there" in said(9, 11)
    assert "judged until" not in said(11, 11)


def test_until_leaves_out_what_had_not_ended_by_then(replayed):
    _, store, _ = replayed
    until = ["--until", str(T0)]
    found = call("ledger", "--dump", *until, *FLEET, "--store", store)
    for line in found.stdout.splitlines():
        series, start, _, _ = line.split("\t")
        assert int(start) < T0, series


def test_status_puts_the_gravest_first_and_check_fails(replayed):
    _, store, _ = replayed
    found = call("status", *FLEET, "--store", store)
    assert found.exit_code == 0
    rows = found.stdout.splitlines()
    assert rows[0].split()[:3] == ["verdict", "slo", "resource"]
    assert rows[1].startswith("page     rds-replicas-fresh")
    assert "over 14.4x" in rows[1]
    assert call("status", "--check", *FLEET, "--store", store).exit_code == 1
    calm = call("status", "deadlocks", "--check", *FLEET, "--store", store)
    assert calm.exit_code == 0
    told = json.loads(call("status", "--json", *FLEET, "--store", store).stdout)
    assert len(told) == len(PLAN.series)
    assert told[0]["verdict"] == "page"
    assert told[0]["burn"]["1h"] > 14.4


def test_budget_puts_the_least_first(replayed):
    _, store, _ = replayed
    found = call("budget", *FLEET, "--store", store)
    assert found.exit_code == 0
    assert found.stdout.splitlines()[1].startswith("rds-replicas-fresh")
    told = json.loads(call("budget", "--json", *FLEET, "--store", store).stdout)
    seen = [one for one in told if one["observed"]]
    assert told[: len(seen)] == seen
    left = [one["remaining_ratio"] for one in seen]
    assert left == sorted(left)
    for one in seen:
        assert one["spent_ratio"] + one["remaining_ratio"] == pytest.approx(1)


def test_what_was_never_observed_reads_as_healthy_to_nobody(tmp_path):
    empty = f"sqlite:///{tmp_path}/empty.sqlite"
    nothing = capture(tmp_path / "one.ndjson", [Record(T0, "cloudwatch", None, b"{}")])
    assert call("replay", str(nothing), *FLEET, "--store", empty).exit_code == 0
    for one in json.loads(call("status", "--json", *FLEET, "--store", empty).stdout):
        assert one["verdict"] == "unknown"
        assert not one["observed"]
        assert set(one["burn"].values()) == {None}
        assert one["budget_remaining_ratio"] is one["coverage_ratio"] is None
    told = json.loads(call("budget", "--json", *FLEET, "--store", empty).stdout)
    assert len(told) == len(PLAN.series)
    for one in told:
        assert one["remaining_ratio"] is one["spent_ratio"] is one["gone_in_ms"] is None
    plain = call("budget", *FLEET, "--store", empty)
    assert "never observed, no budget known: " in plain.stderr
    assert "%" not in plain.stdout
    explain = ["explain", "rds-replicas-fresh", *FLEET, "--store", empty]
    (status, *_) = [
        one["status"] for one in json.loads(call(*explain, "--json").stdout)
    ]
    assert status["budget"] is None
    assert {window["burn"] for window in status["windows"].values()} == {None}
    folded = call(*explain).stdout
    names = ", ".join(f"payments-1-r{n}" for n in range(1, 6))
    assert folded == f"rds-replicas-fresh was never observed on {names}\n"
    one = [explain[0], explain[1], "payments-1-r1", *explain[2:]]
    text = call(*one).stdout
    assert "never observed, so none is known" in text
    assert "0.00x" not in text
    assert "100.0% left" not in text


def test_explain_shows_windows_guards_and_sources(replayed):
    _, store, _ = replayed
    found = call(
        "explain", "rds-replicas-fresh", "payments-1-r1", *FLEET, "--store", store
    )
    assert found.exit_code == 0
    for part in (
        "payments-1-r1 (prod payments): page",
        "objective",
        "99.5% in 30d",
        "cloudwatch every 1m, up to 3m late",
        "young: 3d counts the time before it as good",
        "at least 3 bad",
        "page-fast",
        "14.4x",
        "of 180s",
        "left, ",
        "coverage",
        "restated",
    ):
        assert part in found.stdout, part
    told = call("explain", "rds-replicas-fresh", "--json", *FLEET, "--store", store)
    everything = json.loads(told.stdout)
    assert {one["resource"] for one in everything} == {
        f"payments-1-r{n}" for n in range(1, 6)
    }
    assert everything[0]["status"]["windows"]["1h"]["bad_events"] > 0


def test_explain_puts_the_gravest_first(replayed):
    _, store, _ = replayed
    found = call("explain", "connections", *FLEET, "--store", store, "--json")
    order = [one["status"]["verdict"] for one in json.loads(found.stdout)]
    gravity = ["page", "ticket", "unknown", "watch", "ok"]
    assert order == sorted(order, key=gravity.index)
    assert len(set(order)) > 1, order


def test_explain_counts_shares_of_slices_as_slices(replayed):
    _, store, _ = replayed
    found = call("explain", "connections", "payments-proxy", *FLEET, "--store", store)
    hour = next(r.split() for r in found.stdout.splitlines() if r.startswith("1h"))
    good, bad, total = (float(cell) for cell in hour[1:4])
    assert total == pytest.approx(int(total))
    assert good + bad == pytest.approx(total, abs=0.02)
    assert 1.8 < bad < 1.9, "110 s of failed connections"


@pytest.mark.parametrize(
    ("args", "reason"),
    [
        (["explain", "nothing"], "there are: aurora-readers-fresh"),
        (["explain", "connections", "orders-x"], "but on orders-proxy, payments-proxy"),
        (["deadletter", "explain", "99"], "no dead letter '99'"),
        (["deadletter", "retry"], "give numbers, or --all"),
    ],
)
def test_what_is_not_there_is_refused_with_what_there_is(replayed, args, reason):
    _, store, _ = replayed
    fleet_of = FLEET if args[0] == "explain" else []
    found = call(*args, *fleet_of, "--store", store)
    assert found.exit_code == 2
    assert reason in found.stderr


def test_a_dead_letter_is_listed_and_explained_without_its_secret(replayed):
    _, store, _ = replayed
    told = json.loads(call("deadletter", "list", "--json", "--store", store).stdout)
    (letter,) = told
    assert letter["topic"] == "cloudwatch"
    assert letter["reason"]
    number = letter["number"]
    plain = call("deadletter", "list", "--store", store).stdout
    assert letter["reason"] in plain
    explained = call("deadletter", "explain", number, "--store", store)
    assert explained.exit_code == 0
    assert letter["sha256"] in explained.stdout


def test_a_retry_of_an_embedded_record_says_what_it_takes(replayed):
    _, store, _ = replayed
    found = call("deadletter", "retry", "--all", "--store", store)
    assert found.exit_code == 1
    assert "once it has ended, the record is gone with it" in found.stderr


def test_no_dead_letters_are_called_none(tmp_path):
    store = f"sqlite:///{tmp_path}/new.sqlite"
    Store(store).close()
    found = call("deadletter", "list", "--store", store)
    assert (found.exit_code, found.stdout) == (0, "no dead letters\n")
    assert call("deadletter", "list", "--json", "--store", store).stdout == "[]\n"


def test_a_notice_that_was_refused_is_listed_and_due_again_after_a_retry(replayed):
    path, _, _ = replayed
    store = f"sqlite:///{path.parent}/refused.sqlite"
    assert call("replay", str(path), *FLEET, "--store", store).exit_code == 0
    opened = Store(store)
    now = T0 * 2
    claim = opened.claim("test", now, 1_000)
    while claim is not None and claim.notice.channel.value != "page":
        opened.sent(claim, now)
        claim = opened.claim("test", now, 1_000)
    assert claim is not None
    opened.dead(claim, now, "pagerduty: refused (400): invalid routing key")
    opened.close()
    told = json.loads(call("deadletter", "list", "--json", "--store", store).stdout)
    notice = next(one for one in told if one["kind"] == "notice")
    assert notice["given_up"]
    assert "invalid routing key" in notice["reason"]
    assert (
        call("deadletter", "explain", notice["number"], "--store", store).exit_code == 0
    )
    shown = call("status", *FLEET, "--store", store).stderr
    assert f"a page for {claim.key} was refused for good: pagerduty: refused" in shown
    again = call("deadletter", "retry", notice["number"], "--store", store)
    assert again.exit_code == 0, again.stderr
    opened = Store(store)
    due = opened.claim("test", now, 1_000)
    opened.close()
    assert due is not None
    assert due.key == claim.key
