"""YAML to trees: every value knows its line, and nothing that is fed in crashes it."""

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dbslo import trees
from dbslo.trees import MAX_ALIASED_NODES, MAX_DEPTH, Trees, read_bytes, read_file
from slo.faults import Node


def read(text: str) -> Trees:
    """The trees of a text."""
    return read_bytes(text.encode(), "x.yaml")


def plain(node: Node) -> object:
    """A tree without its places."""
    match node.value:
        case dict() as fields:
            return {key: plain(value) for key, value in fields.items()}
        case list() as items:
            return [plain(item) for item in items]
        case value:
            return value


def nodes(node: Node) -> Iterator[Node]:
    """A tree's nodes, its own included."""
    yield node
    inner = node.value
    if isinstance(inner, dict | list):
        for child in inner.values() if isinstance(inner, dict) else inner:
            yield from nodes(child)


class TestValues:
    @pytest.mark.parametrize(
        ("text", "value"),
        [
            ("word", "word"),
            ("'17'", "17"),
            ('"true"', "true"),
            ("17", 17),
            ("-3", -3),
            ("0", 0),
            ("0.995", Decimal("0.995")),
            (".5", Decimal("0.5")),
            ("1e3", Decimal("1e3")),
            ("true", True),
            ("False", False),
            ("~", None),
            ("null", None),
            ("yes", "yes"),
            ("no", "no"),
            ("on", "on"),
            ("0123456789012", "0123456789012"),
            ("0o17", "0o17"),
            ("0x1F", "0x1F"),
            ("1:30", "1:30"),
            ("1_000", "1_000"),
            (".nan", ".nan"),
            (".inf", ".inf"),
            ("2026-11-24", "2026-11-24"),
            ("9" * 41, "9" * 41),
            ("1e99999999", "1e99999999"),
            ("!!str 5", "5"),
            ("!!int 5", 5),
            ("! 5", "5"),
        ],
    )
    def test_scalars_follow_yaml_1_2_and_numbers_are_exact(
        self, text: str, value: object
    ) -> None:
        (document,) = read(f"a: {text}").documents
        found = plain(document)["a"]  # type: ignore[index]
        assert found == value
        assert type(found) is type(value)

    def test_every_node_knows_its_line(self) -> None:
        (document,) = read("a: 1\nb:\n  - c: 2\n  -\n    d: 3\n").documents
        lines = {
            n.value: n.place.line for n in nodes(document) if isinstance(n.value, int)
        }
        assert lines == {1: 1, 2: 3, 3: 5}
        assert {n.place.file for n in nodes(document)} == {"x.yaml"}

    def test_empty_documents_are_none(self) -> None:
        assert read("").documents == ()
        assert read("---\n---\n# nothing\n---\na: 1\n...\n").faults == ()
        assert len(read("---\n---\n# nothing\n---\na: 1\n...\n").documents) == 1

    def test_a_byte_order_mark_and_windows_line_ends_are_no_fault(self) -> None:
        found = read_bytes(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n", "x.yaml")
        assert plain(found.documents[0]) == {"a": 1, "b": 2}


class TestAliases:
    def test_an_alias_is_what_its_anchor_was_but_stands_where_it_is_written(
        self,
    ) -> None:
        (document,) = read("a: &x {b: 1}\nc: *x\n").documents
        assert plain(document) == {"a": {"b": 1}, "c": {"b": 1}}
        assert document.value["c"].place.line == 2

    def test_merged_keys_do_not_override_written_ones(self) -> None:
        text = (
            "base: &x {a: 1, b: 1}\nit:\n  b: 2\n  <<: *x\nboth:\n  <<: [*x, {c: 3}]\n"
        )
        (document,) = read(text).documents
        assert plain(document.value["it"]) == {"a": 1, "b": 2}
        assert plain(document.value["both"]) == {"a": 1, "b": 1, "c": 3}

    def test_a_quoted_merge_sign_is_a_key_like_any_other(self) -> None:
        (document,) = read("'<<': 1\n").documents
        assert plain(document) == {"<<": 1}

    def test_only_mappings_can_be_merged(self) -> None:
        assert "only mappings" in read("a: &x 1\nb: {<<: *x}").faults[0].reason

    def test_anchors_end_with_their_document(self) -> None:
        assert "no finished anchor" in read("a: &x 1\n---\nb: *x\n").faults[0].reason

    def test_a_cycle_is_a_fault(self) -> None:
        (fault,) = read("a: &x [*x]\n").faults
        assert fault.key == "*x"
        assert fault.place.line == 1

    def test_a_bomb_is_a_fault(self) -> None:
        lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
        lines += [
            f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)
        ]
        found = read("\n".join(lines))
        assert f"more than {MAX_ALIASED_NODES:,}" in found.faults[0].reason
        assert found.documents == ()

    def test_a_ladder_of_aliases_is_as_deep_as_it_reads(self) -> None:
        rungs = ["a0: &a0 [x]"] + [f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 100)]
        (fault,) = read("\n".join(rungs)).faults
        assert f"more than {MAX_DEPTH} deep" in fault.reason


