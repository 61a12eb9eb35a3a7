"""Volthaven: charging points along the coast road, what they deliver, and what that costs.

One file, the standard library and psycopg. It knows nothing of the suite that watches it: `DATABASE_URL`, `PORT` and
`METER_SECRET` are all that it is told, and `DEFECTS_FILE`, a JSON list of the ways in which it is to be wrong.
"""

from __future__ import annotations

import base64
import hmac
import json
import os
import sys
import time
from collections.abc import Callable
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psycopg

PRICE = Decimal("0.49")
SCHEMA = """
CREATE TABLE IF NOT EXISTS charger (serial text PRIMARY KEY, place text NOT NULL, state text NOT NULL,
  heard_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE IF NOT EXISTS charge (id bigserial PRIMARY KEY, serial text NOT NULL REFERENCES charger ON DELETE CASCADE,
  kwh numeric NOT NULL, ended_at timestamptz);
CREATE TABLE IF NOT EXISTS bill (id bigserial PRIMARY KEY, charge bigint NOT NULL REFERENCES charge ON DELETE CASCADE,
  amount numeric NOT NULL, at timestamptz NOT NULL DEFAULT now());
CREATE TABLE IF NOT EXISTS reading (id text PRIMARY KEY, serial text NOT NULL REFERENCES charger ON DELETE CASCADE,
  kwh numeric NOT NULL, at timestamptz NOT NULL DEFAULT now());
"""
SEED = """
INSERT INTO charger (serial, place, state) SELECT 'VH-' || n, 'Pier ' || n,
  CASE WHEN n %% 3 = 0 THEN 'charging' ELSE 'free' END FROM generate_series(1, 600) AS n ON CONFLICT DO NOTHING;
INSERT INTO charge (serial, kwh, ended_at) SELECT 'VH-' || n, 20, now() - interval '2 hours'
  FROM generate_series(1, 600) AS n WHERE NOT EXISTS (SELECT FROM charge);
INSERT INTO bill (charge, amount) SELECT id, kwh * %(price)s FROM charge WHERE NOT EXISTS (SELECT FROM bill);
"""
CLOCK = "SELECT extract(epoch FROM now())::bigint"
STORE = "INSERT INTO reading (id, serial, kwh) VALUES (%s, %s, %s) ON CONFLICT (id) DO NOTHING"
ADD = STORE.replace("DO NOTHING", "DO UPDATE SET kwh = reading.kwh + excluded.kwh")
DEFECTS: dict[str, dict[str, str]] = {
    "map-down": {"what": "The map answers 500."},
    "map-stale": {"what": "The map tells a number of free points that is not true any more."},
    "door-nowhere": {"what": "The bare address leads to a page that does not exist."},
    "map-slow": {"what": "Every answer of the map takes a second and a half."},
    "database-unseen": {"what": "The health page is green whatever the database does, and says nothing of the time."},
    "reading-dropped": {"what": "A meter reading is accepted and thrown away."},
    "reading-twice": {"what": "A reading that is delivered again is added to the energy of its charger again."},
    "seal-ignored": {"what": "A reading is believed whatever its seal."},
    "tariff-free": {"what": "The tariff says that a kilowatt-hour costs nothing."},
    "chargers-silent": {"what": "One charger in five has not been heard of for a day.", "how": "hold"},
    "unbilled": {"what": "One charge in ten was never billed.", "how": "hold"},
    "billed-twice": {"what": "Some charges were billed twice.", "how": "hold"},
}
HOLDS = {  # done, and undone
    "chargers-silent": (
        "UPDATE charger SET heard_at = now() - interval '1 day' WHERE serial LIKE 'VH-%5' OR serial LIKE 'VH-%0'",
        "UPDATE charger SET heard_at = now() WHERE heard_at < now() - interval '23 hours'",
    ),
    "unbilled": (
        "DELETE FROM bill WHERE charge % 10 = 0",
        "INSERT INTO bill (charge, amount) SELECT id, kwh * 0.49 FROM charge c"
        " WHERE NOT EXISTS (SELECT FROM bill WHERE charge = c.id)",
    ),
    "billed-twice": (
        "INSERT INTO bill (charge, amount) SELECT charge, amount FROM bill ORDER BY id LIMIT 3",
        "DELETE FROM bill b USING bill a WHERE a.charge = b.charge AND a.id < b.id",
    ),
}


