"""Wall and CPU time of one contender."""

import time


class Stopwatch:
    """Wall and CPU time of this process, from the first record on."""

    def __init__(self) -> None:
        self._begun: tuple[float, float] | None = None

    def start(self) -> None:
        """The first record is here."""
        if self._begun is None:
            self._begun = (time.perf_counter(), time.process_time())

    def read(self, records: int) -> dict[str, float]:
        """What has passed."""
        if self._begun is None:
            raise RuntimeError("no record came")
        wall, cpu = self._begun
        return {
            "records": records,
            "begun": time.time() - (time.perf_counter() - wall),
            "wall_s": time.perf_counter() - wall,
            "cpu_s": time.process_time() - cpu,
        }
