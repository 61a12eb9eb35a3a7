"""Sockets for httpcore that keep to an exchange's limits and time what they do.

httpcore takes a backend of one's own (https://www.encode.io/httpcore/network-backends/). This one resolves names by
itself, which gives a DNS phase, and turns every error of a socket into an `Interrupted` with a sentence.
"""

from __future__ import annotations

import errno
import ipaddress
import socket
import ssl
import threading
from collections.abc import Iterable
from typing import Any

import httpcore

from dialtone.http import trust
from dialtone.http.answer import FailureKind
from dialtone.http.exchange import Exchange, Interrupted

Address = tuple[socket.AddressFamily, tuple[Any, ...]]

_NO_ROUTE = {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}


class Resolver:
    """Addresses of names, looked up once in a client's life unless an exchange asks for a fresh connection."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, int], list[Address]] = {}

    def addresses(self, host: str, port: int, exchange: Exchange) -> list[Address]:
        """Where `host` can be reached, in the system's order of preference. Raises Interrupted (dns)."""
        try:
            literal = ipaddress.ip_address(host)
        except ValueError:
            pass
        else:
            return [(socket.AF_INET if literal.version == 4 else socket.AF_INET6, (host, port))]
        known = self._known.get((host, port))
        if known is None or exchange.fresh:
            began = exchange.now()
            known = self._known[host, port] = _look_up(host, port, exchange)
            exchange.dns = exchange.now() - began
        return known


