"""An event loop that ends, whatever was begun in it."""

import asyncio
from collections.abc import Callable, Coroutine
from time import monotonic
from typing import Any

from streams.kafka import PATIENCE_S, PAUSE_S, log

LOOK_SECONDS = 0.05
STOP_SECONDS = 15.0
LEFT_SECONDS = 5.0
"""Tasks that are left over, and told to end, get so long for it."""


def run_bounded(main: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine in a loop of its own; raises what it raises.

    `asyncio.run` waits for ever for a task that will not be cancelled.
    """
    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(main)
    finally:
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.wait(left, timeout=LEFT_SECONDS))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


async def served(
    app: Any, begun: Callable[[], None], ended: Callable[[], bool]
) -> BaseException | None:
    """Start a Faust application and stop it again: nothing of it may keep us from ending.

    Until `ended`, or until it ends by itself: then why it did. Raises what its start
    raises, and what `begun` raises after it.
    """
    started = asyncio.create_task(app.start())
    try:
        while not (ended() or app.crashed or app.should_stop):
            if started.done():
                started.result()
                begun()
            await asyncio.sleep(LOOK_SECONDS)
        alone = not ended()
        if started.done():
            started.result()
    finally:
        started.cancel()
        await asyncio.wait({asyncio.create_task(app.stop())}, timeout=STOP_SECONDS)
    if not alone:
        return None
    why: BaseException | None = app.crash_reason
    return why or RuntimeError("Faust stopped by itself")


async def insisted(
    attempt: Callable[[], Coroutine[Any, Any, None]],
    passing: type[Exception],
    patience_s: float = PATIENCE_S,
) -> None:
    """Try again as long as a fault may pass; raises it where it does not."""
    give_up_at = monotonic() + patience_s
    while True:
        try:
            return await attempt()
        except passing as error:
            if monotonic() > give_up_at:
                raise
            log.warning("asked again: %s", error)
        await asyncio.sleep(PAUSE_S)
