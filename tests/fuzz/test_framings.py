"""Whatever is written around a payload, and however it is spelt, it says the same.

The fuzz run asks that nothing is counted that nobody said; here nothing is lost.
"""

import base64
import gzip
import json
import re
import zlib
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from streams.store import Store
from tests.fuzz.judge import judge
from tests.fuzz.payload import Payload
from tests.fuzz.seeds import plan_for, seeds_of
from tests.fuzz.walk import Walk
from tests.streams.stage import SHARED

FEWEST = 150
"""As many payloads to begin with say something that counts, at least."""

Said = Counter[str]


class Ground(NamedTuple):
    """A walk, and the payloads that say something, with what they say."""

    walk: Walk
    known: list[tuple[Payload, Said]]


def said(walk: Walk, payload: Payload) -> Said:
    """What is counted of it: cells once, rows as often as they are.

    The independent check of the fuzz run reads the same in it.
    """
    walk.forget(payload.topic)
    found: Said = Counter()
    batches = walk.take(payload).batches
    judge(payload.value, payload.topic, payload.arrival_ms, batches)
    for batch in batches:
        for number, start_ms, _, *stats in batch.cells:
            found[f"{batch.routes[number]} {start_ms} {stats}"] = 1
        for number, *counts in batch.deltas:
            found[f"{batch.routes[number]} {counts}"] += 1
    return found


@pytest.fixture(scope="module")
def ground(samples, tmp_path_factory):
    folder = tmp_path_factory.mktemp("framings")
    store = Store(f"sqlite:///{folder}/store.db")
    walk = Walk(plan_for(samples), SHARED, store)
    seeds = [one for one in seeds_of(samples) if _is_text(one.value)]
    known = [(one, found) for one in seeds if (found := said(walk, one))]
    yield Ground(walk, known)
    store.close()


def _is_text(value: bytes | None) -> bool:
    try:
        return bool(value and value.decode())
    except UnicodeDecodeError:
        return False


# -- the same JSON, spelt otherwise -----------------------------------------------------


def written(tree: Any) -> str:
    """Keys the other way around, and numbers with an exponent."""
    if isinstance(tree, dict):
        turned = reversed(tree.items())
        return f"{{{','.join(f'{json.dumps(k)}:{written(one)}' for k, one in turned)}}}"
    if isinstance(tree, list):
        return f"[{','.join(map(written, tree))}]"
    plain = isinstance(tree, float) and "e" not in repr(tree)
    return f"{tree!r}0e0" if plain else json.dumps(tree)


def escaped(tree: Any) -> str:
    """Every letter of every text as an escape, keys as well."""
    return re.sub(
        r'"(?:[^"\\]|\\.)*"',
        lambda text: "".join(map(_letter, re.findall(r"\\u.{4}|\\.|.", text[0]))),
        json.dumps(tree),
    )


def _letter(one: str) -> str:
    return f"\\u{ord(one):04X}" if one.isalpha() else one


SPELLINGS: dict[str, Callable[[Any], str]] = {
    "as ASCII": json.dumps,
    "as UTF-8": lambda tree: json.dumps(tree, ensure_ascii=False),
    "without spaces": lambda tree: json.dumps(tree, separators=(",", ":")),
    "indented": lambda tree: json.dumps(tree, indent=2),
    "indented, with CRLF": lambda tree: json.dumps(tree, indent="\t").replace(
        "\n", "\r\n"
    ),
    "turned around": written,
    "escaped": escaped,
    "in an array": lambda tree: json.dumps(tree if isinstance(tree, list) else [tree]),
    "with a key that nobody knows": lambda tree: json.dumps(
        {"\u00e9": [{"a": None}], **tree} if isinstance(tree, dict) else tree
    ),
}


@pytest.mark.parametrize("name", SPELLINGS)
def test_another_spelling_says_the_same(ground, name):
    for payload, known in ground.known:
        try:
            tree = json.loads(payload.value)
        except ValueError:
            continue  # lines
        value = SPELLINGS[name](tree).encode()
        assert said(ground.walk, payload._replace(value=value)) == known, value

    assert len(ground.known) >= FEWEST


# -- the same bytes, in something -------------------------------------------------------


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()


def wrapped(*path: str, text: Callable[[bytes], str] = _base64) -> Any:
    """An envelope with the text at a path; `*` stands for a list of one."""

    def wrap(value: bytes) -> bytes:
        found: Any = text(value)
        for key in reversed(path):
            found = [found] if key == "*" else {key: found}
        return json.dumps(found).encode()

    return wrap


def sns(value: bytes) -> bytes:
    """As a topic of SNS hands it over."""
    return json.dumps({"Type": "Notification", "Message": value.decode()}).encode()


def folded(value: bytes) -> bytes:
    """Base64 whose lines end where its two signs of padding meet."""
    ending_in_two = value + b" " * ((1 - len(value)) % 3)
    return base64.b64encode(ending_in_two)[:-1] + b"\n=\n"


FRAMINGS: dict[str, Callable[[bytes], bytes]] = {
    "behind a byte order mark": lambda value: b"\xef\xbb\xbf" + value,
    "between blanks": lambda value: b" \n\t" + value + b"\r\n ",
    "with CRLF": lambda value: value.replace(b"\n", b"\r\n"),
    "gzip": gzip.compress,
    "gzip, padded": lambda value: gzip.compress(value) + b"\0" * 20,
    "gzip, behind an empty member": lambda v: gzip.compress(b"") + gzip.compress(v),
    "gzip twice": lambda value: gzip.compress(gzip.compress(value)),
    "zlib": zlib.compress,
    "base64": base64.b64encode,
    "base64 in lines": base64.encodebytes,
    "base64, folded within its padding": folded,
    "base64 of gzip": lambda value: base64.b64encode(gzip.compress(value)),
    "a string": lambda value: json.dumps(value.decode()).encode(),
    "Firehose": wrapped("records", "*", "data"),
    "MSK": wrapped("records", "topic-0", "*", "value"),
    "Kinesis": wrapped("Records", "*", "kinesis", "data"),
    "SQS": wrapped("Records", "*", "body", text=bytes.decode),
    "SNS": sns,
    "SNS through SQS": lambda v: wrapped("Records", "*", "body", text=bytes.decode)(
        sns(v)
    ),
    "behind a line that is no JSON": lambda value: b"GET / HTTP/1.1\n" + value,
    "behind a line that is cut off": lambda value: b'{"a":{"b":"x\n' + value,
    "before a line that is cut off": lambda value: value + b'\n{"a":"x',
    "behind null": lambda value: b"null\n" + value,
}


@pytest.mark.parametrize("name", FRAMINGS)
def test_what_is_around_it_changes_nothing(ground, name):
    for payload, known in ground.known:
        value = FRAMINGS[name](payload.value)
        assert said(ground.walk, payload._replace(value=value)) == known, value

    assert len(ground.known) >= FEWEST
