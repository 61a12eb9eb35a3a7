"""Slack's Web API, PagerDuty, Resend and a receiver of signed webhooks: what they take and what they refuse."""

from __future__ import annotations

import pytest
import resend
import slack_sdk
from standardwebhooks import Webhook as Signer

TOKEN = {"authorization": "Bearer xoxb-slack-token"}
KEY = "0123456789abcdef0123456789abcd00"


def slack(world, method, headers=None, **body):
    """One call of the Web API."""
    sent = TOKEN if headers is None else headers
    return world.send("slack_api", "POST", f"/api/{method}", body={"channel": "C0ALERTS", **body}, headers=sent)


def test_slack_posts_threads_and_updates(world):
    """A message, an answer in its thread, an update; metadata only for those who ask."""
    told = {"event_type": "x", "event_payload": {"id": "1"}}
    ts = slack(world, "chat.postMessage", text="down", metadata=told).json()["ts"]
    assert slack(world, "chat.postMessage", text="still", thread_ts=ts).json()["ok"]
    assert slack(world, "chat.update", ts=ts, text="up").json()["ok"]
    (root,) = slack(world, "conversations.history", include_all_metadata=True).json()["messages"]
    assert (root["text"], root["metadata"]) == ("up", told)
    assert "metadata" not in slack(world, "conversations.history").json()["messages"][0]
    assert len(slack(world, "conversations.replies", ts=ts).json()["messages"]) == 2


def block(kind, text):
    """A message with one block."""
    return {"blocks": [{"type": kind, "text": {"type": "mrkdwn", "text": text}}]}


@pytest.mark.parametrize(
    ("method", "headers", "body", "word"),
    [
        ("chat.postMessage", {}, {"text": "x"}, "not_authed"),
        ("chat.postMessage", {"authorization": "Bearer wrong"}, {"text": "x"}, "invalid_auth"),
        ("chat.postMessage", None, {"text": "x", "channel": "C0OTHER"}, "channel_not_found"),
        ("chat.postMessage", None, {}, "no_text"),
        ("chat.postMessage", None, {"text": "x", "thread_ts": "1.1"}, "thread_not_found"),
        ("chat.postMessage", None, {"text": "x" * 40_001}, "msg_too_long"),
        ("chat.postMessage", None, {"blocks": [{"type": "divider"}] * 51}, "invalid_blocks"),
        ("chat.postMessage", None, block("header", "x"), "invalid_blocks"),
        ("chat.postMessage", None, block("section", "x" * 3001), "invalid_blocks"),
        ("chat.postMessage", None, {"text": "x", "metadata": {"event_type": 1}}, "metadata_must_be_valid"),
        ("chat.update", None, {"text": "x", "ts": "1.1"}, "message_not_found"),
        ("chat.delete", None, {}, "unknown_method"),
    ],
)  # fmt: skip
def test_slack_refuses(world, method, headers, body, word):
    """200 with ok false and a word."""
    answer = slack(world, method, headers, **body)
    assert (answer.status, answer.json()) == (200, {"ok": False, "error": word})


def test_slack_limits(world):
    """A burst is taken, what comes after it is 429 with Retry-After until a second has passed."""
    answers = [slack(world, "chat.postMessage", text="x") for _ in range(61)]
    assert [a.status for a in answers] == [200] * 60 + [429]
    assert answers[-1].headers["retry-after"] == "1"
    world.time.advance(1.0)
    assert slack(world, "chat.postMessage", text="x").status == 200


def event(action="trigger", **more):
    """An event."""
    payload = {"summary": "down", "source": "production", "severity": "critical"}
    return {"routing_key": KEY, "event_action": action, "dedup_key": "k", "payload": payload, **more}


def page(world, body):
    """Enqueue it."""
    return world.send("pagerduty", "POST", "/v2/enqueue", body=body)


def test_pagerduty_dedups(world):
    """One key is one alert until it is resolved; then it is a new one."""
    pager = world.standins["pagerduty"]
    for action in ("acknowledge", "trigger", "trigger", "acknowledge", "resolve", "resolve", "trigger"):
        assert page(world, event(action)).json()["dedup_key"] == "k"
    assert [(a.status, a.log) for a in pager.alerts] == [
        ("resolved", ["trigger", "trigger", "acknowledge", "resolve"]),
        ("triggered", ["trigger"]),
    ]


def test_pagerduty_wrong_key_goes_nowhere(world):
    """It is accepted all the same."""
    assert page(world, event(routing_key="f" * 32)).status == 202
    assert world.standins["pagerduty"].alerts == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"routing_key": "short"},
        {"event_action": "open"},
        {"dedup_key": "x" * 256},
        {"event_action": "resolve", "dedup_key": None},
        {"payload": {"summary": "x" * 1025, "source": "s", "severity": "info"}},
        {"payload": {"summary": "x", "source": "s", "severity": "fatal"}},
        {"payload": {"summary": "x", "severity": "info"}},
    ],
)
def test_pagerduty_refuses(world, wrong):
    """400 with what is invalid."""
    answer = page(world, event(**wrong))
    assert (answer.status, answer.json()["message"]) == (400, "Event object is invalid")


