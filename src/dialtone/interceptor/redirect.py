"""How an unmodified application is led to the interceptor, and the proof that it is before anything else happens."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import certifi

if TYPE_CHECKING:
    from dialtone.interceptor.client import Controller

WAYS = ("proxy", "preload", "names")
"""proxy: CONNECT by HTTPS_PROXY; preload: Node, any port, no root; names: a hosts file in a mount namespace."""
_HERE = Path(__file__).parent / "ways"
_CANARY_TIMEOUT = 10.0


class BypassedError(RuntimeError):
    """Calls that did not arrive at the interceptor; the text names the hosts and what to try."""


def bundle(folder: Path, authority: Path) -> Path:
    """A file with the public authorities and ours, for clients that read one file only."""
    path = folder / "bundle.crt"
    path.write_text(Path(certifi.where()).read_text() + authority.read_text())
    return path


def environment(
    state: Mapping[str, Any], folder: Path, way: str, base: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """The variables of an application that is to be led to the interceptor; `state` is what `Controller.state` says."""
    if way not in WAYS:
        raise ValueError(f"no such way: {way}; there are {', '.join(WAYS)}")
    authority = Path(state["authority"])
    both = str(bundle(folder, authority))
    told = dict.fromkeys(("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "AWS_CA_BUNDLE"), both)
    told |= {
        "NODE_EXTRA_CA_CERTS": str(authority),
        "PYTHONPATH": _joined(str(_HERE / "python"), base.get("PYTHONPATH")),
    }
    shared = state["listen"]["*"]
    if way == "proxy":
        for name in ("HTTPS_PROXY", "HTTP_PROXY"):
            told |= {name: f"http://{shared}", name.lower(): f"http://{shared}"}
        told |= {"NODE_USE_ENV_PROXY": "1", "NO_PROXY": "127.0.0.1,localhost", "no_proxy": "127.0.0.1,localhost"}
    elif way == "preload":
        places = {host: _place(state["listen"].get(host, shared)) for host in state["hosts"]}
        told |= {"DIALTONE_REDIRECT": json.dumps(places), "DIALTONE_UNRESOLVED": str(state.get("unresolved") or "")}
        required = f'--require "{_HERE / "preload.cjs"}"'
        told["NODE_OPTIONS"] = f"{base['NODE_OPTIONS']} {required}" if base.get("NODE_OPTIONS") else required
    return {**base, **told}


def _joined(first: str, rest: str | None) -> str:
    return f"{first}{os.pathsep}{rest}" if rest else first


def _place(listen: str) -> tuple[str, int]:
    address, _, port = listen.rpartition(":")
    return address.strip("[]"), int(port)


def hosts_file(state: Mapping[str, Any]) -> str:
    """Lines for /etc/hosts: every host with a listener of its own on port 443. Raises BypassedError for the others."""
    wrong = [h for h in state["hosts"] if not state["listen"].get(h, "").endswith(":443")]
    if wrong:
        raise BypassedError(
            f"by names every host needs a listener on port 443 of a loopback address: {', '.join(wrong)}"
        )
    return "127.0.0.1 localhost\n::1 localhost\n" + "".join(
        f"{_place(state['listen'][host])[0]} {host}\n" for host in state["hosts"]
    )


def in_names(state: Mapping[str, Any], folder: Path, command: Sequence[str]) -> list[str]:
    """The command in a mount namespace of its own, in which /etc/hosts is ours (Linux, `unshare`)."""
    path = folder / "hosts"
    path.write_text(hosts_file(state))
    script = 'mount --bind "$1" /etc/hosts && shift && exec "$@"'
    return ["unshare", "-Urm", "--", "sh", "-c", script, "sh", str(path), *command]


def prove(
    controller: Controller, hosts: Iterable[str], call: Callable[[str], object], timeout: float | None = None
) -> None:
    """Have the application call each host once, and see every call arrive. Raises BypassedError, naming the hosts.

    `call` makes it call one host, in whatever way it can: its own route, or a command in its environment. What the
    call answers or raises does not matter, only that it came here.
    """
    missed = []
    for host in hosts:
        before = controller.state()["arrived"].get(host, 0)
        try:
            call(host)
        except Exception as error:  # noqa: BLE001 - a canary may fail in any way; only arriving counts
            told = f" ({type(error).__name__})"
        else:
            told = ""
        until = time.monotonic() + (_CANARY_TIMEOUT if timeout is None else timeout)
        while controller.state()["arrived"].get(host, 0) <= before:
            if time.monotonic() > until:
                missed.append(host + told)
                break
            time.sleep(0.02)
    if missed:
        raise BypassedError(
            f"calls to {', '.join(missed)} did not arrive at the interceptor: nothing is started. "
            f"Try another way ({', '.join(WAYS)}); docs/providers says which one each SDK takes"
        )


def by_command(
    commands: Mapping[str, Sequence[str]], env: Mapping[str, str], timeout: float = 30.0
) -> Callable[[str], None]:
    """A `call` for `prove`: one command for each host, run in the application's environment."""

    def call(host: str) -> None:
        subprocess.run(list(commands[host]), env=dict(env), timeout=timeout, check=False, capture_output=True)

    return call
