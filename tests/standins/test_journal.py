"""The journal and its API."""

from __future__ import annotations

import pytest

from dialtone.standins.journal import Filter, Journal

BEARER = {"authorization": "Bearer journal-token"}


def ask(world, query=""):
    """GET /requests."""
    return world.send("journal", "GET", f"/requests{query}", headers=BEARER)


def text(world, to="+15550100101", **headers):
    """Send a message by Telnyx."""
    return world.send("telnyx", "POST", "/v2/messages", body={"from": "+15550100100", "to": to, "text": "Grüße"})


def test_an_entry(world):
    """Everything the contract names is there."""
    text(world)
    assert ask(world).json() == {
        "requests": [
            {
                "seq": 1,
                "at": world.time.now,
                "provider": "telnyx",
                "method": "POST",
                "path": "/v2/messages",
                "status": 200,
                "accepted": True,
                "credential": {"mode": "unknown", "owner": "application"},
                "query": {},
                "body": {"from": "+15550100100", "to": "+15550100101", "text": "Grüße"},
            }
        ],
        "last": 1,
    }


def test_filters(world):
    """Provider, method, path, contents, number and limit narrow the list; `last` is always the latest."""
    text(world)
    text(world, to="+15550100102")
    world.send("telnyx", "GET", "/v2/balance")
    world.send("stripe", "POST", "/v1/customers", form={"metadata[a]": "b"})

    def seqs(query):
        answer = ask(world, query).json()
        assert answer["last"] == 4
        return [entry["seq"] for entry in answer["requests"]]

    assert seqs("") == [1, 2, 3, 4]
    assert seqs("?provider=telnyx&method=post") == [1, 2]
    assert seqs("?path=/v2/*") == [1, 2, 3]
    assert seqs("?contains=%2B15550100102") == [2]
    assert seqs("?contains=Gr%C3%BC%C3%9Fe") == [1, 2]
    assert seqs('?contains={"metadata":{"a":"b"}}') == [4]
    assert seqs("?contains=balance") == [3]
    assert seqs("?after=2") == [3, 4]
    assert seqs("?limit=2") == [3, 4]
    assert seqs("?limit=0") == []
    assert seqs("?provider=nobody") == []


@pytest.mark.parametrize("query", ["?after=x", "?limit=-1", "?limit=1.5", "?color=red"])
def test_bad_filters(world, query):
    """A filter that cannot be understood is 400 and not ignored."""
    assert ask(world, query).status == 400


@pytest.mark.parametrize(("method", "path"), [("GET", "/requests"), ("POST", "/faults"), ("DELETE", "/faults")])
@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer wrong"}, {"authorization": "Basic journal-token"}])
def test_the_token_is_needed(world, method, path, headers):
    """401 without the token; health needs none."""
    assert world.send("journal", method, path, headers=headers).status == 401
    assert world.send("journal", "GET", "/health", headers=headers).json()["status"] == "ok"


def test_unknown_paths_and_methods(world):
    """404 and 405."""
    assert world.send("journal", "GET", "/nothing", headers=BEARER).status == 404
    answer = world.send("journal", "POST", "/requests", headers=BEARER)
    assert (answer.status, answer.headers["allow"]) == (405, "GET")


def test_the_journal_is_bounded(world):
    """The oldest entries go, by number and by the size of their bodies."""
    journal = Journal(world.time.clock, max_entries=3, max_bytes=100)
    for _ in range(5):
        journal.record("stripe", "GET", "/", 200)
    assert [entry.seq for entry in journal.find(Filter())] == [3, 4, 5]
    journal.record("stripe", "POST", "/", 200, size=90)
    journal.record("stripe", "POST", "/", 200, size=90)
    assert [entry.seq for entry in journal.find(Filter())] == [7]


def test_known_secrets_are_masked_wherever_they_turn_up(world):
    """A credential that an application leaks into a message is not given out."""
    leak = f"key is {world.secrets['stripe_secret_key']}"
    world.send("slack", "POST", world.secrets["slack_path"], body={"text": leak})
    assert ask(world).json()["requests"][0]["body"] == {"text": "key is …"}


def test_bodies_of_any_kind_are_recorded(world):
    """Forms, text and broken JSON are recorded as what they are."""
    world.send("stripe", "POST", "/v1/customers", form={"name": "x", "preferred[]": "y"})
    world.send("stripe", "POST", "/v1/customers", raw=b"{broken")
    world.send("stripe", "POST", "/v1/customers", raw=b"[" * 5_000)
    world.send("stripe", "POST", "/v1/customers", raw=b'{"a": "\\ud800"}')
    bodies = [entry["body"] for entry in ask(world).json()["requests"]]
    assert bodies == [{"name": "x", "preferred": ["y"]}, "{broken", "[" * 5_000, {"a": "?"}]
