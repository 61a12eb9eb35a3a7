"""Channels against stand-ins on real sockets: forms, threads, dedup keys, and what every kind of refusal means."""

from __future__ import annotations

import contextlib
import smtplib
import socket
import struct
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from email import message_from_bytes, policy
from importlib import import_module
from typing import Any

import pytest

from dialtone.http import Limits
from dialtone.incidents.channels import KINDS, build, lacks
from dialtone.incidents.channels.sending import NotSent, Sender
from dialtone.incidents.message import Line, Message
from dialtone.incidents.outbox import LEASE
from dialtone.standins.defects import Switches
from dialtone.standins.hook import Hook
from dialtone.standins.nearby import Nearby
from dialtone.standins.pagerduty import PagerDuty
from dialtone.standins.resend import Resend
from dialtone.standins.sentry import Sentry
from dialtone.standins.slack import Slack
from dialtone.standins.slack_api import CHANNEL, SlackApi
from dialtone.standins.state import Clock
from dialtone.target.alerting import Channel

from .conftest import NOON

SECRETS = {
    "SLACK_TOKEN": "xoxb-0123456789",
    "PAGER_KEY": "0123456789abcdef0123456789abcd11",
    "PAGER_READ": "reading-token",
    "RESEND_KEY": "re_0123456789",
    "HOOK_SECRET": "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3",
}
MESSAGE = Message(
    incident="0123456789",
    seq=1,
    told="opened",
    at=NOON,
    target="production",
    cause="health_endpoint_answers_ok",
    severity="P0",
    state="open",
    first_bad=NOON - 120,
    lines=(Line("health_endpoint_answers_ok", "P0", "critical", "the health endpoint answers 503"),),
    broken="Site down: pages answer 5xx",
    first_step="Promote the last good deployment",
    names=("ada",),
    mails=("ada@example.com",),
    mentions=("U0ADA",),
    links=(("runbook", "https://example.com/runbook#site-down"),),
)


@dataclass
class FarEnd:
    """The stand-ins and a sender of each kind."""

    nearby: Nearby
    slack: SlackApi
    pager: PagerDuty
    resend: Resend
    hook: Hook
    senders: dict[str, Sender]

    def send(self, kind: str, message: Message = MESSAGE, memory: Any = None, *, doubt: bool = False) -> dict[str, Any]:
        """Send; what is to be remembered."""
        return self.senders[kind].send(message, memory or {}, doubt=doubt)

    def broken(self, provider: str, **fault: Any) -> None:
        """From now on the stand-in is like this."""
        self.nearby.faults.clear()
        self.nearby.faults.add({"provider": provider, "ttl": 60, **fault})


@pytest.fixture(scope="module")
def served() -> Iterator[FarEnd]:
    """One set of sockets for all tests of this file."""
    clock = Clock()
    slack = SlackApi(SECRETS["SLACK_TOKEN"], clock, burst=1e9)
    pager = PagerDuty(SECRETS["PAGER_KEY"], SECRETS["PAGER_READ"], clock, per_minute=10**9)
    resend, hook = Resend(SECRETS["RESEND_KEY"], clock, per_second=1e9), Hook(SECRETS["HOOK_SECRET"], clock)
    others = [Slack("/services/T0/B0/secret-word"), Sentry("0" * 32, "read", Switches(None), clock)]
    with Nearby([slack, pager, resend, hook, *others], mail=True) as nearby:
        environ = {
            **SECRETS,
            "SLACK_HOOK": f"{nearby.url('slack')}/services/T0/B0/secret-word",
            "HOOK_URL": f"{nearby.url('hook')}/alerts",
            "SENTRY_DSN": f"http://{'0' * 32}@127.0.0.1:{nearby.ports['sentry']}/7",
        }
        channels = {
            "slack": {"secret": "SLACK_TOKEN", "to": [CHANNEL], "url": nearby.url("slack_api")},
            "slack-webhook": {"secret": "SLACK_HOOK"},
            "pagerduty": {"secret": "PAGER_KEY", "url": nearby.url("pagerduty"), "reading": "PAGER_READ"},
            "resend": {"secret": "RESEND_KEY", "sender": "Dialtone <d@example.com>", "url": nearby.url("resend")},
            "smtp": {"url": nearby.url("smtp"), "sender": "d@example.com"},
            "webhook": {"secret": "HOOK_URL", "signing": "HOOK_SECRET"},
            "sentry": {"secret": "SENTRY_DSN"},
        }
        made = {kind: build(kind, Channel(kind=kind, **keys), environ) for kind, keys in channels.items()}  # type: ignore[arg-type]
        yield FarEnd(nearby, slack, pager, resend, hook, made)
        for sender in made.values():
            sender.close()


