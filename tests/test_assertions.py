"""`expect(answer)`: what holds, what does not, what is a refusal; and no reason ever quotes the answer."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dialtone.assertions import _SHOWN, describe, expect, note, pick, refusal, turned_away
from dialtone.http import Answer, Failure, FailureKind, Phases
from dialtone.http.answer import Headers, Url
from dialtone.judging import Meta, Record, current
from dialtone.verdict import Bad, Judged, Refused

NAME = "Jane Roe"
NOON, LATER = "Fri, 27 Nov 2026 12:00:00 GMT", "Fri, 27 Nov 2026 12:00:01 GMT"


def answer(status: int = 200, body: Any = b"", headers: dict[str, str] | None = None, **fields: Any) -> Answer:
    """An answer as the client gives it."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    kind = {} if isinstance(body, bytes) else {"content-type": "application/json"}
    lines = Headers([(k.encode(), v.encode()) for k, v in {**kind, **(headers or {})}.items()])
    return Answer("GET", Url("http://h/p?token=hush"), status, lines, raw, **fields)


def two(name: str, *values: str) -> Answer:
    """An answer with several headers of one name."""
    return Answer("GET", Url("http://h/p"), 200, Headers([(name.encode(), value.encode()) for value in values]))


@pytest.fixture(autouse=True)
def record() -> Iterator[Record]:
    """The record of a running check."""
    made = Record(Meta("x"))
    token = current.set(made)
    yield made
    current.reset(token)


HOLDS: list[Callable[[], Any]] = [
    lambda: expect(answer(204)).status(200, 204),
    lambda: expect(answer(401)).status(401),
    lambda: expect(answer(429)).status(429),
    lambda: expect(answer(body={"a": {"b": 1}})).json_field("a.b"),
    lambda: expect(answer(body={"a": {"b": None}})).json_field("a.b", None),
    lambda: expect(answer(headers={"x-frame-options": "DENY"})).header("X-Frame-Options", "deny|sameorigin"),
    lambda: expect(answer(headers={"cache-control": "no-store"})).not_cached(),
    lambda: expect(answer(headers={"cache-control": "private", "age": "0", "x-cache": "MISS"})).not_cached(),
    lambda: expect(answer(headers={"cache-control": "no-store", "age": "odd"})).not_cached(),
    lambda: expect(answer(headers={"expires": "0", "pragma": "no-cache"})).not_cached(),
    lambda: expect(answer(headers={"expires": NOON, "date": NOON})).not_cached(),
    lambda: expect(two("cache-control", "must-revalidate", "no-store")).not_cached(),
    lambda: expect(answer(body=b"<title>x</title>")).contains("<title>"),
    lambda: expect(answer(phases=Phases(total=0.1))).within(0.2),
    lambda: expect(answer()).that(lambda a: a.status == 200, "it is not there"),
]


@pytest.mark.parametrize("holds", HOLDS)
def test_what_holds_is_a_judgement(record: Record, holds: Callable[[], Any]) -> None:
    """A check that only expects has judged."""
    assert isinstance(holds(), expect)
    assert [f.verdict for f in record.findings] == ["ok"]


FAILS: list[tuple[Callable[[], Any], str]] = [
    (lambda: expect(answer(500)).status(200, 204), "GET /p: answered 500, not 200 or 204"),
    (lambda: expect(answer(403)).status(200), "GET /p: answered 403, not 200"),
    (lambda: expect(answer(body={"a": NAME})).json_field("b"), "GET /p: the answer has no field 'b'"),
    (lambda: expect(answer(body={"a": NAME})).json_field("a.b"), "GET /p: the answer has no field 'a.b'"),
    (lambda: expect(answer(body=[NAME])).json_field("a"), "GET /p: the answer has no field 'a'"),
    (lambda: expect(answer(body={"a": NAME})).json_field("a", "ok"), 'GET /p: a is "‹text 8›", not "ok"'),
    (lambda: expect(answer(body={"a": "down"})).json_field("a", "ok"), 'GET /p: a is "down", not "ok"'),
    (
        lambda: expect(answer(body={"a": NAME})).json_field("a", NAME[::-1]),
        'GET /p: a is "‹text 8›", not the one that was wanted',
    ),
    (lambda: expect(answer(body=NAME.encode())).json_field("a"), "GET /p: the answer is not JSON: no content type"),
    (lambda: expect(answer(body=NAME.encode())).json(), "GET /p: the answer is not JSON: no content type"),
    (lambda: expect(answer()).header("x-frame-options"), "GET /p: the header x-frame-options is missing"),
    (
        lambda: expect(answer(headers={"x-frame-options": NAME})).header("x-frame-options", "DENY"),
        "GET /p: the header x-frame-options is not as it should be (wanted: DENY)",
    ),
    (lambda: expect(answer()).not_cached(), "GET /p: cache-control lets caches keep the answer"),
    (
        lambda: expect(answer(headers={"expires": LATER, "date": NOON})).not_cached(),
        "GET /p: cache-control lets caches keep the answer",
    ),
    (
        lambda: expect(answer(headers={"expires": "0", "cache-control": "max-age=60"})).not_cached(),
        "GET /p: cache-control lets caches keep the answer",
    ),
    (
        lambda: expect(answer(headers={"cache-control": "no-store", "age": "7"})).not_cached(),
        "GET /p: the answer came from a cache (age)",
    ),
    (
        lambda: expect(answer(headers={"cache-control": "no-store", "x-vercel-cache": "HIT"})).not_cached(),
        "GET /p: the answer came from a cache (x-vercel-cache)",
    ),
    (lambda: expect(answer(body=NAME.encode())).contains("<title>"), "GET /p: the page lacks '<title>' (8 bytes)"),
    (
        lambda: expect(answer(body=b"\xff\xfe\xfd", headers={"content-type": "text/html"})).contains("<title>"),
        "GET /p: the page lacks '<title>' (3 bytes)",
    ),
    (
        lambda: expect(answer(body=b"\xff\xfe\xfd", headers={"content-type": "text/plain"})).contains("<title>"),
        "GET /p: the page is not utf-",
    ),
    (lambda: expect(answer(phases=Phases(total=0.3))).within(0.2), "GET /p: took 0.30 s, longer than 0.2 s"),
    (lambda: expect(answer()).that(lambda _: False, "it is not there"), "GET /p: it is not there"),
    (
        lambda: expect(answer(0, failure=Failure(FailureKind.RESET, "the connection was reset before an answer"))),
        "GET /p: the connection was reset before an answer",
    ),
]


