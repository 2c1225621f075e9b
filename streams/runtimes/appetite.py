"""How many records a poll asks for.

A record of a few kilobytes can unfold to a million values, which take seconds. Hundreds
of them in one poll take longer than a group waits for a member: it would be put out, read
them again, and so for ever. So a worker begins with one record, and begins anew after a
slow step: what it has folded is handed over between any two that are slow.
"""

from typing import Final

MOST: Final = 500
"""So many stay in a core's own cache until they are folded."""

SLOW_S: Final = 1.0


class Appetite:
    """`records` are to be asked for: 1 at first, then twice as many after each step."""

    def __init__(self) -> None:
        self.records = 1

    def fed(self, seconds: float) -> None:
        """The last poll's records took so long to fold."""
        self.records = 1 if seconds > SLOW_S else min(2 * self.records, MOST)
