"""PagerDuty, Events API v2: one incident per dedup key, from trigger to resolve."""

import json
import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any
from urllib.parse import urlencode, urlsplit, urlunsplit

import msgspec

from alerts.delivery import NotifyError
from alerts.notifiers.wire import Answer, Endpoint, refused
from slo.names import BOARD_OVERVIEW, BOARD_SLO_DETAIL
from slo.notice import Action, Burning, Notice

PUBLIC_URL = "https://events.pagerduty.com"
PATH = "/v2/enqueue"

SUMMARY_CHARS = 1024
KEY_CHARS = 255
BODY_BYTES = 500_000
"""PagerDuty takes 512 KB; a little less, for its own envelope."""

TEXT_CHARS = 2_000
RUNBOOK = "DbSloErrorBudgetBurn.md"
ENGINE_RUNBOOK = "DbSloPipelineStale.md"
SEVERITIES = ("critical", "error", "warning", "info")


class Links(msgspec.Struct, frozen=True):
    """Where an engineer is sent: base URLs of Grafana and of the runbooks; "" for none.

    The runbook that the first burning SLO names goes before the common one. The board
    opens on the panel of `panel_id`; 0: on all of it.
    """

    grafana_url: str = ""
    runbooks_url: str = ""
    panel_id: int = 0


NO_LINKS = Links()


class PagerDuty:
    """Sends notices to an Events API v2.

    `url` is the base or the full URL of the API. `clock` gives epoch ms. The routing
    key is sent and never shown. Raises ValueError for an unusable URL or an empty key.
    """

    def __init__(
        self,
        routing_key: str,
        clock: Callable[[], int],
        url: str = PUBLIC_URL,
        links: Links = NO_LINKS,
    ) -> None:
        if not routing_key:
            raise ValueError("the PagerDuty routing key is empty")
        self._routing_key = routing_key
        self._endpoint = Endpoint(enqueue_url(url), clock)
        self._links = links

    def notify(self, notice: Notice, deadline_ms: int) -> None:
        """Trigger, repeat or resolve; raises NotifyError."""
        body = encode(event(notice, self._links) | {"routing_key": self._routing_key})
        headers = {"Content-Type": "application/json", "User-Agent": "dbslo"}
        answer = self._endpoint.post(body, headers, deadline_ms)
        explanation = _explanation(answer, self._routing_key)
        error: NotifyError | None = refused(self._endpoint, answer, explanation)
        if error is not None:
            raise error


def enqueue_url(url: str) -> str:
    """The URL to POST to, from the API's base or its full URL."""
    parts = urlsplit(url)
    if parts.path.endswith("/enqueue"):
        return url
    return urlunsplit(parts._replace(path=parts.path.rstrip("/") + PATH))


def dedup_key(key: str) -> str:
    """The key, at most 255 characters: a longer one ends in a hash of the whole."""
    if len(key) <= KEY_CHARS:
        return key
    digest = sha256(key.encode()).hexdigest()[:32]
    return f"{key[: KEY_CHARS - 33]}/{digest}"


def event(notice: Notice, links: Links = NO_LINKS) -> dict[str, Any]:
    """The event of a notice, without its routing key."""
    body: dict[str, Any] = {
        "event_action": notice.action.value,
        "dedup_key": dedup_key(notice.key),
        "client": "dbslo",
    }
    board_url = _board_url(notice, links)
    if board_url:
        body["client_url"] = board_url
    runbook_url = _runbook_url(notice, links)
    wanted = ((runbook_url, "Runbook"), (board_url, "Burn, budget and windows"))
    found = [{"href": href, "text": text} for href, text in wanted if href]
    if found:
        body["links"] = found
    if notice.action is Action.TRIGGER:
        body["payload"] = _payload(notice)
    return body


def summary(notice: Notice) -> str:
    """One line for the phone, at most 1024 characters."""
    if notice.summary:
        return _cut(notice.summary, SUMMARY_CHARS)
    where = " ".join(part for part in (notice.env, notice.cluster) if part)
    head = f"{where or 'dbslo'} {notice.service}:"
    if not notice.burning:
        return _cut(f"{head} error budget burns", SUMMARY_CHARS)
    first = notice.burning[0]
    more = len(notice.burning) - 1
    seen = f"{first.seen}; " if first.seen else ""
    text = f"{head} {first.slo} on {first.resource}: {seen}{first.reason}, {_budget(first)}"
    tail = f"; and {more} more" if more else ""
    return _cut(text, SUMMARY_CHARS - len(tail)) + tail