def _look_up(host: str, port: int, exchange: Exchange) -> list[Address]:
    """getaddrinfo(3) has no time limit of its own, so it runs in a thread that is left alone when it takes too long."""
    found: list[Any] = []

    def look() -> None:
        try:
            found.append(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as wrong:
            found.append(wrong)

    patience = exchange.patience(exchange.limits.connect)
    thread = threading.Thread(target=look, name=f"dialtone-dns-{host}", daemon=True)
    thread.start()
    thread.join(patience)
    if not found:
        raise Interrupted(FailureKind.DNS, f"name {host} did not resolve within {patience:.1f} s")
    result = found[0]
    if isinstance(result, socket.gaierror) and result.errno == socket.EAI_AGAIN:
        raise Interrupted(FailureKind.DNS, f"name {host} does not resolve: no name server answers")
    if isinstance(result, Exception) or not result:
        raise Interrupted(FailureKind.DNS, f"name {host} does not resolve")
    return list(dict.fromkeys((family, tuple(where)) for family, _, _, _, where in result))


def connect(addresses: list[Address], source: str | None, exchange: Exchange) -> socket.socket:
    """A connection to the first address that takes one. Raises Interrupted.

    Each address may take an equal share of the time that is left, so that a dead one does not hide a living one.
    """
    began, errors = exchange.now(), []
    end = began + exchange.patience(exchange.limits.connect)
    for left, (family, where) in zip(range(len(addresses), 0, -1), addresses, strict=True):
        try:
            return _connect_one(family, where, source, (end - exchange.now()) / left)
        except OSError as wrong:
            errors.append(wrong)
    raise unreachable(addresses, errors, exchange.now() - began)


def _connect_one(
    family: socket.AddressFamily, where: tuple[Any, ...], source: str | None, timeout: float
) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        if source is not None:
            try:
                made.bind((source, 0))
            except OSError:
                reason = f"the prober does not own the address {source} that it is to speak from"
                raise Interrupted(FailureKind.NO_ADDRESS_FAMILY, reason) from None
        made.settimeout(max(timeout, 0.001))  # 0 would mean: do not wait at all
        made.connect(where)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except BaseException:
        made.close()
        raise
    return made


def unreachable(addresses: list[Address], errors: list[OSError], spent: float) -> Interrupted:
    """What it means that no address took a connection: `errors` are theirs, `spent` seconds."""
    numbers = {e.errno for e in errors}
    if numbers <= _NO_ROUTE and all(family == socket.AF_INET6 for family, _ in addresses):
        return Interrupted(FailureKind.NO_ADDRESS_FAMILY, "it has IPv6 addresses only, and the prober has no IPv6")
    if errno.ECONNREFUSED in numbers:
        return Interrupted(FailureKind.REFUSED, f"connection refused at port {addresses[0][1][1]}")
    if any(isinstance(e, TimeoutError) for e in errors):
        return Interrupted(FailureKind.CONNECT_TIMEOUT, f"no connection within {spent:.1f} s")
    if numbers <= _NO_ROUTE:
        return Interrupted(FailureKind.REFUSED, "no route to its network")
    name = errno.errorcode.get(errors[-1].errno or 0, "unknown error").lower()
    return Interrupted(FailureKind.REFUSED, f"no connection ({name})")


class Wire(httpcore.NetworkBackend):
    """The way to one connection; `exchange` is the one that uses it now, set anew for each request."""

    def __init__(self, resolver: Resolver, exchange: Exchange) -> None:
        self._resolver, self.exchange = resolver, exchange

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Resolve the name and connect."""
        addresses = self._resolver.addresses(host, port, self.exchange)
        began = self.exchange.now()
        made = connect(addresses, local_address, self.exchange)
        self.exchange.connect = self.exchange.now() - began
        return Stream(self, made)


class Stream(httpcore.NetworkStream):
    """One connected socket, plain or TLS."""

    def __init__(self, wire: Wire, sock: socket.socket) -> None:
        self._wire, self._socket = wire, sock

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Some bytes of the answer; none when the peer has closed."""
        exchange = self._wire.exchange
        patience = exchange.patience(exchange.limits.read)
        if patience <= 0:
            raise exchange.silent()
        try:
            self._socket.settimeout(patience)
            data = self._socket.recv(max_bytes)
        except TimeoutError:
            raise exchange.silent() from None
        except ssl.SSLError as wrong:
            raise Interrupted(FailureKind.TLS, f"TLS broke off: {trust.spoken(wrong)}") from None
        except OSError:
            raise exchange.cut("reset") from None
        if data:
            exchange.took(len(data))
        else:
            exchange.ended = True
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send a part of the request."""
        exchange = self._wire.exchange
        try:
            if buffer:
                self._socket.settimeout(max(exchange.patience(exchange.limits.read), 0.001))
                self._socket.sendall(buffer)
        except TimeoutError:
            raise Interrupted(FailureKind.TIMEOUT, "the peer did not take the request in time") from None
        except OSError as wrong:
            # A peer may answer and close before it has read everything: httpcore goes on to read that answer.
            raise httpcore.WriteError from wrong
        exchange.asked()

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        """Shake hands. Raises Interrupted (tls)."""
        exchange = self._wire.exchange
        began = exchange.now()
        peer = self._socket.getpeername() if self._socket.fileno() >= 0 else None
        try:
            self._socket.settimeout(max(exchange.patience(exchange.limits.connect), 0.001))
            made = ssl_context.wrap_socket(self._socket, server_hostname=server_hostname)
        except (OSError, ValueError) as wrong:  # ValueError: a host that cannot be a name in a certificate
            self._socket.close()
            spent = exchange.now() - began
            reason = trust.explain(wrong, server_hostname or "", peer, spent, exchange.patience(1.0))
            raise Interrupted(FailureKind.TLS, f"TLS handshake failed: {reason}") from None
        exchange.tls = exchange.now() - began
        return Stream(self._wire, made)

    def get_extra_info(self, info: str) -> Any:
        """What httpcore asks: the TLS object, and whether there is something to read."""
        if info == "ssl_object":
            return self._socket if isinstance(self._socket, ssl.SSLSocket) else None
        if info == "is_readable":
            return self._readable()
        return self._socket if info == "socket" else None

    def _readable(self) -> bool:
        """Whether the idle connection has something to say: that can only be its end."""
        try:
            self._socket.settimeout(0)
            return self._socket.recv(1, 0 if isinstance(self._socket, ssl.SSLSocket) else socket.MSG_PEEK) is not None
        except (BlockingIOError, ssl.SSLWantReadError):
            return False
        except OSError:
            return True
