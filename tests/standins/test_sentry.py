"""Sentry: envelopes, compressed or not."""

from __future__ import annotations

import gzip
import json
import zlib

import httpx
import pytest
import sentry_sdk

PATH = "/api/1/envelope/"


def envelope(*items, header=None):
    """An envelope with items of (type, payload)."""
    lines = [json.dumps(header or {"event_id": "9ec79c33ec9942ab8353589fcb2e04dc"}).encode()]
    for kind, payload in items:
        raw = json.dumps(payload).encode()
        lines += [json.dumps({"type": kind, "length": len(raw)}).encode(), raw]
    return b"\n".join(lines) + b"\n"


@pytest.fixture
def post(world):
    """Send an envelope with the right key."""

    def send(raw, key=world.secrets["sentry_key"], path=PATH, **headers):
        sent = {"x-sentry-auth": f"Sentry sentry_version=7, sentry_key={key}, sentry_client=t/1"} if key else {}
        return world.send("sentry", "POST", path, raw=raw, headers={**sent, **headers})

    return send


def test_an_event_lands_in_the_journal(world, post):
    """Message, level and tags can be read there."""
    event = {"message": "payment failed", "level": "fatal", "tags": {"severity": "P0"}}
    answer = post(envelope(("event", event)))
    assert (answer.status, answer.json()) == (200, {"id": "9ec79c33ec9942ab8353589fcb2e04dc"})
    body = world.entries(contains="payment failed")[0]["body"]
    assert (body["type"], body["message"], body["level"], body["tags"]) == (
        "event",
        "payment failed",
        "fatal",
        {"severity": "P0"},
    )


