"""Telnyx: messages, calls, and the record of deliveries."""

from __future__ import annotations

import pytest

TEXT = {"from": "+15550100100", "to": "+15550100101", "text": "hello"}
COMMANDS = "/v2/calls/v3:abc/actions"


def code(answer):
    """The code of the first error."""
    return answer.json()["errors"][0]["code"]


def test_a_message_is_taken(world):
    """A message is queued for one recipient and known by its id."""
    data = world.send("telnyx", "POST", "/v2/messages", body=TEXT).json()["data"]
    assert data["to"][0] == {"phone_number": "+15550100101", "status": "queued", "carrier": "", "line_type": "Wireless"}
    assert world.send("telnyx", "GET", f"/v2/messages/{data['id']}").json()["data"]["text"] == "hello"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"to": "5550100101"}, "10016"),
        ({"to": "+1 555 0100"}, "10016"),
        ({"from": "Acme"}, "10016"),
        ({"to": ""}, "10004"),
        ({"from": ""}, "10004"),
        ({"text": ""}, "10004"),
        ({"text": 7}, "10015"),
    ],
)
def test_messages_that_are_refused(world, change, expected):
    """A number that is not E.164, or a missing field, is 400 with its code."""
    answer = world.send("telnyx", "POST", "/v2/messages", body=TEXT | change)
    assert (answer.status, code(answer)) == (400, expected)


def test_a_call_takes_commands_until_it_ends(world):
    """Answer, speak and transfer are taken; after hangup the call has ended."""
    commands = [
        ("answer", None),
        ("speak", {"payload": "hello", "voice": "female"}),
        ("transfer", {"to": "sip:call_1@sip.retellai.com"}),
        ("hangup", {}),
    ]
    for action, body in commands:
        assert world.send("telnyx", "POST", f"{COMMANDS}/{action}", body=body).json()["data"]["result"] == "ok"
    answer = world.send("telnyx", "POST", f"{COMMANDS}/answer")
    assert (answer.status, code(answer)) == (422, "90018")


def test_a_command_id_is_one_command_for_a_minute(world):
    """A repeated command_id has no second effect within 60 s."""
    for _ in range(2):
        assert world.send("telnyx", "POST", f"{COMMANDS}/hangup", body={"command_id": "c1"}).status == 200
    world.time.advance(61)
    assert world.send("telnyx", "POST", f"{COMMANDS}/hangup", body={"command_id": "c1"}).status == 422


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "expected"),
    [
        ("POST", f"{COMMANDS}/sing", {}, 404, "10005"),
        ("POST", f"{COMMANDS}/speak", {"payload": "x"}, 422, "10004"),
        ("POST", f"{COMMANDS}/transfer", {}, 422, "10004"),
        ("POST", f"{COMMANDS}/answer", [], 400, "10015"),
        ("POST", "/v2/calls", {"to": "+15550100101", "from": "+15550100100"}, 400, "10004"),
        ("POST", "/v2/calls", {"connection_id": "1", "to": "x", "from": "+15550100100"}, 400, "10016"),
        ("GET", "/v2/messages/nobody", None, 404, "10005"),
        ("GET", "/v2/phone_numbers?page[size]=x", None, 400, "10015"),
        ("DELETE", "/v2/balance", None, 404, "10005"),
    ],
)
def test_refusals(world, method, path, body, status, expected):
    """Refusals have a status and a code."""
    answer = world.send("telnyx", method, path, body=body)
    assert (answer.status, code(answer)) == (status, expected)


def test_a_call_can_be_dialled(world):
    """Dialling answers with the ids of the call."""
    body = {"connection_id": "1", "to": "+15550100101", "from": "+15550100100"}
    call = world.send("telnyx", "POST", "/v2/calls", body=body).json()["data"]
    assert call["call_control_id"].startswith("v3:")