def test_pagerduty_limits(world):
    """120 calls a minute."""
    assert [page(world, event()).status for _ in range(121)] == [202] * 120 + [429]
    world.time.advance(61)
    assert page(world, event()).status == 202


def test_pagerduty_tells_who_acknowledged(world):
    """With a token that may read."""
    page(world, event())
    world.standins["pagerduty"].acknowledge("k", "Ada")
    url = "/incidents?statuses%5B%5D=acknowledged&incident_key=k"
    assert world.send("pagerduty", "GET", url).status == 401
    found = world.send("pagerduty", "GET", url, headers={"authorization": "Token token=pagerduty-token"}).json()
    assert found["incidents"][0]["acknowledgements"][0]["acknowledger"]["summary"] == "Ada"


def mail(world, headers=None, key="re_resend_key", **more):
    """Send one."""
    body = {"from": "Dialtone <d@example.com>", "to": ["ada@example.com"], "subject": "s", "text": "t", **more}
    return world.send("resend", "POST", "/emails", body=body, headers=headers, key=key)


def test_resend_sends_once_for_a_key(world):
    """The same key gives the same id; with another body it is refused."""
    first, again = (mail(world, {"idempotency-key": "k"}).json()["id"] for _ in range(2))
    assert first == again
    assert mail(world, {"idempotency-key": "k"}, subject="other").json()["name"] == "invalid_idempotent_request"
    assert len(world.standins["resend"].mails) == 1


@pytest.mark.parametrize(
    ("more", "status", "name"),
    [
        ({"key": ""}, 401, "missing_api_key"),
        ({"key": "re_wrong"}, 403, "invalid_api_key"),
        ({"subject": ""}, 422, "missing_required_field"),
        ({"text": ""}, 422, "missing_required_field"),
        ({"to": ["nobody"]}, 422, "validation_error"),
        ({"to": ["a@example.com"] * 51}, 422, "validation_error"),
    ],
)
def test_resend_refuses(world, more, status, name):
    """With its names."""
    answer = mail(world, **more)
    assert (answer.status, answer.json()["name"]) == (status, name)


def test_resend_limits(world):
    """Five a second."""
    assert [mail(world).status for _ in range(6)] == [200] * 5 + [429]
    world.time.advance(1.0)
    assert mail(world).status == 200


def test_a_receiver_of_webhooks(world):
    """What the reference library signs is taken; what is altered, old or unsigned is not."""
    from datetime import UTC, datetime

    signer, body = Signer(world.secrets["hook_secret"]), '{"type":"x"}'
    at = datetime.fromtimestamp(int(world.time.now), UTC)
    headers = {"webhook-id": "m1", "webhook-timestamp": str(int(world.time.now)),
               "webhook-signature": signer.sign("m1", at, body)}  # fmt: skip
    assert world.send("hook", "POST", "/", raw=body.encode(), headers=headers).status == 204
    assert world.send("hook", "POST", "/", raw=b'{"type":"y"}', headers=headers).status == 401
    assert world.send("hook", "POST", "/", raw=body.encode()).status == 401
    world.time.advance(301)
    assert world.send("hook", "POST", "/", raw=body.encode(), headers=headers).status == 401
    assert [ident for ident, _ in world.standins["hook"].taken] == ["m1"]


def test_the_real_sdks_are_content(standins, monkeypatch):
    """slack_sdk posts, threads and reads; resend sends once for a key; both read what is refused."""
    client = slack_sdk.WebClient(standins.secrets["slack_token"], base_url=standins.url("slack_api") + "/api/")
    assert client.auth_test()["ok"]
    channel = {"channel": "C0ALERTS"}
    root = client.chat_postMessage(**channel, text="down")["ts"]
    client.chat_postMessage(**channel, text="still", thread_ts=root)
    client.chat_update(**channel, ts=root, text="up again")
    said = [one["text"] for one in client.conversations_replies(**channel, ts=root)["messages"]]
    assert said == ["up again", "still"]
    with pytest.raises(slack_sdk.errors.SlackApiError, match="channel_not_found"):
        client.chat_postMessage(channel="C0NOWHERE", text="x")
    hook = slack_sdk.WebhookClient(standins.url("slack") + standins.secrets["slack_path"]).send(text="x")
    assert (hook.status_code, hook.body) == (200, "ok")
    monkeypatch.setattr(resend, "api_url", standins.url("resend"))
    monkeypatch.setattr(resend, "api_key", standins.secrets["resend_key"])
    mail = {"from": "a@example.com", "to": ["b@example.com"], "subject": "s", "text": "t"}
    first = resend.Emails.send(mail, {"idempotency_key": "k1"})
    assert resend.Emails.send(mail, {"idempotency_key": "k1"})["id"] == first["id"]
    monkeypatch.setattr(resend, "api_key", "re_wrong")
    with pytest.raises(resend.exceptions.ResendError):
        resend.Emails.send(mail)
