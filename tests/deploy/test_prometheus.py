"""Prometheus' configuration and the rules beside it, as the container will see them."""

import shutil
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from dbslo.cli import main
from slo.model import MINUTE
from tests.deploy.compose import binds, mounted, services
from tests.real.servers.process import run

CONFIG = "/etc/prometheus/prometheus.yml"
TREE = yaml.safe_load(mounted("prometheus", CONFIG).read_text())


def assembled(folder: Path) -> Path:
    """What is mounted at /etc/prometheus, in a folder of the test's own."""
    for source, target, _ in binds("prometheus"):
        here = folder / Path(target).relative_to("/etc/prometheus")
        if source.is_dir():
            shutil.copytree(source, here)
        else:
            here.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, here)
    return folder / Path(CONFIG).name


def test_the_configuration_is_the_one_that_the_server_is_started_with():
    assert f"--config.file={CONFIG}" in services()["prometheus"]["command"]


@pytest.mark.real
@pytest.mark.parametrize("version", ["2", "3"])
def test_promtool_takes_the_configuration_with_its_rules(version, promtools, tmp_path):
    config = assembled(tmp_path / "etc")
    said = run([promtools[version], "check", "config", str(config)])
    assert "1 rule files found" in said
    assert " 0 rules found" not in said


@pytest.mark.real
def test_promtool_misses_rules_that_are_not_there(promtools, tmp_path):
    config = assembled(tmp_path / "etc")
    shutil.rmtree(config.parent / "rules")
    with pytest.raises(RuntimeError, match="does not point to an existing file"):
        run([promtools["2"], "check", "config", str(config)])


@pytest.mark.real
def test_a_server_loads_the_configuration(prometheus):
    config = mounted("prometheus", CONFIG).read_text()
    rules = mounted("prometheus", "/etc/prometheus/rules/rules.yaml").read_text()
    flat = config.replace("rules/rules.yaml", "rules.yaml")
    server = prometheus(flat, {"rules.yaml": rules})
    assert server.query("vector(1)")


def test_the_rules_are_those_of_the_mounted_objectives():
    rules = mounted("prometheus", "/etc/prometheus/rules/rules.yaml")
    arguments = [
        *("rules", "--check", "--out", str(rules)),
        *("--inventory", str(mounted("dbslo", "/etc/dbslo/inventory.yaml"))),
        *("--specs", str(mounted("dbslo", "/etc/dbslo/slos"))),
    ]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.output


def test_every_target_is_a_service_that_listens_there():
    for job in TREE["scrape_configs"]:
        for static in job["static_configs"]:
            for target in static["targets"]:
                host, port = target.split(":")
                name = "prometheus" if host == "localhost" else host
                published = services()[name]["ports"]
                assert any(one.endswith(f":{port}") for one in published), target


def test_alerts_go_to_the_alertmanager_of_the_file():
    (manager,) = TREE["alerting"]["alertmanagers"]
    assert manager["static_configs"] == [{"targets": ["alertmanager:9093"]}]


def test_the_history_that_the_boards_draw_is_kept():
    (kept,) = [c for c in services()["prometheus"]["command"] if "retention.time" in c]
    assert int(kept.split("=")[1].removesuffix("d")) >= 2 * 30


def test_a_scrape_is_frequent_enough_for_the_shortest_window():
    """Five minutes hold twenty scrapes; a rate needs two."""
    seconds = int(TREE["global"]["scrape_interval"].removesuffix("s"))
    assert seconds * 1_000 * 4 <= MINUTE
