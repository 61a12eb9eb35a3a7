"""A third application: a ferry line, told apart from the others by everything that a profile can say differently.

Text messages arrive as signed forms (Twilio's scheme, the address signed with them), news of deployments with a shared
token (GitLab's). A session is a cookie, a log-in a form, a refusal of the search limit is a 403, tables stand in a
schema of their own, the edge says the region in a header of its own, the scheduler shows its key in one, and health is
said in plain text.

`wrong` names what is broken; `WRONG` says for each which check has to find it.
"""

from __future__ import annotations

import base64
import hmac
import itertools
import json
import threading
import time
from collections import defaultdict, deque
from typing import Any
from urllib.parse import parse_qsl

from tests.docs.parcels import Answered, Asked, told

TEXTS_TOKEN, DEPLOYS_TOKEN, SCHEDULER_KEY, TIDES_KEY = "texts-token", "deploys-token", "scheduler-key", "tides-key"
SEARCHES, WINDOW = 12, 60.0

WRONG = {
    "texts-forged": ["webhook_refuses_forged[texts]"],
    "texts-twice": ["webhook_redelivery_has_no_second_effect[texts]"],
    "deploys-unsigned": ["webhook_refuses_unsigned[deploys]"],
    "deploys-lost": ["webhook_acceptance_has_its_effect[deploys]"],
    "sessions-mixed": ["tenants_cannot_read_each_other"],
    "search-unlimited": ["burst_is_limited[search]"],
    "scheduler-open": ["cron_needs_its_secret"],
    "page-typed": ["pages_answer[timetable]"],
    "any-password": ["login_refuses_wrong_password"],
    "origin-open": ["foreign_origin_is_refused"],
    "edge-silent": ["edge_region_is_recorded"],
    "health-tells": ["health_leaks_nothing"],
    "sailings-late": ["indicator_keeps_its_objective[on_time]", "indicator_keeps_its_objective[slow_boardings]"],
    "column-gone": ["tables_are_as_the_profile_names_them"],
}

PROFILE = """
[target.mine]
kind = "preview"
base_url = "${FERRY_URL}"
witnesses = ["${FERRY_URL}", "${TIDES_URL}"]
effects = ["reads", "provokes", "writes", "disrupts"]
settle = "2s"
quiet = "200ms"
database = "database_url"
client_address = { range = "127.0.0.0/8" }
session = { cookie = "ferry" }
cron = { key = "scheduler_key", method = "POST", headers = { x-scheduler-key = "{{key}}" } }
edge = { header = "x-quay", region = "^quay=([a-z]+)" }

[target.mine.pages.timetable]
path = "/timetable"
contains = "<h1>Sailings</h1>"

[target.mine.routes]
health = "/up"
login = "/sessions"
register = "/accounts"
appointment_create = "/bookings"
appointment = "/bookings/{{id}}"
own_monitor = "/nightly"

[target.mine.fields]
appointment_id = "booking"
monitor_healthy = "all.well"

[target.mine.values]
foreign_origin = 400
time_format = "%H.%M"
change_method = "PUT"
harbour = "Dún Laoghaire & Holyhead"

[target.mine.requests]
login = "who=dialtone-{{run}}&word=wrong"
register = '{"who": "{{name}} {{marker}}"}'
appointment = '{"at": "{{time}}", "on": "{{date}}"}'
appointment_change = '{"at": "{{time}}"}'

[target.mine.rate_limits.search]
route = "/search?q={{marker}}"
method = "GET"
requests = 12
window = "1m"
refuses = [403]
headers = ["x-again-in"]

[target.mine.providers.tides]
base_url = "${TIDES_URL}"
probe = "/tides"
headers = { api-key = "credential:tides_key" }
status = [204]

[target.mine.providers.weather]
base_url = "${WEATHER_URL?}"
probe = "/now"

[target.mine.credentials]
database_url = "FERRY_DATABASE_URL"
texts_token = "TEXTS_TOKEN"
deploys_token = "DEPLOYS_TOKEN"
scheduler_key = "SCHEDULER_KEY"
tides_key = "TIDES_KEY"

[target.mine.webhooks.texts]
route = "/texts"
key = "texts_token"
content_type = "application/x-www-form-urlencoded"
answer_within = "5s"
refuses = [403]
scheme = { header = "X-Twilio-Signature", message = "{url}{form}", digest = "sha1", encoding = "base64" }
harmless = "MessageSid={{object_id}}&SmsStatus=dialtone&To={{harbour}}"
genuine = "MessageSid={{object_id}}&SmsStatus=received&To={{harbour}}&Body=when+sails+the+next+%26+last+one%3F"
effects = [
  { what = "text stored", sql = "SELECT count(*) FROM desk.texts WHERE sid = %(object_id)s AND harbour = %(harbour)s" },
]

[target.mine.webhooks.deploys]
route = "/deploys"
key = "deploys_token"
answer_within = "10s"
headers = { X-Gitlab-Event = "Deployment Hook" }
scheme = { header = "X-Gitlab-Token", value = "{key}" }
harmless = '{"object_kind": "dialtone", "deployable_url": "{{object_id}}"}'
genuine = '{"object_kind": "deployment", "deployable_url": "{{object_id}}"}'
effects = [{ what = "deployment listed", route = "/deploys?of={{object_id}}", contains = "{{object_id}}" }]

[target.mine.tables.desk]
texts = ["sid", "harbour"]
sailings = ["late", "left_at", "boarding"]

[target.mine.objectives.on_time]
target = 99
alert = 90
unit = "%"
direction = "above"
window = "12h"

[target.mine.objectives.slow_boardings]
alert = 900
unit = "s"
quantile = 0.9
window = "12h"

[target.mine.objectives.waiting]
alert = 100
unit = "count"

[target.mine.indicators.on_time]
objective = "on_time"
sql = '''SELECT count(*) FILTER (WHERE NOT late) AS events, count(*) AS samples FROM desk.sailings
  WHERE left_at > now() - make_interval(secs => %(window)s)'''

[target.mine.indicators.slow_boardings]
objective = "slow_boardings"
kind = "quantile"
sql = '''SELECT boarding AS value FROM desk.sailings WHERE left_at > now() - make_interval(secs => %(window)s)'''

[target.mine.indicators.waiting]
objective = "waiting"
kind = "value"
sql = "SELECT 3 AS value"
"""

