"""${message}."""

from typing import Final

import sqlalchemy as sa
from alembic import op
${imports if imports else ""}
revision: Final = ${repr(up_revision)}
down_revision: Final = ${repr(down_revision)}


def upgrade() -> None:
    """${message}; `meta` tells an older version that it must not write here."""
    ${upgrades if upgrades else "pass"}
    op.execute("UPDATE meta SET value = '${up_revision.lstrip("0")}' WHERE key = 'schema'")
