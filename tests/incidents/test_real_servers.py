"""Real programs at the far end: Sentry's own SDK and ours into one kent, field by field; mail servers of aiosmtpd."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from email import message_from_bytes, policy
from typing import Any

import pytest
import sentry_sdk
from aiosmtpd.smtp import SMTP
from sentry_sdk.crons import capture_checkin
from sentry_sdk.integrations.logging import EventHandler

from dialtone.incidents.channels import build
from dialtone.incidents.channels.sending import NotSent
from dialtone.target.alerting import Channel

from .test_channels import MESSAGE

# In a process of its own: kent sets up logging for whatever process imports it.
KENT = """
from wsgiref.simple_server import WSGIRequestHandler, make_server
from kent.app import create_app
WSGIRequestHandler.log_message = lambda *_: None
server = make_server("127.0.0.1", 0, create_app())
print(server.server_port, flush=True)
server.serve_forever()
"""
KEY = "0" * 32
THEIRS_ALONE = {"breadcrumbs", "contexts", "release", "sdk", "server_name", "transaction_info", "duration", "event_id"}
"""What only an application that is instrumented can tell; and what the SDK puts into a check-in beside its own id."""


@pytest.fixture(scope="module")
def kent() -> Iterator[list[dict[str, Any]]]:
    """What kent holds after the SDK and our channel have told it of the same incident and the same round."""
    process = subprocess.Popen([sys.executable, "-c", KENT], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        assert process.stdout
        port = int(process.stdout.readline())
        dsn = f"http://{KEY}@127.0.0.1:{port}/7"
        _the_sdk(dsn)
        ours: Any = build("sentry", Channel(kind="sentry", secret="DSN"), {"DSN": dsn})
        ours.send(MESSAGE, {}, doubt=False)
        ours.check_in("dialtone-production", "ok", KEY, 900, where="production")
        ours.close()
        listed = _read(port, "/api/eventlist/")["events"]
        yield [_read(port, f"/api/event/{one['event_id']}") for one in listed]
    finally:
        process.kill()
        process.communicate()


def _read(port: int, path: str) -> Any:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
        return json.load(answer)


def _the_sdk(dsn: str) -> None:
    client = sentry_sdk.Client(dsn=dsn, default_integrations=False, environment="production", release="1")
    with sentry_sdk.isolation_scope() as scope:
        scope.set_client(client)
        scope.fingerprint = ["dialtone", MESSAGE.incident]
        for name, value in (("incident", MESSAGE.incident), ("state", "open"), ("severity", "P0")):
            scope.set_tag(name, value)
        scope.set_tag("transition", MESSAGE.key)
        for name, value in MESSAGE.facts():
            scope.set_extra(name, value)
        record = logging.LogRecord("dialtone", logging.CRITICAL, "x.py", 1, MESSAGE.headline, (), None)
        EventHandler().emit(record)
        schedule: Any = {
            "schedule": {"type": "interval", "value": 15, "unit": "minute"},
            "checkin_margin": 7,
            "max_runtime": 15,
            "failure_issue_threshold": 1,
            "recovery_threshold": 1,
            "timezone": "UTC",
        }
        capture_checkin("dialtone-production", KEY, "ok", monitor_config=schedule)
    client.close(timeout=10)


def _kinds(one: Any) -> Any:
    """Keys and types, without values."""
    return {k: type(v).__name__ for k, v in one.items()}


@pytest.mark.parametrize(("sdk", "ours", "kind"), [(0, 2, "event"), (1, 3, "check_in")])
def test_sentry_as_its_sdk_sends_it(kent, sdk, ours, kind):
    """Each field that we send the SDK sends too, with the same value; a time or an id in the same form."""
    assert len(kent) == 4
    theirs, own = kent[sdk]["payload"], kent[ours]["payload"]
    assert own["header"]["type"] == theirs["header"]["type"] == kind
    assert _kinds(own["header"]) == _kinds(theirs["header"])
    assert own["envelope_header"].keys() == theirs["envelope_header"].keys() - {"trace"}
    assert own["body"].keys() == theirs["body"].keys() - THEIRS_ALONE - (
        {"platform", "timestamp", "type"} if kind == "check_in" else set()
    ) | ({"event_id"} if kind == "event" else set())
    for name, value in own["body"].items():
        told = theirs["body"][name]
        assert type(value) is type(told), name
        if name == "logentry":
            assert (value["message"], value["formatted"]) == (told["message"], MESSAGE.headline)
        elif name in ("event_id", "timestamp"):
            assert len(value) == (32 if name == "event_id" else 24)
            assert name == "event_id" or (value[10], value[-1]) == (told[10], told[-1]) == ("T", "Z")
        else:
            assert value == told, name


THREE = replace(MESSAGE, mails=("a@example.com", "b@example.com", "c@example.com"))


class Server:
    """aiosmtpd with a few answers of its own. `refuses` is recipient -> answers, one for each try."""

    def __init__(self, refuses: dict[str, list[str]] | None = None, data: list[str] | None = None) -> None:
        self.refuses, self.data = refuses or {}, data or []
        self.mails: list[tuple[list[str], bytes]] = []

    async def handle_RCPT(self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any) -> str:
        """Each recipient by itself."""
        if given := self.refuses.get(address):
            return given.pop(0)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, _session: Any, envelope: Any) -> str:
        """Taken, refused, or taken and the connection dropped before the answer."""
        answer = self.data.pop(0) if self.data else "250 OK"
        if answer in ("250 OK", "drop"):
            self.mails.append((list(envelope.rcpt_tos), envelope.content))
        if answer == "drop":
            server.transport.abort()
        return answer


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """One thread for all servers of this file."""
    made = asyncio.new_event_loop()
    thread = threading.Thread(target=made.run_forever, daemon=True)
    thread.start()
    yield made
    asyncio.run_coroutine_threadsafe(_hang_up(), made).result(10)
    made.call_soon_threadsafe(made.stop)
    thread.join(10)
    made.close()


async def _hang_up() -> None:
    """What a dropped connection leaves behind in aiosmtpd ends with the loop it runs in."""
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)


@pytest.fixture
def served(loop: asyncio.AbstractEventLoop) -> Iterator[Any]:
    """A mail server, and a sender that knows it."""
    running: list[asyncio.Server] = []

    def start(**answers: Any) -> tuple[Server, Any]:
        server = Server(**answers)
        made = loop.create_server(lambda: SMTP(server, loop=loop, enable_SMTPUTF8=True), "127.0.0.1", 0)
        running.append(asyncio.run_coroutine_threadsafe(made, loop).result(10))
        url = f"smtp://127.0.0.1:{running[-1].sockets[0].getsockname()[1]}"
        return server, build("mail", Channel(kind="smtp", url=url, sender="d@example.com"), {})

    yield start
    for one in running:
        loop.call_soon_threadsafe(one.close)


def test_greylisting(served):
    """Two have it; the third is tried again alone, and gets the same message."""
    server, sender = served(refuses={"b@example.com": ["450 4.7.1 greylisted, come again"]})
    with pytest.raises(NotSent) as found:
        sender.send(THREE, {}, doubt=False)
    assert (found.value.rest, found.value.final) == (("b@example.com",), False)
    sender.send(replace(THREE, mails=found.value.rest), {"rest": THREE.key}, doubt=True)
    assert [to for to, _ in server.mails] == [["a@example.com", "c@example.com"], ["b@example.com"]]
    first, second = (message_from_bytes(raw, policy=policy.default) for _, raw in server.mails)
    assert first["Message-ID"] == second["Message-ID"]


def test_one_of_three_is_refused(served):
    """The others have it, and that one was not reached is remembered."""
    server, sender = served(refuses={"b@example.com": ["550 5.1.1 no such user"]})
    assert sender.send(THREE, {}, doubt=False) == {"refused": 1}
    assert [to for to, _ in server.mails] == [["a@example.com", "c@example.com"]]


def test_dropped_after_the_data(served):
    """It may have arrived, so it is in doubt, and goes again under the same id."""
    server, sender = served(data=["drop"])
    with pytest.raises(NotSent) as found:
        sender.send(THREE, {}, doubt=False)
    assert (found.value.doubt, found.value.final) == (True, False)
    sender.send(THREE, {}, doubt=True)
    ids = [message_from_bytes(raw, policy=policy.default)["Message-ID"] for _, raw in server.mails]
    assert len(ids) == 2
    assert len(set(ids)) == 1


@pytest.mark.parametrize(("answer", "final"), [("451 4.3.0 try later", False), ("554 5.7.1 no", True)])
def test_refused_as_a_whole(served, answer, final):
    """4xx heals, 5xx does not."""
    _, sender = served(data=[answer])
    with pytest.raises(NotSent) as found:
        sender.send(THREE, {}, doubt=False)
    assert found.value.final is final