@pytest.mark.parametrize(("encoding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_compressed(world, post, encoding, pack):
    """Compressed envelopes are read; an exception stands for the message."""
    event = {"exception": {"values": [{"type": "ValueError", "value": "no slot"}]}, "tags": [["a", "b"]]}
    assert post(pack(envelope(("event", event))), **{"content-encoding": encoding}).status == 200
    body = world.entries()[-1]["body"]
    assert (body["message"], body["level"], body["tags"]) == ("ValueError: no slot", "error", {"a": "b"})
    assert body["exception"] == [{"type": "ValueError", "value": "no slot"}]


def test_other_items(world, post):
    """An envelope without an event is taken; an item may do without a length."""
    raw = b'{}\n{"type":"session"}\n{"status":"ok"}\n\n{"type":"client_report"}\n{}'
    assert post(raw).json() == {}
    assert world.entries()[-1]["body"] == {"type": "session", "items": ["session", "client_report"]}


@pytest.mark.parametrize(
    ("raw", "headers", "status"),
    [
        (b"", {}, 400),
        (b"not json\n", {}, 400),
        (b'{}\n{"type":"event","length":99}\n{}', {}, 400),
        (b'{}\n{"type":"event","length":1}\n{}\n', {}, 400),
        (b"\x1f\x8bnot gzip", {"content-encoding": "gzip"}, 400),
        (b"x", {"content-encoding": "br"}, 415),
        (gzip.compress(b" " * 20_000_000), {"content-encoding": "gzip"}, 413),
    ],
    ids=["empty", "no JSON", "too short", "too long", "not gzip", "brotli", "bomb"],
)
def test_malformed(post, raw, headers, status):
    """Malformed, oversized and unreadable envelopes are refused."""
    assert post(raw, **headers).status == status


def test_keys(world, post):
    """A wrong key is 403, none 401; a DSN in the envelope or a query parameter will do."""
    raw, key = envelope(("event", {"message": "x"})), world.secrets["sentry_key"]
    assert post(raw, key="wrong").status == 403
    assert post(raw, key="").status == 401
    assert post(raw, key="", path=f"{PATH}?sentry_key={key}").status == 200
    assert world.entries()[-1]["query"] == {"sentry_key": "…"}
    assert post(envelope(header={"dsn": f"https://{key}@sentry.invalid/1"}), key="").status == 200
    assert world.send("sentry", "GET", PATH).status == 405
    assert world.send("sentry", "POST", "/api/x/envelope/").status == 404


def test_the_real_sdk_is_heard(standins):
    """sentry-sdk's message and exception arrive with level and tags."""
    dsn = f"http://{standins.secrets['sentry_key']}@127.0.0.1:{standins.ports['sentry']}/1"
    client = sentry_sdk.Client(dsn=dsn, default_integrations=False, release="r1", environment="sandbox")
    with sentry_sdk.new_scope() as scope:
        scope.set_client(client)
        scope.set_tag("check", "booking")
        sentry_sdk.capture_message("dialtone says hello", level="warning")
        sentry_sdk.capture_exception(LookupError("nobody answers"))
    client.close(timeout=30)
    url = f"{standins.url('journal')}/requests?provider=sentry"
    requests = httpx.get(url, headers=standins.journal_headers).json()["requests"]
    bodies = [entry["body"] for entry in requests if entry["body"]["type"] == "event"]
    assert [(one["message"], one["level"], one["tags"]["check"]) for one in bodies] == [
        ("dialtone says hello", "warning", "booking"),
        ("LookupError: nobody answers", "error", "booking"),
    ]


def sessions(world, query: str = "field=sum(session)&groupBy=session.status", token: str | None = None):
    """The sessions of the last hour, as the prober asks for them."""
    bearer = {"authorization": f"Bearer {token or world.secrets['sentry_probe_token']}"}
    return world.send("sentry", "GET", f"/api/0/organizations/sandbox/sessions/?{query}", headers=bearer)


def test_sessions_by_how_they_ended(world):
    """Few crash; many while the defect is on. Other questions are refused, and other tokens."""

    def share() -> float:
        groups = sessions(world).json()["groups"]
        ended = {g["by"]["session.status"]: g["totals"]["sum(session)"] for g in groups}
        return ended["crashed"] / sum(ended.values())

    assert share() < 0.01
    world.defect("visitors-crashing")
    assert share() > 0.1
    assert sessions(world, "field=sum(session)&groupBy=release").status == 400
    assert sessions(world, "field=count_unique(user)&groupBy=session.status").status == 400
    assert sessions(world, token="other").status == 401


def _issues(world, path="/api/0/organizations/acme/issues/", token=None, **options):
    """What the web API says to the prober."""
    headers = {"authorization": f"Bearer {world.secrets['sentry_probe_token'] if token is None else token}"}
    return world.send("sentry", "GET", path, headers=headers if token != "" else {}, **options)


def _raised(kind, function, value="no slot"):
    """An event with an exception, its cause and a stack."""
    frames = [{"filename": "a.py", "module": "a", "function": function, "lineno": 7, "in_app": True}]
    cause = {"type": "LocalProtocolError", "value": "Illegal header"}
    chain = [cause, {"type": kind, "value": value, "stacktrace": {"frames": frames}}]
    return {"event_id": "e1", "release": "app@1.4.0", "exception": {"values": chain}}


def test_issues_are_grouped_as_they_came_in(world, post):
    """By type and frames of the application, whatever the value; counted, the most frequent first."""
    for event in (_raised("Lost", "pay"), _raised("Lost", "book"), _raised("Lost", "book", "another")):
        post(envelope(("event", event)))
    answer = _issues(world, "/api/0/organizations/acme/issues/?sort=freq")
    assert [(i["metadata"]["type"], i["culprit"], i["count"]) for i in answer.json()] == [
        ("Lost", "a in book", "2"),
        ("Lost", "a in pay", "1"),
    ]
    latest = _issues(world, f"/api/0/organizations/acme/issues/{answer.json()[0]['id']}/events/latest/").json()
    assert latest["release"] == {"version": "app@1.4.0"}
    values = latest["entries"][0]["data"]["values"]
    assert [v["type"] for v in values] == ["LocalProtocolError", "Lost"]
    assert values[-1]["stacktrace"]["frames"][0] == {
        "filename": "a.py",
        "function": "book",
        "lineNo": 7,
        "inApp": True,
    }


def test_issues_are_for_those_who_may_read(world, post):
    """401 without a token or with a wrong one, 404 for what is not there; reads are no events of the application."""
    assert _issues(world, token="").status == 401
    assert _issues(world, token="wrong").status == 401
    assert _issues(world, "/api/0/organizations/acme/issues/99/events/latest/").status == 404
    assert _issues(world, "/api/0/nothing/").status == 404
    assert [entry["credential"]["owner"] for entry in world.entries()] == ["unknown", "unknown", "prober", "prober"]


def test_issues_are_searched_and_dropped(world):
    """A word of the title finds its issue; while the defect is on, events are answered 200 and not kept."""
    bearer = {"authorization": f"Bearer {world.secrets['sentry_probe_token']}"}

    def found(word: str) -> int:
        path = f"/api/0/organizations/sandbox/issues/?query=is:unresolved+{word}"
        return len(world.send("sentry", "GET", path, headers=bearer).json())

    def report(message: str) -> int:
        event = json.dumps({"event_id": "0" * 32, "message": message})
        head = json.dumps({"event_id": "0" * 32, "dsn": f"http://{world.secrets['sentry_key']}@sentry.invalid/1"})
        raw = "\n".join([head, json.dumps({"type": "event", "length": len(event)}), event]).encode()
        return world.send("sentry", "POST", "/api/1/envelope/", raw=raw).status

    assert report("one mark-1") == 200
    assert (found("mark-1"), found("mark-2")) == (1, 0)
    world.defect("sentry-drops-events")
    assert report("two mark-2") == 200
    assert (found("mark-1"), found("mark-2")) == (1, 0)
