"""The marks of every source partition: as they are, as flushed, and as committed."""

from streams.marks import (
    UNKNOWN,
    Marks,
    MarksError,
    Position,
    key_print,
    marks_of,
)

Place = tuple[str, int]


class Positions:
    """The marks of every source partition.

    As they are, as the last flush took them, and as they were committed.
    """

    def __init__(self) -> None:
        self._now: dict[Place, Marks] = {}
        self._flushed: dict[Place, Marks] = {}
        self._committed: dict[Place, Marks] = {}
        self._moved: set[Place] = set()
        self._texts: dict[Place, str] = {}

    def of(self, topic: str, partition: int) -> Marks:
        """The marks of a partition, about to be moved."""
        place = (topic, partition)
        self._moved.add(place)
        self._texts.pop(place, None)
        found = self._now.get(place)
        if found is None:
            found = self._now[place] = Marks()
        return found

    def text(self, topic: str, partition: int, past_ms: int) -> str:
        """See `Marks.text`; "" for a partition without marks."""
        place = (topic, partition)
        found = self._texts.get(place)
        if found is None:
            marks = self._now.get(place)
            found = self._texts[place] = marks.text(past_ms) if marks else ""
        return found

    def assigned(self, topic: str, partition: int, text: str) -> None:
        """Start from what was committed. Raises MarksError."""
        marks = marks_of(text)
        self.revoked(topic, partition)
        self._now[(topic, partition)] = marks
        self._committed[(topic, partition)] = marks.copy()

    def revoked(self, topic: str, partition: int) -> None:
        """Forget a partition."""
        for marks in (self._now, self._flushed, self._committed):
            marks.pop((topic, partition), None)
        self._moved.discard((topic, partition))
        self._texts.pop((topic, partition), None)

    def flushed(self) -> None:
        """Remember where the marks stood when the fold was taken."""
        for place in self._moved:
            self._flushed[place] = self._now[place].copy()
        self._moved.clear()

    def committed(self) -> None:
        """What was flushed is what to return to."""
        self._committed.update(self._flushed)
        self._flushed.clear()

    def discard(self) -> None:
        """Return to what was committed."""
        for place in self._moved | self._flushed.keys():
            self._now[place] = self._committed.get(place, Marks()).copy()
            self._texts.pop(place, None)
        self._moved.clear()
        self._flushed.clear()


__all__ = [
    "UNKNOWN",
    "Marks",
    "MarksError",
    "Position",
    "Positions",
    "key_print",
    "marks_of",
]
