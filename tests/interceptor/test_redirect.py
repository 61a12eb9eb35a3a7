"""Real clients, unmodified, each by a way that leads it to the interceptor; and the refusal of those that bypass it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests import nodejs
from tests.interceptor.conftest import Proxy

from dialtone import cli
from dialtone.interceptor.client import Controller
from dialtone.interceptor.redirect import BypassedError, by_command, environment, hosts_file, in_names, prove
from dialtone.interceptor.server import Interceptor
from dialtone.interceptor.settings import BadSettingsError, build
from dialtone.interceptor.tls import Authority

node = pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
DOC = Path(__file__).parents[2] / "docs/write-a-fault.md"

PYTHON: dict[str, tuple[str, str]] = {
    "httpx": ("import httpx; httpx.get('https://api.test/httpx')", "/httpx"),
    "urllib": ("import urllib.request; urllib.request.urlopen('https://api.test/urllib')", "/urllib"),
    "stripe": (
        "import stripe; stripe.api_base = 'https://api.test'; stripe.api_key = 'k'; stripe.Balance.retrieve()",
        "/v1/balance",
    ),
    "google-auth": (
        "import google.oauth2.credentials as c, google.auth.transport.requests as t; c.Credentials(None, client_id='c',"
        " refresh_token='r', token_uri='https://api.test/token', client_secret='s').refresh(t.Request())",
        "/token",
    ),
    "upstash-redis": (
        "import upstash_redis; upstash_redis.Redis('https://api.test/upstash', 't').get('a')",
        "/upstash",
    ),
    "postgrest": (
        "import postgrest; postgrest.SyncPostgrestClient('https://api.test/rest/v1').from_('t').select('*').execute()",
        "/rest/v1/t",
    ),
    "slack-sdk": (
        "import slack_sdk; slack_sdk.WebClient('t', base_url='https://api.test/api/').auth_test()",
        "/api/auth",
    ),
    "resend": (
        "import resend; resend.api_url = 'https://api.test'; resend.api_key = 'k'; resend.Domains.list()",
        "/domains",
    ),
    "sentry-sdk": (
        "import sentry_sdk; c = sentry_sdk.Client('https://key@api.test/1', default_integrations=False);"
        " c.capture_event({'message': 'x'}); c.close(timeout=5)",
        "/api/1/envelope/",
    ),
    "retell-sdk": (
        "import retell; retell.Retell(api_key='k', base_url='https://api.test').voice.list()",
        "/list-voices",
    ),
    "telnyx": (
        "import telnyx; telnyx.Telnyx(api_key='k', base_url='https://api.test/v2').balance.retrieve()",
        "/v2/balance",
    ),
}
"""Each client's call, and the path at which it arrives."""
NODE = {
    "fetch": ("fetch('https://api.test/fetch').catch(() => 0)", "/fetch"),
    "https": ("require('https').get('https://api.test/https')", "/https"),
    "http": ("require('http').get('http://api.test/http')", "/http"),
}
NODE_SDKS = {
    "stripe-node": (
        "new (require('stripe'))('k', {host: 'api.test'}).balance.retrieve().catch(() => 0)",
        "/v1/balance",
    ),
    "retell-sdk-node": (
        "new (require('retell-sdk').default)({apiKey: 'k', baseURL: 'https://api.test'}).voice.list().catch(() => 0)",
        "/list-voices",
    ),
    "supabase-js": (
        "require('@supabase/supabase-js').createClient('https://api.test', 'k', {realtime: {transport: class {}}})"
        ".from('t').select().then(() => 0)",
        "/rest/v1/t",
    ),
}
BY_NAMES = ("httpx", "urllib", "stripe")
"""Clients that are tried in a mount namespace as well."""


@pytest.fixture
def controller(proxy: Proxy) -> Iterator[Controller]:
    """A client of the control API."""
    proxy.upstream.say = lambda _: b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
    with Controller.attached(proxy.folder) as made:
        yield made


def led(controller: Controller, folder: Path, way: str) -> dict[str, str]:
    """The environment of an application, without what this machine's own proxies are."""
    base = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    return environment(controller.state(), folder, way, base)


def script(calls: Iterable[str]) -> list[str]:
    """One Python that makes all calls, whatever becomes of each: every import is paid once."""
    text = "import contextlib\n" + "".join(f"with contextlib.suppress(Exception):\n    {call}\n" for call in calls)
    return [sys.executable, "-W", "ignore", "-c", text]


