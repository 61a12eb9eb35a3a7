"""Ends a wait that knows no limit of its own, by shutting down the socket that is waited for."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time

_INTERVAL = 0.1  # seconds between two looks
_LINGER = 10  # looks without anything to watch, after which the thread ends


class Watchdog:
    """Watches one socket at a time. libpq, for one, waits for an answer as long as the connection stands.

    A thread that looks a few times a second costs less than one for each wait; it ends by itself when there is nothing
    to watch.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._watched: tuple[int, float] | None = None
        self._thread: threading.Thread | None = None
        self.has_cut = False

    def watch(self, descriptor: int, patience: float) -> None:
        """Shut this socket down unless `rest` is called within `patience` seconds."""
        with self._lock:
            self._watched, self.has_cut = (descriptor, time.monotonic() + patience), False
            if self._thread is None:
                self._thread = threading.Thread(target=self._look, name="dialtone-watchdog", daemon=True)
                self._thread.start()

    def rest(self) -> None:
        """The wait is over. From here on the descriptor may be somebody else's."""
        with self._lock:
            self._watched = None

    def _look(self) -> None:
        pause, idle = threading.Event(), 0
        while True:
            pause.wait(_INTERVAL)
            with self._lock:
                idle = idle + 1 if self._watched is None else 0
                if idle >= _LINGER:
                    self._thread = None
                    return
                if self._watched is not None and time.monotonic() >= self._watched[1]:
                    self._cut(self._watched[0])

    def _cut(self, descriptor: int) -> None:
        self._watched, self.has_cut = None, True
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(descriptor)) as sock:
            sock.shutdown(socket.SHUT_RDWR)
