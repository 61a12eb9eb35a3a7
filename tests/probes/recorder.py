"""A server on loopback that plays every host at once and writes down what it was asked: for tests of what leaves us.

`https://localhost:PORT/` is the target, `https://localhost:PORT/HOST/…` any other host; `plain` is the target without
TLS, which leads to TLS. Answers are as good as a stranger can make them, so that checks go on after their first look.
"""

from __future__ import annotations

import json
import re
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.authority import Authority

HOST = re.compile(r"/((?:[\w-]+\.)+[a-z]+)(/.*|$)")


@dataclass(frozen=True)
class Asked:
    """One request as it arrived. `host` is empty for the target itself."""

    method: str
    host: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes


class Recorder(ThreadingHTTPServer):
    """The server; `asked` is what arrived."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, context: ssl.SSLContext | None, leads_to: str = "") -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        if context:  # shakes hands in the connection's own thread: a knock without TLS holds nobody up
            self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        self.asked: list[Asked] = []
        self.leads_to = leads_to

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.server_address[1])

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that was only a knock."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Recorder

    def _any(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        path, _, query = self.path.partition("?")
        match = HOST.match(path)
        host, path = (match[1], match[2] or "/") if match else ("", path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.asked.append(Asked(self.command, host, path, query, headers, body))
        if self.server.leads_to:
            self._answer(308, {"location": self.server.leads_to}, b"")
        elif host:
            tree = {"access_token": "ya29.a", "data": [], "items": [], "result": "PONG", "UptimeStatus": "up"}
            self._answer(200, {}, json.dumps(tree).encode())
        elif "json" in self.headers.get("accept", "") or path.startswith("/api"):
            now = datetime.now(UTC).isoformat()
            tree = {"status": "ok", "timestamp": now, "ok": True, "success": True, "version": "1", "missing": []}
            self._answer(200, {"cache-control": "no-store"}, json.dumps(tree).encode())
        else:
            page = b'<html><title>T</title><a href="/landing">a</a><a href="/terms">b</a></html>'
            self._answer(200, {"content-type": "text/html"}, page)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _any

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        known = {"content-type": "application/json", "content-length": str(len(body)), "x-vercel-id": "iad1::1"}
        for name, value in {**known, **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def recording(folder: Path) -> Iterator[tuple[Recorder, Recorder, Path]]:
    """The server with TLS, the one without, and the file of the authority to trust."""
    authority = Authority()
    trust = folder / "authority.pem"
    trust.write_bytes(authority.ca.cert_pem.bytes())
    secure = Recorder(authority.good("localhost"))
    plain = Recorder(None, f"https://localhost:{secure.port}/")
    threads = [threading.Thread(target=s.serve_forever, kwargs={"poll_interval": 0.01}) for s in (secure, plain)]
    for thread in threads:
        thread.start()
    try:
        yield secure, plain, trust
    finally:
        for server in (secure, plain):
            server.shutdown()
            server.server_close()
        for thread in threads:
            thread.join()
