"""The Compose file: what it publishes, mounts, hides, pins and waits for."""

import ipaddress
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from dbslo import __version__
from dbslo.cli import COMMANDS
from dbslo.load import load_plan
from dbslo.settings import read_settings
from streams.topics import DEFAULT_SHARED
from tests.deploy.compose import FILE, ROOT, binds, compose, mounted, services

SERVICES = services()
ONE_SHOT = {"kafka-init"}
WANTED = {"kafka", "postgres", "prometheus", "alertmanager", "grafana", "dbslo"}


def test_every_real_part_is_there():
    assert set(SERVICES) >= WANTED


@pytest.mark.parametrize("name", SERVICES)
def test_ports_are_published_to_this_machine_alone(name):
    for port in SERVICES[name].get("ports", []):
        host, outside, inside = port.split(":")
        assert ipaddress.ip_address(host).is_loopback, port
        assert 0 < int(outside) < 65536
        assert 0 < int(inside) < 65536


def test_no_two_services_publish_the_same_port():
    ports = [p.rsplit(":", 1)[0] for s in SERVICES.values() for p in s.get("ports", [])]
    assert len(ports) == len(set(ports))
    assert len(ports) == 6


@pytest.mark.parametrize("name", SERVICES)
def test_images_are_pinned_to_a_version(name):
    image = SERVICES[name]["image"]
    assert re.fullmatch(r"[\w./-]+:v?\d+\.\d+(\.\d+)?(-\w+)?", image), image


def test_our_own_image_carries_our_own_version():
    assert SERVICES["dbslo"]["image"] == f"dbslo:{__version__}"
    assert SERVICES["inbox"]["image"] == SERVICES["dbslo"]["image"]


@pytest.mark.parametrize("name", SERVICES)
def test_every_bind_mount_exists_and_is_read_only(name):
    for source, target, mode in binds(name):
        assert source.exists(), f"{name} mounts {source}, which is not there"
        assert mode == "ro", f"{name} may write to {target}"


@pytest.mark.parametrize("name", SERVICES)
def test_every_named_volume_is_declared_and_every_one_declared_is_used(name):
    declared = set(compose()["volumes"])
    used = {
        volume.split(":")[0]
        for service in SERVICES.values()
        for volume in service.get("volumes", [])
        if not volume.startswith(".")
    }
    assert used == declared


@pytest.mark.parametrize("name", SERVICES)
def test_what_runs_for_long_says_whether_it_is_well(name):
    service = SERVICES[name]
    if name in ONE_SHOT:
        assert service["restart"] == "on-failure"
    else:
        assert service["restart"] == "unless-stopped"
        assert service["healthcheck"]["test"][0] == "CMD"


@pytest.mark.parametrize("name", SERVICES)
def test_what_a_service_waits_for_can_come_true(name):
    for other, wanted in SERVICES[name].get("depends_on", {}).items():
        if wanted["condition"] == "service_completed_successfully":
            assert other in ONE_SHOT
        else:
            assert "healthcheck" in SERVICES[other]


# -- secrets ------------------------------------------------------------------------


def secrets_in(folder: Path) -> dict[str, str]:
    script = ROOT / "deploy" / "secrets.sh"
    subprocess.run(["sh", str(script), str(folder)], check=True, capture_output=True)
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_no_secret_stands_in_the_file():
    text = FILE.read_text()
    for line in text.splitlines():
        if re.search(r"(?i)password|secret|token|_key", line) and ":" in line:
            value = line.split(":", 1)[1].strip()
            harmless = (
                not value
                or "/run/secrets/" in value
                or value.startswith(("[", "{file: ./deploy/secrets/"))
            )
            assert harmless, line


def test_every_secret_is_a_file_that_the_script_makes(tmp_path):
    made = secrets_in(tmp_path / "secrets")
    declared = compose()["secrets"]
    assert {Path(s["file"]).name for s in declared.values()} == set(made)
    assert all(s["file"] == f"./deploy/secrets/{n}" for n, s in declared.items())
    used = {name for s in SERVICES.values() for name in s.get("secrets", [])}
    assert used == set(declared)


def test_every_secret_file_that_is_read_is_given_to_the_service():
    for name, service in SERVICES.items():
        given = {f"/run/secrets/{secret}" for secret in service.get("secrets", [])}
        read = set(re.findall(r"/run/secrets/\w+", str(service)))
        assert read <= given, name


def test_the_secrets_are_random_and_kept(tmp_path):
    first, other = secrets_in(tmp_path / "a"), secrets_in(tmp_path / "b")
    assert secrets_in(tmp_path / "a") == first
    assert first["postgres_password"] != other["postgres_password"]
    assert len(first["postgres_password"]) == 48
    assert first["pagerduty_key"] == first["alertmanager_pagerduty_key"] == ""
    assert (tmp_path / "a").stat().st_mode & 0o077 == 0


