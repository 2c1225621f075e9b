"""Progress knows when it was saved last, by the clock of the worker that did."""

from typing import Final

from alembic import op
from sqlalchemy import BigInteger, Column

revision: Final = "0002"
down_revision: Final = "0001"


def upgrade() -> None:
    """Add the column; `meta` tells an older version that it must not write here."""
    column = Column("saved_ms", BigInteger, nullable=False, server_default="0")
    op.add_column("progress", column)
    op.execute("UPDATE meta SET value = '2' WHERE key = 'schema'")
