"""The identity of a cell as text: its signal and its whole tag set."""

from collections.abc import Iterable

MAX_TAGS_CHARACTERS = 4_096
"""A longer tag set is refused: what is kept per route stays bounded."""


def signal(source: str, metric: str) -> str:
    """`<source>:<metric>`, as `Route.signal` spells it."""
    return f"{source}:{metric}"


def tag(name: str, value: str) -> str:
    """One tag, `name:value`; a colon inside the name is escaped, so none collide."""
    return f"{name.replace(':', '%3A')}:{value}"


def tags_text(tags: Iterable[str]) -> str:
    """A tag set as canonical text: each tag once, sorted, commas inside escaped."""
    return ",".join(sorted({one.replace(",", "%2C") for one in tags}))
