"""Faults: what they match, what they answer, and that they end."""

from __future__ import annotations

import pytest

BEARER = {"authorization": "Bearer journal-token"}
FAULT = {"provider": "stripe", "path": "/v1/*", "status": 503, "ttl": 30}


@pytest.fixture
def fault(world):
    """Switch a fault on; its id."""

    def add(**change):
        answer = world.send("journal", "POST", "/faults", body=FAULT | change, headers=BEARER)
        assert answer.status == 201, answer.text
        return answer.json()["id"]

    return add


def balance(world):
    """A call that a fault may meet."""
    return world.send("stripe", "GET", "/v1/balance")


def matched(world):
    """How often each active fault matched."""
    return [one["matched"] for one in world.send("journal", "GET", "/faults", headers=BEARER).json()["faults"]]


def test_a_fault_answers_instead(world, fault):
    """Status, body, headers and delay are as told; the journal has what was answered and by whom it was asked."""
    fault(body={"error": {"type": "api_error"}}, headers={"Retry-After": "7"}, delay=1.5)
    answer = balance(world)
    assert (answer.status, answer.json()) == (503, {"error": {"type": "api_error"}})
    assert (answer.headers["retry-after"], answer.answer.delay) == ("7", 1.5)
    entry = world.entries()[-1]
    assert (entry["status"], entry["accepted"], entry["credential"]["owner"]) == (503, False, "application")
    assert matched(world) == [1]


def test_a_fault_in_plain_text(world, fault):
    """A text body is text, and may be given another type."""
    fault(body="<h1>502</h1>", status=502, headers={"content-type": "text/html"})
    answer = balance(world)
    assert (answer.text, answer.headers["content-type"]) == ("<h1>502</h1>", "text/html")


def test_a_fault_has_no_effect_on_the_state(world, fault):
    """What a fault answered was not executed."""
    fault()
    world.send("stripe", "POST", "/v1/invoices", form={"customer": "cus_synthetic"})
    world.send("journal", "DELETE", "/faults", headers=BEARER)
    assert world.send("stripe", "GET", "/v1/invoices").json()["data"] == []


def test_only_a_delay(world, fault):
    """Without a status the stand-in answers itself, late."""
    fault(status=None, delay=2)
    answer = balance(world)
    assert (answer.status, answer.answer.delay) == (200, 2)


@pytest.mark.parametrize(
    ("change", "meets"),
    [
        ({"path": "/v1/balance"}, True),
        ({"path": "/v2/*"}, False),
        ({"method": "get"}, True),
        ({"method": "POST"}, False),
        ({"provider": "telnyx"}, False),
        ({"contains": "balance"}, True),
        ({"contains": "wanted=yes"}, True),
        ({"contains": "in the body"}, True),
        ({"contains": "nowhere"}, False),
    ],
)
def test_what_a_fault_meets(world, fault, change, meets):
    """Provider, method, path, and a text in path, query or body."""
    fault(**change)
    answer = world.send("stripe", "GET", "/v1/balance?wanted=yes", raw=b"something in the body")
    assert (answer.status == 503) is meets
    assert matched(world) == [int(meets)]


def test_the_latest_fault_comes_first(world, fault):
    """A later fault covers an earlier one, and its removal uncovers it."""
    fault(status=500)
    later = fault(status=429)
    assert balance(world).status == 429
    assert world.send("journal", "DELETE", f"/faults/{later}", headers=BEARER).json() == {"id": later, "matched": 1}
    assert balance(world).status == 500


def test_a_fault_ends_by_itself(world, fault):
    """After its time to live it is gone."""
    gone = fault(ttl=30)
    world.time.advance(29.9)
    assert balance(world).status == 503
    world.time.advance(0.1)
    assert balance(world).status == 200
    assert matched(world) == []
    assert world.send("journal", "DELETE", f"/faults/{gone}", headers=BEARER).status == 404


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"ttl": None}, "ttl"),
        ({"ttl": 0}, "ttl"),
        ({"ttl": 121}, "ttl"),
        ({"ttl": True}, "ttl"),
        ({"ttl": float("nan")}, "ttl"),
        ({"status": 99}, "status"),
        ({"status": "503"}, "status"),
        ({"status": None}, "delay"),
        ({"provider": "nobody"}, "provider"),
        ({"delay": -1}, "delay"),
        ({"delay": 1000}, "delay"),
        ({"headers": {"a": "b\r\nc: d"}}, "headers"),
        ({"path": 7}, "path"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_faults_that_are_refused(world, change, word):
    """400 with the key that is wrong."""
    answer = world.send("journal", "POST", "/faults", body=FAULT | change, headers=BEARER)
    assert answer.status == 400
    assert word in answer.json()["error"]


@pytest.mark.parametrize("raw", [b"", b"[]", b"{", b"7"])
def test_faults_that_are_not_an_object(world, raw):
    """400 for a body that is no JSON object."""
    assert world.send("journal", "POST", "/faults", raw=raw, headers=BEARER).status == 400


def test_faults_are_bounded(world, fault):
    """At most a thousand at once."""
    for _ in range(1_000):
        world.faults.add(FAULT)
    assert world.send("journal", "POST", "/faults", body=FAULT, headers=BEARER).status == 400


def test_a_fault_reads_compressed_envelopes(world, fault):
    """`contains` looks into what Sentry's SDK has compressed."""
    import gzip

    fault(provider="sentry", path="*", contains="needle", status=429)
    raw = gzip.compress(b'{}\n{"type":"event"}\n{"message":"a needle"}\n')
    assert world.send("sentry", "POST", "/api/1/envelope/", raw=raw, headers={"content-encoding": "gzip"}).status == 429
