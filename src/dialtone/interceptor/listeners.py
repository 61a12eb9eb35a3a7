"""Where clients connect. A listener that has one host only can be closed or made to accept nobody, for that host."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import socket
import struct
from collections.abc import Callable
from typing import Any

BACKLOG = 1024
_FILLERS = 8
_SO_MEMINFO = 55


class Listener:
    """One listening address. Raises OSError from `open` when it is taken.

    `shared` is None for one process; among several it says whether this is the first, who looks whether anybody else is
    there, and who alone swallows.
    """

    def __init__(
        self, address: str, port: int, factory: Callable[[], asyncio.BaseProtocol], shared: bool | None = None
    ) -> None:
        self.address, self.port, self._shared = address, port, shared
        self._factory = factory
        self._server: asyncio.Server | None = None
        self._black: list[socket.socket] = []
        self._before = 0
        self._lock = asyncio.Lock()
        self._was_open = False
        self.mode = ""

    async def open(self) -> None:
        """Listen; port 0 becomes the port that was free."""
        if self._shared and self.port and not self._was_open:  # later the others of ours may be back before
            await self._alone()
        sock = self._bind()
        sock.listen(BACKLOG)
        self.port = sock.getsockname()[1]
        self._server = await asyncio.get_running_loop().create_server(self._factory, sock=sock, backlog=BACKLOG)
        self._was_open = True

    async def _alone(self) -> None:
        """Nobody else listens here, other processes of ours that are just ending apart. Raises OSError."""
        for patience in (0.05, 0.1, 0.2, 0.4, 0.8, None):
            try:
                self._bind(alone=True).close()
            except OSError as error:
                if error.errno != errno.EADDRINUSE or patience is None:
                    raise
                await asyncio.sleep(patience)
            else:
                return

    async def turn(self, mode: str) -> None:
        """`refuse` closes it, `blackhole` leaves connections unanswered, and nothing opens it again."""
        async with self._lock:
            if mode == self.mode:
                return
            self.close()
            self.mode = mode
            if mode == "blackhole" and self._shared is not False:
                self._swallow()
            elif not mode:
                await self.open()

    def close(self) -> None:
        """Stop to listen; connections that stand go on."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for sock in self._black:
            sock.close()
        self._black.clear()

    def _bind(self, *, alone: bool = False) -> socket.socket:
        family = socket.AF_INET6 if ":" in self.address else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if self._shared is not None and not alone:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            sock.bind((self.address, self.port))
        except OSError:
            sock.close()
            raise
        unpaced(sock, self.address)  # what it accepts inherits that
        sock.setblocking(False)
        return sock

    def _swallow(self) -> None:
        """Listen with a queue that is full: Linux drops the SYN of everybody else, who hears nothing at all."""
        sock = self._bind()
        sock.listen(0)
        self._black.append(sock)
        for _ in range(_FILLERS):
            filler = socket.socket(sock.family, socket.SOCK_STREAM)
            filler.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                filler.connect((self.address, self.port))
            try:
                filler.getpeername()
            except OSError:  # the first that has to wait: the queue is full, and this one must not be counted
                filler.close()
                break
            self._black.append(filler)
        self._before = _drops(sock)

    def swallowed(self) -> int:
        """SYNs that were dropped here since it swallows; a client that waits repeats its own after 1, 3, 7 … s."""
        return _drops(self._black[0]) - self._before if self._black else 0

    def shown(self) -> str:
        """`address:port`."""
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"


def _drops(sock: socket.socket) -> int:
    """What the kernel has dropped at a socket: the last number of SO_MEMINFO, sk_drops (linux/sock_diag.h)."""
    try:
        return int(struct.unpack("9I", sock.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, 36))[8])
    except (OSError, struct.error):
        return 0


def unpaced(sock: Any, address: str) -> None:
    """On loopback take Reno: BBR, where it is the default, paces answers with timers, for a path without a queue."""
    if address.startswith("127.") or address == "::1":
        with contextlib.suppress(OSError, AttributeError):  # Linux has it, macOS has not
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"reno")


def told(error: OSError, address: str, port: int) -> str:
    """Why a listener could not be opened, and what to do."""
    place: Any = f"{address}:{port}"
    if error.errno == 98:
        return f"{place} is taken, perhaps by another interceptor: end it, or name another port"
    if error.errno == 13:
        return f"{place} needs privileges: a port above 1023, or CAP_NET_BIND_SERVICE"
    with contextlib.suppress(ValueError):
        if error.errno == 99 and not ipaddress.ip_address(address).is_loopback:
            return f"{place}: this machine has no such address"
    return f"{place}: {error.strerror or error}"
