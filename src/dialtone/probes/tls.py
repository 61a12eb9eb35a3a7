"""A server's certificate: is it valid for a browser, and until when?

The expiry has to be known even when the chain is not valid. The standard library parses a certificate only after
verifying it, so it is read from the DER form here: `validity` of RFC 5280 section 4.1, two times in a fixed place.
"""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlsplit

from dialtone.http import shared_context, tls_reason


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
        reason = tls_reason(error) if isinstance(error, ssl.SSLError | ssl.CertificateError) else _reason(error)
        try:
            der, protocol, cipher = _handshake(_trusting(), host, port, timeout)
        except (OSError, ssl.SSLError):
            return Certificate(False, reason, None, None)
    try:
        not_after = expiry(der)
    except ValueError as wrong:
        return Certificate(False, reason or str(wrong), None, None, protocol, cipher)
    days = (not_after - now).total_seconds() / 86_400
    return Certificate(reason is None, reason, not_after, days, protocol, cipher)


def _reason(error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return "the TLS handshake was never finished"
    if isinstance(error, socket.gaierror):
        return "the name does not resolve"
    return f"no connection ({type(error).__name__})"


def _trusting() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # only to read the date of a certificate that was refused before
    return context


def _handshake(context: ssl.SSLContext, host: str, port: int, timeout: float) -> tuple[bytes, str | None, str | None]:
    with (
        socket.create_connection((host, port), timeout) as plain,
        context.wrap_socket(plain, server_hostname=host) as secured,
    ):
        cipher = secured.cipher()
        return secured.getpeercert(True) or b"", secured.version(), cipher[0] if cipher else None


def expiry(der: bytes) -> datetime:
    """`notAfter` of a certificate in DER form; raises ValueError for anything else."""
    try:
        certificate = _inside(der, 0)
        fields = _children(certificate, *_span(certificate, 0)[:2])
        # version is optional ([0]); then serialNumber, signature, issuer, validity
        validity = fields[4 if fields[0][0] == 0xA0 else 3]
        tag, start, end = _children(certificate, validity[1], validity[2])[1]
        text = certificate[start:end].decode("ascii")
    except (IndexError, UnicodeDecodeError):
        raise ValueError("the certificate cannot be read") from None
    if tag == 0x17:  # UTCTime: two digits of the year, 50 to 99 are of the last century
        text = ("19" if text[:2] >= "50" else "20") + text
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)


def _span(data: bytes, at: int) -> tuple[int, int, int]:
    """Start and end of the content of the element at `at`, and its tag."""
    length, start = data[at + 1], at + 2
    if length & 0x80:
        count = length & 0x7F
        length, start = int.from_bytes(data[start : start + count]), start + count
    return start, start + length, data[at]


def _inside(data: bytes, at: int) -> bytes:
    start, end, _ = _span(data, at)
    return data[start:end]


def _children(data: bytes, start: int, end: int) -> list[tuple[int, int, int]]:
    found, at = [], start
    while at < end:
        inner, after, tag = _span(data, at)
        found.append((tag, inner, after))
        at = after
    return found
