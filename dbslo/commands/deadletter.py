"""`dbslo deadletter`: what was refused, why, and once more."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import msgspec

from dbslo import options, output
from dbslo.given import settings_of
from dbslo.letters import NOTICE, Box, Dead, Retried, notices_of, records_of
from dbslo.output import Column, rfc3339
from dbslo.telling import real_clock
from streams.store import Store

SQLITE = "sqlite:///"
COLUMNS = (
    Column("number"),
    Column("time"),
    Column("what"),
    Column("format"),
    Column("reason"),
)


class Letters:
    """All that was given up: records, and notices that a receiver refused."""

    def __init__(self, box: Box | None, store: Store | None) -> None:
        self._box = box
        self._store = store

    def all(self) -> Iterator[Dead]:
        """Records first, then notices."""
        if self._box is not None:
            yield from self._box.all()
        yield from notices_of(self._store)

    def find(self, number: str) -> Dead:
        """The one of a number. Raises click.UsageError where there is none."""
        for one in self.all():
            if one.number == number:
                return one
        raise click.UsageError(
            f"no dead letter {number!r}; `dbslo deadletter list` shows their numbers"
        )

    def retry(self, one: Dead) -> Retried:
        """Try one again."""
        if one.letter is not None and self._box is not None:
            return self._box.retry(one)
        key = one.number.removeprefix(NOTICE)
        if self._store is None or not self._store.again(key, real_clock()):
            return Retried(done=False, text=f"there is no notice {key} any more")
        return Retried(done=True, text=f"the notice of {key} is due again")


@contextmanager
def letters(store: str | None) -> Iterator[Letters]:
    """Everything that was given up, by the settings."""
    settings = settings_of(store=store)
    missing = (
        settings.store.startswith(SQLITE)
        and not Path(settings.store.removeprefix(SQLITE)).exists()
    )
    opened = None if missing else Store(settings.store)
    if opened is None and not settings.kafka:
        raise click.ClickException(
            f"no such file: {settings.store.removeprefix(SQLITE)}; check DBSLO_STORE or"
            " --store, or set DBSLO_KAFKA"
        )
    try:
        yield Letters(records_of(settings, opened), opened)
    finally:
        if opened is not None:
            opened.close()


@click.group()
def command() -> None:
    """List, explain and retry what was refused.

    Records that could not be decoded or believed are in Kafka's dead-letter topic
    (DBSLO_KAFKA), those of embedded runs in the store. Notices that PagerDuty or a
    webhook refused stand in the store.
    """


@command.command("list", epilog=options.examples("dbslo deadletter list --json"))
@options.store
@options.as_json
def listing(store: str | None, as_json: bool) -> None:
    """List dead letters with their reasons."""
    with letters(store) as found:
        every = list(found.all())
    if as_json:
        output.emit([line(one) for one in every])
        return
    if not every:
        output.say("no dead letters")
        return
    output.table(COLUMNS, map(row, every))


@command.command(epilog=options.examples("dbslo deadletter explain 0:17"))
@click.argument("number")
@options.store
@options.as_json
def explain(number: str, store: str | None, as_json: bool) -> None:
    """Show one dead letter whole: source, reason, a redacted excerpt."""
    with letters(store) as found:
        one = found.find(number)
    if as_json:
        output.emit(line(one))
        return
    for name, value in line(one).items():
        if name not in ("excerpt", "notice"):
            output.say(f"{name:<10} {value}")
    if one.letter is not None:
        output.say()
        output.say(one.letter.excerpt)
    elif one.notice is not None:
        output.say()
        output.say(msgspec.json.format(msgspec.json.encode(one.notice.notice)).decode())


@command.command(
    epilog=options.examples(
        "dbslo deadletter retry 0:17 0:18",
        "dbslo deadletter retry --all",
        "DBSLO_KAFKA=127.0.0.1:40123 dbslo deadletter retry 3    # of an embedded run",
    )
)
@click.argument("numbers", nargs=-1)
@click.option("--all", "every", is_flag=True, help="Retry every dead letter.")
@options.store
@options.as_json
def retry(
    numbers: tuple[str, ...], every: bool, store: str | None, as_json: bool
) -> None:
    """Try dead letters again: after an inventory was mended, a key renewed.

    The record is read once more from its topic and offset, and written again; where
    it has expired, that is said, and the exit code is 1. For an embedded run that is
    still up, DBSLO_KAFKA is the address that it printed.
    """
    if bool(numbers) == every:
        raise click.UsageError("give numbers, or --all")
    with letters(store) as found:
        chosen = list(found.all()) if every else [found.find(n) for n in numbers]
        results = [(one, found.retry(one)) for one in chosen]
    if as_json:
        output.emit(
            [{"number": one.number, **retried._asdict()} for one, retried in results]
        )
    for one, retried in results if not as_json else ():
        show = output.say if retried.done else output.complain
        show(f"{one.number}: {retried.text}")
    if not all(retried.done for _, retried in results):
        raise SystemExit(1)


def row(one: Dead) -> tuple[str, ...]:
    """One as a row of the table."""
    if one.letter is not None:
        letter = one.letter
        place = f"{letter.topic}[{letter.partition}] {letter.offset}"
        return one.number, rfc3339(letter.time_ms), place, letter.format, letter.reason
    if one.notice is None:
        return one.number, "-", "-", "-", "-"
    notice = one.notice.notice
    what = f"{notice.action.value} {notice.channel.value}"
    reason = one.notice.error
    if one.notice.settled < one.notice.version:
        reason += f" (attempt {one.notice.attempts}, will be retried)"
    return one.number, rfc3339(notice.changed_ms), what, "notice", reason


def line(one: Dead) -> dict[str, object]:
    """One as JSON."""
    if one.letter is not None:
        fields = msgspec.to_builtins(one.letter)
        time = rfc3339(one.letter.time_ms)
        return {"number": one.number, "kind": "record", "time": time, **fields}
    return {
        "number": one.number,
        "kind": "notice",
        "reason": one.notice.error if one.notice else "",
        "attempts": one.notice.attempts if one.notice else 0,
        "given_up": bool(one.notice and one.notice.settled >= one.notice.version),
        "notice": msgspec.to_builtins(one.notice.notice) if one.notice else None,
    }
