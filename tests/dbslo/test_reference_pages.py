"""The reference pages do not lie: generated ones are current, examples load, no key is left out."""

import ast
import re
from pathlib import Path

import pytest

from dbslo.load import catalogue, load
from dbslo.reference import PAGES
from dbslo.settings import read_settings
from dbslo.settings_table import SETTINGS
from dbslo.trees import read_bytes
from slo.inventory import read_inventory
from slo.objects import KINDS, UNUSED
from slo.reading import Findings
from slo.resources import (
    Cluster,
)
from slo.specification import ANNOTATIONS

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "reference"
SPECIFICATION = (REFERENCE / "specification.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```yaml\n(.*?)^```$", SPECIFICATION, re.MULTILINE | re.DOTALL)

READERS = ("specification", "objects", "objective", "indicators", "custom", "inventory")
ASKING = {
    "text",
    "required_text",
    "boolean",
    "number",
    "count",
    "choice",
    "required_choice",
    "fields",
    "required_fields",
    "items",
    "texts",
    "pairs",
    "node",
    "required",
    "has",
    "length",
    "threshold",
    "_metric_source",
    "_resource_names",
}


def keys_asked_for(*modules: str) -> set[str]:
    """The keys that readers ask a mapping for, by their source."""
    found = {"good", "bad", "total", "op", "value", "indicator", "compositeWeight"}
    for module in modules:
        for call in ast.walk(ast.parse((ROOT / "slo" / f"{module}.py").read_text())):
            if not isinstance(call, ast.Call):
                continue
            method = isinstance(call.func, ast.Attribute)
            name = getattr(call.func, "attr", getattr(call.func, "id", ""))
            if name in ASKING:
                found |= {
                    arg.value
                    for arg in (call.args[:1] if method else call.args[1:2])
                    if isinstance(arg, ast.Constant)
                    and isinstance(arg.value, str)
                    and re.fullmatch(r"[A-Za-z_]+", arg.value)
                }
    return found


@pytest.mark.parametrize("name", ["catalogue.md", "settings.md"])
def test_a_generated_page_is_current(name: str) -> None:
    written = (REFERENCE / name).read_text(encoding="utf-8")
    assert written == PAGES[name](), "run `make docs`"


def test_the_catalogue_page_names_every_sli_metric_and_pitfall() -> None:
    page = (REFERENCE / "catalogue.md").read_text(encoding="utf-8")
    for entry in catalogue().values():
        assert f"## {entry.code} {entry.id}" in page
        for pitfall in entry.pitfalls:
            assert pitfall in page
        for feed in entry.feeds:
            for part in feed.inputs:
                assert all(f"`{metric}`" in page for metric in part.metrics)


def test_the_settings_page_names_every_setting_and_its_example_is_read(
    tmp_path: Path,
) -> None:
    page = (REFERENCE / "settings.md").read_text(encoding="utf-8")
    assert all(f"`{setting.name}`" in page for setting in SETTINGS)
    (example,) = re.findall(r"^```yaml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    key = "0" * 32
    for secret, value in (
        ("kafka", "sasl.password=x\n"),
        ("store", "sqlite:///x.sqlite\n"),
        ("pagerduty", f"{key}\n"),
    ):
        (tmp_path / secret).write_text(value)
    file = tmp_path / "dbslo.yaml"
    file.write_text(example.replace("/run/secrets", str(tmp_path)))
    found = read_settings({}, file)
    assert found.kafka_options == {"sasl.password": "x"}
    assert (found.store, found.pagerduty_key) == ("sqlite:///x.sqlite", key)


class TestSpecifications:
    def test_the_reader_of_readers_finds_keys(self) -> None:
        found = keys_asked_for(*READERS)
        assert {"budgetingMethod", "timeSliceWindow", "cdc_prefixes", "raw"} <= found

    def test_every_key_is_described(self) -> None:
        undescribed = {
            key
            for key in keys_asked_for(*READERS, "entries")
            if not re.search(rf"`(?:[a-z]+\.)*{key}[`:]", SPECIFICATION)
        }
        catalogue_only = {
            "id", "code", "title", "kind", "feeds", "objective", "budgeting", "urgency",
            "slice", "min_total", "min_bad", "pitfalls", "inputs", "metrics", "part",
            "arrival_lag", "absence", "idle", "idle_value",
        }  # fmt: skip
        assert undescribed - catalogue_only == set()

    @pytest.mark.parametrize("word", [*ANNOTATIONS, *KINDS, *UNUSED])
    def test_every_kind_and_annotation_is_described(self, word: str) -> None:
        assert f"`{word}`" in SPECIFICATION

    def test_every_key_of_a_cluster_is_described(self) -> None:
        for key in Cluster.__struct_fields__:
            assert f"| `{key}` |" in SPECIFICATION

    def test_the_examples_load_together(self, tmp_path: Path) -> None:
        fleets = [block for block in BLOCKS if block.startswith("clusters:")]
        slos = [block for block in BLOCKS if block.startswith("apiVersion:")]
        assert len(fleets) + len(slos) == len(BLOCKS) >= 5
        (tmp_path / "fleet.yaml").write_text("\n---\n".join(fleets))
        (tmp_path / "slos.yaml").write_text("\n---\n".join(slos))
        loaded = load([tmp_path / "slos.yaml"], tmp_path / "fleet.yaml")
        assert len(loaded.plan.slos) == 2
        assert [w.reason for w in loaded.warnings] == [
            "SLI blocked-transactions is used by no SLO"
        ]

    def test_the_example_of_an_inventory_has_every_key(self) -> None:
        (block,) = (block for block in BLOCKS if block.startswith("clusters:"))
        findings = Findings()
        documents = read_bytes(block.encode(), "x").documents
        (cluster,) = read_inventory(documents, findings).clusters
        assert not findings.faults
        assert all(getattr(cluster, key) for key in Cluster.__struct_fields__)