@pytest.fixture
def far(served: FarEnd) -> FarEnd:
    """Without faults and without what other tests have left."""
    served.nearby.faults.clear()
    served.slack.messages.clear()
    served.pager.alerts.clear()
    served.resend.mails.clear()
    served.hook.taken.clear()
    return served


PROVIDERS = {
    "slack": "slack_api",
    "slack-webhook": "slack",
    "pagerduty": "pagerduty",
    "resend": "resend",
    "webhook": "hook",
    "sentry": "sentry",
}


def test_every_kind_has_a_sender(far):
    """The registry, and the tests below, know all of them."""
    assert set(far.senders) == set(KINDS) == {*PROVIDERS, "smtp"}


@pytest.mark.parametrize("kind", [*PROVIDERS, "smtp"])
def test_a_message_is_taken(far, kind):
    """Each stand-in refuses what the real one refuses: this is accepted."""
    far.send(kind)


def test_slack_one_thread(far):
    """The first message opens the thread, the next answers there and changes the first; the last says it is over."""
    memory = far.send("slack")
    memory = far.send("slack", replace(MESSAGE, seq=2, told="acknowledged", state="acknowledged"), memory)
    far.send("slack", replace(MESSAGE, seq=3, told="resolved", state="resolved"), memory)
    root, *replies = far.slack.messages.values()
    assert "RESOLVED" in root["text"]
    assert root["metadata"]["event_payload"]["state"] == "resolved"
    assert [r["metadata"]["event_payload"]["transition"] for r in replies] == ["0123456789.2", "0123456789.3"]
    assert {r["thread_ts"] for r in replies} == {root["ts"]}


def test_slack_in_doubt_looks_before_it_sends(far):
    """What may have arrived is looked for by its id: it stands there once."""
    for _ in range(3):
        memory = far.send("slack", doubt=True)
    second = replace(MESSAGE, seq=2, told="escalated")
    for _ in range(3):
        far.send("slack", second, memory, doubt=True)
    assert len(far.slack.messages) == 2


def test_slack_knows_what_opened_the_thread(far):
    """A store that is older than what was sent from it sends the first message again, after a second was told."""
    memory = far.send("slack")
    far.send("slack", replace(MESSAGE, seq=2, told="acknowledged", state="acknowledged"), memory)
    far.send("slack", doubt=True)
    far.send("slack", replace(MESSAGE, seq=2, told="acknowledged", state="acknowledged"), doubt=True)
    assert len(far.slack.messages) == 2


def test_slack_is_asked_what_stands(far):
    """What is open in the channel can be taken up by a program that knows nothing."""
    far.send("slack")
    far.send("slack", replace(MESSAGE, incident="f00", target="preview"))
    over = replace(MESSAGE, incident="f01", told="resolved", state="resolved")
    far.send("slack", over)
    (found,) = far.senders["slack"].standing("production")
    assert (found["incident"], found["cause"], found["seq"]) == ("0123456789", "health_endpoint_answers_ok", 1)


