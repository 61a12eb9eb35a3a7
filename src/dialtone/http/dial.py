"""The way to a socket on an event loop: for probes of which there are many at once."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import threading
from typing import Any

from dialtone.http.answer import FailureKind
from dialtone.http.exchange import Exchange, Interrupted
from dialtone.http.network import Address, unreachable


class Dial:
    """Connects, on the running loop; each name is looked up once."""

    def __init__(self) -> None:
        self._names: dict[tuple[str, int], asyncio.Future[list[Address]]] = {}

    async def connect(self, host: str, port: int, source: str | None, exchange: Exchange) -> socket.socket:
        """A connection to the first address that takes one, each of them with an equal share of the time.

        `source` is the address to speak from. Raises Interrupted.
        """
        addresses = await self._addresses(host, port, exchange)
        began, errors = exchange.now(), []
        end = began + exchange.patience(exchange.limits.connect)
        for left, address in zip(range(len(addresses), 0, -1), addresses, strict=True):
            try:
                sock = await _connect_one(address, source, (end - exchange.now()) / left)
            except OSError as wrong:  # TimeoutError is one
                errors.append(wrong)
            else:
                exchange.connect = exchange.now() - began
                return sock
        raise unreachable(addresses, errors, exchange.now() - began)

    async def _addresses(self, host: str, port: int, exchange: Exchange) -> list[Address]:
        try:
            literal = ipaddress.ip_address(host)
        except ValueError:
            pass
        else:
            return [(socket.AF_INET if literal.version == 4 else socket.AF_INET6, (host, port))]
        began, patience = exchange.now(), exchange.patience(exchange.limits.connect)
        looked_up = self._names.get((host, port))
        if looked_up is None:
            looked_up = self._names[host, port] = _look_up(host, port)
        try:
            async with asyncio.timeout(patience):
                found = await asyncio.shield(looked_up)
        except TimeoutError:
            raise Interrupted(FailureKind.DNS, f"name {host} did not resolve within {patience:.1f} s") from None
        if not found:
            raise Interrupted(FailureKind.DNS, f"name {host} does not resolve")
        exchange.dns = exchange.now() - began
        return found


async def _connect_one(address: Address, source: str | None, patience: float) -> socket.socket:
    family, where = address
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if source is not None:
            try:
                sock.bind((source, 0))
            except OSError:
                reason = f"the prober does not own the address {source} that it is to speak from"
                raise Interrupted(FailureKind.NO_ADDRESS_FAMILY, reason) from None
        async with asyncio.timeout(max(patience, 0.001)):
            await asyncio.get_running_loop().sock_connect(sock, where)
    except BaseException:
        sock.close()
        raise
    return sock


def _look_up(host: str, port: int) -> asyncio.Future[list[Address]]:
    """getaddrinfo(3) in a thread that is left alone when it takes too long; nothing found is an empty list."""
    loop = asyncio.get_running_loop()
    found: asyncio.Future[list[Address]] = loop.create_future()

    def tell(addresses: list[Address]) -> None:
        if not found.done():
            found.set_result(addresses)

    def look() -> None:
        try:
            rows: list[Any] = list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError):
            rows = []
        addresses = list(dict.fromkeys((family, tuple(where)) for family, _, _, _, where in rows))
        with contextlib.suppress(RuntimeError):  # the loop is over
            loop.call_soon_threadsafe(tell, addresses)

    threading.Thread(target=look, name=f"dialtone-dns-{host}", daemon=True).start()
    return found
