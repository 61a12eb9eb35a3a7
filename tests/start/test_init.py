"""`dialtone init` in foreign repositories: the first run is green without a file edited."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from argparse import Namespace
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml
from tests.start.test_detect import NEXT, tree

from dialtone import cli
from dialtone.start.detect import Found
from dialtone.start.init import _look
from dialtone.start.write import workflow
from dialtone.target import load

# Its page asks Stripe, whose address stands in the SDK; FALLBACK says what becomes of a failure.
STARLETTE = """
import os

import stripe
from starlette.applications import Starlette
from starlette.responses import HTMLResponse, JSONResponse
from starlette.routing import Route

stripe.api_key = os.environ["STRIPE_SECRET_KEY"]
stripe.max_network_retries = 0

def home(request):
    try:
        members = str(len(stripe.Customer.list(limit=1).data))
    except stripe.StripeError:
        FALLBACK
    return HTMLResponse("<title>Ferry &amp; co</title>" + members)

async def health(request):
    return JSONResponse({"version": "1", "state": "up"})

app = Starlette(routes=[Route("/", home), Route("/internal/health", health)])
"""


class Shop(BaseHTTPRequestHandler):
    """A shop's page and health endpoint; `broken` of its class makes both an error."""

    broken = False
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer."""
        known = {"/": b"<title>Shop</title>", "/up": b'{"healthy": true}'}
        body = known.get(self.path, b"none")
        self.send_response(500 if self.broken else 200 if self.path in known else 404)
        self.send_header("content-type", "text/html" if self.path == "/" else "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Nothing."""


@pytest.fixture
def shop() -> Iterator[tuple[type[Shop], str]]:
    """A running shop and its address."""
    kind = type("OwnShop", (Shop,), {})
    server = ThreadingHTTPServer(("127.0.0.1", 0), kind)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield kind, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def first_run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`pytest checks` there, or of what is named, as somebody else would type it."""
    own = {k: v for k, v in os.environ.items() if not k.startswith(("DIALTONE_", "SANDBOX_", "PYTEST_"))}
    own |= {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "DIALTONE_HISTORY": "off"}
    command = [sys.executable, "-m", "pytest", "-p", "dialtone.plugin", "-q", *arguments]
    return subprocess.run(command, cwd=folder, env=own, capture_output=True, text=True, timeout=300, check=False)


def test_a_repository_that_can_be_started(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Found, started in the sandbox, looked at; then the first run is green, and the experiment tells a fallback."""
    kept = STARLETTE.replace("FALLBACK", 'members = "?"')
    tree(tmp_path, {"service/main.py": kept, "requirements.txt": "starlette\nstripe==12\n"})
    assert cli.main(["init", "--at", str(tmp_path)]) == 0
    told = capsys.readouterr().out
    assert "GET /internal/health: 200, state is up" in told
    assert "GET /: it called api.stripe.com" in told
    assert "written: chaos/test_stripe.py" in told
    assert "providers:  stripe" in told
    assert "No experiment" not in told
    profile = load(tmp_path / "dialtone.toml", "production", {"PRODUCTION_URL": "https://app.example"}).profile
    assert profile.pages["home"].contains == "<title>Ferry &amp; co</title>"
    assert (profile.fields["health_status"], profile.values["health_ok"]) == ("state", "up")
    assert profile.providers["stripe"].narrow == "^rk_(live|test)_"
    assert 'app_way = "proxy"' in (tmp_path / "dialtone.toml").read_text()
    done = first_run(tmp_path, "checks", "chaos")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "5 checks: 5 ok" in done.stdout
    tree(tmp_path, {"service/main.py": STARLETTE.replace("FALLBACK", "raise")})
    broken = first_run(tmp_path, "chaos", "-k", "gone")
    assert broken.returncode == 1, broken.stdout + broken.stderr
    assert "the first page answers all the same" in broken.stdout


def test_an_address(tmp_path: Path, shop: tuple[type[Shop], str]) -> None:
    """The application at --url is watched as production: green while it is well, red when it is not."""
    kind, url = shop
    assert cli.main(["init", "--at", str(tmp_path), "--url", url]) == 0
    assert load(tmp_path / "dialtone.toml", "production", {}).profile.values["health_ok"] is True
    done = first_run(tmp_path, "checks", "--target", "production")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 checks: 3 ok" in done.stdout
    named = set(re.findall(r'runbook="(.+?)"', (tmp_path / "checks/test_first.py").read_text()))
    assert named
    assert named <= set(re.findall(r'<a id="(.+?)">', (tmp_path / "docs/runbook.md").read_text()))
    kind.broken = True
    broken = first_run(tmp_path, "checks", "--target", "production", "-k", "home or health")
    assert broken.returncode == 1
    assert "2 critical" in broken.stdout


