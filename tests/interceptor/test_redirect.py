"""Real clients, unmodified, each by a way that leads it to the interceptor; and the refusal of those that bypass it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.interceptor.conftest import Proxy

from dialtone import cli
from dialtone.interceptor.client import Controller
from dialtone.interceptor.redirect import BypassedError, by_command, environment, hosts_file, prove

ROOT = Path(__file__).parents[2]
NODE_MODULES = ROOT / "build/tools/node/node_modules"
node = pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
sdks = pytest.mark.skipif(not NODE_MODULES.exists(), reason="npm install --prefix build/tools/node stripe retell-sdk")

CLIENTS = {
    "httpx": "import httpx; httpx.get('https://api.test/canary')",
    "urllib3": "import urllib.request; urllib.request.urlopen('https://api.test/canary')",
    "stripe": "import stripe; stripe.api_base='https://api.test'; stripe.api_key='k'; stripe.Balance.retrieve()",
    "retell": "import retell; retell.Retell(api_key='k', base_url='https://api.test').voice.list()",
    "telnyx": "import telnyx; telnyx.Telnyx(api_key='k', base_url='https://api.test/v2').balance.retrieve()",
}
NODE_CLIENTS = {
    "fetch": "fetch('https://api.test/canary')",
    "https": "require('https').get('https://api.test/canary')",
    "http": "require('http').get('http://api.test/canary')",
}
NODE_SDKS = {
    "stripe": "new (require('stripe'))('k', {host: 'api.test'}).balance.retrieve().catch(() => 0)",
    "retell": "new (require('retell-sdk').default)({apiKey: 'k', baseURL: 'https://api.test'}).voice.list()",
}


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


@pytest.mark.parametrize("client", CLIENTS)
def test_python_by_proxy(controller: Controller, tmp_path: Path, client: str) -> None:
    """Each arrives; stripe-python too, whose trust store is its own."""
    env = led(controller, tmp_path, "proxy")
    prove(controller, ["api.test"], by_command({"api.test": [sys.executable, "-c", CLIENTS[client]]}, env), timeout=0.5)


@node
@pytest.mark.parametrize("client", NODE_CLIENTS)
def test_node_by_preload(controller: Controller, tmp_path: Path, client: str) -> None:
    """At any port, without root."""
    env = led(controller, tmp_path, "preload")
    prove(controller, ["api.test"], by_command({"api.test": ["node", "-e", NODE_CLIENTS[client]]}, env), timeout=0.5)


@node
@sdks
@pytest.mark.parametrize("client", NODE_SDKS)
def test_node_sdks_by_preload(controller: Controller, tmp_path: Path, client: str) -> None:
    """stripe-node has an agent of its own, which no proxy variable reaches."""
    env = {**led(controller, tmp_path, "preload"), "NODE_PATH": str(NODE_MODULES)}
    prove(controller, ["api.test"], by_command({"api.test": ["node", "-e", NODE_SDKS[client]]}, env), timeout=0.5)


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
        "api.test": [sys.executable, "-c", CLIENTS["httpx"]],
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
    canary = f'api.test={sys.executable} -c "{CLIENTS["urllib3"]}"'
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
