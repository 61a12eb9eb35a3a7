"""TLS on the client's side: certificates of a throw-away authority chosen by name, and the layer that speaks it.

The layer works on memory, so that a fault can act at any byte of a handshake. Towards the upstream asyncio's own TLS
is used, with real verification.
"""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

_DAY = timedelta(days=1)
_MAX_HOSTS = 1_000


class Authority:
    """A throw-away authority."""

    def __init__(self, ca: Any = None) -> None:
        import trustme

        self._ca = ca or trustme.CA(organization_name="dialtone interceptor, throw-away")
        self._stranger: Any = None
        self._contexts: dict[tuple[str, str | None], ssl.SSLContext] = {}
        self.file: Path | None = None
        """Where its certificate stands, once it was written."""

    @classmethod
    def of(cls, certificate: str, key: str) -> Authority:
        """The one of another process, as that `shared` it."""
        import trustme

        return cls(trustme.CA.from_pem(certificate.encode(), key.encode()))

    def shared(self) -> tuple[str, str]:
        """Certificate and key, for a further process of the same interceptor and over a pipe alone."""
        return self.pem.decode(), self._ca.private_key_pem.bytes().decode()

    def write(self, folder: Path) -> None:
        """Put the certificate into `authority.crt`; the key is never written."""
        folder.mkdir(parents=True, exist_ok=True)
        self.file = folder / "authority.crt"
        self.file.write_bytes(self.pem)

    @property
    def pem(self) -> bytes:
        """What a client has to trust."""
        return bytes(self._ca.cert_pem.bytes())

    def context(self, host: str, wrong: str | None = None) -> ssl.SSLContext:
        """A server's context for a host; `wrong` is `expired`, `wrong-host` or `unknown-authority`."""
        made = self._contexts.get((host, wrong))
        if made is None:
            if len(self._contexts) >= _MAX_HOSTS:
                self._contexts.clear()
            made = self._contexts[host, wrong] = self._issue(host, wrong)
        return made

    def _issue(self, host: str, wrong: str | None) -> ssl.SSLContext:
        import trustme

        now = datetime.now(UTC)
        begin, end = now - _DAY, now + 90 * _DAY
        authority, name = self._ca, host
        if wrong == "expired":
            begin, end = now - 90 * _DAY, now - _DAY
        elif wrong == "wrong-host":
            name = "wrong-host.invalid"
        elif wrong == "unknown-authority":
            self._stranger = authority = self._stranger or trustme.CA(organization_name="nobody trusts this one")
        certificate = authority.issue_cert(name, common_name=name[:64], not_before=begin, not_after=end)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        # HTTP/2 is declined here: what cannot be forwarded verbatim is not agreed to.
        context.set_alpn_protocols(["http/1.1"])
        certificate.configure_cert(context)
        return context


def upstream_context(authority: Path | None = None) -> ssl.SSLContext:
    """A client's context that verifies the upstream: by the system's authorities, or by a given one alone."""
    context = ssl.create_default_context(cafile=str(authority) if authority else None)
    context.set_alpn_protocols(["http/1.1"])
    return context


class Layer:
    """TLS of one connection, on the server's side. Raises ssl.SSLError when the peer does."""

    __slots__ = ("_incoming", "_object", "_outgoing", "_write", "done", "eof")

    def __init__(self, context: ssl.SSLContext, write: Callable[[bytes], None]) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._object = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._write = write
        self.done = False
        """Whether the handshake is over."""
        self.eof = False
        """Whether the peer said that nothing more comes (close_notify)."""

    def feed(self, data: bytes) -> bytes:
        """Bytes from the wire; what they hold in plain, empty while the handshake lasts."""
        self._incoming.write(data)
        if not self.done:
            try:
                self._object.do_handshake()
                self.done = True
            except ssl.SSLWantReadError:
                return b""
            finally:
                self._flush()
        parts: list[bytes] = []
        try:
            while part := self._object.read(65536):
                if len(part) < 16384 and not self._incoming.pending and not parts:
                    # A short record alone: there is nothing more to read, and asking costs an exception.
                    return part
                parts.append(part)
            self.eof = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self.eof = True
        return b"".join(parts)

    def write(self, data: bytes) -> None:
        """Send plain bytes."""
        if data:
            self._object.write(data)
            self._flush()

    def close(self) -> None:
        """Say that nothing more comes."""
        if self.done:
            with contextlib.suppress(ssl.SSLError, ValueError):
                self._object.unwrap()
            self._flush()

    def _flush(self) -> None:
        if self._outgoing.pending:
            self._write(self._outgoing.read())


def client_hello_name(data: bytes) -> tuple[bool, str | None]:
    """Whether a ClientHello is complete in `data`, and the server name in it (RFC 8446 section 4.1.2, RFC 6066).

    Raises ValueError when it is none. One that is spread over several records counts as having no name.
    """
    if len(data) < 5:
        return False, None
    if data[0] != 0x16 or data[1] != 3:
        raise ValueError("no TLS handshake")
    size = int.from_bytes(data[3:5])
    if size > 16_640:
        raise ValueError("a TLS record that is too long")
    if len(data) < 5 + size:
        return False, None
    hello = data[5 : 5 + size]
    if hello[:1] != b"\x01":
        raise ValueError("no ClientHello")
    try:
        return True, _server_name(hello)
    except IndexError:
        return True, None


def _server_name(hello: bytes) -> str | None:
    at = 4 + 2 + 32
    at += 1 + hello[at]  # session id
    at += 2 + int.from_bytes(hello[at : at + 2])  # cipher suites
    at += 1 + hello[at]  # compression methods
    end = at + 2 + int.from_bytes(hello[at : at + 2])
    at += 2
    while at + 4 <= min(end, len(hello)):
        kind, size = int.from_bytes(hello[at : at + 2]), int.from_bytes(hello[at + 2 : at + 4])
        if kind == 0:
            length = int.from_bytes(hello[at + 7 : at + 9])
            return hello[at + 9 : at + 9 + length].decode("ascii", "replace").lower().rstrip(".") or None
        at += 4 + size
    return None
