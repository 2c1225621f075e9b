"""How many records a poll asks for.

A record of a few kilobytes can unfold to a million values, which take seconds. Hundreds
of them in one poll take longer than a group waits for a member: it is put out, reads them
again, and so for ever. So a worker asks for one record at first, after a poll that gave
nothing, and after a slow step: what is folded is handed over between any two that are
slow. Who is in full flow as such a burst comes may be put out. It reads one by one then,
until it is past the burst: partitions come back in another order, so that is a guess, and
each time it is put out anew, twice as many.
"""

from typing import Final

MOST: Final = 500
"""So many stay in a core's own cache until they are folded."""

SLOW_S: Final = 1.0

AGAIN: Final = 10_000
"""So many may come from other partitions before those that were slow: some seconds."""


class Appetite:
    """`records` are to be asked for: 1 at first, then twice as many after each poll."""

    def __init__(self) -> None:
        self.records = 1
        self._uncommitted = 0
        self._behind_slow: int | None = None  # records read after one that was slow
        self._again = self._last = 0

    def fed(self, read: int, seconds: float) -> None:
        """The last poll gave so many records, which took so long to fold."""
        quick = seconds <= SLOW_S
        self._uncommitted += read
        if not quick:
            self._behind_slow = 0
        elif self._behind_slow is not None:
            self._behind_slow += read
        self._again = max(self._again - read, 0)
        grows = read and quick and not self._again
        self.records = min(2 * self.records, MOST) if grows else 1

    def committed(self, behind: int) -> None:
        """All but so many of the records that were read are committed."""
        self._uncommitted = behind
        if self._behind_slow is not None and self._behind_slow >= behind:
            self._behind_slow, self._last = None, 0  # what was slow is committed, too

    def dropped(self) -> None:
        """What is not committed is read again."""
        if self._behind_slow is not None:
            self._again = self._last = max(AGAIN, self._uncommitted, 2 * self._last)
            self._behind_slow = None
        self._uncommitted = 0
