"""A store whose database goes away around some commits."""

import itertools

from sqlalchemy.exc import OperationalError

from streams.store import Change, Progress, Store


class Flaky(Store):
    """A database that goes away: the commits in `fails` raise, after or before; or a
    "bug" raises.
    """

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.commits = itertools.count()
        self.fails: dict[int, str] = {}
        self.failed = 0

    def commit(self, mine: Progress, change: Change) -> Progress:
        number = next(self.commits)
        fate = self.fails.get(number)
        self.failed += fate is not None
        if fate == "before":
            raise OperationalError("commit", {}, Exception("gone"))
        if fate == "bug":
            raise ValueError("a bug")
        found = super().commit(mine, change)
        if fate == "after":
            raise OperationalError("commit", {}, Exception("gone, but saved"))
        return found
