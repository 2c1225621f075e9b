"""The manifests of Kubernetes, read as the program they start would meet them."""

from pathlib import Path

import pytest
import yaml

from dbslo import parsing
from dbslo.cli import COMMANDS
from dbslo.serve import END_SECONDS
from dbslo.settings import SETTINGS
from streams.listener import ALIVE, READY
from tests.deploy.compose import ROOT, services

FILE = ROOT / "deploy/kubernetes/dbslo.yaml"
EVERY = list(yaml.safe_load_all(FILE.read_text()))
WORKERS = {
    one["metadata"]["name"]: one["spec"]
    for one in EVERY
    if one["kind"] == "StatefulSet"
}
KNOWN = {s.name for s in SETTINGS} | {f"{s.name}_FILE" for s in SETTINGS}
SECRET = {setting.name for setting in SETTINGS if setting.secret}


def container(name: str) -> dict:
    (found,) = WORKERS[name]["template"]["spec"]["containers"]
    return found


def env(name: str) -> dict[str, dict]:
    return {one["name"]: one for one in container(name)["env"]}


@pytest.mark.parametrize("name", WORKERS)
class TestEachWorker:
    def test_it_runs_a_command_of_ours_from_the_image_that_compose_builds(self, name):
        assert container(name)["args"][0] in COMMANDS
        assert container(name)["args"][0] == name.removeprefix("dbslo-")
        assert container(name)["image"] == services()["dbslo"]["image"]

    def test_it_sets_what_there_is_and_secrets_by_file_alone(self, name):
        assert env(name).keys() <= KNOWN
        assert not env(name).keys() & SECRET
        mounts = [one["mountPath"] for one in container(name)["volumeMounts"]]
        for variable, one in env(name).items():
            if variable.endswith("_FILE"):
                assert str(Path(one["value"]).parent) in mounts

    def test_its_slot_is_the_name_of_its_pod(self, name):
        given = env(name)["DBSLO_SLOT"]["valueFrom"]
        assert given == {"fieldRef": {"fieldPath": "metadata.name"}}
        assert parsing.slot(f"{name}-11") == f"{name}-11"

    def test_it_serves_beyond_loopback_with_a_token(self, name):
        host, port = parsing.address(env(name)["DBSLO_METRICS_LISTEN"]["value"])
        assert host == "0.0.0.0"
        assert "DBSLO_METRICS_TOKEN_FILE" in env(name)
        assert container(name)["ports"] == [{"name": "metrics", "containerPort": port}]

    def test_a_restart_is_asked_for_where_one_would_help_alone(self, name):
        asked = {
            probe: container(name)[f"{probe}Probe"]["httpGet"]["path"]
            for probe in ("liveness", "readiness", "startup")
        }
        assert asked == {"liveness": ALIVE, "readiness": READY, "startup": ALIVE}

    def test_it_has_time_to_end_and_few_rights(self, name):
        spec = WORKERS[name]["template"]["spec"]
        assert spec["terminationGracePeriodSeconds"] > END_SECONDS
        assert spec["securityContext"]["runAsNonRoot"] is True
        rights = container(name)["securityContext"]
        assert rights["readOnlyRootFilesystem"] is True
        assert rights["capabilities"] == {"drop": ["ALL"]}


def test_every_selector_finds_the_pods_of_its_worker():
    labels = {
        name: spec["template"]["metadata"]["labels"] for name, spec in WORKERS.items()
    }
    for one in EVERY:
        name, spec = one["metadata"]["name"], one["spec"]
        selector = spec["selector"]
        assert selector.get("matchLabels", selector) == labels[name]
    assert {one["kind"] for one in EVERY if one["metadata"]["name"] in labels} == {
        "StatefulSet",
        "Service",
        "PodDisruptionBudget",
    }


def test_only_who_evaluates_has_the_store_and_the_pages():
    assert "DBSLO_STORE_FILE" in env("dbslo-evaluate")
    assert "DBSLO_STORE_FILE" not in env("dbslo-ingest")
    assert "DBSLO_PAGERDUTY_KEY_FILE" not in env("dbslo-ingest")
