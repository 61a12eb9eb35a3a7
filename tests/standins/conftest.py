"""A world of stand-ins without sockets, and one real process of them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from dialtone.standins.config import NEEDED_SECRETS, from_json
from dialtone.standins.control import Control
from dialtone.standins.defects import Switches
from dialtone.standins.exchange import Exchange, own_answer
from dialtone.standins.faults import Faults
from dialtone.standins.journal import Filter, Journal
from dialtone.standins.providers import stand_ins
from dialtone.standins.server import bind
from dialtone.standins.state import Clock
from dialtone.standins.wire import Answer, Request

SECRETS = {
    "stripe_secret_key": "sk_test_51application",
    "stripe_probe_key": "rk_test_51prober",
    "retell_api_key": "key_application",
    "retell_probe_key": "key_prober",
    "telnyx_api_key": "KEY0application",
    "telnyx_probe_key": "KEY0prober",
    "google_client_id": "1234-client.apps.googleusercontent.com",
    "google_client_secret": "GOCSPX-secret",
    "google_refresh_token": "1//0glasting",
    "google_rotating_token": "1//0rrotating",
    "google_slow_token": "1//0sslow",
    "upstash_token": "upstash-token",
    "slack_path": "/services/T0000/B0000/slack-secret",
    "sentry_key": "0123456789abcdef0123456789abcdef",
    "vercel_token": "vercel-token",
    "slack_token": "xoxb-slack-token",
    "pagerduty_key": "0123456789abcdef0123456789abcd00",
    "pagerduty_token": "pagerduty-token",
    "resend_key": "re_resend_key",
    "hook_secret": "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3",
    "sentry_probe_token": "sntryu_probe-token-of-the-tests",
    "supabase_token": "sbp_token",
    "supabase_database_url": "postgresql://authenticator:authenticator-word@127.0.0.1:1/postgres",
    "supabase_jwt_secret": "jwt-secret-of-the-tests-32-characters-long",
    "supabase_anon_key": "anon-key-of-the-tests",
    "supabase_service_key": "service-key-of-the-tests",
    "journal_token": "journal-token",
}
KEYS = {
    "stripe": "stripe_secret_key",
    "retell": "retell_api_key",
    "telnyx": "telnyx_api_key",
    "upstash": "upstash_token",
    "vercel": "vercel_token",
}


class HandClock:
    """Both clocks, moved by hand."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0
        self.clock = Clock(lambda: self.now, lambda: self.now)

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds


@dataclass
class Reply:
    """An answer with its body read."""

    answer: Answer

    @property
    def status(self) -> int:
        """The status code."""
        return self.answer.status

    @property
    def headers(self) -> Any:
        """The headers."""
        return self.answer.headers

    @property
    def text(self) -> str:
        """The body as text."""
        return self.answer.body.decode()

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.answer.body)


class World:
    """All stand-ins, called directly."""

    def __init__(self, defects_file: Path) -> None:
        self.time = HandClock()
        self.secrets = SECRETS
        self.defects_file = defects_file
        ports = {name: number for number, name in enumerate(NEEDED_SECRETS, 1)}
        hooks = {"stripe": "/hooks/stripe", "telnyx_sms": "/hooks/sms", "telnyx_voice": "/hooks/voice"}
        told = {"ports": ports, "secrets": SECRETS, "app_url": "http://app.invalid", "webhooks": hooks}
        config = from_json({**told, "defects_file": str(defects_file)})
        self.standins = stand_ins(config, Switches(defects_file), self.time.clock)
        self.journal = Journal(self.time.clock, config.hidden())
        self.faults = Faults(self.time.clock, frozenset(self.standins) | {"mail"})
        self.exchange = Exchange(self.journal, self.faults)
        self.control = Control(self.journal, self.faults, SECRETS["journal_token"])

    def send(
        self,
        provider: str,
        method: str,
        target: str,
        *,
        key: str | None = None,
        form: dict[str, Any] | None = None,
        body: Any = None,
        raw: bytes = b"",
        headers: dict[str, str] | None = None,
    ) -> Reply:
        """One request; with the application's key unless another is given ("" for none)."""
        path, _, query = target.partition("?")
        sent = dict(headers or {})
        key = self.secrets[KEYS[provider]] if key is None and provider in KEYS else key
        if key:
            sent.setdefault("authorization", f"Bearer {key}")
        if form is not None:
            raw, sent["content-type"] = urlencode(form).encode(), "application/x-www-form-urlencoded"
        if body is not None:
            raw, sent["content-type"] = json.dumps(body).encode(), "application/json"
        request = Request(method, path, quote(path), query, sent, raw)
        if provider == "journal":
            return Reply(own_answer(self.control, request))
        return Reply(self.exchange.take(self.standins[provider], request))

    def entries(self, **wanted: Any) -> list[dict[str, Any]]:
        """What the journal shows."""
        shown: list[dict[str, Any]] = json.loads(self.journal.shown(Filter(**wanted)))["requests"]
        return shown

    def defect(self, *names: str) -> None:
        """Switch defects on, all others off."""
        replacement = self.defects_file.with_suffix(".new")
        replacement.write_text(json.dumps(names))
        replacement.replace(self.defects_file)

    def token(self, refresh_token: str = SECRETS["google_refresh_token"]) -> Reply:
        """Ask for an access token."""
        form = {
            "grant_type": "refresh_token",
            "refresh_token": refresh_token,
            "client_id": SECRETS["google_client_id"],
            "client_secret": SECRETS["google_client_secret"],
        }
        return self.send("google_oauth", "POST", "/token", form=form)


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Fresh stand-ins."""
    return World(tmp_path / "defects.json")


@dataclass
class Process:
    """A running process of stand-ins."""

    ports: dict[str, int]
    secrets: dict[str, str]
    process: subprocess.Popen[str]

    def url(self, name: str) -> str:
        """Base address of a listener."""
        return f"http://127.0.0.1:{self.ports[name]}"

    @property
    def journal_headers(self) -> dict[str, str]:
        """Authorization for the journal."""
        return {"authorization": f"Bearer {self.secrets['journal_token']}"}


def free_ports() -> dict[str, int]:
    """A free port for every listener."""
    sockets = {name: bind(0) for name in NEEDED_SECRETS}
    ports = {name: listener.getsockname()[1] for name, listener in sockets.items()}
    for listener in sockets.values():
        listener.close()
    return ports


def start(folder: Path, *arguments: str, listeners: tuple[str, ...] = ()) -> Process:
    """Start stand-ins and wait until they are ready; once more where somebody took a port that was free just now."""
    file = folder / "standins.json"
    for _ in range(5):
        ports = {name: port for name, port in free_ports().items() if not listeners or name in listeners}
        file.write_text(json.dumps({"ports": ports, "secrets": SECRETS, "app_url": "http://app.invalid"}))
        process = subprocess.Popen(
            [sys.executable, "-m", "dialtone.standins", "--config", str(file), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        if process.stdout.readline() == "ready\n":
            return Process(ports, SECRETS, process)
        _, errors = process.communicate()
        if "Address already in use" not in errors:
            break
    raise AssertionError(errors)


@pytest.fixture(scope="session")
def standins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """One process for all tests that need sockets."""
    running = start(tmp_path_factory.mktemp("standins"), "--until-eof")
    yield running
    output, errors = running.process.communicate(timeout=60)
    assert (output, errors) == ("", ""), "stand-ins write nothing but `ready`"


@pytest.fixture
def starter() -> Any:
    """The function `start`, for tests of the process itself."""
    return start
