"""A webhook: every notice as JSON by HTTP POST."""

from collections.abc import Callable, Mapping

import msgspec

from alerts.notifiers.wire import Endpoint, refused
from slo.notice import Notice


class Webhook:
    """POSTs notices to a URL.

    Path, query and user of the URL and the values of `headers` may be secrets (a
    token); none is ever shown. `clock` gives epoch ms. Raises ValueError for an
    unusable URL or header.
    """

    def __init__(
        self,
        url: str,
        clock: Callable[[], int],
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self._endpoint = Endpoint(url, clock)
        self._headers = dict(headers or {})
        if not all(value.isprintable() for value in self._headers.values()):
            raise ValueError("a webhook header holds a line break or control character")

    def notify(self, notice: Notice, deadline_ms: int) -> None:
        """POST the notice; raises NotifyError, which quotes nothing of the answer."""
        headers = {"Content-Type": "application/json", "User-Agent": "dbslo"}
        body = msgspec.json.encode(notice)
        answer = self._endpoint.post(body, headers | self._headers, deadline_ms)
        error = refused(self._endpoint, answer)
        if error is not None:
            raise error