def test_nothing_is_written_over(
    tmp_path: Path, shop: tuple[type[Shop], str], capsys: pytest.CaptureFixture[str]
) -> None:
    """A file that is there ends it before a request; --dry-run prints; --force writes."""
    (tmp_path / "dialtone.toml").write_text("mine")
    command = ["init", "--at", str(tmp_path), "--url", shop[1]]
    assert cli.main(command) == 1
    assert "there already: dialtone.toml" in capsys.readouterr().err
    assert cli.main([*command, "--dry-run"]) == 0
    assert "--- checks/test_first.py" in capsys.readouterr().out
    assert [p.name for p in tmp_path.iterdir()] == ["dialtone.toml"]
    assert (tmp_path / "dialtone.toml").read_text() == "mine"
    runbook = tmp_path / "docs/runbook.md"
    runbook.parent.mkdir()
    runbook.write_text("our own words")
    assert cli.main([*command, "--force"]) == 0
    assert runbook.read_text() == "our own words"
    assert "Shop" in (tmp_path / "dialtone.toml").read_text()
    assert "PRODUCTION_URL" not in (tmp_path / ".github/workflows/checks.yml").read_text()


def test_what_cannot_be_made(tmp_path: Path, shop: tuple[type[Shop], str], capsys: pytest.CaptureFixture[str]) -> None:
    """Each with what helps; nothing is written."""
    kind, url = shop
    assert cli.main(["init", "--at", str(tmp_path)]) == 1
    assert "give --url, or --start" in capsys.readouterr().err
    assert cli.main(["init", "--at", str(tmp_path), "--url", "app.example.com"]) == 1
    assert "an address of http or https is needed" in capsys.readouterr().err
    kind.broken = True
    assert cli.main(["init", "--at", str(tmp_path), "--url", url]) == 1
    assert "neither a page nor a health route answered 200" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("there", [True, False])
def test_an_interceptor_that_is_gone(shop: tuple[type[Shop], str], tmp_path: Path, there: bool) -> None:
    """It ends while `init` looks, or never began: the suite is made without an experiment, and that is said."""
    if there:
        (tmp_path / "state.json").write_text('{"control": "http://127.0.0.1:1"}')
        (tmp_path / "token").write_text("token")
    asked = Namespace(page=["/"], health=[])
    seen, trial = _look(asked, Found(packages={"stripe"}), shop[1], tmp_path)
    assert (seen.page, trial) == (("/", "<title>Shop</title>"), None)
    assert seen.told[-1].startswith("which provider it calls could not be seen: ")


def test_a_next_tree_behind_an_address(tmp_path: Path, shop: tuple[type[Shop], str]) -> None:
    """Detected by its files, looked at where it runs; both targets are written."""
    tree(tmp_path, NEXT)
    assert cli.main(["init", "--at", str(tmp_path), "--url", shop[1]]) == 0
    text = (tmp_path / "dialtone.toml").read_text()
    assert 'app = ["sh", "-c", "npm run build && exec npm start"]' in text
    assert "[target.production.providers.stripe]" in text
    workflow = (tmp_path / ".github/workflows/checks.yml").read_text()
    assert "PRODUCTION_STRIPE_PROBE_KEY: ${{ secrets.PRODUCTION_STRIPE_PROBE_KEY }}" in workflow


@pytest.mark.parametrize("url", [None, "https://app.example"])
@pytest.mark.parametrize("packages", [set(), {"stripe", "telnyx"}])
def test_the_workflow_is_one(url: str | None, packages: set[str]) -> None:
    """It has no right but to read, a time limit, and no expression in a command."""
    told = yaml.safe_load(workflow(Found(packages=packages), url))
    job = told["jobs"]["checks"]
    assert (told["permissions"], job["timeout-minutes"]) == ({}, 10)
    assert job["permissions"] == {"contents": "read", "actions": "read"}
    assert job.get("if") == (None if url else "vars.PRODUCTION_URL != ''")
    assert not any("${{" in step.get("run", "") for step in job["steps"])
    environment = next(step for step in job["steps"] if step.get("name") == "Check")["env"]
    assert len(environment) == 2 + (0 if url else 1) + len(packages)