def test_pagerduty_one_alert(far):
    """Trigger, acknowledge, resolve under one key; a severity that it knows."""
    for seq, told in enumerate(("opened", "escalated", "acknowledged", "resolved"), 1):
        far.send("pagerduty", replace(MESSAGE, seq=seq, told=told))
    (alert,) = far.pager.alerts
    assert alert.log == ["trigger", "trigger", "acknowledge", "resolve"]
    assert (alert.severity, alert.dedup_key) == ("critical", "0123456789")


def test_pagerduty_is_asked_who_has_it(far):
    """An acknowledgement in the app is read back."""
    far.send("pagerduty")
    far.pager.acknowledge("0123456789", "Ada Lovelace")
    assert far.senders["pagerduty"].acknowledged(["0123456789", "unknown"]) == {"0123456789": "Ada Lovelace"}


def test_pagerduty_change_event(far):
    """A deployment wakes nobody."""
    far.senders["pagerduty"].change("deployed 1.2.3", NOON, {"commit": "abc"})
    assert far.pager.changes[-1] == "deployed 1.2.3"
    assert far.pager.alerts == []


def test_resend_once(far):
    """Sent three times it is one mail."""
    for _ in range(3):
        far.send("resend", replace(MESSAGE, incident="0once"), doubt=True)
    (mail,) = far.resend.mails.values()
    assert mail["to"] == ["ada@example.com"]
    assert mail["headers"]["Message-ID"] == "<0once.1.resend@dialtone.invalid>"


def test_webhook_carries_one_id(far):
    """The receiver verifies the signature, and can see that it is the same message."""
    far.send("webhook")
    far.send("webhook", doubt=True)
    assert [ident for ident, _ in far.hook.taken] == ["0123456789.1.webhook"] * 2
    assert far.hook.taken[0][1]["data"]["facts"]["Do first"] == "Promote the last good deployment"


def test_sentry_event_and_check_in(far):
    """One event with a fingerprint of its incident; a check-in that declares its schedule."""
    far.send("sentry")
    far.senders["sentry"].check_in("watch", "ok", "0" * 32, 900, where="production")
    event, check_in = [e.body for e in far.nearby.journal._entries if e.provider == "sentry"][-2:]
    assert event["message"].startswith("[P0] OPENED")
    assert event["tags"]["incident"] == "0123456789"
    assert check_in == {"type": "check_in", "items": ["check_in"]}


@pytest.mark.parametrize("kind", list(PROVIDERS))
@pytest.mark.parametrize(
    ("status", "final", "doubt"),
    [(400, True, False), (401, True, False), (403, True, False), (404, True, False), (410, True, False),
     (413, True, False), (429, False, False), (500, False, True), (503, False, True), (0, False, True)],
)  # fmt: skip
def test_refusals(far, kind, status, final, doubt):
    """What heals is tried again, what may have arrived is in doubt, the rest is the fallback's turn; 0 is a reset."""
    far.broken(PROVIDERS[kind], status=status, body="<html>no</html>")
    with pytest.raises(NotSent) as found:
        far.send(kind)
    assert (found.value.final, found.value.doubt) == (final, doubt)
    assert not any(secret in found.value.reason for secret in [*SECRETS.values(), "secret-word"])


@pytest.mark.parametrize("kind", list(PROVIDERS))
def test_retry_after(far, kind):
    """Obeyed where it is given, bounded where it is absurd."""
    provider = PROVIDERS[kind]
    for told, after in (("7", 7), ("999999", 900), ("soon", 0)):
        far.broken(provider, status=429, headers={"retry-after": told}, body={"name": "rate_limit_exceeded"})
        with pytest.raises(NotSent) as found:
            far.send(kind)
        assert found.value.after == after


@pytest.mark.parametrize("kind", ["slack", "slack-webhook", "pagerduty", "resend"])
def test_a_page_is_no_yes(far, kind):
    """200 with somebody's web page: a captive portal, a proxy. It is not taken for a delivery."""
    far.broken(PROVIDERS[kind], status=200, body="<html>welcome</html>")
    with pytest.raises(NotSent) as found:
        far.send(kind)
    assert found.value.doubt


