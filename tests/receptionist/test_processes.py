"""The service as a whole: started by its command, ready, gone when it or its parent process ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest
import trustme
from tests.receptionist.conftest import Databases, free_port

from dialtone_receptionist.settings import Settings, SettingsError


@pytest.fixture(scope="module")
def environment(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the service is told; no Redis, no providers."""
    folder = tmp_path_factory.mktemp("certificates")
    certificate = trustme.CA().issue_cert("localhost")
    certificate.private_key_pem.write_to_path(str(folder / "key"))
    certificate.cert_chain_pems[0].write_to_path(str(folder / "certificate"))
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join(p for p in sys.path if Path(p, "dialtone_receptionist").is_dir()),
        "DATABASE_URL": databases.url,
        "JWT_SECRET": "j" * 40,
        "TLS_CERT_FILE": str(folder / "certificate"),
        "TLS_KEY_FILE": str(folder / "key"),
        **{name: str(free_port()) for name in ("PORT", "TLS_PORT", "PLAIN_PORT")},
    }


@contextmanager
def service(environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """The running service; killed at the end if it is still there."""
    process = subprocess.Popen(
        [sys.executable, "-m", "dialtone_receptionist"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def test_it_is_ready_serves_and_goes(environment: dict[str, str]) -> None:
    """`ready` when every listener accepts; SIGTERM ends everything with 0 and without a word."""
    with service(environment) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        children = psutil.Process(process.pid).children()
        assert len(children) == 2
        for port in ("PORT", "TLS_PORT", "PLAIN_PORT"):
            socket.create_connection(("127.0.0.1", int(environment[port])), timeout=10).close()
        base = f"http://127.0.0.1:{environment['PORT']}"
        answers = [httpx.get(base + path, trust_env=False) for path in ("/api/health", "/landing")]
        assert [answer.status_code for answer in answers] == [200, 200]
        process.send_signal(signal.SIGTERM)
        words = process.communicate(timeout=30)
        assert (process.returncode, words) == (0, (b"", b""))
        assert psutil.wait_procs(children, timeout=30)[1] == []


def test_the_application_dies_with_its_edge(environment: dict[str, str]) -> None:
    """SIGKILL leaves nobody behind, and the ports are free at once."""
    with service(environment) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        children = psutil.Process(process.pid).children()
        process.kill()
        assert psutil.wait_procs(children, timeout=30)[1] == []
        socket.create_server(("127.0.0.1", int(environment["PORT"]))).close()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"PORT": ""}, "PORT is not set to a port number"),
        ({"DATABASE_URL": ""}, "DATABASE_URL is not set"),
        ({"TLS_CERT_FILE": "/nonexistent"}, "a listener cannot be opened"),
        ({"PORT": "taken"}, "a listener cannot be opened"),
    ],
    ids=["no port", "no database", "no certificate", "port taken"],
)
def test_a_start_that_cannot_be_says_why(environment: dict[str, str], change: dict[str, str], words: str) -> None:
    """One line, without a traceback and without a secret; exit code 1."""
    with socket.create_server(("127.0.0.1", 0)) as somebody:
        change = {k: str(somebody.getsockname()[1]) if v == "taken" else v for k, v in change.items()}
        with service({**environment, **change}) as process:
            _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert said.decode().startswith(f"receptionist: {words}")
    assert said.count(b"\n") == 1
    assert environment["DATABASE_URL"].encode() not in said


def test_settings_do_not_show_themselves() -> None:
    """No `repr` and no message holds a value."""
    env = {"DATABASE_URL": "postgresql://a:canary@b/c", "PORT": "canary"}
    with pytest.raises(SettingsError) as caught:
        Settings.from_env(env)
    assert "canary" not in str(caught.value)
    ports = dict.fromkeys(("PORT", "TLS_PORT", "PLAIN_PORT"), "1")
    assert "canary" not in repr(Settings.from_env({**env, **ports, "TLS_CERT_FILE": "x", "TLS_KEY_FILE": "x"}))
