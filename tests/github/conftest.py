"""GitHub on loopback, and a repository with a suite of its own."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import pytest
from tests.github.payloads import SHA

from dialtone.standins.exchange import own_answer
from dialtone.standins.github import GitHub, Job
from dialtone.standins.state import Clock
from dialtone.standins.wire import Request

if TYPE_CHECKING:
    from tests.github.repository import Repository

TOKEN = "ghs_of_the_job"


class Site(ThreadingHTTPServer):
    """The stand-in of GitHub below `/`, and a shop that answers at `/up`; `version` is what it serves."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.version, self.broken = SHA, False
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.kept = ExitStack()
        """What is closed when the test is over."""
        self.github = self.fresh({})

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def fresh(self, permissions: Mapping[str, str]) -> GitHub:
        """A repository anew, whose job has these permissions."""
        self.github = GitHub([Job(TOKEN, dict(permissions))], Clock(), base=lambda: self.url)
        self.github.held.commits.add(SHA)
        return self.github


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Site

    def _any(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        headers = {k.lower(): v for k, v in self.headers.items()}
        path, _, query = self.path.partition("?")
        if path in ("/up", "/two"):
            self.server.asked.append((path, headers))
            status, sent = 500 if self.server.broken and path == "/up" else 200, {}
            answer = json.dumps({"ok": not self.server.broken, "build": {"sha": self.server.version}}).encode()
            sent["content-type"] = "application/json"
        else:
            told = own_answer(self.server.github, Request(self.command, unquote(path), path, query, headers, body))
            status, answer, sent = told.status, told.body, {"content-type": told.content_type, **told.headers}
        self.send_response(status)
        for name, value in {**sent, "content-length": str(len(answer))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST = do_PATCH = do_DELETE = _any

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def listening() -> Iterator[Site]:
    """One server for a module."""
    made = Site()
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


@pytest.fixture
def site(listening: Site) -> Iterator[Site]:
    """As it is at first: everything allowed."""
    listening.version, listening.broken = SHA, False
    listening.asked.clear()
    listening.fresh(dict.fromkeys(("checks", "pull_requests", "issues", "actions", "pages"), "write"))
    with listening.kept:
        yield listening


PROFILE = """
[defaults.routes]
health = "/up"
[target.production]
kind = "production"
base_url = "${{PRODUCTION_URL}}"
witnesses = ["{base}/two", "{base}/up"]
[target.production.credentials]
key = "SHOP_KEY"
[target.preview]
kind = "preview"
base_url = "${{PREVIEW_URL}}"
witnesses = ["{base}", "{base}/two"]
headers = {{ x-bypass = "credential:bypass?" }}
[target.preview.gate]
required = ["health"]
revision = {{ path = "/up", field = "build.sha" }}
[target.preview.credentials]
bypass = "PREVIEW_BYPASS"
"""
CHECKS = '''
from dialtone import check, expect

@check(severity="P0", runbook="site-down", needs=["routes.health"], requests=1, gate=True)
def test_health(target, http):
    """It answers."""
    expect(http.get(target.route("health"))).status(200)

@check(runbook="payments", needs=["credentials.key"])
def test_paid(target):
    """Needs a key."""
'''


@pytest.fixture
def repository(tmp_path: Path, site: Site) -> Path:
    """A checked out repository."""
    (tmp_path / "checks").mkdir()
    (tmp_path / "dialtone.toml").write_text(PROFILE.format(base=site.url))
    (tmp_path / "checks/test_shop.py").write_text(CHECKS)
    return tmp_path


@pytest.fixture
def shop(repository: Path, site: Site) -> Repository:
    """The repository, with its pull request open."""
    from tests.github import payloads
    from tests.github.repository import Repository

    site.github.held.pulls[SHA] = [payloads.pull()]
    return Repository(repository, site)


@pytest.fixture(autouse=True)
def _apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of this machine reaches a job."""
    for name in ("DIALTONE_TARGET", "DIALTONE_HISTORY", "DIALTONE_CONFIG", "DIALTONE_VERDICTS"):
        monkeypatch.delenv(name, raising=False)


def environment(folder: Path, site: Site, name: str, payload: Mapping[str, Any], run: int = 41) -> dict[str, str]:
    """What GitHub sets for every step; nothing of this machine's but what Python needs."""
    path = folder / f".event-{run}.json"
    path.write_text(json.dumps(payload))
    return {
        "GITHUB_ACTIONS": "true",
        "GITHUB_API_URL": site.url,
        "GITHUB_SERVER_URL": "https://github.example",
        "GITHUB_REPOSITORY": "acme/shop",
        "GITHUB_EVENT_NAME": name,
        "GITHUB_EVENT_PATH": str(path),
        "GITHUB_RUN_ID": str(run),
        "GITHUB_RUN_ATTEMPT": "1",
        "GITHUB_REF_NAME": "main",
        "GITHUB_STEP_SUMMARY": str(folder / ".summary.md"),
        "HOME": str(folder),
        "LANG": "C.UTF-8",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "PYTEST_PLUGINS": "dialtone.plugin,allure_pytest.plugin",
    }


class HandClock:
    """A clock that only `sleep` moves."""

    def __init__(self) -> None:
        self.now, self.slept = time.time(), 0.0

    def __call__(self) -> float:
        """Now, seconds since 1970."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Time passes."""
        self.now += seconds
        self.slept += seconds
