"""The little HTTP that the servers' own interfaces need."""

import json
import urllib.error
import urllib.request
from typing import Any

SECONDS = 30


def ok(url: str) -> bool:
    """Whether a GET is answered with 2xx."""
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except OSError:
        return False


def call(url: str, method: str = "GET", body: Any = None) -> Any:
    """Sends JSON, returns JSON (None for an empty answer).

    Raises RuntimeError with the server's words where it refuses.
    """
    request = urllib.request.Request(
        url,
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:
            text = answer.read()
    except urllib.error.HTTPError as refusal:
        with refusal:
            msg = f"{method} {url}: {refusal.code} {refusal.read().decode()[:1000]}"
        raise RuntimeError(msg) from None
    return json.loads(text) if text else None
