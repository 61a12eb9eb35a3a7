"""What the engine's own tests share: a service on loopback, and a suite of checks against it in a folder of its own."""

from __future__ import annotations

import ast
import gc
import json
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# How long an example takes says how busy the machine is, and nothing about a property.
settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")

# Thousands of tests stay in memory until the end. Walking them for garbage took a sixth of the suite's time: seldom
# while they are collected, and then no more, neither here nor by the sessions that tests run in this process.
gc.set_threshold(50_000, 20, 50)


def pytest_collection_finish() -> None:
    """Leave out of every later look for garbage what is there now."""
    gc.collect()
    gc.freeze()


if sys.version_info < (3, 11, 8):  # python/cpython#106905
    _parse, _parsing = ast.parse, threading.RLock()

    def _undisturbed(*args: Any, **options: Any) -> ast.AST:
        """`ast.parse` counts its depth for the whole process in these versions, and fails with a SystemError when a
        finalizer of what is collected meanwhile parses too, or lets a thread that does. Nothing is collected meanwhile.
        """
        with _parsing:
            collects = gc.isenabled()
            gc.disable()
            try:
                return _parse(*args, **options)
            finally:
                if collects:
                    gc.enable()

    ast.parse = _undisturbed  # type: ignore[assignment]


pytest_plugins = ["pytester", "tests.postgres"]

PROFILE = """
[target.preview]
kind = "preview"
base_url = "{base}"
witnesses = ["{witness}", "{witness}/two"]
runbook = "https://runbook.example.com"
effects = ["reads"]
timeouts = {{ connect = "2s", read = "3s", total = "5s" }}
{more}
[target.preview.routes]
good = "/status/200"
[target.preview.objectives.days]
target = 21
alert = 14
critical = 3
unit = "days"
direction = "above"
[target.preview.credentials]
key = "PREVIEW_KEY"
"""


class Server(ThreadingHTTPServer):
    """Answers `/status/N` with that status and anything else with what stands in `pages`; keeps what was asked."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[str] = []
        self.pages: dict[str, tuple[int, dict[str, str], bytes]] = {}

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else a body waits 40 ms for the headers to be acknowledged
    server: Server

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        self.server.asked.append(path)
        status, headers, body = 200, {"content-type": "application/json"}, b'{"status": "ok"}'
        if path.startswith("/status/"):
            status = int(path.rpartition("/")[2])
        elif path in self.server.pages:
            status, headers, body = self.server.pages[path]
        self.send_response(status)
        for name, value in {**headers, "content-length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    """A service on loopback."""
    made = Server()
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


class Suite:
    """A folder with a profile and checks, and what a run of it left behind."""

    def __init__(self, pytester: pytest.Pytester, server: Server) -> None:
        self.pytester, self.server = pytester, server
        self.profile()

    def profile(self, *, base: str | None = None, witness: str | None = None, more: str = "") -> None:
        """Write `dialtone.toml`; target and witnesses are the server unless told otherwise."""
        text = PROFILE.format(base=base or self.server.url, witness=witness or self.server.url, more=more)
        self.pytester.path.joinpath("dialtone.toml").write_text(text)

    def checks(self, source: str, name: str = "test_it.py") -> None:
        """Write a file of checks; what every one imports stands above."""
        head = "import os\nimport pytest\nfrom dialtone import check, expect, fail, note, ok, undecided\n\n"
        self.pytester.path.joinpath(name).write_text(head + source)

    def run(self, *args: str, apart: bool = False) -> pytest.RunResult:
        """Run it against the preview, in this process or in one of its own."""
        options = ["--target=preview", "-pdialtone.plugin", "-pno:cacheprovider", "-Wdefault", *args]
        return self.pytester.runpytest_subprocess(*options) if apart else self.pytester.runpytest_inprocess(*options)

    @property
    def document(self) -> dict[str, Any]:
        """`build/verdicts.json`."""
        document: dict[str, Any] = json.loads(self.pytester.path.joinpath("build/verdicts.json").read_text())
        return document

    @property
    def verdicts(self) -> dict[str, str]:
        """Each check's one word."""
        return {c["id"]: "unarmed" if not c["armed"] else c["kind"] or c["verdict"] for c in self.document["checks"]}

    def check(self, name: str) -> dict[str, Any]:
        """One check of the document."""
        return next(dict(c) for c in self.document["checks"] if c["id"] == name)


@pytest.fixture(scope="session")
def _engine() -> None:
    """Imports what a run needs before `pytester` does, which forgets the modules that were imported after it."""
    import dialtone.environment
    import dialtone.fixtures
    import dialtone.fixtures.experiments
    import dialtone.outcome
    import dialtone.probes.caller
    import dialtone.probes.sampler
    import dialtone.sandbox
    import dialtone.session
    import dialtone.side_channels
    import dialtone.target  # noqa: F401


@pytest.fixture
def suite(_engine: None, pytester: pytest.Pytester, server: Server, monkeypatch: pytest.MonkeyPatch) -> Suite:
    """A suite of checks in a folder of its own."""
    for name in (
        "PREVIEW_KEY",
        "DIALTONE_TARGET",
        "DIALTONE_VERDICTS",
        "DIALTONE_CONFIG",
        "DIALTONE_CATALOG",
        "DIALTONE_NO_DIAGNOSIS",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # other people's plugins cost seconds
    return Suite(pytester, server)