def arrived(proxy: Proxy) -> set[str]:
    """The clients whose call came to the upstream, by path."""
    paths = [request.split(b" ", 2)[1].decode() for request in proxy.upstream.requests]
    every = {**PYTHON, **NODE, **NODE_SDKS}
    return {name for name, (_, path) in every.items() if any(one.startswith(path) for one in paths)}


def test_python_by_proxy(proxy: Proxy, controller: Controller, tmp_path: Path) -> None:
    """Each client arrives; stripe-python too, whose trust store is its own."""
    env = led(controller, tmp_path, "proxy")
    command = script(call for call, _ in PYTHON.values())
    prove(controller, ["api.test"], by_command({"api.test": command}, env, timeout=120), timeout=0.5)
    assert set(PYTHON) - arrived(proxy) == set()


def test_python_by_names(proxy: Proxy, authority: Authority, tmp_path: Path) -> None:
    """A hosts file in a mount namespace: no variable but the authorities, the port 443 of an address of its own."""
    upstream = str(proxy.core.hosts["api.test"].upstream)
    told = {"hosts": {"api.test": {"upstream": upstream, "listen": "127.77.0.43:443"}}, "folder": str(tmp_path)}
    made = Interceptor(build(told), authority=authority)
    try:
        proxy.await_(made.start())
    except BadSettingsError as error:
        pytest.skip(f"port 443 cannot be had: {error}")
    try:
        with Controller.attached(tmp_path) as controller:
            state = controller.state()
            if subprocess.run(in_names(state, tmp_path, ["true"]), check=False, capture_output=True).returncode:
                pytest.skip("no mount namespace without root here")
            command = in_names(state, tmp_path, script(PYTHON[name][0] for name in BY_NAMES))
            env = led(controller, tmp_path, "names")
            prove(controller, ["api.test"], by_command({"api.test": command}, env, timeout=60), timeout=0.5)
    finally:
        proxy.await_(made.close())
    assert set(BY_NAMES) - arrived(proxy) == set()


@node
def test_node_by_preload(proxy: Proxy, controller: Controller, tmp_path: Path) -> None:
    """At any port, without root: fetch, https, http."""
    env = led(controller, tmp_path, "preload")
    command = ["node", "-e", ";".join(call for call, _ in NODE.values())]
    prove(controller, ["api.test"], by_command({"api.test": command}, env), timeout=0.5)
    assert set(NODE) - arrived(proxy) == set()


def test_node_sdks_by_preload(proxy: Proxy, controller: Controller, tmp_path: Path) -> None:
    """stripe-node has an agent of its own, which no proxy variable reaches."""
    nodejs.need("stripe", "retell-sdk", "@supabase/supabase-js")
    env = {**led(controller, tmp_path, "preload"), "NODE_PATH": str(nodejs.MODULES)}
    command = ["node", "-e", ";".join(call for call, _ in NODE_SDKS.values())]
    prove(controller, ["api.test"], by_command({"api.test": command}, env, timeout=60), timeout=0.5)
    assert set(NODE_SDKS) - arrived(proxy) == set()


def test_the_table_of_ways_is_what_is_tried() -> None:
    """Every client that is tried here stands in it with its way, and every way of a client is tried."""
    table = DOC.read_text().partition("## Ways to the interceptor")[2].partition("\n## ")[0]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines() if line.startswith("| ")
    ]
    said = {(name.strip("`"), by.strip("`")) for clients, by, _ in rows[1:] for name in clients.split(", ")}
    tried = {(name, "proxy") for name in PYTHON} | {(name, "preload") for name in (*NODE, *NODE_SDKS)}
    tried |= {(name, "names") for name in BY_NAMES}
    own = {"psycopg", "redis-py", "smtplib", "base URL"}  # test_symptoms.py, and every test that connects by itself
    assert said == tried | {(name, "own listener") for name in own}


@node
def test_verification_stays_what_it_was(proxy: Proxy, controller: Controller, tmp_path: Path) -> None:
    """A wrong certificate is refused by Node as it would be at the provider."""
    proxy.put({"fault": "certificate", "wrong": "wrong-host", "match": {"host": "api.test"}})
    script = "fetch('https://api.test/').then(() => console.log('in'), e => console.log(e.cause.code))"
    env = led(controller, tmp_path, "preload")
    run = subprocess.run(["node", "-e", script], env=env, capture_output=True, text=True, timeout=30, check=True)
    assert run.stdout.strip() == "ERR_TLS_CERT_ALTNAME_INVALID"


