"""Reads of providers that do not answer as they should: each ends in unknown, with the reason and what to do."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest

from dialtone.probes.provider import ask
from dialtone.probes.reach import Reach
from dialtone.target import Profile, Target
from dialtone.verdict import Kind, Refused, Undecided, Unknown


class Api(BaseHTTPRequestHandler):
    """Answers as it is told, whatever is asked; keeps what was asked."""

    answer: ClassVar[tuple[int, str, bytes]] = (200, "application/json", b"{}")
    asked: ClassVar[list[tuple[str, str, str | None, bytes]]] = []

    def do_GET(self) -> None:
        """See BaseHTTPRequestHandler."""
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        Api.asked.append((self.command, self.path, self.headers.get("content-type"), body))
        status, kind, text = Api.answer
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_POST = do_GET

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def api() -> Iterator[str]:
    """Address of the API."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Api)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def target(api: str) -> Target:
    """A target with one provider."""
    provider = {"base_url": api, "probe": "/v1/balance", "credential": "probe_key"}
    told = {
        "kind": "sandbox",
        "base_url": "http://127.0.0.1:1",
        "providers": {"acme": provider},
        "credentials": {"probe_key": "ACME_PROBE_KEY"},
    }
    return Target("test", Profile.model_validate(told), {"probe_key": "secret-key-of-the-prober"})


@pytest.mark.parametrize(
    ("status", "kind", "said"),
    [
        (401, "application/json", "acme answered 401 to the prober's own credential: renew ACME_PROBE_KEY"),
        (
            403,
            "application/json",
            "acme answered 403 to the prober's own credential: give more rights to ACME_PROBE_KEY",
        ),
        (429, "application/json", "acme answered 429: the prober asks more often than its account allows"),
        (403, "text/html", "acme: a challenge page stands in front (status 403)"),
    ],
)
def test_refusals_are_about_the_prober(status: int, kind: str, said: str, target: Target) -> None:
    """401, 403, 429 and challenge pages: unknown and refused, with the variable or the setting that mends it."""
    Api.answer = (status, kind, b"<p>challenge</p>")
    with pytest.raises(Refused) as refused:
        ask(target, Reach([]), "acme")
    assert refused.value.finding.kind is Kind.REFUSED
    assert refused.value.finding.reason.startswith(said)
    assert "secret-key" not in refused.value.finding.reason


def test_a_web_page_is_no_answer(target: Target) -> None:
    """200 with HTML where JSON was asked for: nothing is known, and what may stand in between is named."""
    Api.answer = (200, "text/html; charset=utf-8", b"<html>Please log in")
    with pytest.raises(Undecided, match=r"acme answered a web page .*providers\.acme\.base_url"):
        ask(target, Reach([]), "acme")


@pytest.mark.parametrize("status", [500, 503, 404])
def test_a_failing_api_is_handed_on(status: int, target: Target) -> None:
    """What the provider itself gets wrong is for the check to judge."""
    Api.answer = (status, "text/html", b"")
    assert ask(target, Reach([]), "acme").status == status


def test_a_form_is_posted(target: Target) -> None:
    """With a form the read becomes a POST of it; an empty one is one, too."""
    Api.answer, Api.asked[:] = (200, "application/json", b"{}"), []
    ask(target, Reach([]), "acme", "/v1/things", "a=1&b[0]=2")
    ask(target, Reach([]), "acme", "/v1/things/end", "")
    ask(target, Reach([]), "acme")
    form = "application/x-www-form-urlencoded"
    assert Api.asked == [
        ("POST", "/v1/things", form, b"a=1&b[0]=2"),
        ("POST", "/v1/things/end", form, b""),
        ("GET", "/v1/balance", None, b""),
    ]


@pytest.mark.parametrize(
    ("offsets", "within", "said"),
    [
        ({"a": 300.0, "b": 299.0}, 60, "299 s ahead of"),
        ({"a": -300.0, "b": None}, 60, "300 s behind"),
        ({"a": 300.0, "b": 0.4}, 60, None),  # then a is wrong, not we
        ({"a": 60.9, "b": 61.0}, 60, None),  # a Date has whole seconds
        ({"a": None, "b": None}, 60, None),
        ({}, 60, None),
    ],
)
def test_a_clock_that_is_off(offsets: dict[str, float | None], within: float, said: str | None) -> None:
    """Five minutes off by the word of all witnesses: undecided, with the remedy; each is asked once."""
    asked = []

    def read(url: str) -> float | None:
        asked.append(url)
        return offsets[url]

    reach = Reach(list(offsets), read_clock=read)
    for _ in range(2):
        if said is None:
            reach.agree_on_time(within)
        else:
            with pytest.raises(Unknown, match=rf"{said}.*timedatectl"):
                reach.agree_on_time(within)
    assert asked == list(offsets)


def test_witnesses_tell_the_time(api: str) -> None:
    """The Date of any answer, an error as well; who does not answer tells none."""
    from dialtone.probes.reach import read_clock

    seen = read_clock(api)
    assert seen is not None
    assert abs(seen) < 30
    ahead = read_clock(api, clock=lambda: __import__("time").time() + 300)
    assert ahead is not None
    assert 270 < ahead < 330
    assert read_clock("http://127.0.0.1:1") is None


def test_a_key_may_stand_in_the_query(api: str, target: Target) -> None:
    """Beside what the probe asks for anyway; an answer that the profile calls good is none of a refusal."""
    acme = target.profile.providers["acme"]
    told = {"probe": "/v1/map?zoom=1", "auth": "none", "query": {"key": "credential:probe_key"}, "status": [200, 401]}
    profile = target.profile.model_copy(update={"providers": {"acme": acme.model_copy(update=told)}})
    here = Target("here", profile, {"probe_key": "a&b"})
    Api.answer = (401, "application/json", b"{}")
    assert ask(here, Reach([]), "acme").status == 401
    assert Api.asked[-1][1] == "/v1/map?zoom=1&key=a%26b"
    with pytest.raises(Refused, match="401"):
        ask(here, Reach([]), "acme", "/v1/other")
