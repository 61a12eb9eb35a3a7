"""An application of quite another shape than the one of the documents, and than the sandbox's.

Healthy is `true` and the time is a number. Webhooks are GitHub's, which sign no time and name the event in a header;
what came of one is told by the application itself, which has neither a database nor stand-ins. Its limit is one of
reading, in a window of seconds, with headers of its own. All of it lies below `/desk`: at `/` is somebody else.
"""

from __future__ import annotations

import hmac
import json
import threading
import time
from collections import defaultdict, deque

from tests.docs.parcels import Answered, Asked, told

SECRET = "github-secret-of-tickets"
SEARCHES, WINDOW = 20, 10.0

PROFILE = """
[target.mine]
kind = "preview"
base_url = "${TICKETS_URL}/desk"
witnesses = ["${TICKETS_URL}", "${TICKETS_URL}/other"]
effects = ["reads", "provokes", "writes", "disrupts"]
settle = "2s"
quiet = "300ms"
timeouts = { max_body = 10_000 }

[target.mine.client_address]
range = "127.0.0.0/8"

[target.mine.pages.board]
path = "/"
contains = "<h1>Tickets</h1>"

[[target.mine.redirects]]
path = "/list"
to = "/"

[target.mine.routes]
health = "/status/live"

[target.mine.fields]
health_status = "healthy"
health_time = "ts"

[target.mine.values]
health_ok = true

[target.mine.rate_limits.site]
route = "/search?q=dialtone"
method = "GET"
requests = 20
window = "10s"

[target.mine.credentials]
github_secret = "GITHUB_SECRET"

[target.mine.webhooks.github]
route = "/hook"
key = "github_secret"
answer_within = "10s"
refuses = [403]
headers = { X-GitHub-Event = "issues" }
scheme = { header = "X-Hub-Signature-256", value = "sha256={digest}", id_header = "X-GitHub-Delivery" }
harmless = '{"action": "labeled", "issue": {"title": "{{object_id}}"}}'
genuine = '{"action": "opened", "issue": {"title": "{{object_id}}"}}'
effects = [{ what = "ticket listed", route = "/search?q={{object_id}}", contains = '"title": "{{object_id}}"' }]
"""


class Tickets:
    """The application."""

    def __init__(self) -> None:
        self._titles: list[str] = []
        self._delivered: set[str] = set()
        self._searches: defaultdict[str, deque[float]] = defaultdict(deque)
        self._lock = threading.Lock()

    def answer(self, asked: Asked) -> Answered:
        """One of its routes, or 404."""
        board = b'<base href="/desk/"><script src="board.js"></script><h1>Tickets</h1><a href="all.zip">All</a>'
        routes = {
            ("GET", "/"): lambda _: Answered(200, board, {"content-type": "text/html"}),
            ("GET", "/board.js"): lambda _: Answered(200, bytes(20_000), {"content-type": "text/javascript"}),
            ("GET", "/all.zip"): lambda _: Answered(200, bytes(20_000), {"content-type": "application/zip"}),
            ("GET", "/list"): lambda _: Answered(302, headers={"location": "/desk/"}),
            ("GET", "/status/live"): lambda _: told(200, {"healthy": True, "ts": round(time.time() * 1000)}),
            ("GET", "/search"): self._search,
            ("POST", "/hook"): self._hook,
        }
        below, _, path = asked.path.partition("/desk")
        route = routes.get((asked.method, path)) if not below else None
        return route(asked) if route else Answered(404)

    def _search(self, asked: Asked) -> Answered:
        with self._lock:
            times = self._searches[asked.client]
            while times and time.monotonic() - times[0] > WINDOW:
                times.popleft()
            if len(times) >= SEARCHES:
                return Answered(429, b"slow down", {"x-ratelimit-reset-after": "10"})
            times.append(time.monotonic())
            return told(200, [{"title": title} for title in self._titles if asked.query.get("q", "") in title])

    def _hook(self, asked: Asked) -> Answered:
        signed = hmac.digest(SECRET.encode(), asked.body, "sha256").hex()
        if not hmac.compare_digest(asked.headers.get("x-hub-signature-256", ""), f"sha256={signed}"):
            return told(403, {"message": "bad signature"})
        if "x-github-event" not in asked.headers:
            return told(400, {"message": "which event?"})
        tree, delivery = json.loads(asked.body), asked.headers["x-github-delivery"]
        with self._lock:
            if tree["action"] == "opened" and delivery not in self._delivered:
                self._titles.append(tree["issue"]["title"])
            self._delivered.add(delivery)
        return Answered(202)
