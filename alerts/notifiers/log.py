"""The log: every notice as one line of JSON."""

from collections.abc import Callable

import msgspec

from alerts.delivery import NotifyError
from slo.notice import Notice


class Log:
    """Writes notices through `write`, such as `logger.info` or a file's `write`."""

    def __init__(self, write: Callable[[str], object]) -> None:
        self._write = write

    def notify(self, notice: Notice, deadline_ms: int) -> None:  # noqa: ARG002 - a local write does not wait
        """Write one line; raises NotifyError (retry) where that failed."""
        line = msgspec.json.encode(notice).decode()
        try:
            self._write(line)
        except OSError as error:
            text = f"the log could not be written ({type(error).__name__})"
            raise NotifyError(text, retry=True) from None
