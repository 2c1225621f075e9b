"""What probes are told: whether a restart would help, and whether all is well."""

from collections.abc import Callable
from threading import Lock

import msgspec

from dbslo.engines import Engine
from dbslo.telling import Telling, refused_pages
from dbslo.watchdog import Asked, Watchdog
from slo.model import MINUTE, SECOND
from streams.listener import Standing
from streams.metrics import Figures
from streams.runtimes.poison import FORMAT as PUT_ASIDE
from streams.store import Store

LATE_NOTICE_MS = 5 * MINUTE
"""A notice that waits for this long keeps somebody from being told."""

LOOK_SECONDS = 2.0
"""A scrape and a probe wait for the store no longer."""

Clock = Callable[[], int]


class Watcher:
    """Figures and health of an engine with its outbox."""

    def __init__(
        self,
        engine: Engine,
        store: Store | None,
        telling: Telling | None,
        clock: Clock,
        watchdog: Watchdog | None = None,
    ) -> None:
        self._engine = engine
        self._store = store
        self._telling = telling
        self._clock = clock
        self._watchdog = watchdog
        self._oldest_ms: int | None = None
        self._refused: list[str] = []
        self._asked = Asked(self._ask)
        self._turn = Lock()

    def figures(self) -> Figures:
        """The engine's figures and the outbox's."""
        self._look()
        return msgspec.structs.replace(
            self._engine.figures(),
            notified=dict(self._telling.counts) if self._telling else {},
            outbox_oldest_ms=self._oldest_ms,
        )

    def alive(self) -> Standing:
        """Wrong is what a restart would mend; asks nobody, so that it always answers."""
        watchdog = self._watchdog
        if watchdog is None:
            return Standing(self._engine.ended(), [])
        return Standing(self._engine.ended() + watchdog.stuck, watchdog.waits_for)

    def ready(self) -> Standing:
        """Wrong is what keeps this process from its work now.

        What people must see to, whichever process runs, is noted.
        """
        engine, wrong = self._engine, []
        if not self._look():
            wrong.append("the store does not answer")
        found = engine.ended() + engine.unready() + wrong
        return Standing(found, self._unsent() + self._refused)

    def _unsent(self) -> list[str]:
        oldest = self._oldest_ms
        if oldest is None or self._clock() - oldest <= LATE_NOTICE_MS:
            return []
        return [f"a notice has waited for {(self._clock() - oldest) // SECOND} s"]

    def _look(self) -> bool:
        """Ask the store; what it said last ages on meanwhile.

        A store that hangs keeps neither a scrape nor a probe.
        """
        if self._store is None:
            return True
        with self._turn:
            return self._asked.answers(LOOK_SECONDS)

    def _ask(self) -> None:
        """The oldest notice, and the pages that were refused for good."""
        if self._store is not None:
            self._oldest_ms = self._store.oldest_unsent_ms()
            aside = self._store.put_aside(PUT_ASIDE)
            found = f"{aside} statements could not be applied: `dbslo deadletter list`"
            self._refused = refused_pages(self._store.letters())
            self._refused += [found] if aside else []
