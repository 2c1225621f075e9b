"""The search: mutate, walk, judge; what is new joins the corpus."""

import faulthandler
import hashlib
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import inf
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

from tests.fuzz.corpus import Corpus, Seen
from tests.fuzz.judge import UncheckedError, Unjustified, judge
from tests.fuzz.memory import Samples, resident_mb
from tests.fuzz.mutations import mutated
from tests.fuzz.payload import Payload
from tests.fuzz.walk import CountError, LetterError, Outcome, SilentError, Take

MAX_FAILURES = 100
"""Kinds of failure that are kept; all are counted."""

TRACE_EVERY = 40
LOOK_EVERY = 2_000
HANG_SECONDS = 10.0
"""CPU time that one payload may take; the largest bombs take two seconds."""

TRACED_TAKES = 10
"""So many times as long takes what is looked at line by line."""

STUCK_SECONDS = 300
"""By the clock: beyond it, the process is stuck where no signal reaches."""


class HangError(Exception):
    """One payload took too long."""


class Failure(NamedTuple):
    """A payload, and what was wrong with what became of it."""

    payload: Payload
    what: str


class Report(NamedTuple):
    """What a search found. `memory` holds (payloads, resident MB), `cpu_s` CPU time."""

    payloads: int
    failures: list[Failure]
    counted: int
    unchecked: int
    signatures: int
    lines: int
    slowest_s: float
    cpu_s: float
    results: Counter[str]
    memory: Samples


class Search:
    """One process's share. `told` is called with the payloads done, now and then."""

    def __init__(
        self,
        take: Take,
        seeds: list[Payload],
        seed: int,
        told: Callable[[str], None],
        *,
        hang_s: float = HANG_SECONDS,
        look_every: int = LOOK_EVERY,
    ) -> None:
        self._take = take
        self._hang_s = hang_s
        self._look_every = look_every
        self._seeds = seeds
        self._chosen = random.Random(seed)
        self._corpus = Corpus(self._chosen)
        self._told = told
        self._signatures = Seen()
        self._lines: set[tuple[str, int]] = set()
        self._failures: dict[str, Failure] = {}
        self._results: Counter[str] = Counter()
        self._counted = self._unchecked = 0
        self._slowest = 0.0
        self._memory: Samples = []

    def run(self, payloads: int, seconds: float = inf) -> Report:
        """Try so many payloads, the seeds themselves first, or as many as time allows."""
        begun, cpu, done = time.monotonic(), time.process_time(), 0
        with _watched():
            for number in range(payloads):
                if number % self._look_every == 0:
                    self._look(number, begun)
                    if time.monotonic() - begun > seconds:
                        break
                self._try(self._next(number), traced=number % TRACE_EVERY == 0)
                done += 1
            self._look(done, begun)
        return Report(
            done,
            list(self._failures.values()),
            self._counted,
            self._unchecked,
            self._signatures.count,
            len(self._lines),
            self._slowest,
            time.process_time() - cpu,
            self._results,
            self._memory,
        )

    def _next(self, number: int) -> Payload:
        if number < len(self._seeds):
            return self._seeds[number]
        base = self._corpus.any(self._seeds)
        return mutated(base, self._seeds, self._chosen)

    def _try(self, payload: Payload, *, traced: bool) -> None:
        patience = TRACED_TAKES if traced else 1
        signal.setitimer(signal.ITIMER_VIRTUAL, patience * self._hang_s)
        begun = time.process_time()
        try:
            news = self._walked(payload, traced=traced)
        except Exception as error:  # noqa: BLE001  # whatever it is, it is a failure
            if isinstance(error, CountError):
                payload = error.payload
            what = f"{type(error).__name__}: {error}"[:600] + f" at {_place(error)}"
            kind = _kind(error)
            if kind not in self._failures and len(self._failures) < MAX_FAILURES:
                self._failures[kind] = Failure(payload, what)
                self._told(f"{what}\n{payload!r}"[:4_000])
            self._results["failed"] += 1
            return
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        self._slowest = max(self._slowest, time.process_time() - begun)
        if news:
            self._corpus.keep(payload)

    def _walked(self, payload: Payload, *, traced: bool) -> bool:
        """Walk and judge; whether anything new was seen."""
        lines = len(self._lines)
        with self._tracing(traced):
            outcome = self._take(payload)
        self._judge(payload, outcome)
        return self._signatures.add(outcome.signature) or len(self._lines) > lines

    def _judge(self, payload: Payload, outcome: Outcome) -> None:
        topic, arrival_ms = payload.topic, payload.arrival_ms
        arrived_ms = arrival_ms if arrival_ms > 0 else 1
        try:
            counted = judge(payload.value, topic, arrived_ms, outcome.batches)
        except UncheckedError:
            self._unchecked += 1
            return
        self._counted += counted
        self._results["counted" if counted else "not counted"] += 1

    @contextmanager
    def _tracing(self, traced: bool) -> Iterator[None]:
        if not traced:
            yield
            return
        sys.settrace(self._trace)
        try:
            yield
        finally:
            sys.settrace(None)

    def _trace(self, frame: FrameType, event: str, arg: Any) -> Any:
        name = frame.f_code.co_filename
        return self._line if "/streams/" in name or "/slo/" in name else None

    def _line(self, frame: FrameType, event: str, arg: Any) -> Any:
        if event == "line":
            self._lines.add((frame.f_code.co_filename, frame.f_lineno))
        return self._line

    def _look(self, number: int, begun: float) -> None:
        faulthandler.dump_traceback_later(STUCK_SECONDS, exit=True)
        resident = resident_mb()
        self._memory.append((number, resident))
        if number % (10 * self._look_every) == 0 and number:
            rate = number / max(time.monotonic() - begun, 1e-9)
            self._told(
                f"{number:,} payloads, {rate:,.0f}/s, {resident:.0f} MB,"
                f" {self._signatures.count:,} outcomes, {len(self._lines):,} lines,"
                f" {len(self._failures)} failures"
            )


