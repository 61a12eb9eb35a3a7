"""Stand-ins in a thread: when their `with` is over, nothing of them is left."""

from __future__ import annotations

import socket

from dialtone.standins.nearby import Nearby
from dialtone.standins.slack_api import SlackApi
from dialtone.standins.state import Clock


def test_a_connection_that_a_client_keeps_is_ended() -> None:
    """The client is told at once, and does not find out at its next request."""
    with Nearby([SlackApi("xoxb-1", Clock())]) as nearby:
        kept = socket.create_connection(("127.0.0.1", nearby.ports["slack_api"]), timeout=10)
        kept.sendall(b"GET /api/auth.test HTTP/1.1\r\nhost: x\r\n\r\n")
        assert kept.recv(4096).startswith(b"HTTP/1.1 200")
    with kept:
        while kept.recv(4096):
            pass
