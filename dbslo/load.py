"""Files to a plan: specifications, inventory, catalogue, all faults at once."""

from collections.abc import Iterable, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Final

import msgspec

from dbslo.trees import Trees, read_bytes, read_file
from slo.entries import Catalogue, read_catalogue
from slo.faults import Fault, Node, SpecificationError
from slo.fleet import expand
from slo.inventory import NOTHING_READ, read_inventory
from slo.model import (
    Place,
)
from slo.plan import Plan
from slo.policy import DEFAULT, Policy
from slo.reading import Findings
from slo.resources import (
    Inventory,
)
from slo.specification import read_specifications

YAML_SUFFIXES: Final = frozenset({".yaml", ".yml"})


class Loaded(msgspec.Struct, frozen=True):
    """A plan that holds, and what is odd about it all the same."""

    plan: Plan
    warnings: tuple[Fault, ...]


def load_plan(specs: Sequence[Path], inventory: Path, policy: Policy = DEFAULT) -> Plan:
    """The plan of specifications (files or folders) and an inventory.

    Raises SpecificationError with every fault of every file.
    """
    return load(specs, inventory, policy).plan


def load(specs: Sequence[Path], inventory: Path, policy: Policy = DEFAULT) -> Loaded:
    """As `load_plan`, with the warnings."""
    return gather_plan(specs, inventory, Findings(), policy)


def gather_plan(
    specs: Sequence[Path] | None,
    inventory: Path | None,
    findings: Findings,
    policy: Policy = DEFAULT,
) -> Loaded:
    """As `load`, for who has read something else before: its faults are told too.

    `findings` holds those. None stands for specifications or an inventory whose
    place is not known, which is a fault already.
    """
    fleet = _fleet(inventory, findings)
    documents = _documents(_spec_files(specs or (), findings), findings)
    read = read_specifications(documents, catalogue(), findings, policy)
    series = expand(read.specified, fleet)
    if not findings.faults and not series:
        place = Place(", ".join(map(str, specs or ())) or "(no file)", 1)
        findings.fault(place, "(file)", "no SLO is written", "Write an SLO object")
    if findings.faults:
        raise SpecificationError(_sorted(findings.faults))
    return Loaded(Plan(fleet, read.slos, series, policy), _sorted(findings.warnings))


def _fleet(path: Path | None, findings: Findings) -> Inventory:
    """The fleet, and what of it is in doubt.

    Where the file is broken as YAML, or says nothing, it may hold anything.
    """
    if path is None:
        return Inventory(doubts=(NOTHING_READ,))
    faults = len(findings.faults)
    documents = _documents([path], findings)
    broken = len(findings.faults) > faults
    fleet = read_inventory(documents, findings)
    if not fleet.clusters and len(findings.faults) == faults:
        reason, remedy = "holds no cluster", "Write `clusters: [{name, engine}]`"
        findings.fault(Place(str(path), 1), "clusters", reason, remedy)
        broken = True
    if broken:
        return msgspec.structs.replace(fleet, doubts=(*fleet.doubts, NOTHING_READ))
    return fleet


@cache
def catalogue() -> Catalogue:
    """The shipped catalogue. A fault in it is ours; a test keeps it without."""
    findings = Findings()
    folder = files("slo") / "catalogue"
    documents: list[Node] = []
    for path in sorted(folder.iterdir(), key=lambda path: path.name):
        if path.name.endswith(".yaml"):
            trees = read_bytes(path.read_bytes(), f"slo/catalogue/{path.name}")
            documents.extend(trees.documents)
            findings.faults.extend(trees.faults)
    entries = read_catalogue(documents, findings)
    if findings.faults:
        raise SpecificationError(_sorted(findings.faults))
    return entries


def _documents(paths: Iterable[Path], findings: Findings) -> list[Node]:
    """The trees of files; what is wrong with them as YAML goes to `findings`."""
    documents: list[Node] = []
    for path in paths:
        trees: Trees = read_file(path)
        documents.extend(trees.documents)
        findings.faults.extend(trees.faults)
    return documents


def _spec_files(specs: Sequence[Path], findings: Findings) -> list[Path]:
    """The files meant: each once, those of a folder in the order of their names."""
    found: dict[Path, None] = {}
    for path in specs:
        if not path.is_dir():
            found[path] = None
            continue
        inside = sorted(p for p in path.rglob("*") if p.suffix in YAML_SUFFIXES)
        if not inside:
            place = Place(str(path), 1)
            findings.fault(place, "(folder)", "holds no YAML file", "Check the path")
        found.update(dict.fromkeys(inside))
    return list(found)


def _sorted(faults: Iterable[Fault]) -> tuple[Fault, ...]:
    """By file and line, each once."""
    unique = dict.fromkeys(faults)
    return tuple(sorted(unique, key=lambda f: (f.place.file, f.place.line, f.key)))