def test_slack_ok_false(far):
    """200 is no yes either: the word decides."""
    for word, final in (
        ("token_revoked", True),
        ("not_in_channel", True),
        ("is_archived", True),
        ("ratelimited", False),
        ("internal_error", False),
    ):
        far.broken("slack_api", status=200, body={"ok": False, "error": word})
        with pytest.raises(NotSent, match=word) as found:
            far.send("slack")
        assert found.value.final is final


def test_a_quota_is_not_waited_for(far):
    """Resend's daily quota does not heal by waiting a second."""
    far.broken("resend", status=429, body={"name": "daily_quota_exceeded"}, headers={"retry-after": "1"})
    with pytest.raises(NotSent, match="daily_quota_exceeded") as found:
        far.send("resend")
    assert found.value.final


def test_sentry_that_drops(far):
    """200 with a rate limit on errors: it took the envelope and throws it away."""
    far.broken(
        "sentry", status=200, body={"id": "x"}, headers={"x-sentry-rate-limits": "2700:default;error:organization"}
    )
    with pytest.raises(NotSent, match="quota"):
        far.send("sentry")
    far.broken("sentry", status=200, body={}, headers={"x-sentry-rate-limits": "60:transaction:key"})
    far.send("sentry")


def reaching(kind: str, url: str) -> Sender:
    """A sender of that kind whose far end is there."""
    environ = {"S": f"{url}/hook", "K": "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3"}
    environ |= {"S": url.replace("://", f"://{'0' * 32}@") + "/7"} if kind == "sentry" else {}
    keys: dict[str, Any] = {"secret": None if kind == "smtp" else "S", "to": ["C1"], "sender": "d@example.com"}
    here = url.replace("http", "smtp", 1) if kind == "smtp" else url
    keys["url"] = None if kind in ("webhook", "slack-webhook", "sentry") else here
    return build("x", Channel(kind=kind, signing="K", **keys), environ)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time-outs of a fraction of a second, so that no test waits for real ones."""
    for about in KINDS.values():
        module = import_module(f"dialtone.incidents.channels.{about.module}")
        name = "PATIENCE" if about.module == "smtp" else "LIMITS"
        quick: Any = 0.2 if about.module == "smtp" else Limits(connect=0.2, read=0.2, total=0.3, max_body=10_000)
        monkeypatch.setattr(module, name, quick)


@pytest.mark.parametrize("kind", list(KINDS))
def test_nobody_there(kind):
    """Refused connections and names that do not resolve leave no doubt, and are tried again."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        for host in (f"127.0.0.1:{free.getsockname()[1]}", "gone.invalid:80"):
            with pytest.raises(NotSent) as found:
                reaching(kind, f"http://{host}").send(MESSAGE, {}, doubt=False)
            assert (found.value.final, found.value.doubt) == (False, False)


@pytest.mark.parametrize("kind", list(KINDS))
def test_hangs_and_resets(kind, impatient):
    """A far end that takes the connection and says nothing, or resets it: it may have the message."""
    for drops in (False, True):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            threading.Thread(target=_silent, args=(listener, drops), daemon=True).start()
            url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            begun = time.monotonic()
            with pytest.raises(NotSent) as found:
                reaching(kind, url).send(MESSAGE, {}, doubt=False)
            spent = time.monotonic() - begun
        assert not found.value.final
        assert found.value.doubt is (kind != "smtp")  # it greets first: without a greeting nothing was sent
        assert spent < LEASE / 2


def _silent(listener: socket.socket, drops: bool) -> None:
    held = []
    with contextlib.suppress(OSError):
        while True:
            connection, _ = listener.accept()
            if drops:
                connection.recv(1)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                connection.close()
            else:
                held.append(connection)


