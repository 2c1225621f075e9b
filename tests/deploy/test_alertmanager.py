"""Alertmanager's routes: every alert of ours has one receiver, and none rings twice."""

import itertools
import re
import time

import pytest
import yaml

from tests.deploy.compose import binds, mounted, services
from tests.real.servers.process import run

PATH = "/etc/alertmanager/alertmanager.yml"
CONFIG = mounted("alertmanager", PATH)
TREE = yaml.safe_load(CONFIG.read_text())
RULES = yaml.safe_load(
    mounted("prometheus", "/etc/prometheus/rules/rules.yaml").read_text()
)
VERSIONS = ["Debian's", "newer"]
RECEIVERS = {
    "page": "pagerduty",
    "ticket": "tickets",
    "none": "heartbeat",
}
SERIES = {
    "env": "prod",
    "cluster": "orders",
    "resource": "orders-b",
    "service": "checkout",
    "slo": "reader-fresh",
    "team": "payments",
}


def every_alert() -> list[tuple[str, dict[str, str]]]:
    """Each kind of alert that the generated rules can raise, by its receiver."""
    found = []
    for group in RULES["groups"]:
        for rule in group["rules"]:
            labels = SERIES | rule["labels"] | {"alertname": rule["alert"]}
            ours = labels["service"] == "dbslo" and labels["severity"] == "page"
            wanted = "engine-trouble" if ours else RECEIVERS[labels["severity"]]
            found.append((wanted, labels))
    return found


MATRIX = [
    ("pagerduty", {"severity": "page"}),
    ("pagerduty", {"severity": "page", "env": "staging"}),
    ("pagerduty", {"severity": "page", "service": "accounts", "cluster": "accounts"}),
    ("tickets", {"severity": "ticket"}),
    ("tickets", {"severity": "ticket", "env": "staging"}),
    ("tickets", {"severity": "ticket", "service": "dbslo", "alertname": "DbSloX"}),
    ("engine-trouble", {"severity": "page", "service": "dbslo"}),
    ("heartbeat", {"severity": "none", "service": "dbslo", "alertname": "Watchdog"}),
    ("heartbeat", {"severity": "page", "alertname": "Watchdog"}),
    ("unrouted", {"severity": "info"}),
    ("unrouted", {"severity": ""}),
]


def routed(amtool: str, labels: dict[str, str]) -> str:
    """The receivers of an alert, as Alertmanager's own tool sees it."""
    given = [f"{key}={value}" for key, value in labels.items() if value]
    command = ["config", "routes", "test", f"--config.file={CONFIG}", *given]
    return run([amtool, *command]).split()[-1]  # a warning may come before it


@pytest.mark.real
@pytest.mark.parametrize("version", VERSIONS)
def test_amtool_takes_the_configuration(version, amtools):
    assert "SUCCESS" in run([amtools[version], "check-config", str(CONFIG)])


@pytest.mark.real
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("receiver", "labels"), MATRIX, ids=[f"{r}: {la}" for r, la in MATRIX]
)
def test_an_alert_reaches_exactly_its_receiver(receiver, labels, version, amtools):
    assert routed(amtools[version], SERIES | labels) == receiver


@pytest.mark.real
def test_every_alert_of_the_generated_rules_reaches_exactly_its_receiver(amtools):
    kinds = {
        (wanted, la["alertname"], la["severity"], la["service"] == "dbslo"): la
        for wanted, la in every_alert()
    }
    assert {wanted for wanted, *_ in kinds} >= {"pagerduty", "tickets", "heartbeat"}
    for (wanted, *_), labels in kinds.items():
        assert routed(amtools["Debian's"], labels) == wanted, labels


def test_every_receiver_is_used_and_every_route_has_one():
    names = {receiver["name"] for receiver in TREE["receivers"]}
    used = {route["receiver"] for route in TREE["route"]["routes"]}
    assert used | {TREE["route"]["receiver"]} == names


def test_keys_are_read_from_files_that_the_container_is_given():
    given = {f"/run/secrets/{name}" for name in services()["alertmanager"]["secrets"]}
    text = CONFIG.read_text()
    files = set(re.findall(r"(?m)^\s*-? ?routing_key_file: (\S+)$", text))
    assert files == given
    assert not re.search(r"(?m)^\s*-? ?(routing|service)_key:", text)