def test_reads(world):
    """Amounts are text, the number and the profile belong together."""
    assert world.send("telnyx", "GET", "/v2/balance").json()["data"]["available_credit"] == "250.00"
    (number,) = world.send("telnyx", "GET", "/v2/phone_numbers").json()["data"]
    (profile,) = world.send("telnyx", "GET", "/v2/messaging_profiles").json()["data"]
    assert number["messaging_profile_id"] == profile["id"]
    assert profile["webhook_url"] == "http://app.invalid/hooks/sms"
    assert world.send("telnyx", "GET", "/v2/phone_numbers?filter[phone_number]=%2B4930").json()["data"] == []


def test_deliveries_succeed_unless_the_defect_is_on(world):
    """All deliveries are delivered; with telnyx-deliveries-failing most have failed."""

    def failed():
        data = world.send("telnyx", "GET", "/v2/webhook_deliveries?page[size]=100").json()["data"]
        return sum(delivery["status"] == "failed" for delivery in data), len(data)

    assert failed() == (0, 100)
    world.defect("telnyx-deliveries-failing")
    assert failed() == (80, 100)
    only = world.send("telnyx", "GET", "/v2/webhook_deliveries?filter[status][eq]=delivered").json()
    assert only["meta"]["total_results"] == 20


@pytest.mark.parametrize(
    ("key", "status", "owner"),
    [
        ("KEY0application", 200, "application"),
        ("KEY0prober", 200, "prober"),
        ("KEY0other", 401, "unknown"),
        ("", 401, "unknown"),
    ],
)
def test_keys(world, key, status, owner):
    """Both keys are valid and told apart, another is refused with 10009."""
    answer = world.send("telnyx", "GET", "/v2/balance", key=key)
    assert answer.status == status
    assert status == 200 or code(answer) == "10009"
    assert world.entries()[-1]["credential"]["owner"] == owner


def test_the_real_sdk_is_content(standins):
    """telnyx sends, finds, and reads what it cost; dials and commands a call; reads numbers, balance, deliveries."""
    telnyx = pytest.importorskip("telnyx")
    base = standins.url("telnyx") + "/v2"
    with telnyx.Telnyx(api_key=standins.secrets["telnyx_api_key"], base_url=base, max_retries=0) as client:
        sent = client.messages.send(from_="+15550100001", to="+15550100077", text="hi").data
        assert client.messages.retrieve(sent.id).data.id == sent.id
        page = client.detail_records.list(filter={"record_type": "messaging", "cld": "+15550100077"})
        assert [(one.uuid, one.message_type, one.cost) for one in page.data] == [(sent.id, "SMS", "0.0040")]
        call = client.calls.dial(connection_id="1", from_="+15550100001", to="+15550100002").data
        client.calls.actions.speak(call.call_control_id, payload="hello", voice="female")
        client.calls.actions.hangup(call.call_control_id)
        with pytest.raises(telnyx.UnprocessableEntityError):
            client.calls.actions.hangup(call.call_control_id)
        assert client.balance.retrieve().data.currency == "USD"
        assert len(client.phone_numbers.list().data) == 1
        failed = client.webhook_deliveries.list(filter={"status": {"eq": "failed"}})
        assert failed.data == []
        with pytest.raises(telnyx.BadRequestError):
            client.messages.send(from_="+15550100001", to="1", text="hi")


def test_a_message_goes_its_way(world):
    """Queued, sent after a second, delivered after another; its record says the same, and refuses unknown filters."""
    body = {"from": "+15550100001", "to": "+15550100002", "text": "hi"}
    sent = world.send("telnyx", "POST", "/v2/messages", body=body).json()["data"]
    records = "/v2/detail_records?filter[record_type]=messaging"
    for expected in ("queued", "sent", "delivered"):
        now = world.send("telnyx", "GET", f"/v2/messages/{sent['id']}").json()["data"]
        [record] = world.send("telnyx", "GET", records).json()["data"]
        assert now["to"][0]["status"] == record["status"] == expected
        world.time.advance(1)
    assert (now["sent_at"] is None, now["completed_at"] is None) == (False, False)
    assert world.send("telnyx", "GET", records + "&filter[status]=queued").json()["data"] == []
    for wrong in ("/v2/detail_records", "/v2/detail_records?filter[record_type]=fax", records + "&filter[colour]=red"):
        assert world.send("telnyx", "GET", wrong).status == 400
