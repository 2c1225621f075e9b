"""Texts of settings to values. Errors never repeat the text: it may be a secret."""

import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

_PAIR_BREAK = re.compile(r",(?=\s*[A-Za-z0-9][A-Za-z0-9._-]*\s*=)")

_BROKER = re.compile(
    r"([A-Za-z_]+://)?(\[[0-9A-Fa-f:]+\]|(?=[^:]*[A-Za-z.])[A-Za-z0-9._-]+)(:[0-9]{1,5})?"
)
_SLOT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class WrongError(ValueError):
    """A text that cannot be the value of its setting; carries the remedy."""

    def __init__(self, reason: str, remedy: str = "Correct it") -> None:
        super().__init__(reason)
        self.remedy = remedy


def text(written: str) -> str:
    """Any text that a line can hold."""
    if not written.isprintable():
        raise WrongError("holds a line break or control character", "Write one line")
    return written


def routing_key(written: str) -> str:
    """An integration key of PagerDuty's Events API v2; "" is none as yet."""
    if not re.fullmatch(r"([A-Za-z0-9_]{32})?", written):
        raise WrongError(
            "is no PagerDuty key: those have 32 letters and digits",
            "Copy the integration key (Events API v2) of the service",
        )
    return written


def region(written: str) -> str:
    """A region of AWS, such as eu-central-1; "" is none."""
    if not re.fullmatch(r"([a-z]{2,}(-[a-z]+)+-[0-9]{1,2})?", written):
        raise WrongError("is no AWS region", "Write a region such as eu-central-1")
    return written


def bearer(written: str) -> str:
    """A token that a header can carry and nobody guesses; "" is none."""
    if not re.fullmatch(r"([A-Za-z0-9._~+/=-]{16,512})?", written):
        raise WrongError(
            "is no token: those have 16 to 512 letters, digits and ._~+/=-",
            "Make one with `openssl rand -hex 32`",
        )
    return written


def brokers(written: str) -> str:
    """Bootstrap servers, `host:port` with commas between, unchanged."""
    parts = [part.strip() for part in written.split(",")]
    if written and not all(_BROKER.fullmatch(part) for part in parts):
        remedy = "Write host:port,host:port, such as kafka:9092"
        raise WrongError("is no list of host:port", remedy)
    return written


def slot(written: str) -> str:
    """The name of a worker: it becomes part of names in Kafka."""
    if not _SLOT.fullmatch(written):
        reason = "is no slot: a number such as 0, or a word"
        remedy = "Write letters, digits, dots, underscores and hyphens, a letter or digit first"
        raise WrongError(reason, remedy)
    return written


def whole(least: int, most: int) -> Callable[[str], int]:
    """A whole number within bounds."""

    def parse(written: str) -> int:
        if (
            not re.fullmatch(r"[0-9]{1,9}", written)
            or not least <= int(written) <= most
        ):
            reason = f"is no whole number from {least} to {most:,}"
            raise WrongError(reason, f"Write a number, {least} to {most:,}")
        return int(written)

    return parse


def choice(*words: str) -> Callable[[str], str]:
    """One of some words."""

    def parse(written: str) -> str:
        if written not in words:
            listed = ", ".join(words)
            raise WrongError(f"is not one of {listed}", f"Write one of {listed}")
        return written

    return parse


def url(*schemes: str) -> Callable[[str], str]:
    """A URL of one of some schemes, unchanged."""
    listed = " or ".join(f"{scheme}://" for scheme in schemes)

    def parse(written: str) -> str:
        try:
            parts = urlsplit(written)
            scheme, host = parts.scheme, parts.hostname
            parts.port  # noqa: B018 - raises where the port is no number
        except ValueError:
            raise WrongError(
                "is not a URL", f"Write a URL that begins with {listed}"
            ) from None
        if not written.isprintable() or " " in written:
            reason = "holds a space or control character"
            raise WrongError(reason, f"Write a URL that begins with {listed}")
        if scheme not in schemes:
            neither = " nor ".join(f"{scheme}://" for scheme in schemes)
            raise WrongError(
                f"begins with neither {neither}",
                f"Write a URL that begins with {listed}",
            )
        if scheme in ("http", "https") and not host:
            raise WrongError("names no host", f"Write {scheme}://host/...")
        return written

    return parse


def address(written: str) -> tuple[str, int]:
    """`host:port`; `[::1]:port` for IPv6."""
    host, _, port = written.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65_535:
        raise WrongError("is not host:port", "Write an address such as 127.0.0.1:9466")
    return host, int(port)


def paths(written: str) -> tuple[Path, ...]:
    """Paths, separated by commas."""
    found = tuple(Path(part.strip()) for part in written.split(",") if part.strip())
    if not found:
        raise WrongError(
            "names no path", "Write a path, or several with commas between"
        )
    return found


def pairs_of(*words: str) -> Callable[[str], dict[str, str]]:
    """`name=word` pairs, whose values are some of some words."""
    listed = ", ".join(words)

    def parse(written: str) -> dict[str, str]:
        found = pairs(written)
        for name, word in found.items():
            if word not in words:
                reason = f"gives {name[:60]} none of {listed}"
                raise WrongError(reason, f"Write name=word, with one of {listed}")
        return found

    return parse


def pairs(written: str) -> dict[str, str]:
    """`name=value` pairs, one a line or with commas between.

    One a line, values hold any comma; else any that no `name=` follows.
    """
    found: dict[str, str] = {}
    lines = "\n" in written
    parts = written.split("\n") if lines else _PAIR_BREAK.split(written)
    for part in filter(None, (one.strip() for one in parts)):
        name, equals, value = part.partition("=")
        if not equals or not name.strip():
            raise WrongError("is not name=value pairs", "Write name=value,name=value")
        if name.strip() in found:
            raise WrongError(f"names {name.strip()} twice", "Write each name once")
        found[name.strip()] = value.strip()
    return found