def test_what_alertmanager_pages_about_databases_has_a_key_of_its_own():
    """With the engine's key it would page twice for every incident."""
    keys = {
        receiver["name"]: receiver["pagerduty_configs"][0]["routing_key_file"]
        for receiver in TREE["receivers"]
        if "pagerduty_configs" in receiver
    }
    engine = services()["dbslo"]["environment"]["DBSLO_PAGERDUTY_KEY_FILE"]
    assert keys["engine-trouble"] == engine
    assert keys["pagerduty"] != engine


def test_tickets_go_to_a_service_of_the_file():
    (tickets,) = [r for r in TREE["receivers"] if r["name"] == "tickets"]
    (hook,) = tickets["webhook_configs"]
    assert hook["url"] == "http://inbox:8080/tickets"
    assert services()["inbox"]["entrypoint"][-1] == "8080"


def test_pages_are_repeated_before_pagerduty_resolves_them_by_itself():
    for route in TREE["route"]["routes"]:
        if route["receiver"] in {"pagerduty", "engine-trouble"}:
            assert route["repeat_interval"] == "2h"


# -- what holds its tongue while another speaks -----------------------------------------

PAGE = SERIES | {"alertname": "DbSloErrorBudgetBurn", "severity": "page"}
TICKET = SERIES | {"alertname": "DbSloErrorBudgetBurnSlow", "severity": "ticket"}
STALE = {
    "alertname": "DbSloPipelineStale",
    "severity": "page",
    "service": "dbslo",
    "slo": "dbslo",
    "team": "dbslo",
}
STALE_HERE = STALE | {"env": "prod", "cluster": "orders"}
UNSENT = STALE | {"alertname": "DbSloNotifyFailing"}

INHIBITED = {
    "a page silences the ticket of the same series": (PAGE, TICKET, True),
    "a page leaves the ticket of another objective": (
        PAGE,
        TICKET | {"slo": "connect"},
        False,
    ),
    "a page leaves the ticket of another resource": (
        PAGE,
        TICKET | {"resource": "orders-c"},
        False,
    ),
    "a page leaves the ticket of another environment": (
        PAGE,
        TICKET | {"env": "staging"},
        False,
    ),
    "a ticket does not silence a page": (TICKET, PAGE, False),
    "an engine that is late about a cluster silences its verdicts": (
        STALE_HERE,
        PAGE,
        True,
    ),
    "an engine that is late about a cluster leaves those of another": (
        STALE_HERE,
        PAGE | {"cluster": "accounts"},
        False,
    ),
    "an engine that is gone silences every verdict": (STALE, PAGE, True),
    "an engine that is gone silences tickets, too": (STALE, TICKET, True),
    "an engine that is gone does not silence that it cannot tell": (
        STALE,
        UNSENT,
        False,
    ),
    "an engine that is gone does not silence itself": (
        STALE,
        STALE_HERE,
        False,
    ),
}


WITNESSES = (PAGE | {"env": "witness"}, TICKET | {"env": "witness"})
"""A pair that is sent last: once it inhibits, everything before it has been seen."""


def inhibited(server, labels: dict[str, str]) -> bool:
    """Whether an alert is silenced by another now."""
    held = {tuple(sorted(a["labels"].items())): a for a in server.alerts()}
    alert = held.get(tuple(sorted(labels.items())))
    return alert is not None and bool(alert["status"]["inhibitedBy"])


@pytest.mark.parametrize("sentence", INHIBITED)
def test_a_pair_of_alerts_inhibits_as_the_table_says(sentence, alertmanager):
    source, target, silent = INHIBITED[sentence]
    server = alertmanager(CONFIG.read_text())
    server.send([{"labels": one} for one in (source, target, *WITNESSES)])
    end = time.monotonic() + 20
    while not inhibited(server, WITNESSES[1]):
        assert time.monotonic() < end, "the witness is not inhibited"
        time.sleep(0.02)
    assert inhibited(server, target) == silent


def test_the_mounts_are_the_file_that_is_tested():
    assert [target for _, target, _ in binds("alertmanager")] == ["/etc/alertmanager"]
    assert f"--config.file={PATH}" in services()["alertmanager"]["command"]


def test_the_dialect_is_that_of_the_oldest_alertmanager():
    """Named inhibition rules, url_file and nested details came later."""
    flat = set(itertools.chain(*(rule for rule in TREE["inhibit_rules"])))
    assert flat <= {"source_matchers", "target_matchers", "equal"}
    assert "url_file" not in CONFIG.read_text()
