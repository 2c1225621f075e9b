"""An event loop that ends, whatever was begun in it."""

import asyncio
from collections.abc import Coroutine
from typing import Any

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
