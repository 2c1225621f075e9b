"""Faults: everything wrong with what an operator wrote, all at once."""

from typing import Any

import msgspec

from slo.model import Place


class Node(msgspec.Struct, frozen=True):
    """A piece of a parsed document that remembers where it was written.

    `value` is `dict[str, Node]`, `list[Node]` or a scalar. The composition root
    reads files and builds these; the core only ever sees trees.
    """

    value: Any
    place: Place


class Fault(msgspec.Struct, frozen=True):
    """One thing that is wrong: where, what, why, and what to do about it."""

    place: Place
    key: str  # dotted path, such as spec.objectives[0].target
    reason: str
    remedy: str

    def __str__(self) -> str:
        line = f":{self.place.line}" if self.place.line else ""
        where = f"{self.place.file}{line}"
        return f"{where}: {self.key}: {self.reason}. {self.remedy}"


class SpecificationError(Exception):
    """A specification, inventory or setting is wrong; carries every fault."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        super().__init__("\n".join(str(fault) for fault in faults))
        self.faults = faults
