"""Mutations: from a payload that is right to one that should not be trusted."""

import json
import random
from json.encoder import encode_basestring, encode_basestring_ascii
from typing import Any

from tests.fuzz.extremes import CHOICES, EXTREMES, SHIFTS, STAMPS, TIMES, Raw
from tests.fuzz.frames import BYTES, FRAMES, flipped, heavy
from tests.fuzz.payload import Payload

HEAVY = 4e-5
"""So rarely does a payload unfold to a megabyte or more: each takes up to a second."""

KEYS = (None, b"", b"null", b"{}", b'{"id":2}', b"\xff\xfe", b"k" * 5_000, b"\0")
NOTHING = (None, b"", b"null", b" \n", b"{}", b"[]", b"\0")


def mutated(payload: Payload, others: list[Payload], chosen: random.Random) -> Payload:
    """The payload, changed once or a few times."""
    value = payload.value
    for _ in range(chosen.choice((1, 1, 1, 2, 3))):
        if value is None or chosen.random() < 0.01:
            value = chosen.choice(NOTHING)
        elif chosen.random() < 0.65:
            value = structured(value, others, chosen)
        else:
            value = chosen.choice(BYTES)(value, others, chosen)
    if value and chosen.random() < 0.2:
        value = chosen.choice(FRAMES)(value, others, chosen)
        if chosen.random() < 0.4:
            value = chosen.choice(BYTES)(value, others, chosen)
    if value and chosen.random() < HEAVY:
        value, payload = heavy(value, chosen), payload._replace(heavy=True)
    return _moved(payload._replace(value=value), others, chosen)


def _moved(payload: Payload, others: list[Payload], chosen: random.Random) -> Payload:
    """Now and then to another topic, to another moment, or under another key."""
    if chosen.random() < 0.03:
        payload = payload._replace(topic=chosen.choice(others).topic)
    if chosen.random() < 0.02:
        at = payload.arrival_ms
        moved = (0, -1, 2**40, at + 90_000, at - 90_000, 4_102_444_800_000)
        payload = payload._replace(arrival_ms=chosen.choice(moved))
    if chosen.random() < 0.02:
        payload = payload._replace(key=chosen.choice(KEYS))
    return payload


# -- structure ------------------------------------------------------------------------


def structured(value: bytes, others: list[Payload], chosen: random.Random) -> bytes:
    """Change one place of the JSON; where there is no JSON, one bit."""
    lines = value.split(b"\n")
    at = chosen.randrange(len(lines)) if len(lines) > 1 else 0
    whole = len(lines) == 1 or chosen.random() < 0.3
    tree = _read(value if whole else lines[at])
    places: list[tuple[Any, Any]] = []
    _walk(tree, places)
    if not places:
        return flipped(value, others, chosen)
    roll = chosen.random()
    if roll < 0.08:
        _graft(chosen.choice(places), others, chosen)
    elif roll > 0.1:  # else only the spelling is another
        _change(*chosen.choice(places), places, chosen)
    try:
        text = _written(tree, chosen)
    except (ValueError, RecursionError):
        return flipped(value, others, chosen)
    if whole:
        return text
    return b"\n".join([*lines[:at], text, *lines[at + 1 :]])


