"""Retell: calls that are registered, and what is refused."""

from __future__ import annotations

import pytest

NUMBERS = {"from_number": "+15550100001", "to_number": "+15550100002"}


def test_a_call_is_registered_and_found_again(world):
    """Registering answers 201 with a call id under which the call is known."""
    wanted = {"agent_id": "agent_1", "direction": "inbound", **NUMBERS}
    made = world.send("retell", "POST", "/v2/register-phone-call", body=wanted)
    assert made.status == 201
    call = world.send("retell", "GET", f"/v2/get-call/{made.json()['call_id']}").json()
    assert (call["call_status"], call["from_number"], call["agent_id"]) == ("registered", "+15550100001", "agent_1")


def test_a_web_call_has_a_token(world):
    """A call in the browser comes with an access token."""
    made = world.send("retell", "POST", "/v2/create-web-call", body={"agent_id": "agent_1"})
    assert (made.status, bool(made.json()["access_token"])) == (201, True)


def test_reads(world):
    """Concurrency and agents can be read."""
    assert world.send("retell", "GET", "/get-concurrency").json()["concurrency_limit"] == 20
    assert world.send("retell", "GET", "/get-agent/agent_x").json()["agent_id"] == "agent_x"


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/v2/register-phone-call", {"agent_id": "somebody"}, 422),
        ("POST", "/v2/register-phone-call", {}, 400),
        ("POST", "/v2/register-phone-call", {"agent_id": "agent_1", "direction": "up"}, 400),
        ("POST", "/v2/register-phone-call", {"agent_id": "agent_1", "from_number": 7}, 400),
        ("POST", "/v2/register-phone-call", ["agent_1"], 400),
        ("GET", "/v2/get-call/call_nobody", None, 422),
        ("GET", "/get-agent/somebody", None, 422),
        ("POST", "/get-concurrency", None, 404),
        ("GET", "/nothing", None, 404),
    ],
)
def test_refusals(world, method, path, body, status):
    """Refusals have a status and a message."""
    answer = world.send("retell", method, path, body=body)
    assert (answer.status, answer.json()["status"]) == (status, "error")


@pytest.mark.parametrize(
    ("key", "status", "owner"),
    [
        ("key_application", 200, "application"),
        ("key_prober", 200, "prober"),
        ("key_other", 401, "unknown"),
        ("", 401, "unknown"),
    ],
)
def test_keys(world, key, status, owner):
    """Both keys are valid and told apart, another is refused."""
    assert world.send("retell", "GET", "/get-concurrency", key=key).status == status
    assert world.entries()[-1]["credential"]["owner"] == owner
