"""How the processes of the resident watch speak with each other: JSON lines over a pair of sockets."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator, Mapping
from typing import Any

LINE_LIMIT = 64 * 1024 * 1024
"""Bytes of one line at most: a whole catalogue of checks is one."""


def pack(told: Mapping[str, Any]) -> bytes:
    """A message as it goes over the wire."""
    return json.dumps(told, default=str).encode() + b"\n"


class Line:
    """The side of a child: blocking, one message after the other."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._reader = channel.makefile("rb")

    def send(self, told: Mapping[str, Any]) -> None:
        """Send one message. Raises OSError when nobody is there."""
        self._channel.sendall(pack(told))

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """The messages, until the other side is gone."""
        for line in self._reader:
            if line.endswith(b"\n"):
                yield json.loads(line)
