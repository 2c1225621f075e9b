"""How many records a poll asks for.

A record of a few kilobytes can unfold to a million values, which take seconds. Hundreds
of them in one poll take longer than a group waits for a member: it is put out, reads them
again, and so for ever. So a worker asks for one record at first, after a poll that gave
nothing, and after a slow step: what is folded is handed over between any two that are
slow. Who is in full flow as such a burst comes may be put out once, and begins with one.
"""

from typing import Final

MOST: Final = 500
"""So many stay in a core's own cache until they are folded."""

SLOW_S: Final = 1.0


class Appetite:
    """`records` are to be asked for: 1 at first, then twice as many after each poll."""

    def __init__(self) -> None:
        self.records = 1

    def fed(self, read: int, seconds: float) -> None:
        """The last poll gave so many records, which took so long to fold."""
        quick = read and seconds <= SLOW_S
        self.records = min(2 * self.records, MOST) if quick else 1
