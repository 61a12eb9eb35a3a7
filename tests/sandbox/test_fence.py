"""A process behind the fence reaches the sandbox, and nobody where providers are."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest

from dialtone.sandbox.fence import CLOSED, fence, works

CONNECT = """
import socket, sys
for port in map(int, sys.argv[1:]):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=2).close()
        print("there")
    except OSError as error:
        print(type(error).__name__)
"""


@pytest.mark.skipif(not works(), reason="this system has no Landlock for TCP")
def test_what_is_behind_it_reaches_no_provider() -> None:
    """Nobody listens on these ports here: outside they are refused, behind it they are forbidden, to children too."""
    told = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {CONNECT!r}, *sys.argv[1:]])"
    with socket.create_server(("127.0.0.1", 0)) as server, fence(lambda: None) as enter:
        ports = [server.getsockname()[1], *CLOSED]
        done = subprocess.run(
            [sys.executable, "-c", told, *map(str, ports)],
            preexec_fn=enter,
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
    assert done.stdout.split() == ["there", *["PermissionError"] * len(CLOSED)]