def wrong(defect: str) -> bool:
    """Whether it is to be wrong in this way at the moment."""
    try:
        return defect in json.loads(Path(os.environ["DEFECTS_FILE"]).read_text())
    except (KeyError, OSError, ValueError):
        return False


class Service(BaseHTTPRequestHandler):
    """The routes."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def do_GET(self) -> None:
        """Pages and the tariff."""
        routes: dict[str, Callable[[], tuple[int, str, str]]] = {
            "/": lambda: (302, "", "text/plain"),
            "/map": self._map,
            "/up": self._up,
            "/tariff": self._tariff,
        }
        route = routes.get(self.path.partition("?")[0])
        self._answer(*(route() if route else (404, "no such page", "text/plain")))

    def do_POST(self) -> None:
        """Meter readings."""
        sent = self.rfile.read(min(int(self.headers.get("content-length") or 0), 100_000))
        status, text = self._take(sent) if self.path == "/meter" else (404, "no such page")
        self._answer(status, text, "text/plain")

    def _answer(self, status: int, text: str, kind: str) -> None:
        data = text.encode()
        self.send_response(status)
        for name, value in (("content-type", kind), ("content-length", str(len(data))), ("cache-control", "no-store")):
            self.send_header(name, value)
        if status == 302:
            self.send_header("location", "/maps" if wrong("door-nowhere") else "/map")
        self.end_headers()
        self.wfile.write(data)

    def _map(self) -> tuple[int, str, str]:
        if wrong("map-down"):
            return 500, "sorry", "text/plain"
        if wrong("map-slow"):
            time.sleep(1.5)
        free = 17 if wrong("map-stale") else self._one("SELECT count(*) FROM charger WHERE state = 'free'")
        return 200, f"<!doctype html><title>Where to charge</title><p id=free>{free} points are free", "text/html"

    def _up(self) -> tuple[int, str, str]:
        if wrong("database-unseen"):
            return 200, "up", "text/plain"
        return 200, f"up {self._one(CLOCK)}", "text/plain"

    def _tariff(self) -> tuple[int, str, str]:
        price = Decimal(0) if wrong("tariff-free") else PRICE
        return 200, json.dumps({"tariff": {"currency": "EUR", "kwh": str(price)}}), "application/json"

    def _take(self, sent: bytes) -> tuple[int, str]:
        secret = os.environ["METER_SECRET"].encode()
        sealed = base64.b64encode(hmac.digest(secret, self.headers.get("x-meter-at", "").encode() + sent, "sha512"))
        if not hmac.compare_digest(sealed, self.headers.get("x-meter-seal", "").encode()) and not wrong("seal-ignored"):
            return 403, "the seal is broken"
        try:
            reading = json.loads(sent)
            values = [reading["meter"]["reading"], reading["meter"]["serial"], Decimal(str(reading["meter"]["kwh"]))]
        except (ValueError, KeyError, TypeError, ArithmeticError):
            return 422, "this is no reading"
        if wrong("reading-dropped"):
            return 202, ""
        try:
            with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
                connection.execute(ADD if wrong("reading-twice") else STORE, values)
        except psycopg.errors.ForeignKeyViolation:
            return 422, "no such charger"
        return 202, ""

    def _one(self, sql: str) -> Any:
        with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
            row = connection.execute(sql).fetchone()
            return row[0] if row else None

    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet."""


class Server(ThreadingHTTPServer):
    """Many at once."""

    daemon_threads = True
    request_queue_size = 128


def main(words: list[str]) -> int:
    """Serve; or list the defects, or hold one in the database until the input ends."""
    if words == ["--defects"]:
        print(json.dumps(DEFECTS))
        return 0
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
        if words[:2] == ["--defects", "--hold"]:
            done, undone = HOLDS[words[2]]
            connection.execute(done)
            print("ready", flush=True)
            sys.stdin.read()
            connection.execute(undone)
            return 0
        connection.execute(SCHEMA)
        with connection.transaction():
            for statement in SEED.split(";"):
                if statement.strip():
                    connection.execute(statement, {"price": PRICE})
    server = Server(("127.0.0.1", int(os.environ["PORT"])), Service)
    print("ready", flush=True)
    server.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
