"""OpenSLO objects: their heads read, each name once, unused kinds spoken of."""

import re
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from slo.faults import Node
from slo.reading import Fields, Findings, nearest, shown

API_VERSION: Final = "openslo/v1"
KINDS: Final = ("Service", "SLI", "SLO")

_POLICY: Final = "the alert policy is built in, and dbslo/urgency caps what may page"
UNUSED: Final = {
    "DataSource": "what is read stands in the settings and the inventory",
    "AlertPolicy": _POLICY,
    "AlertCondition": _POLICY,
    "AlertNotificationTarget": "who is told stands in the settings",
}
"""Kinds that are recognised and not acted upon, with the reason."""

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


class Written(msgspec.Struct, frozen=True):
    """One object with its head read; metadata and fields are still to be closed."""

    kind: str
    name: str
    node: Node
    fields: Fields
    metadata: Fields


class Objects:
    """The objects of all documents. A second one of a name is kept, for its faults."""

    def __init__(self, documents: Sequence[Node], findings: Findings) -> None:
        self._findings = findings
        self._found: list[Written] = []
        self._names: dict[tuple[str, str], Written] = {}
        for document in documents:
            for node in _flat(document):
                self._add(node)

    def of(self, kind: str) -> list[Written]:
        """The objects of a kind, in the order of the files."""
        return [found for found in self._found if found.kind == kind]

    def _add(self, node: Node) -> None:
        fields = Fields(node, "", self._findings)
        if not isinstance(node.value, dict):
            return
        readable = self._version(fields)
        kind = fields.required_text("kind", f"Write one of {', '.join(KINDS)}")
        if readable and kind in UNUSED:
            reason = f"{kind} is not acted upon: {UNUSED[kind]}"
            fields.warn("kind", reason, "Remove it, or leave it to other tools")
        elif readable and kind in KINDS:
            self._keep(kind, node, fields)
        elif kind and kind not in (*KINDS, *UNUSED):
            remedy = nearest(kind, (*KINDS, *UNUSED))
            fields.fault("kind", f"{shown(kind)} is no kind of {API_VERSION}", remedy)

    def _version(self, fields: Fields) -> bool:
        """Whether the rest can be judged as v1; another OpenSLO has another grammar."""
        version = fields.required_text("apiVersion", f"Write `{API_VERSION}`")
        if version in ("", API_VERSION):
            return True
        reason = f"{shown(version)} is not read"
        fields.fault("apiVersion", reason, f"Convert it to {API_VERSION}")
        return not version.lower().startswith("openslo")

    def _keep(self, kind: str, node: Node, fields: Fields) -> None:
        written = fields.required("metadata", "Write `metadata: {name: ...}`")
        empty = Node({}, node.place)
        metadata = Fields(written or empty, "metadata", self._findings)
        name = ""
        if written is not None:
            name = metadata.required_text("name", "Give it a name")
            check_name(metadata, "name", name)
        found = Written(kind, name, node, fields, metadata)
        earlier = self._names.setdefault((kind, name), found) if name else found
        if earlier is not found:
            at = earlier.fields.place
            reason = f"{kind} {name} stands already in {at.file}:{at.line}"
            metadata.fault("name", reason, "Rename or remove one of the two")
        self._found.append(found)


def _flat(document: Node) -> Iterator[Node]:
    """The objects of a document, which may be a list of them."""
    if isinstance(document.value, list):
        yield from document.value
    else:
        yield document


def check_name(fields: Fields, key: str, name: str) -> None:
    """A fault where a name is not an RFC 1123 label."""
    if name and not _NAME.fullmatch(name):
        reason = f"{shown(name)!r} is not a name"
        remedy = "Use lower-case letters, digits and hyphens, at most 63"
        fields.fault(key, reason, remedy)


def close_metadata(metadata: Fields) -> tuple[str, dict[str, str]]:
    """Read metadata to its end: the display name, and the labels as text.

    The values of a label that is a list are joined by commas.
    """
    display_name = metadata.text("displayName")
    labels = {key: text for key, text, _ in metadata.pairs("labels")}
    for name in ("name", "annotations"):
        metadata.node(name)
    metadata.close()
    return display_name, labels


def service_description(service: Written) -> str:
    """Read a Service to its end."""
    close_metadata(service.metadata)
    spec = service.fields.fields("spec")
    text = spec.text("description") if spec else ""
    if spec is not None:
        spec.close()
    service.fields.close()
    return text