def encode(body: dict[str, Any]) -> bytes:
    """The JSON of an event within PagerDuty's size.

    Where it would be too long, the last of the burning SLOs are left out and a note
    says how many.
    """
    encoded = _json(body)
    if len(encoded) <= BODY_BYTES:
        return encoded
    details = body["payload"]["custom_details"]
    every = details["burning"]
    bare = body["payload"] | {"custom_details": details | {"burning": []}}
    room = BODY_BYTES - len(_json(body | {"payload": bare})) - 200
    kept = _fitting(every, room)
    note = f"{len(every) - len(kept)} of {len(every)} burning SLOs left out: too long"
    cut = details | {"burning": kept, "truncated": note}
    return _json(body | {"payload": body["payload"] | {"custom_details": cut}})


def _fitting(entries: Iterable[dict[str, Any]], room: int) -> list[dict[str, Any]]:
    kept = []
    for entry in entries:
        room -= len(_json(entry)) + 1
        if room < 0:
            break
        kept.append(entry)
    return kept


def _payload(notice: Notice) -> dict[str, Any]:
    source = notice.cluster or notice.service or "dbslo"
    severity = notice.severity if notice.severity in SEVERITIES else "error"
    return {
        "summary": summary(notice),
        "source": f"{source}.{notice.env}" if notice.env else source,
        "severity": severity,
        "timestamp": _time(notice.changed_ms),
        "component": source,
        "group": notice.service,
        "class": "slo_burn" if not notice.summary else notice.cluster,
        "custom_details": {
            "env": notice.env,
            "service": notice.service,
            "cluster": notice.cluster,
            "opened": _time(notice.opened_ms),
            "burning": [_details(one) for one in notice.burning],
        },
    }


def _details(burning: Burning) -> dict[str, Any]:
    windows = {
        name: counts | {"bad": counts["total"] - counts["good"]}
        for name, counts in burning.windows.items()
    }
    return {
        "slo": _cut(burning.slo, TEXT_CHARS),
        "resource": _cut(burning.resource, TEXT_CHARS),
        "tier": burning.tier,
        "promise": _cut(burning.promise, TEXT_CHARS),
        "seen": _cut(burning.seen, TEXT_CHARS),
        "reason": _cut(burning.reason, TEXT_CHARS),
        "windows": windows,
        "windows_count": burning.unit,
        "objective": _percent(burning.objective_ratio, 6),
        "budget_left": _percent(burning.budget_remaining_ratio, 1),
        "coverage": _percent(burning.coverage_ratio, 1),
    }


def _budget(burning: Burning) -> str:
    left = burning.budget_remaining_ratio
    if left < 0:
        return f"budget overspent by {_percent(-left, 1)}"
    return f"{_percent(left, 1)} of the budget left"


def _board_url(notice: Notice, links: Links) -> str:
    """The detail board of the SLO that burns first, from an hour before the incident."""
    if not links.grafana_url:
        return ""
    base = links.grafana_url.rstrip("/")
    if notice.summary:
        return f"{base}/d/{BOARD_OVERVIEW}"
    found = {
        "var-env": notice.env,
        "var-cluster": notice.cluster,
        "var-service": notice.service,
        "var-slo": notice.burning[0].slo if notice.burning else "",
        "var-resource": notice.burning[0].resource if notice.burning else "",
    }
    if links.panel_id:
        found = {"viewPanel": str(links.panel_id), **found}
    query = {key: value for key, value in found.items() if value}
    query |= {"from": str(notice.opened_ms - 3_600_000), "to": "now"}
    return f"{base}/d/{BOARD_SLO_DETAIL}?{urlencode(query)}"


def _runbook_url(notice: Notice, links: Links) -> str:
    own = next((one.runbook for one in notice.burning if one.runbook), "")
    page = ENGINE_RUNBOOK if notice.summary else RUNBOOK
    common = f"{links.runbooks_url.rstrip('/')}/{page}" if links.runbooks_url else ""
    return own or common


def _explanation(answer: Answer, secret: str) -> str:
    """PagerDuty's own reasons for a refusal, without the routing key."""
    try:
        found = json.loads(answer.body)
        errors = found.get("errors") or [found.get("message") or ""]
        text = "; ".join(str(error) for error in errors)
    except (ValueError, AttributeError, TypeError):
        return ""
    return _cut(_without(text, secret), 300)


def _without(text: str, secret: str) -> str:
    """The text with the secret, in any case, replaced."""
    return re.sub(re.escape(secret), "***", text, flags=re.IGNORECASE)


def _time(at_ms: int) -> str:
    at = datetime.fromtimestamp(at_ms / 1000, UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _percent(ratio: float, digits: int) -> str:
    return f"{100 * ratio:.{digits}f}".rstrip("0").rstrip(".") + "%"


def _cut(text: str, chars: int) -> str:
    return text if len(text) <= chars else text[: chars - 1] + "…"


def _json(value: Any) -> bytes:
    return msgspec.json.encode(value)
