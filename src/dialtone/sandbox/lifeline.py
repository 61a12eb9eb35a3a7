"""The supervisor's only wait: for a part, for the end of the lifeline, for a signal to stop, whichever comes first."""

from __future__ import annotations

import json
import os
import selectors
import signal
import socket
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from dialtone.sandbox.parts import Part

_TICK = 0.01
_STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class LifelineEnded(Exception):
    """Nobody needs the sandbox any more."""


class PartEnded(Exception):
    """A part ended that had to stay; the message holds its last words, secrets not yet masked."""

    def __init__(self, part: Part) -> None:
        code = part.ended or 0
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        last = part.tail()
        super().__init__(f"{part.name} {how}" + (f"; its last lines:\n{last}" if last else " and said nothing"))
        self.part = part


class TooSlow(Exception):
    """A part did not get ready in time."""


class Watch:
    """Waits on the lifeline, the controller itself, signals, and the output of the parts."""

    def __init__(self, lifeline: int) -> None:
        self._lifeline = lifeline
        self._controller = os.getppid()
        self._stopping = False
        self._said = b""
        self.orders: deque[dict[str, Any]] = deque()
        """What the controller wants of the running sandbox, in the order in which it was said."""
        self._selector = selectors.DefaultSelector()
        self._selector.register(lifeline, selectors.EVENT_READ, self._on_lifeline)
        self._on_signals()
        self._on_controller()

    def _on_signals(self) -> None:
        receiver, sender = socket.socketpair()
        receiver.setblocking(False)
        sender.setblocking(False)
        signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False)
        self._sockets = (receiver, sender)
        for number in _STOPPING:
            signal.signal(number, self._stop)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # a handler is needed for the wake-up
        self._selector.register(receiver, selectors.EVENT_READ, lambda: receiver.recv(4096))

    def _on_controller(self) -> None:
        """The pipe alone could be kept open by a process that the controller forked; its own end counts too."""
        try:
            watched = os.pidfd_open(self._controller)
        except (AttributeError, OSError):  # not Linux, or it is gone: then the pipe ends
            return
        self._selector.register(watched, selectors.EVENT_READ, self._stop)
        if os.getppid() != self._controller:
            self._stopping = True

    def _stop(self, *_: object) -> None:
        self._stopping = True

    def _on_lifeline(self) -> None:
        data = os.read(self._lifeline, 65_536)
        if not data:
            self._stopping = True
        *lines, self._said = (self._said + data).split(b"\n")
        self.orders.extend(json.loads(line) for line in lines)

    def order(self) -> dict[str, Any]:
        """The controller's order: the first line on the lifeline."""
        line = b""
        while not line.endswith(b"\n"):
            data = os.read(self._lifeline, 1)
            if not data:
                raise LifelineEnded
            line += data
        order: dict[str, Any] = json.loads(line)
        return order

    def add(self, part: Part) -> None:
        """Read what the part writes to stdout from now on."""

        def take() -> None:
            if not part.read():
                self.remove(part)

        self._selector.register(part.output, selectors.EVENT_READ, take)

    def remove(self, part: Part) -> None:
        """Stop reading the part's stdout."""
        if part.output in self._selector.get_map():
            self._selector.unregister(part.output)

    def until(self, done: Callable[[], bool], what: str, deadline: float, alive: Sequence[Part] = ()) -> None:
        """Wait until `done`.

        Raises LifelineEnded when nobody needs the sandbox any more, PartEnded when one of `alive` ended, TooSlow
        after `deadline` (monotonic seconds).
        """
        while not done():
            if self._stopping:
                raise LifelineEnded
            for part in alive:
                if part.ended is not None:
                    part.read()
                    raise PartEnded(part)
            if time.monotonic() >= deadline:
                raise TooSlow(f"{what} did not get ready in time" + _words(alive))
            for key, _ in self._selector.select(_TICK if deadline != float("inf") else None):
                key.data()


def _words(parts: Sequence[Part]) -> str:
    tail = parts[-1].tail() if parts else ""
    return f"; last lines:\n{tail}" if tail else ""