class TestFaults:
    def test_a_key_written_twice(self) -> None:
        found = read("a: 1\nb: 2\na: 3\n")
        (fault,) = found.faults
        assert (fault.place.line, fault.key) == (3, "a")
        assert "first in line 1" in fault.reason
        assert plain(found.documents[0]) == {"a": 1, "b": 2}

    def test_a_key_that_is_no_text(self) -> None:
        found = read("? [a, b]\n: 1\nc: 2\n")
        assert "key must be text" in found.faults[0].reason
        assert plain(found.documents[0]) == {"c": 2}

    def test_foreign_tags_are_not_run(self) -> None:
        (fault,) = read("a: !!python/object/apply:os.system [echo]\n").faults
        assert "is not read" in fault.reason

    @pytest.mark.parametrize(
        ("text", "line"),
        [
            ("a: 1\nb: [1,\n", 3),
            ("a: 1\n b: 2\n", 2),
            ("a: '\n", 2),
            ("a: b: c\n", 1),
            ("\t- a\n", 1),
            ("a: 1\n\x07", 2),
            ("a: `b`\n", 1),
            ("%YAML 9.9\n---\na: 1\n", 1),
        ],
    )
    def test_what_is_no_yaml_names_the_line(self, text: str, line: int) -> None:
        (fault,) = read(text).faults
        assert fault.place.line == line
        assert fault.reason.startswith("is not YAML: ")

    def test_the_documents_before_an_error_are_kept(self) -> None:
        found = read("a: 1\n---\nb: 2\n---\nc: [\n")
        assert [plain(document) for document in found.documents] == [{"a": 1}, {"b": 2}]
        assert len(found.faults) == 1

    def test_a_syntax_error_does_not_repeat_the_text(self) -> None:
        (fault,) = read("key: 'hunter2\n").faults
        assert "hunter2" not in str(fault)

    def test_bytes_that_are_no_utf_8(self) -> None:
        (fault,) = read_bytes(b"a: 1\nb: \xff\n", "x.yaml").faults
        assert (fault.place.line, fault.reason) == (2, "is not UTF-8")

    def test_depth_is_bounded(self) -> None:
        (fault,) = read("[" * 500 + "]" * 500).faults
        assert f"more than {MAX_DEPTH} deep" in fault.reason

    def test_depth_beyond_what_the_parser_bears(self) -> None:
        assert len(read("[" * 200_000).faults) == 1
        assert len(read("- " * 100_000 + "a").faults) == 1

    def test_a_file_that_is_not_there(self, tmp_path: Path) -> None:
        (fault,) = read_file(tmp_path / "none.yaml").faults
        assert "cannot be read: No such file" in fault.reason

    def test_a_folder_is_no_file(self, tmp_path: Path) -> None:
        assert "cannot be read" in read_file(tmp_path).faults[0].reason

    def test_a_file_that_is_too_large(self, tmp_path: Path) -> None:
        path = tmp_path / "large.yaml"
        with path.open("wb") as content:
            content.truncate(trees.MAX_FILE_BYTES + 1)
        assert "is larger than" in read_file(path).faults[0].reason


YAMLISH = st.text(
    alphabet=st.sampled_from("ab:-[]{},&*!<>|'\"#%?~ \n\t0123.") | st.characters(),
    max_size=200,
)


class TestNothingCrashesIt:
    @given(st.binary(max_size=300))
    @example(b"\x00")
    @example(b"\xff\xfea\x00")
    def test_bytes(self, content: bytes) -> None:
        found = read_bytes(content, "x.yaml")
        assert all(fault.place.line >= 1 for fault in found.faults)

    @given(YAMLISH)
    @example("? ? ? a")
    @example("&a")
    @example("*a")
    @example("a: &x\n<<: *x")
    @example("- !<tag:yaml.org,2002:int> x")
    @example("{a, b: c, ? d}")
    def test_text_that_looks_like_yaml(self, text: str) -> None:
        found = read_bytes(text.encode("utf-8", "surrogatepass"), "x.yaml")
        for document in found.documents:
            assert all(n.place.line >= 1 for n in nodes(document))

    @given(
        st.recursive(
            st.none()
            | st.booleans()
            | st.integers(-(10**9), 10**9)
            | st.text("abc", max_size=4),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.text("abc", min_size=1, max_size=3), inner, max_size=3
                )
            ),
            max_leaves=10,
        ).filter(lambda value: value is not None)
    )
    def test_what_json_says_is_what_the_tree_holds(self, value: object) -> None:
        found = read(json.dumps(value))
        assert found.faults == ()
        assert [plain(document) for document in found.documents] == [value]
