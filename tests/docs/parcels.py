"""The application of docs/your-own-application.md: it sends parcels, and has nothing in common with the sandbox's.

Plain HTTP on loopback. Orders arrive as signed webhooks; a courier is told of each, once. Logins are limited by the
client's address. Beside it, in the same process, runs the courier's stand-in with its journal, made by hand: what
docs/profile.md says of the journal's HTTP format is all that it does.
"""

from __future__ import annotations

import hmac
import json
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

SECRET = "shop-secret-of-parcels"
JOURNAL_TOKEN = "journal-token-of-the-courier"
LOGINS_PER_ADDRESS = 5


class Asked(NamedTuple):
    """One request."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    client: str


class Answered(NamedTuple):
    """What is answered."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = MappingProxyType({})


class Service(ThreadingHTTPServer):
    """HTTP on a free port of loopback; `answer` does the rest."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, answer: Callable[[Asked], Answered]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer = answer

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Service
    wbufsize = -1  # the whole answer in one segment

    def _any(self) -> None:
        parts = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        query = dict(parse_qsl(parts.query))
        asked = Asked(self.command, parts.path, query, headers, body, self.client_address[0])
        answered = self.server.answer(asked)
        self.send_response(answered.status)
        for name, value in {**answered.headers, "content-length": str(len(answered.body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answered.body)

    do_GET = do_POST = do_PUT = do_DELETE = _any

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def serving(answer: Callable[[Asked], Answered]) -> Iterator[str]:
    """Serve until the end of the block; its address."""
    service = Service(answer)
    thread = threading.Thread(target=service.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield service.url
    finally:
        service.shutdown()
        thread.join()
        service.server_close()


def told(status: int, tree: Any, **headers: str) -> Answered:
    """An answer in JSON that nobody may keep."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answered(
        status, json.dumps(tree).encode(), {"content-type": "application/json", "cache-control": "no-store", **named}
    )


class Courier:
    """Takes `POST /v1/parcels`, and tells what it took in at `GET /requests`, as docs/profile.md asks for it."""

    def __init__(self) -> None:
        self._taken: list[dict[str, Any]] = []
        self._lock = threading.Lock()

    def answer(self, asked: Asked) -> Answered:
        """The courier's own API, and the journal beside it."""
        if asked.path != "/requests":
            with self._lock:
                self._taken.append(self._entry(asked))
            return told(201, {})
        if asked.headers.get("authorization") != f"Bearer {JOURNAL_TOKEN}":
            return told(401, {"error": "the journal needs its token"})
        wanted = asked.query
        with self._lock:
            found = [
                entry
                for entry in self._taken
                if entry["seq"] > int(wanted.get("after", 0))
                and entry["provider"] == wanted.get("provider", entry["provider"])
                and entry["method"] == wanted.get("method", entry["method"])
                and fnmatchcase(entry["path"], wanted.get("path", "*"))
                and wanted.get("contains", "") in entry["path"] + json.dumps(entry["body"])
            ]
            return told(200, {"requests": found[: int(wanted.get("limit", 1000))], "last": len(self._taken)})

    def _entry(self, asked: Asked) -> dict[str, Any]:
        return {
            "seq": len(self._taken) + 1,
            "at": time.time(),
            "provider": "courier",
            "method": asked.method,
            "path": asked.path,
            "status": 201,
            "accepted": True,
            "credential": None,
            "query": asked.query,
            "body": json.loads(asked.body or b"null"),
        }


class Parcels:
    """The application. With a database, orders are rows of `parcel`; without one it remembers their numbers."""

    def __init__(self, courier_url: str = "", database_url: str = "") -> None:
        self._courier, self._database = courier_url, database_url
        self._orders: set[str] = set()
        self._logins: Counter[str] = Counter()
        self._lock = threading.Lock()

    def answer(self, asked: Asked) -> Answered:
        """One of its routes, or 404."""
        routes = {
            ("GET", "/"): self._home,
            ("GET", "/login"): self._login_page,
            ("GET", "/site.css"): lambda _: Answered(200, b"h1 { color: teal }", {"content-type": "text/css"}),
            ("GET", "/index.html"): lambda _: Answered(301, b"", {"location": "/"}),
            ("GET", "/healthz"): self._health,
            ("POST", "/session"): self._log_in,
            ("POST", "/hooks/orders"): self._order,
        }
        route = routes.get((asked.method, asked.path))
        return route(asked) if route else told(404, {"error": "no such page"})

    def _home(self, _: Asked) -> Answered:
        page = b'<html><head><title>Parcels</title><link rel="stylesheet" href="/site.css"></head></html>'
        return Answered(200, page, {"content-type": "text/html", "x-content-type-options": "nosniff"})

    def _login_page(self, _: Asked) -> Answered:
        return Answered(200, b"<title>Parcels: log in</title>", {"content-type": "text/html"})

    def _health(self, _: Asked) -> Answered:
        return told(200, {"state": "up", "checks": {"at": datetime.now(UTC).isoformat()}})

    def _log_in(self, asked: Asked) -> Answered:
        if asked.headers.get("origin", "https://parcels.example.com") != "https://parcels.example.com":
            return told(403, {"error": "not from here"})
        with self._lock:
            self._logins[asked.client] += 1
            tried = self._logins[asked.client]
        if tried > LOGINS_PER_ADDRESS:
            return told(429, {"error": "too many tries"}, RateLimit='"login";r=0;t=60', Retry_After="60")
        try:
            json.loads(asked.body)
        except ValueError:
            return told(400, {"error": "not JSON"})
        return told(401, {"error": "wrong"})

    def _order(self, asked: Asked) -> Answered:
        moment, said = asked.headers.get("x-shop-time", "0"), asked.headers.get("x-shop-signature", "")
        signed = hmac.digest(SECRET.encode(), f"{moment}.".encode() + asked.body, "sha256").hex()
        if not hmac.compare_digest(said, f"sha256={signed}") or abs(time.time() - int(moment)) > 300:
            return told(401, {"error": "bad signature"})
        event = json.loads(asked.body)
        if event["topic"] == "order.paid" and self._is_new(event["order"]["number"], event.get("shop")):
            self._tell_the_courier(event["order"]["number"])
        return Answered(204)

    def _is_new(self, number: str, shop: str | None) -> bool:
        if self._database:
            import psycopg

            with psycopg.connect(self._database) as connection:
                row = "INSERT INTO parcel (order_number, shop_id, state) VALUES (%s, %s, 'sent') ON CONFLICT DO NOTHING"
                return connection.execute(row, [number, shop]).rowcount == 1
        with self._lock:
            new = number not in self._orders
            self._orders.add(number)
        return new

    def _tell_the_courier(self, number: str) -> None:
        if self._courier:
            order = urllib.request.Request(  # noqa: S310 - an address of loopback, made here
                f"{self._courier}/v1/parcels", json.dumps({"reference": number}).encode(), method="POST"
            )
            urllib.request.urlopen(order, timeout=5).close()  # noqa: S310


SCHEMA = """
CREATE TABLE shop (id bigserial PRIMARY KEY, name text NOT NULL);
CREATE TABLE parcel (order_number text PRIMARY KEY, shop_id bigint REFERENCES shop ON DELETE CASCADE,
  state text NOT NULL, sent_at timestamptz NOT NULL DEFAULT now());
INSERT INTO parcel (order_number, state) SELECT 'seed-' || n, 'sent' FROM generate_series(1, 500) AS n;
"""