def test_the_secrets_are_kept_out_of_the_repository():
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    assert {"deploy/secrets/", ".env"} <= set(ignored)


# -- what dbslo is told ---------------------------------------------------------------


def told(tmp_path: Path, environ: dict[str, str] | None = None) -> dict[str, str]:
    """The environment of the service, with its paths where they are here."""
    folder = tmp_path / "secrets"
    secrets_in(folder)
    given = compose(environ)["services"]["dbslo"]["environment"]
    for name in ("DBSLO_INVENTORY", "DBSLO_SPECS"):
        given[name] = str(mounted("dbslo", given[name]))
    return {k: v.replace("/run/secrets", str(folder)) for k, v in given.items()}


def test_the_engine_accepts_its_settings(tmp_path):
    settings = read_settings(told(tmp_path), tmp_path / "no-file")
    assert settings.kafka == "kafka:19092"
    assert settings.metrics_listen == ("0.0.0.0", 9466)
    assert settings.pagerduty_key == ""
    password = (tmp_path / "secrets" / "postgres_password").read_text()
    wanted = f"postgresql+psycopg://dbslo:{password}@postgres:5432/dbslo"
    assert settings.store == wanted
    database = SERVICES["postgres"]["environment"]
    assert (database["POSTGRES_USER"], database["POSTGRES_DB"]) == ("dbslo", "dbslo")


def test_a_routing_key_in_its_file_reaches_the_engine_unless_alertmanager_pages(
    tmp_path,
):
    environ = told(tmp_path)
    (tmp_path / "secrets" / "pagerduty_key").write_text("k" * 32 + "\n")
    assert read_settings(environ, tmp_path / "none").pagerduty_key == "k" * 32
    elsewhere = told(tmp_path, {"ENGINE_PAGERDUTY_KEY_FILE": ""})
    assert read_settings(elsewhere, tmp_path / "none").pagerduty_key == ""


def test_the_engine_loads_the_fleet_and_the_objectives_that_are_mounted(tmp_path):
    settings = read_settings(told(tmp_path), tmp_path / "no-file")
    assert load_plan(settings.specs, settings.inventory).series


def test_the_command_of_the_engine_is_one_of_ours():
    assert SERVICES["dbslo"]["command"][0] in COMMANDS


def test_the_raw_topics_are_those_that_the_engine_reads():
    (script,) = SERVICES["kafka-init"]["command"]
    topics = re.search(r"for topic in ([\w ]+);", script)
    assert topics is not None
    assert set(topics[1].split()) == set(DEFAULT_SHARED)


def test_the_example_of_an_env_file_names_every_variable_with_its_default():
    example = (ROOT / ".env.example").read_text()
    shown = dict(re.findall(r"^#(\w+)=(.*)$", example, re.MULTILINE))
    used = dict(re.findall(r"\$\{(\w+):?-([^}]*)\}", FILE.read_text()))
    assert shown == used


def test_the_file_is_what_yaml_says_it_is():
    """Docker refuses duplicate keys; PyYAML would quietly keep the last."""

    class Strict(yaml.SafeLoader):
        def construct_mapping(self, node, deep=False):
            keys = [key.value for key, _ in node.value]
            assert len(keys) == len(set(keys)), f"a key twice in line {node.start_mark}"
            return super().construct_mapping(node, deep)

    yaml.load(FILE.read_text(), Strict)


# -- the image ---------------------------------------------------------------------


def test_the_image_copies_what_is_there_and_runs_as_nobody_in_particular():
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    copied = [
        part
        for line in lines
        if line.startswith("COPY ") and "--from" not in line
        for part in line.split()[1:-1]
    ]
    assert {"pyproject.toml", "slo", "streams", "alerts", "dashboards"} <= set(copied)
    for path in copied:
        assert (ROOT / path).exists(), path
        assert f"!{path}" in (ROOT / ".dockerignore").read_text().splitlines()
    bases = [line.split()[1] for line in lines if line.startswith("FROM ")]
    assert all(re.fullmatch(r"python:3\.\d+\.\d+-slim-\w+", base) for base in bases)
    users = [line.split()[1] for line in lines if line.startswith("USER ")]
    assert users == ["dbslo"]
    assert lines[-2:] == ['ENTRYPOINT ["dbslo"]', 'CMD ["run"]']


def test_the_image_is_made_of_the_packages_that_the_wheel_is_made_of():
    text = (ROOT / "pyproject.toml").read_text()
    packages = re.search(r"packages = (\[.*\])", text)
    assert packages is not None
    for package in yaml.safe_load(packages[1]):
        assert f"COPY {package} {package}" in (ROOT / "Dockerfile").read_text()
