"""docker-compose.yml against the Compose specification's own JSON schema.

The schema comes inside a Go module, through the Go toolchain; Docker's own command
cannot be had on every machine that runs these tests.
"""

import copy
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tests.deploy.compose import FILE
from tests.ground.cache import Missing, once

pytestmark = pytest.mark.real

MODULE = "github.com/compose-spec/compose-go/v2"
VERSION = "v2.16.2"
SECONDS = 300


def fetch(folder: Path) -> None:
    go = shutil.which("go")
    if go is None:
        msg = "go is not installed: it brings the Compose specification's schema"
        raise Missing(msg)
    done = subprocess.run(
        [go, "mod", "download", "-json", f"{MODULE}@{VERSION}"],
        check=True,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        cwd=folder,
    )
    where = Path(json.loads(done.stdout)["Dir"])
    shutil.copy(where / "schema" / "compose-spec.json", folder / "compose-spec.json")


@pytest.fixture(scope="module")
def faults() -> Callable[[Any], list[str]]:
    """What the schema says of a file."""
    try:
        folder = once(f"compose-spec-{VERSION}", fetch)
    except Missing as missing:
        pytest.skip(str(missing))
    schema = json.loads((folder / "compose-spec.json").read_text())

    def found(tree: Any) -> list[str]:
        return [
            f"{list(error.absolute_path)}: {error.message}"
            for error in jsonschema.Draft202012Validator(schema).iter_errors(tree)
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
