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


def test_the_real_sdk_is_content(standins):
    """retell-sdk dials, finds, lists, changes and stops calls, and keeps agents; a key dials once."""
    retell = pytest.importorskip("retell")
    client = retell.Retell(api_key=standins.secrets["retell_api_key"], base_url=standins.url("retell"), max_retries=0)
    numbers = {"from_number": "+14155550100", "to_number": "+14155550199"}
    call = client.call.create_phone_call(**numbers, metadata={"n": "1"}, idempotency_key="once")
    assert client.call.create_phone_call(**numbers, idempotency_key="once").call_id == call.call_id
    other = client.call.create_phone_call(**numbers, override_agent_id="agent_other")
    web = client.call.create_web_call(agent_id="agent_web")
    assert client.call.retrieve(call.call_id).metadata == {"n": "1"}
    assert client.call.update(call.call_id, metadata={"n": "2"}).metadata == {"n": "2"}
    mine = {"agent": [{"agent_id": "agent_other"}, {"agent_id": "agent_web"}]}
    page = client.call.list(filter_criteria=mine, limit=1, include_total=True)
    assert ([one.call_id for one in page.items], page.has_more, page.total) == ([web.call_id], True, 2)
    rest = client.call.list(filter_criteria=mine, limit=1, pagination_key=page.pagination_key)
    assert ([one.call_id for one in rest.items], rest.has_more) == ([other.call_id], False)
    client.call.stop(other.call_id)
    ended = client.call.list(filter_criteria={**mine, "call_status": {"type": "enum", "op": "in", "value": ["ended"]}})
    assert [(one.call_id, one.disconnection_reason) for one in ended.items] == [(other.call_id, "user_hangup")]
    client.call.delete(other.call_id)
    with pytest.raises(retell.UnprocessableEntityError):
        client.call.retrieve(other.call_id)
    engine = {"type": "retell-llm", "llm_id": "llm_x"}
    agent = client.agent.create(response_engine=engine, voice_id="11labs-Adrian", agent_name="night")
    assert client.agent.update(agent.agent_id, agent_name="day").agent_name == "day"
    assert [one.agent_id for one in client.agent.list().items] == [agent.agent_id]
    client.agent.delete(agent.agent_id)
    with pytest.raises(retell.BadRequestError):
        client.call.create_phone_call(from_number="1", to_number="+14155550199")


def test_calls_are_listed_as_version_2_does(world):
    """An array, by lists of values and bounds, in either order."""
    for agent in ("agent_a", "agent_b"):
        world.send("retell", "POST", "/v2/register-phone-call", body={"agent_id": agent})
        world.time.advance(10)

    def listed(**wanted):
        calls = world.send("retell", "POST", "/v2/list-calls", body=wanted).json()
        return [call["agent_id"] for call in calls]

    assert listed() == ["agent_b", "agent_a"]
    assert listed(sort_order="ascending", limit=1) == ["agent_a"]
    assert listed(filter_criteria={"agent_id": ["agent_a"], "call_type": ["phone_call"]}) == ["agent_a"]
    before = {"upper_threshold": (world.time.now - 15) * 1000}
    assert listed(filter_criteria={"start_timestamp": before}) == ["agent_a"]
    assert world.send("retell", "POST", "/v2/list-calls", body={"limit": 0}).status == 400
