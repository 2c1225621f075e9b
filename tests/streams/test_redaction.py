"""Dead letters show structure and what an SLI needs, and nothing of anybody's data."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.redaction import MAX_EXCERPT, excerpt
from tests.streams.stage import ROWS, Stage, datum, payload, row, series, text

SECRET = "hunter2-Ada-Lovelace"


def test_a_datum_is_shown_but_for_what_nobody_named():
    value = {**datum(), "comment": SECRET}
    value["value"]["note"] = SECRET

    shown = excerpt(text(value), "cloudwatch")

    assert json.loads(shown) == {
        **datum(),
        "comment": "…",
        "value": {**datum()["value"], "note": "…"},
    }


def test_a_row_keeps_its_source_and_loses_its_images():
    change = {
        **row(query=f"SELECT '{SECRET}'"),
        "before": {"op": SECRET, "unit": SECRET, "n": 4242, "source": {"db": SECRET}},
        "after": {"ts_ms": 4242, "list": [SECRET, 4242], "name": SECRET},
    }

    shown = excerpt(text(change), "debezium")

    assert SECRET not in shown
    assert "4242" not in shown
    assert json.loads(shown)["source"]["lsn"] == 1_000
    assert json.loads(shown)["source"]["query"] == "…"
    assert json.loads(shown)["after"].keys() == change["after"].keys()


def test_a_flattened_row_is_all_columns():
    flat = {"op": 7, "name": SECRET, "value": SECRET, "unit": SECRET, "db": SECRET}

    assert SECRET not in excerpt(text(flat), "debezium")


KEYS = {
    "an API key": "0123456789abcdef0123456789abcdef",
    "an AWS secret": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "a bearer token": "Bearer abc",
    "a tag with a password": "password:letmein",
}


@pytest.mark.parametrize("name", KEYS)
def test_what_looks_like_a_secret_is_hidden_even_among_tags(name):
    one = series(
        "postgresql.commits", (0, 1.0), tags=["env:prod", f"x_key:{KEYS[name]}"]
    )

    shown = excerpt(text(payload(one)), "datadog")

    assert KEYS[name] not in shown
    assert "env:prod" in shown


def test_what_is_no_json_is_described():
    assert excerpt(b"INSERT INTO t VALUES ('x')", "debezium") == (
        "26 bytes, beginning with 494e5345"
    )


def test_unknown_formats_show_nothing_but_structure():
    assert excerpt(text({"name": SECRET, "n": [1, {"a": True}]}), "auto") == (
        '{"name":"…","n":["…",{"a":true}]}'
    )


def test_an_excerpt_is_short_whatever_it_is_of():
    for value in (text({"a": ["b"] * 50_000}), b"[" * 10**6, text({"k" * 10**5: 1})):
        assert len(excerpt(value, "cloudwatch")) <= MAX_EXCERPT


@given(st.data())
def test_a_row_cut_off_anywhere_shows_nothing_of_it(data):
    change = {**row(), "after": {"name": SECRET, "op": SECRET}, "before": {"n": SECRET}}
    whole = text(change)

    shown = excerpt(whole[: data.draw(st.integers(1, len(whole)))], "debezium")

    assert "hunter2" not in shown


def test_no_letter_holds_what_a_row_holds():
    stage = Stage()
    stage.add(
        ROWS,
        {"id": 1, "email": SECRET},
        text(row())[:-9].replace(b"Lovelace", SECRET.encode()),
        {**row(ts_ms=5), "after": {"name": SECRET}},
        {**row(), "source": {"query": SECRET}},
        {**row(), "source": SECRET},
        {**row(), "op": {"secret": SECRET}},
    )

    letters = stage.flush().letters

    assert len(letters) == 6
    assert SECRET not in repr(letters)


@pytest.mark.parametrize(
    "lost", ['"op": "c"', '"after"', '"name"', "{", '"before": null']
)
def test_where_a_quotation_mark_is_lost_nothing_is_shown_any_more(lost):
    """Else values turn into what looks like keys, numbers or structure."""
    change = {"op": "c", **row(), "after": {"name": SECRET, "note": f'"{SECRET}"'}}
    whole = text(change).decode()
    for at in (whole.index(lost), whole.index(lost) + len(lost) - 1):
        broken = whole[:at] + '"' + whole[at:]

        assert SECRET not in excerpt(broken.encode(), "debezium")
        assert SECRET not in excerpt(whole.replace('"', "", 1).encode(), "debezium")


def test_a_value_that_damage_made_look_like_a_key_is_none():
    told = excerpt(b'{"after":{"id":1,"name":"Kim":"...","note":2}}', "debezium")
    assert "Kim" not in told


@given(st.data())
def test_a_row_with_parts_lost_or_doubled_shows_nothing_of_it(data):
    """A row that came to stand where another field was due is still a row."""
    image = {"id": 4242, "name": SECRET, "table": SECRET, "ts_ms": 4242}
    change = {**row(), "after": image}
    parts = re.findall(r'"[^"]*"|[^\s"]', json.dumps([change, {**image, "__op": "c"}]))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(parts) - 1))
        end = at + data.draw(st.integers(0, 6))
        parts[at:end] = data.draw(st.sampled_from([[], parts[at:end] * 2]))

    shown = excerpt(" ".join(parts).encode(), "debezium")

    assert SECRET not in shown
    assert "4242" not in shown


def test_a_row_behind_a_source_that_lost_its_bracket_is_hidden():
    shown = excerpt(
        b'[{"payload":{"after":null,"source":{"connector":"ts_ms":1},'
        b'{"id":7,"name":"Kim","__op":"c"},]',
        "debezium",
    )
    assert "Kim" not in shown
    assert "7" not in shown


def test_a_harmless_name_hides_what_is_an_array_or_object_of_anything():
    for value in ([SECRET], [[SECRET]], {"a": [SECRET]}, [{"b": SECRET}, SECRET]):
        for format_name in ("debezium", "cloudwatch", "datadog", "vector"):
            for key in ("ts_ms", "timestamp", "source"):
                assert SECRET not in excerpt(text({key: value}), format_name)