class Odd:
    """A mail server of a few lines that answers as it is told, one list of answers for each command."""

    def __init__(self, **answers: list[bytes]) -> None:
        self.answers, self.mails = answers, 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self) -> None:
        """One connection after the other."""
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection, connection.makefile("rwb") as wire:
                try:
                    self.talk(wire)
                except OSError:
                    continue

    def talk(self, wire: Any) -> None:
        """Until it hangs up."""
        wire.write(b"220 odd\r\n")
        wire.flush()
        while line := wire.readline():
            verb = line[:4].decode().strip().upper()
            if verb == "DATA":
                wire.write(b"354 go\r\n")
                wire.flush()
                while wire.readline() != b".\r\n":
                    pass
                self.mails += 1
            given = self.answers.get(verb)
            answer = given.pop(0) if given else b"250 ok"
            if answer == b"hang up":
                return
            wire.write(answer + b"\r\n")
            wire.flush()
            if verb == "QUIT":
                return


THREE = replace(MESSAGE, mails=("a@example.com", "b@example.com", "c@example.com"))


def post(odd: Odd) -> dict[str, Any]:
    """Send the mail for three."""
    sender = build("mail", Channel(kind="smtp", url=f"smtp://127.0.0.1:{odd.port}", sender="d@example.com"), {})
    return sender.send(THREE, {}, doubt=False)


def test_mail_one_of_three_refused_for_good():
    """The other two have it; that one is lost is remembered."""
    odd = Odd(RCPT=[b"250 ok", b"550 no such user", b"250 ok"])
    assert post(odd) == {"refused": 1}
    assert odd.mails == 1


def test_mail_one_of_three_greylisted():
    """Only that one is tried again."""
    with pytest.raises(NotSent) as found:
        post(Odd(RCPT=[b"250 ok", b"450 greylisted", b"250 ok"]))
    assert found.value.rest == ("b@example.com",)


@pytest.mark.parametrize(
    ("answers", "final", "doubt"),
    [
        ({"MAIL": [b"421 shutting down"]}, False, False),
        ({"MAIL": [b"550 policy"]}, True, False),
        ({"DATA": [b"452 storage"]}, False, False),
        ({"DATA": [b"552 too large"]}, True, False),
        ({"DATA": [b"hang up"]}, False, True),
        ({"RCPT": [b"450 later"] * 3}, False, False),
        ({"RCPT": [b"550 no"] * 3}, True, False),
    ],
)
def test_mail_refusals(answers, final, doubt):
    """4xx heals, 5xx does not, a connection lost after the data leaves a doubt."""
    with pytest.raises(NotSent) as found:
        post(Odd(**answers))
    assert (found.value.final, found.value.doubt) == (final, doubt)


def test_mail_is_one_conversation(far):
    """Text and HTML, one id for each transition, headers that thread; aiosmtpd takes it."""
    raw: list[bytes] = []
    original = smtplib.SMTP.sendmail

    def keep(self: Any, sender: Any, to: Any, message: Any, *more: Any, **options: Any) -> Any:
        raw.append(message)
        return original(self, sender, to, message, *more, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(smtplib.SMTP, "sendmail", keep)
        far.send("smtp")
    mail: Any = message_from_bytes(raw[0], policy=policy.default)
    assert mail["Message-ID"] == "<0123456789.1.smtp@dialtone.invalid>"
    assert mail["In-Reply-To"] == mail["References"] == "<0123456789.smtp@dialtone.invalid>"
    assert {part.get_content_type() for part in mail.iter_parts()} == {"text/plain", "text/html"}
    assert "Do first: Promote the last good deployment" in mail.get_body(("plain",)).get_content()


def test_what_a_channel_lacks():
    """It is named, not guessed."""
    assert lacks(Channel(kind="slack", secret="X"), {}) == "to is not given; X is not set"
    assert lacks(Channel(kind="smtp", url="smtp://h", sender="a@b.c"), {}) == ""
