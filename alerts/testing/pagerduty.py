"""A small PagerDuty: Events API v2 on loopback, with the incidents it would open.

`POST /v2/enqueue` validates and answers as PagerDuty does; `GET /events`,
`GET /incidents` are JSON, `/` is a page for people. Routing keys are not kept.
"""

import html
import json
import threading
from typing import Any

from alerts.testing.loopback import LoopbackServer, Reply, Request

ROUTING_KEY = "0123456789abcdef0123456789abcdef"
"""A well-formed key for demo and tests; it opens nothing anywhere."""

MAX_BODY = 512 * 1024
UNREADABLE = {
    "status": "Unrecognized object",
    "message": "Event object format is unrecognized",
    "errors": ["JSON parse error"],
}
ACTIONS = ("trigger", "acknowledge", "resolve")
SEVERITIES = ("critical", "error", "warning", "info")


class PagerDutyServer(LoopbackServer):
    """The server; `events` and `incidents` are also readable in process."""

    def __init__(self) -> None:
        super().__init__(self._serve)
        self._kept = threading.Lock()
        self._events: list[dict[str, Any]] = []
        self._incidents: list[dict[str, Any]] = []

    @property
    def events(self) -> list[dict[str, Any]]:
        """Every accepted event in order, without routing keys."""
        with self._kept:
            return [dict(event) for event in self._events]

    @property
    def incidents(self) -> list[dict[str, Any]]:
        """Every incident, oldest first: key, status, severity, summary, triggers."""
        with self._kept:
            return [dict(incident) for incident in self._incidents]

    def _serve(self, request: Request) -> Reply:
        if request.method == "POST":
            if request.path == "/v2/enqueue":
                return self._enqueue(request.body)
            return _json(404, {"status": "not found"})
        match request.path:
            case "/events":
                return _json(200, self.events)
            case "/incidents":
                return _json(200, self.incidents)
            case "/":
                page = render(self.incidents, self.events).encode()
                return Reply(200, page, content_type="text/html; charset=utf-8")
            case _:
                return _json(404, {"status": "not found"})

    def _enqueue(self, body: bytes) -> Reply:
        if len(body) > MAX_BODY:
            return _json(413, {"status": "error", "message": "event too large"})
        try:
            event = json.loads(body)
        except ValueError:
            return _json(400, UNREADABLE)
        errors = wrong(event)
        if errors:
            return _invalid(errors)
        with self._kept:
            event = {k: v for k, v in event.items() if k != "routing_key"}
            event.setdefault("dedup_key", f"event-{len(self._events) + 1}")
            self._events.append(event)
            self._follow(event)
        accepted = {"status": "success", "message": "Event processed"}
        return _json(202, accepted | {"dedup_key": event["dedup_key"]})

    def _follow(self, event: dict[str, Any]) -> None:
        """What the event does to the incidents."""
        key = event["dedup_key"]
        found = [
            one
            for one in self._incidents
            if one["dedup_key"] == key and one["status"] != "resolved"
        ]
        payload = event.get("payload", {})
        match event["event_action"], found:
            case "trigger", []:
                self._incidents.append(
                    {
                        "dedup_key": key,
                        "status": "triggered",
                        "severity": payload["severity"],
                        "summary": payload["summary"],
                        "triggers": 1,
                    }
                )
            case "trigger", [incident]:
                incident["triggers"] += 1
                incident["severity"] = payload["severity"]
                incident["summary"] = payload["summary"]
            case "resolve", [incident]:
                incident["status"] = "resolved"
            case _:
                pass  # a resolve without an incident, an acknowledgement


def wrong(event: Any) -> list[str]:
    """What Events API v2 would refuse an event for; [] where it accepts it."""
    if not isinstance(event, dict):
        return ["the event is not an object"]
    errors = _wrong_key(event.get("routing_key"))
    if event.get("event_action") not in ACTIONS:
        errors.append(f"'event_action' must be one of {', '.join(ACTIONS)}")
    dedup_key = event.get("dedup_key")
    if event.get("event_action") != "trigger" and not dedup_key:
        errors.append("'dedup_key' is missing")
    if dedup_key is not None and not _text(dedup_key, 255):
        errors.append("'dedup_key' must be text of 1 to 255 characters")
    if event.get("event_action") == "trigger":
        errors.extend(_wrong_payload(event.get("payload")))
    errors.extend(_wrong_links(event.get("links", [])))
    return errors


def _wrong_key(key: Any) -> list[str]:
    if not isinstance(key, str) or len(key) != 32:
        return ["Length of 'routing_key' is incorrect (should be 32 characters)"]
    if not key.isalnum():
        return ["'routing_key' cannot contain non-alphanumeric characters."]
    return []


def _wrong_payload(payload: Any) -> list[str]:
    if not isinstance(payload, dict):
        return ["'payload' is missing"]
    errors = []
    if not _text(payload.get("summary"), 1024):
        errors.append("'payload.summary' must be text of 1 to 1024 characters")
    if not _text(payload.get("source"), 1024):
        errors.append("'payload.source' is missing or blank")
    if payload.get("severity") not in SEVERITIES:
        errors.append(f"'payload.severity' must be one of {', '.join(SEVERITIES)}")
    return errors


def _wrong_links(links: Any) -> list[str]:
    if not isinstance(links, list):
        return ["'links' must be a list"]
    bad = [one for one in links if not isinstance(one, dict) or not one.get("href")]
    return ["'links' must be objects with 'href'"] if bad else []


def _text(value: Any, longest: int) -> bool:
    return isinstance(value, str) and 0 < len(value) <= longest


def render(incidents: list[dict[str, Any]], events: list[dict[str, Any]]) -> str:
    """The page for people: incidents, then events, newest first."""
    rows = [
        _row(
            (i["status"], i["severity"], i["dedup_key"], i["summary"], i["triggers"]),
        )
        for i in reversed(incidents)
    ]
    sent = [
        _row(
            (
                e["event_action"],
                e.get("payload", {}).get("severity", ""),
                e["dedup_key"],
                e.get("payload", {}).get("summary", ""),
                e.get("payload", {}).get("timestamp", ""),
            )
        )
        for e in reversed(events)
    ]
    return _PAGE.format(
        incidents="\n".join(rows) or _NONE, events="\n".join(sent) or _NONE
    )


_NONE = '<tr><td colspan="5">none yet</td></tr>'
_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="2">
<title>PagerDuty stand-in</title>
<style>body{{font:14px sans-serif;margin:2em}}td,th{{text-align:left;padding:.3em 1em .3em 0;
vertical-align:top}}tr.triggered{{color:#b00020}}tr.resolved{{color:#2e7d32}}</style>
<h1>Incidents</h1>
<table><tr><th>status<th>severity<th>key<th>summary<th>triggers</tr>
{incidents}
</table>
<h1>Events</h1>
<table><tr><th>action<th>severity<th>key<th>summary<th>time</tr>
{events}
</table>
<p>As JSON: <a href="/incidents">/incidents</a>, <a href="/events">/events</a></p>
</html>
"""


def _row(cells: tuple[Any, ...]) -> str:
    shown = "".join(f"<td>{html.escape(str(cell))}</td>" for cell in cells)
    return f'<tr class="{html.escape(str(cells[0]))}">{shown}</tr>'


def _json(status: int, value: Any) -> Reply:
    return Reply(status, json.dumps(value, indent=1).encode())


def _invalid(errors: list[str]) -> Reply:
    body = {"status": "invalid event", "message": "Event object is invalid"}
    return _json(400, body | {"errors": errors})
