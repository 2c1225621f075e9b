"""The outbox: one row a dedup key, which holds the wanted state and its version."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
from sqlalchemy import Connection, Engine, func, select, update

from slo.notice import Claim, Notice
from streams.store.engine import keep
from streams.store.schema import outbox
from streams.store.upgrade import upgrade


class Letter(msgspec.Struct, frozen=True):
    """A row of the outbox as people see it; `error` is that of the last attempt."""

    key: str
    notice: Notice
    version: int
    settled: int
    attempts: int
    error: str


def put_notices(
    connection: Connection, notices: Sequence[Notice], clock_ms: int
) -> None:
    """Set the wanted state of each key. A holder's lease stays; its `sent` will fail."""
    for notice in notices:
        data = msgspec.json.encode(notice)
        fresh: dict[str, Any] = {
            "notice": data,
            "due_ms": clock_ms,
            "queued_ms": clock_ms,
            "attempts": 0,
            "error": "",
        }
        new = {
            "key": notice.key,
            "version": 0,
            "settled": 0,
            "owner": "",
            "lease_until_ms": 0,
        }
        keep(connection, outbox, [{**new, **fresh}])
        connection.execute(
            update(outbox)
            .where(outbox.c.key == notice.key)
            .values(version=outbox.c.version + 1, **fresh)
        )


def _give_back(connection: Connection, claim: Claim, now_ms: int) -> None:
    """End a lease on a state that has changed; where it was lost, speak once more.

    Whoever lost its lease may have spoken after its successor, and re-opened what
    that resolved: so what is wanted now is due again, as a version of its own.
    """
    row = outbox.c.key == claim.key
    freed = connection.execute(
        update(outbox)
        .where(row, outbox.c.owner == claim.owner)
        .values(owner="", lease_until_ms=0)
    )
    if freed.rowcount != 1:
        again = {"version": outbox.c.version + 1, "attempts": 0}
        due = {"due_ms": now_ms, "queued_ms": now_ms}
        connection.execute(update(outbox).where(row).values(**again, **due))


class SqlOutbox:
    """What delivery sees of the store."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._writer = engine.execution_options(write=True)
        self._ready = False

    def prepare(self) -> None:
        """Bring the schema up to date, once; the first use does where nobody did.

        Raises SchemaError for a store that is newer than we are.
        """
        if not self._ready:
            try:
                upgrade(self._engine)
            except BaseException:
                self._engine.dispose()
                raise
            self._ready = True

    @contextmanager
    def begun(self, engine: Engine) -> Iterator[Connection]:
        """A transaction on a schema that is up to date."""
        self.prepare()
        with engine.begin() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that says from its start that it writes."""
        with self.begun(self._writer) as connection:
            yield connection

    def claim(self, owner: str, now_ms: int, lease_ms: int) -> Claim | None:
        """The oldest key that is due and that nobody holds; it is leased to `owner`."""
        free = (
            (outbox.c.version > outbox.c.settled)
            & (outbox.c.due_ms <= now_ms)
            & (outbox.c.lease_until_ms <= now_ms)
        )
        first = select(outbox).where(free).order_by(outbox.c.due_ms, outbox.c.key)
        until = now_ms + lease_ms
        with self.writing() as connection:
            row = connection.execute(first.limit(1)).one_or_none()
            if row is None:
                return None
            taken = connection.execute(
                update(outbox)
                .where(outbox.c.key == row.key, outbox.c.version == row.version, free)
                .values(owner=owner, lease_until_ms=until)
            )
        if taken.rowcount != 1:
            return None
        notice = msgspec.json.decode(row.notice, type=Notice)
        return Claim(row.key, row.version, notice, row.attempts, until, owner)

    def sent(self, claim: Claim, now_ms: int) -> bool:
        """Settle a version; False where another is wanted by now, which stays due."""
        return self._settle(claim, now_ms, settled=claim.version, attempts=0, error="")

    def retry(self, claim: Claim, now_ms: int, after_ms: int, error: str) -> None:
        """Try again later."""
        attempts = claim.attempts + 1
        due_ms = now_ms + after_ms
        self._settle(claim, now_ms, due_ms=due_ms, attempts=attempts, error=error)

    def dead(self, claim: Claim, now_ms: int, error: str) -> None:
        """Give a version up, keeping its error for people."""
        settled = claim.version
        attempts = claim.attempts + 1
        self._settle(claim, now_ms, settled=settled, attempts=attempts, error=error)

    def _settle(self, claim: Claim, now_ms: int, **values: Any) -> bool:
        """End a lease; the values are written only if the version is still wanted."""
        mine = (outbox.c.key == claim.key) & (outbox.c.owner == claim.owner)
        with self.writing() as connection:
            held = connection.execute(
                update(outbox)
                .where(mine, outbox.c.version == claim.version)
                .values(owner="", lease_until_ms=0, **values)
            )
            if held.rowcount != 1:
                _give_back(connection, claim, now_ms)
        return held.rowcount == 1

    def again(self, key: str, now_ms: int) -> bool:
        """Make a key's wanted state due once more; False where there is no such key."""
        fresh = {"due_ms": now_ms, "queued_ms": now_ms, "attempts": 0, "error": ""}
        with self.writing() as connection:
            found = connection.execute(
                update(outbox)
                .where(outbox.c.key == key)
                .values(version=outbox.c.version + 1, **fresh)
            )
        return found.rowcount == 1

    def letters(self) -> list[Letter]:
        """Every key with its wanted state, by key."""
        with self.begun(self._engine) as connection:
            rows = connection.execute(select(outbox).order_by(outbox.c.key)).all()
        return [
            Letter(
                key=row.key,
                notice=msgspec.json.decode(row.notice, type=Notice),
                version=row.version,
                settled=row.settled,
                attempts=row.attempts,
                error=row.error,
            )
            for row in rows
        ]

    def oldest_unsent_ms(self) -> int | None:
        """When the oldest unsent state was queued, epoch ms; None where all is sent."""
        query = select(func.min(outbox.c.queued_ms))
        with self.begun(self._engine) as connection:
            oldest: int | None = connection.scalar(
                query.where(outbox.c.version > outbox.c.settled)
            )
        return oldest
