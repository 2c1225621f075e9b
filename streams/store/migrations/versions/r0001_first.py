"""The first schema, as it was before revisions were numbered."""

from typing import Final

from alembic import op
from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
)

revision: Final = "0001"
down_revision: Final = None

metadata = MetaData()

# SQLite gives rowids to INTEGER keys alone; PostgreSQL wants the room.
_serial = BigInteger().with_variant(Integer(), "sqlite")

Table(
    "meta",
    metadata,
    Column("key", Text, primary_key=True),
    Column("value", Text, nullable=False),
)

Table(
    "progress",
    metadata,
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("next", BigInteger, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("cluster_id", Text, nullable=False),
    Column("topic_id", Text, nullable=False),
    Column("frontier", LargeBinary, nullable=False),
)

Table(
    "journal",
    metadata,
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("next", BigInteger, primary_key=True, autoincrement=False),
    Column("facts", LargeBinary, nullable=False),
    Column("counts", LargeBinary, nullable=False),
)

Table(
    "route",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("partition", Integer, nullable=False, index=True),
    Column("route", LargeBinary, nullable=False),
)

Table(
    "fact_page",
    metadata,
    Column("route_id", BigInteger, primary_key=True, autoincrement=False),
    Column("hour", Integer, primary_key=True, autoincrement=False),
    Column("partition", Integer, nullable=False),
    Column("data", LargeBinary, nullable=False),
    Index("fact_page_hour", "partition", "hour"),
)

Table(
    "series",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("partition", Integer, nullable=False, index=True),
    Column("key", Text, nullable=False),
    Column("known_good", BigInteger, nullable=False),
    Column("known_bad", BigInteger, nullable=False),
    Column("revisions", BigInteger, nullable=False),
    Column("first_ms", BigInteger, nullable=True),
)

Table(
    "ledger_page",
    metadata,
    Column("series_id", BigInteger, primary_key=True, autoincrement=False),
    Column("page", Integer, primary_key=True, autoincrement=False),
    Column("partition", Integer, nullable=False),
    Column("data", LargeBinary, nullable=False),
    Index("ledger_page_page", "partition", "page"),
)

Table(
    "ledger_history",
    metadata,
    Column("series_id", BigInteger, primary_key=True, autoincrement=False),
    Column("partition", Integer, nullable=False, index=True),
    Column("page", Integer, nullable=False),  # the first that is read beside it
    Column("data", LargeBinary, nullable=False),
)

Table(
    "alert",
    metadata,
    Column("series", Text, primary_key=True),
    Column("partition", Integer, nullable=False, index=True),
    Column("verdict", Text, nullable=False),
    Column("level", Text, nullable=False),
    Column("since_ms", BigInteger, nullable=False),
    Column("tier", Text, nullable=False),
    Column("reason", Text, nullable=False),
)

Table(
    "incident",
    metadata,
    Column("key", Text, primary_key=True),
    Column("opened_ms", BigInteger, primary_key=True, autoincrement=False),
    Column("partition", Integer, nullable=False, index=True),
    Column("env", Text, nullable=False),
    Column("service", Text, nullable=False),
    Column("cluster", Text, nullable=False),
    Column("severity", Text, nullable=False),
    Column("members", Text, nullable=False),
    Column("resolved_ms", BigInteger, nullable=True),
)

Table(
    "verdict_change",
    metadata,
    Column("id", _serial, primary_key=True, autoincrement=True),
    Column("partition", Integer, nullable=False),
    Column("at_ms", BigInteger, nullable=False, index=True),
    Column("line", LargeBinary, nullable=False),
)

Table(
    "outbox",
    metadata,
    Column("key", Text, primary_key=True),
    Column("notice", LargeBinary, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("settled", BigInteger, nullable=False),  # the version last sent or given up
    Column("due_ms", BigInteger, nullable=False, index=True),
    Column("queued_ms", BigInteger, nullable=False),
    Column("owner", Text, nullable=False),
    Column("lease_until_ms", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("error", Text, nullable=False),  # of the last attempt, "" where it went well
)

Table(
    "placement",
    metadata,
    Column("cluster", Text, primary_key=True),
    Column("partition", Integer, nullable=False),
)

Table(
    "source_offset",
    metadata,
    Column("run", Text, primary_key=True),
    Column("topic", Text, primary_key=True),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("next", BigInteger, nullable=False),
    Column("metadata", Text, nullable=False),
)

Table(
    "dead_letter",
    metadata,
    Column("id", _serial, primary_key=True, autoincrement=True),
    Column("topic", Text, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("offset", BigInteger, nullable=False),
    Column("time_ms", BigInteger, nullable=False),
    Column("format", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("excerpt", Text, nullable=False),
)


def upgrade() -> None:
    """Make every table, and say to older versions which schema this is."""
    connection = op.get_bind()
    metadata.create_all(connection)
    op.execute("INSERT INTO meta (key, value) VALUES ('schema', '1')")