SCHEMA = """
DROP SCHEMA IF EXISTS desk CASCADE;
CREATE SCHEMA desk;
CREATE TABLE desk.texts (sid text NOT NULL, harbour text NOT NULL);
CREATE TABLE desk.sailings (late boolean NOT NULL, boarding float NOT NULL, left_at timestamptz NOT NULL);
INSERT INTO desk.sailings SELECT false, 300, now() - interval '1 hour' FROM generate_series(1, 300);
INSERT INTO desk.sailings SELECT true, 3000, now() - interval '13 hours' FROM generate_series(1, 300);
"""
LATE = "INSERT INTO desk.sailings SELECT true, 2000, now() FROM generate_series(1, 300)"
COLUMN_GONE = "ALTER TABLE desk.sailings DROP COLUMN late"


class Tides:
    """An external API whose key stands in a header of its own."""

    def answer(self, asked: Asked) -> Answered:
        """204 to whoever shows the key."""
        return Answered(204 if asked.headers.get("api-key") == TIDES_KEY else 401)


class Ferry:
    """The application; `texts` stores a text message: its id and harbour."""

    def __init__(self, texts: Any, wrong: frozenset[str] = frozenset()) -> None:
        self._store, self._wrong = texts, wrong
        self.url = ""
        self._deployments: set[str] = set()
        self._bookings: dict[str, tuple[str, str]] = {}
        self._sessions: dict[str, str] = {}
        self._searches: defaultdict[str, deque[float]] = defaultdict(deque)
        self._numbers = itertools.count(1)
        self._seen: set[str] = set()
        self._lock = threading.Lock()

    def answer(self, asked: Asked) -> Answered:
        """One of its routes, or 404; the edge adds where the answer came from."""
        routes = {
            ("GET", "/timetable"): self._timetable,
            ("GET", "/up"): self._up,
            ("GET", "/search"): self._search,
            ("POST", "/sessions"): self._log_in,
            ("POST", "/accounts"): self._register,
            ("POST", "/nightly"): self._nightly,
            ("POST", "/texts"): self._text,
            ("POST", "/deploys"): self._deploy,
            ("GET", "/deploys"): lambda a: told(200, sorted(self._deployments & {a.query.get("of", "")})),
        }
        route = self._booking if asked.path.startswith("/bookings") else routes.get((asked.method, asked.path))
        with self._lock:
            found = route(asked) if route else Answered(404)
        quay = {} if "edge-silent" in self._wrong else {"x-quay": "quay=west;berth=2"}
        return found._replace(headers={**found.headers, **quay})

    def _timetable(self, _: Asked) -> Answered:
        kind = "application/octet-stream" if "page-typed" in self._wrong else "text/html"
        return Answered(200, b"<h1>Sailings</h1>", {"content-type": kind})

    def _up(self, _: Asked) -> Answered:
        text = "could not connect to desk" if "health-tells" in self._wrong else "fine"
        return Answered(200, text.encode(), {"content-type": "text/plain", "cache-control": "no-store"})

    def _search(self, asked: Asked) -> Answered:
        times = self._searches[asked.client]
        while times and time.monotonic() - times[0] > WINDOW:
            times.popleft()
        if len(times) >= SEARCHES and "search-unlimited" not in self._wrong:
            return Answered(403, b"enough", {"x-again-in": "60"})
        times.append(time.monotonic())
        return told(200, [])

    def _log_in(self, asked: Asked) -> Answered:
        if asked.headers.get("origin", self.url) != self.url and "origin-open" not in self._wrong:
            return Answered(400)
        form = dict(parse_qsl(asked.body.decode()))
        if "who" not in form:
            return Answered(422)
        there = "/bookings/mine" if "any-password" in self._wrong else "/sessions?again=1"
        return Answered(303, headers={"location": there})

    def _register(self, asked: Asked) -> Answered:
        session = f"s{next(self._numbers)}"
        self._sessions[session] = json.loads(asked.body)["who"]
        return Answered(201, b"", {"set-cookie": f"ferry={session}; Path=/; HttpOnly; Secure"})

    def _booking(self, asked: Asked) -> Answered:
        cookies = dict(part.strip().partition("=")[::2] for part in asked.headers.get("cookie", "").split(";"))
        who = self._sessions.get(cookies.get("ferry", ""))
        if who is None:
            return Answered(401)
        number = asked.path.removeprefix("/bookings").strip("/")
        if asked.method == "POST":
            number = str(next(self._numbers))
            self._bookings[number] = (who, json.loads(asked.body)["at"])
            return told(201, {"booking": number})
        owner, at = self._bookings.get(number, ("", ""))
        if owner != who and "sessions-mixed" not in self._wrong:
            return Answered(404)
        if asked.method == "PUT":
            self._bookings[number] = (who, json.loads(asked.body)["at"])
            return Answered(204)
        return told(200, {"booking": number, "at": at})

    def _nightly(self, asked: Asked) -> Answered:
        if asked.headers.get("x-scheduler-key") != SCHEDULER_KEY and "scheduler-open" not in self._wrong:
            return Answered(401)
        return told(200, {"all": {"well": True}})

    def _text(self, asked: Asked) -> Answered:
        form = parse_qsl(asked.body.decode(), keep_blank_values=True)
        said = f"{self.url}/texts" + "".join(name + value for name, value in sorted(form))
        signed = base64.b64encode(hmac.digest(TEXTS_TOKEN.encode(), said.encode(), "sha1")).decode()
        shown = asked.headers.get("x-twilio-signature", "")
        if shown != signed and not (shown and "texts-forged" in self._wrong):
            return Answered(403)
        text = dict(form)
        if "SmsStatus" not in text:
            return Answered(403)
        if text["SmsStatus"] == "received" and (text["MessageSid"] not in self._seen or "texts-twice" in self._wrong):
            self._seen.add(text["MessageSid"])
            later = 0.4 if "texts-twice" in self._wrong else 0.0  # longer than the profile's `quiet`
            threading.Timer(later, self._store, (text["MessageSid"], text["To"])).start()
        return Answered(200, b"<Response/>", {"content-type": "text/xml"})

    def _deploy(self, asked: Asked) -> Answered:
        shown = asked.headers.get("x-gitlab-token", DEPLOYS_TOKEN if "deploys-unsigned" in self._wrong else "")
        if shown != DEPLOYS_TOKEN:
            return Answered(401)
        event = json.loads(asked.body)
        if asked.headers["x-gitlab-event"] == "Deployment Hook" and event["object_kind"] == "deployment":
            self._deployments |= set() if "deploys-lost" in self._wrong else {event["deployable_url"]}
        return Answered(200)
