"""A server's certificate: is it valid for a browser, and until when?

The expiry has to be known even when the chain is not valid, so a refused certificate is looked at once more.
"""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlsplit

from dialtone.http import certificate
from dialtone.http.trust import explain, open_context, shared_context


@dataclass(frozen=True, slots=True)
class Certificate:
    """What a handshake showed. `days_left` is None when no certificate could be had at all."""

    valid: bool
    failure: str | None
    not_after: datetime | None
    days_left: float | None
    protocol: str | None = None
    cipher: str | None = None


def inspect(url: str, *, ca_file: str | None = None, timeout: float = 5.0, now: datetime | None = None) -> Certificate:
    """Shake hands as a browser would, and once more without verifying if that fails. Never raises for the peer."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or 443
    now = now or datetime.now(UTC)
    reason, protocol, cipher = None, None, None
    try:
        der, protocol, cipher = _handshake(shared_context(ca_file), host, port, timeout)
    except (OSError, ssl.SSLError, ssl.CertificateError) as error:
        reason = _reason(error, host, port, timeout)
        try:
            der, protocol, cipher = _handshake(open_context(), host, port, timeout)
        except (OSError, ssl.SSLError):
            return Certificate(False, reason, None, None)
    try:
        not_after = certificate.read(der).not_after
    except ValueError as wrong:
        return Certificate(False, reason or str(wrong), None, None, protocol, cipher)
    days = (not_after - now).total_seconds() / 86_400
    return Certificate(reason is None, reason, not_after, days, protocol, cipher)


def _reason(error: OSError, host: str, port: int, timeout: float) -> str:
    if isinstance(error, socket.gaierror):
        return "the name does not resolve"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    return explain(error, host, (host, port), timeout, timeout)


def _handshake(context: ssl.SSLContext, host: str, port: int, timeout: float) -> tuple[bytes, str | None, str | None]:
    with (
        socket.create_connection((host, port), timeout) as plain,
        context.wrap_socket(plain, server_hostname=host) as secured,
    ):
        cipher = secured.cipher()
        return secured.getpeercert(True) or b"", secured.version(), cipher[0] if cipher else None