@pytest.mark.parametrize(("fails", "reason"), FAILS)
def test_what_does_not_hold_is_told_without_quoting(fails: Callable[[], Any], reason: str) -> None:
    """Statuses, names of headers and keys; neither the query nor what the target answered."""
    with pytest.raises(Bad) as caught:
        fails()
    assert str(caught.value).startswith(reason)
    assert NAME not in str(caught.value)
    assert "hush" not in str(caught.value)


REFUSALS: list[tuple[Answer, str | None]] = [
    (answer(403, headers={"x-vercel-mitigated": "challenge"}), "a challenge page stands in front (x-vercel-mitigated"),
    (answer(403, headers={"cf-mitigated": "challenge"}), "a challenge page stands in front (cf-mitigated"),
    (answer(302, headers={"location": "https://vercel.com/sso-api?url=x"}), "deployment protection stands in front"),
    (
        answer(401, b"<h1>Authentication Required</h1>", {"content-type": "text/html"}),
        "deployment protection stands in front",
    ),
    (answer(503, b"<p>Challenge</p>", {"content-type": "text/html"}), "a challenge page stands in front (status 503)"),
    (answer(403, {"error": "challenge"}), None),
    (answer(302, headers={"location": "/login"}), None),
    (answer(401, {"error": "unauthorized"}), None),
    (answer(503), None),
]


@pytest.mark.parametrize(("given", "reason"), REFUSALS)
def test_what_stands_in_front_is_no_verdict_on_the_service(given: Answer, reason: str | None) -> None:
    """Challenges and protections are told from the service's own refusals."""
    found = refusal(given)
    assert (found or "").startswith(reason) if reason else found is None


@pytest.mark.parametrize("status", [401, 429])
def test_a_refusal_that_nobody_asked_for_is_unknown(status: int) -> None:
    """It concerns the prober, not the service."""
    with pytest.raises(Refused, match=f"GET /p: answered {status}"):
        expect(answer(status)).status(200)
    assert turned_away(answer(status))
    assert turned_away(answer(403)) is None


def test_a_challenge_instead_of_a_page_is_unknown() -> None:
    """Even with status 200."""
    with pytest.raises(Refused, match="a challenge page"):
        expect(answer(200, b"wait", {"cf-mitigated": "challenge"})).contains("<title>")


def test_the_facts_of_an_answer(record: Record) -> None:
    """Status, size, type, phases, harmless headers and the shape of JSON."""
    given = answer(
        200,
        {"status": "ok", "name": NAME, "items": [1, 2, 3, 4]},
        {"server": "nginx/1.2", "cache-control": "no-store, max-age=0", "retry-after": NAME, "set-cookie": "id=hush"},
        phases=Phases(dns=0.001, connect=0.002, total=0.5),
    )
    assert describe(given) == {
        "status": 200,
        "bytes": 59,
        "content-type": "application/json",
        "server": "nginx",
        "cache-control": "no-store, max-age=0",
        "dns_ms": 1.0,
        "connect_ms": 2.0,
        "total_ms": 500.0,
        "json": {"status": "ok", "name": "‹text 8›", "items": [1, 2, 3]},
    }
    assert describe(answer(body=b"{", headers={"content-type": "application/json"}))["json"].startswith("not JSON")
    assert describe(answer(0, failure=Failure(FailureKind.DNS, "x")))["failure"] == "dns"


trees = st.recursive(
    st.none() | st.integers() | st.text(min_size=1),
    lambda t: st.lists(t, max_size=4) | st.dictionaries(st.text(max_size=8), t, max_size=4),
    max_leaves=8,
)


@settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tree=trees, name=st.sampled_from(["a", "a.b", "status"]), wanted=st.none() | st.text(max_size=5))
def test_any_json_is_judged(tree: Any, name: str, wanted: Any) -> None:
    """Whatever is answered: a judgement, never another exception."""
    with contextlib.suppress(Judged):
        expect(answer(body=tree)).json_field(name, wanted)
    assert json.dumps(describe(answer(body=tree)))


def test_no_header_is_shown_that_has_not_its_form() -> None:
    """A header may hold anything; what is shown of it has the form that it should have."""
    shown = describe(answer(headers=dict.fromkeys(_SHOWN, NAME)))
    assert set(shown) == {"status", "bytes"}


def test_notes_and_fields(record: Record) -> None:
    """A note is kept; a field that is not there is None."""
    note("region", "fra1")
    assert record.notes == {"region": "fra1"}
    assert pick({"a": {"b": 1}}, "a.b") == 1
    assert [pick(tree, "a.b") for tree in ({"a": 1}, {}, None, [1], {"a": {}})] == [None] * 5