def _read(text: bytes) -> Any:
    """The JSON value, None where there is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _walk(tree: Any, places: list[tuple[Any, Any]]) -> None:
    """Every (container, key) of a tree, without recursion."""
    waiting = [tree] if isinstance(tree, dict | list) else []
    while waiting and len(places) < 2_000:
        one = waiting.pop()
        keys = one if isinstance(one, dict) else range(len(one))
        for key in keys:
            places.append((one, key))
            if isinstance(one[key], dict | list):
                waiting.append(one[key])


def _graft(
    place: tuple[Any, Any], others: list[Payload], chosen: random.Random
) -> None:
    """Put a part of another payload here, or mix its keys in."""
    holder, key = place
    tree = _read(chosen.choice(others).value or b"")
    theirs: list[tuple[Any, Any]] = []
    _walk(tree, theirs)
    if isinstance(holder, dict) and isinstance(tree, dict) and chosen.random() < 0.3:
        holder.update(tree)
    elif theirs:
        other, where = chosen.choice(theirs)
        holder[key] = other[where]


def _change(
    holder: Any, key: Any, places: list[tuple[Any, Any]], chosen: random.Random
) -> None:
    held = holder[key]
    roll = chosen.random()
    if roll < 0.12:
        del holder[key]
    elif roll < 0.22 and isinstance(holder, dict):
        _twice_or_renamed(holder, key, chosen)
    elif roll < 0.3:
        other, where = chosen.choice(places)
        holder[key] = other.get(where) if isinstance(other, dict) else None
    elif key in CHOICES and roll < 0.8:
        holder[key] = chosen.choice(CHOICES[key])
    elif _is_time(holder, key, held) and roll < 0.8:
        holder[key] = _shifted(held, chosen)
    elif roll < 0.4:
        holder[key] = _large(held, chosen)
    elif roll < 0.5 and isinstance(held, int | float):
        holder[key] = _respelt(held, chosen)
    else:
        holder[key] = chosen.choice(EXTREMES)


def _is_time(holder: Any, key: Any, held: Any) -> bool:
    if isinstance(held, bool) or not isinstance(held, int | float | str):
        return False
    first_of_point = key == 0 and isinstance(holder, list) and not isinstance(held, str)
    return key in TIMES or first_of_point


def _twice_or_renamed(holder: dict[str, Any], key: str, chosen: random.Random) -> None:
    """The key a second time, right first or right last; or nearly the same key."""
    held = holder[key]
    roll = chosen.random()
    if roll < 0.4:
        holder[f"\0{key}"] = chosen.choice((held, *EXTREMES))
    elif roll < 0.7:
        holder[key] = chosen.choice(EXTREMES)
        holder[f"\0{key}"] = held
    else:
        del holder[key]
        near = (key.upper(), f"{key} ", f"{key}\0", f"\ufeff{key}", key[:-1], "")
        holder[chosen.choice(near)] = held


def _respelt(held: float, chosen: random.Random) -> Raw:
    """The number as others may write it: most mean the same, some are no JSON."""
    forms = (
        "{}e0",
        "{}E+0",
        "{}.0",
        "{}0e-1",
        "-{}",
        "+{}",
        "0{}",
        "{}.",
        "{}f",
        '"{}"',
    )
    return Raw(chosen.choice(forms).format(json.dumps(held)))


def _large(held: Any, chosen: random.Random) -> Any:
    """Deep, long, or many."""
    deep = chosen.choice((5, 300, 2_000))
    size = chosen.choice((300, 5_000, 20_000))
    return chosen.choice(
        (
            Raw("[" * deep + "]" * deep),
            Raw('{"a":' * deep + "0" + "}" * deep),
            chosen.choice("xé\0,:") * size,
            [held] * chosen.choice((1, 3, 50)),
        )
    )


def _shifted(held: float | str, chosen: random.Random) -> Any:
    """A time that is off, or in another unit, or another kind of text."""
    if isinstance(held, str):
        return chosen.choice(STAMPS)
    if chosen.random() < 0.5 or abs(held) > 10**300:
        return held + chosen.choice((-1, 1)) * chosen.choice(
            (1, 1_000, 61_000, 86_400_000, 10**12)
        )
    found = held * chosen.choice(SHIFTS)
    return int(found) if abs(found) < 1e30 and chosen.random() < 0.7 else found


# -- writing --------------------------------------------------------------------------


def _written(tree: Any, chosen: random.Random) -> bytes:
    """JSON in one of the spellings that mean the same."""
    roll = chosen.random()
    text = _text(tree, encode_basestring_ascii if roll < 0.1 else encode_basestring)
    if 0.1 < roll < 0.15:
        text = _escaped(text, chosen)
    elif 0.15 < roll < 0.18:
        text = _spaced(text, chosen)
    return text.encode(errors="surrogatepass")


def _text(tree: Any, quoted: Any) -> str:
    """JSON, with raw pieces as they are and keys marked by NUL written once more."""
    if isinstance(tree, Raw):
        return str(tree)
    if isinstance(tree, str):
        found: str = quoted(tree)
        return found
    if isinstance(tree, dict):
        pairs = [
            f"{quoted(key.removeprefix(chr(0)))}:{_text(one, quoted)}"
            for key, one in tree.items()
        ]
        return f"{{{','.join(pairs)}}}"
    if isinstance(tree, list):
        return f"[{','.join([_text(one, quoted) for one in tree])}]"
    return json.dumps(tree)


def _escaped(text: str, chosen: random.Random) -> str:
    """Some letters as escapes, wherever they stand: in keys and texts they are the same."""
    at = [chosen.randrange(len(text)) for _ in range(3)]
    letters = [
        f"\\u{ord(one):04x}"
        if number in at and one.isalpha() and one < "\u0800"
        else one
        for number, one in enumerate(text)
    ]
    return "".join(letters)


def _spaced(text: str, chosen: random.Random) -> str:
    """White space around the marks; only four characters are, in JSON."""
    space = chosen.choice(("\n", "\r\n", "\t ", " ", "\u00a0", "\f", "\ufeff", "\v"))
    return text.replace(",", f",{space}").replace("{", f"{{{space}")