@contextmanager
def _watched() -> Iterator[None]:
    """Whatever hangs in Python code is interrupted; what hangs below it, ended."""

    def hangs(number: int, frame: FrameType | None) -> None:
        raise HangError("a payload took too much CPU time")

    before = signal.signal(signal.SIGVTALRM, hangs)
    try:
        yield
    finally:
        signal.signal(signal.SIGVTALRM, before)
        faulthandler.cancel_dump_traceback_later()


def _kind(error: BaseException) -> str:
    """Failures of one kind are reported once: by type, and the line that raised."""
    words = "".join(c for c in str(error)[:60] if not c.isdigit())
    return f"{type(error).__name__} {_place(error)} {words}"


def _place(error: BaseException) -> str:
    """The line that raised first."""
    trace = (error.__cause__ or error).__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else ""


# -- small reproducers ---------------------------------------------------------------


def reduced(payload: Payload, fails: Callable[[Payload], bool]) -> Payload:
    """The payload with everything left out that is not needed to fail."""
    value, size = payload.value or b"", len(payload.value or b"") // 2
    while size:
        at = 0
        while at < len(value):
            shorter = value[:at] + value[at + size :]
            if fails(payload._replace(value=shorter)):
                value = shorter
            else:
                at += size
        size //= 2
    return payload._replace(value=value)


def kept(failure: Failure, folder: Path) -> Path:
    """Write a reproducer: what was wrong, where it came from, and the bytes."""
    payload = failure.payload
    name = hashlib.sha256(payload.value or b"").hexdigest()[:12]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.bin"
    path.write_bytes(payload.value or b"")
    head = f"{failure.what}\n{payload.topic} {payload.arrival_ms} {payload.key!r}\n"
    path.with_suffix(".txt").write_text(head)
    return path


__all__ = ["Failure", "LetterError", "Report", "Search", "SilentError", "Unjustified"]
