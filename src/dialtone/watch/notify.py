"""What the resident watch says of itself: lines for people or for the journal, and notices for systemd.

Under systemd each line begins with its priority, `<3>` to `<6>` (sd-daemon(3)), and has no time of its own: the journal
has it. Elsewhere it begins with the time. Nobody but a supervisor asks for notices (sd_notify(3)).
"""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import TextIO

from dialtone.redact import secrets

ERROR, WARNING, NOTICE, INFO = 3, 4, 5, 6
_AGAIN = 3600.0


class Log:
    """Lines, never with a secret. `once` says the same thing once an hour at most."""

    def __init__(
        self, environ: Mapping[str, str], stream: TextIO | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self._journal, self._stream, self._clock = bool(environ.get("JOURNAL_STREAM")), stream or sys.stdout, clock
        self._said: dict[str, float] = {}

    def __call__(self, words: str, priority: int = INFO) -> None:
        """Say something; each line of it by itself."""
        moment = datetime.fromtimestamp(self._clock(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ ")
        for line in secrets.scrub(words).splitlines():
            head = f"<{priority}>" if self._journal else moment
            self._stream.write(f"{head}{line}\n")
        self._stream.flush()

    def once(self, words: str, priority: int = WARNING) -> None:
        """Say it unless it was said within the hour."""
        now = self._clock()
        if now - self._said.get(words, -_AGAIN) < _AGAIN:
            return
        self._said = {told: at for told, at in self._said.items() if now - at < _AGAIN}
        self._said[words] = now
        self(words, priority)


class Supervisor:
    """systemd, where it listens; elsewhere nothing happens. `every` is how often it wants to hear, None for never."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._address = environ.get("NOTIFY_SOCKET", "")
        told = environ.get("WATCHDOG_USEC", "")
        meant = environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        self.every = int(told) / 2e6 if told.isdigit() and meant and self._address else None

    def tell(self, **states: str | int) -> None:
        """Send states such as `READY=1`."""
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        text = "\n".join(f"{name}={value}" for name, value in states.items())
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.sendto(text.encode(), address)
