"""An inbox for tickets: every JSON that is posted becomes a line of this log.

It stands where a tracker's webhook would. Nothing is kept, nothing is answered but
204; a body that is not JSON is refused with 400, one above a megabyte with 413.
"""

# ruff: noqa: INP001 - a script that is mounted, not a package

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MOST_BYTES = 1_000_000


class Inbox(BaseHTTPRequestHandler):
    """POST puts a document into the log; GET says that somebody is here."""

    timeout = 10

    def do_GET(self) -> None:
        """For health checks."""
        self._answer(200)

    def do_POST(self) -> None:
        """Log the document as one line."""
        written = self.headers.get("Content-Length", "")
        if not written.isdecimal():
            self._answer(400)
            return
        if int(written) > MOST_BYTES:
            self._answer(413)
            return
        try:
            document = json.loads(self.rfile.read(int(written)))
        except ValueError:
            self._answer(400)
            return
        line = json.dumps({"path": self.path, "document": document}, ensure_ascii=False)
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
        self._answer(204)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Requests themselves are no news."""

    def _answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()


def main(host: str, port: int) -> None:
    """Serve until ended; the address that was taken is the first line of the log."""
    with ThreadingHTTPServer((host, port), Inbox) as server:
        sys.stdout.write(f"inbox listens on {server.server_port}\n")
        sys.stdout.flush()
        server.serve_forever()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
