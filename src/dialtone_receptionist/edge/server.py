"""The edge's listeners, its round robin over the application processes, and its certificates.

Three listeners: http as a platform's inner address, https, and one that only redirects to https. Certificates are
chosen when a connection is accepted, so that a defect can change them without a restart.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import socket
import ssl
from collections.abc import Collection, Coroutine, Sequence
from typing import Any

from dialtone_receptionist.connections import Upstream
from dialtone_receptionist.defects import Switches
from dialtone_receptionist.edge.client import ClientConnection
from dialtone_receptionist.settings import Settings

_COUNTED = frozenset({"health-flaps", "errors-one-in-six", "slow-tail"})
"""Defects of every n-th request of a client. Counted here, since its requests go to both processes in turn."""

_MOST_COUNTED = 10_000
_SWEEP = 0.5  # seconds between two looks at the deadlines
_STALL = 0.7  # seconds before a handshake with the defect slow-handshake


def _context(certificate: str, key: str) -> ssl.SSLContext | None:
    if not certificate:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    context.set_alpn_protocols(["http/1.1"])
    # No session tickets: a resumed session would show no certificate, and every handshake is to be a whole one.
    context.num_tickets = 0
    context.options |= ssl.OP_NO_TICKET
    return context


class Edge:
    """The proxy. Binds its ports when it is made; `start` begins to accept."""

    def __init__(self, settings: Settings, switches: Switches | None = None) -> None:
        good = _context(settings.tls_cert_file, settings.tls_key_file)
        if good is None:
            raise ValueError("TLS_CERT_FILE is empty")
        self._good = good
        self._expiring = _context(settings.tls_expiring_cert_file, settings.tls_expiring_key_file) or good
        self._wrong_host = _context(settings.tls_wrong_host_cert_file, settings.tls_wrong_host_key_file) or good
        ports = (settings.port, settings.tls_port, settings.plain_port)
        self._sockets = [socket.create_server(("127.0.0.1", port), backlog=256) for port in ports]
        self.ports = [sock.getsockname()[1] for sock in self._sockets]
        self.tls_url = f"https://localhost:{self.ports[1]}"
        self.client_header = settings.edge_client_header.lower().encode()
        self.switches = switches or Switches(os.environ.get("DEFECTS_FILE", ""))
        self.connections: set[ClientConnection] = set()
        self._turns: itertools.cycle[Upstream] = itertools.cycle(())
        self._upstreams: list[Upstream] = []
        self._servers: list[asyncio.Server] = []
        self._tasks: set[asyncio.Task[Any]] = set()
        self._counts: dict[tuple[bytes, bytes], int] = {}
        self._counted_for: Collection[str] = ()

    def close_sockets(self) -> None:
        """Close the listeners' sockets (in a forked child, which must not hold the ports)."""
        for sock in self._sockets:
            sock.close()

    def use(self, addresses: Sequence[tuple[str, int]]) -> None:
        """Set the application processes."""
        self._upstreams = [Upstream(host, port) for host, port in addresses]
        self._turns = itertools.cycle(self._upstreams)

    async def start(self) -> None:
        """Accept on all listeners."""
        loop = asyncio.get_running_loop()
        base, tls, plain = self._sockets
        tls.setblocking(False)
        self._servers = [
            await loop.create_server(lambda: ClientConnection(self, b"http"), sock=base),
            await loop.create_server(lambda: ClientConnection(self, b"http", is_plain=True), sock=plain),
        ]
        self.spawn(self._accept_tls(tls))
        self.spawn(self._sweep())

    async def stop(self, patience: float = 0.5) -> None:
        """Accept no more, let running requests end for `patience` seconds, close everything."""
        for task in tuple(self._tasks):
            task.cancel()
        for server in self._servers:
            server.close()
        self.close_sockets()
        deadline = self.now() + patience
        # Polled: an event would have to be kept up to date by every request, for the sake of the last one.
        while any(not c.is_idle for c in self.connections) and self.now() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        for connection in tuple(self.connections):
            connection.close()
        for upstream in self._upstreams:
            upstream.close()

    def now(self) -> float:
        """The loop's clock."""
        return asyncio.get_running_loop().time()

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something beside the connections."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def next_upstream(self) -> Upstream:
        """The process whose turn it is: strictly one after the other, request by request."""
        return next(self._turns)

    def count(self, active: frozenset[str], client: bytes, path: bytes) -> int:
        """The number of this request of a client for a path since a defect that counts was switched on, else 0."""
        counted_for = _COUNTED & active
        if counted_for != self._counted_for or len(self._counts) > _MOST_COUNTED:
            self._counts.clear()
            self._counted_for = counted_for
        if not counted_for:
            return 0
        number = self._counts[client, path] = self._counts.get((client, path), 0) + 1
        return number

    async def _accept_tls(self, sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, _ = await loop.sock_accept(sock)
            except OSError:
                await asyncio.sleep(0.05)  # out of file descriptors, most likely: others have to go first
                continue
            self.spawn(self._handshake(connection))

    async def _handshake(self, sock: socket.socket) -> None:
        active = self.switches.active()
        if "slow-handshake" in active:
            await asyncio.sleep(_STALL)
        context = self._good
        if "cert-expiring" in active:
            context = self._expiring
        elif "cert-wrong-host" in active:
            context = self._wrong_host
        loop = asyncio.get_running_loop()
        try:
            await loop.connect_accepted_socket(
                lambda: ClientConnection(self, b"https"), sock, ssl=context, ssl_handshake_timeout=10
            )
        except (OSError, TimeoutError):  # ssl.SSLError is an OSError: a client that does not like the certificate
            sock.close()

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP)
            now = self.now()
            for connection in tuple(self.connections):
                if connection.deadline < now:
                    connection.expire()