@node
def test_a_name_that_does_not_resolve(proxy: Proxy, controller: Controller, tmp_path: Path) -> None:
    """ENOTFOUND, as Node says it, for fetch and https, and well again in the same process when the fault is over."""
    fault = controller.put("dns-failure", match={"host": "api.test"})
    script = """
    const url = 'https://api.test/';
    const ask = () => fetch(url).then((a) => a.status, (e) => e.cause.code);
    const https = require('https');
    const get = () => new Promise((f) => https.get(url, (a) => f(a.statusCode)).on('error', (e) => f(e.message)));
    (async () => {
      console.log(await ask(), await get());
      process.stdin.once('data', async () => { console.log(await ask()); process.exit(); });
    })();
    """
    env = led(controller, tmp_path, "preload")
    with subprocess.Popen(["node", "-e", script], env=env, stdin=-1, stdout=-1, text=True) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == "ENOTFOUND getaddrinfo ENOTFOUND api.test\n"
        fault.end()
        proxy.settle()
        assert run.communicate("on\n", timeout=30)[0] == "200\n"


@node
def test_node_cannot_reach_anybody_else(controller: Controller, tmp_path: Path) -> None:
    """A host that the interceptor does not stand for is refused, by name."""
    script = "fetch('https://example.com/').catch(e => console.log(e.cause.message))"
    env = led(controller, tmp_path, "preload")
    run = subprocess.run(["node", "-e", script], env=env, capture_output=True, text=True, timeout=30, check=True)
    assert "example.com is not led to the interceptor" in run.stdout


@node
def test_an_application_that_bypasses_is_refused(controller: Controller, tmp_path: Path) -> None:
    """By its host, before anything else happens: here a client that ignores the proxy variables."""
    env = led(controller, tmp_path, "proxy") | {"NODE_USE_ENV_PROXY": "0"}
    commands: dict[str, Any] = {
        "api.test": [sys.executable, "-c", PYTHON["httpx"][0]],
        "other.test": ["node", "-e", "require('https').get('https://other.test/').on('error', () => 0)"],
    }
    with pytest.raises(BypassedError, match=r"calls to other\.test did not arrive .* nothing is started"):
        prove(controller, commands, by_command(commands, env), timeout=0.3)


def test_the_command_starts_nothing_unproven(
    proxy: Proxy,
    controller: Controller,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A host without a canary is refused by name, one that bypasses too; with all proved the application runs, led."""
    monkeypatch.setattr("dialtone.interceptor.redirect._CANARY_TIMEOUT", 0.3)
    for name in ("HTTPS_PROXY", "https_proxy", "NODE_OPTIONS"):
        monkeypatch.delenv(name, raising=False)
    at = ["faults", "through", "--at", str(proxy.folder)]
    trusted = [word for host in controller.state()["hosts"] if host != "api.test" for word in ("--unproven", host)]
    application = ["--", sys.executable, "-c", "import os; print('led by', os.environ['HTTPS_PROXY'])"]
    assert cli.main([*at, *trusted, *application]) == 1
    assert "no canary for api.test: nothing is started" in capfd.readouterr().err
    assert cli.main([*at, *trusted, "--canary", "api.test=true", *application]) == 1
    out, err = capfd.readouterr()
    assert "api.test did not arrive" in err
    assert "led by" not in out
    canary = f'api.test={sys.executable} -c "{PYTHON["urllib"][0]}"'
    assert cli.main([*at, *trusted, "--canary", canary, *application]) == 0
    out, err = capfd.readouterr()
    assert "arrived: api.test" in err
    assert f"led by http://{proxy.interceptor.listeners['*'].shown()}" in out


def test_names_need_port_443(controller: Controller) -> None:
    """Said before anything is tried; with it there is a line for each host."""
    with pytest.raises(BypassedError, match=r"port 443 of a loopback address: api\.test"):
        hosts_file(controller.state())
    state = {"hosts": {"a.test": "x"}, "listen": {"a.test": "127.77.0.9:443"}}
    assert "127.77.0.9 a.test\n" in hosts_file(state)
