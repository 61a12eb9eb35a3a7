"""Whom the prober trusts, and what a failed handshake means in words."""

from __future__ import annotations

import functools
import socket
import ssl
from datetime import UTC, datetime
from typing import Any

import certifi

from dialtone.http import certificate

# Numbers of X509_verify_cert_error (openssl/x509_vfy.h).
_NOT_YET_VALID, _EXPIRED = 9, 10
_MEANING = {
    18: "the certificate is self-signed",
    19: "the chain ends at an authority that is not trusted",
    20: "the certificate is of an unknown authority, or an intermediate one is missing",
    21: "the certificate is of an unknown authority, or an intermediate one is missing",
    23: "the certificate was revoked",
    24: "an authority of the chain must not issue certificates",
    26: "the certificate is not for servers",
}
_OTHER_HOST = {62, 63, 64}  # host name, e-mail, address


@functools.lru_cache(maxsize=8)
def shared_context(ca_file: str | None = None) -> ssl.SSLContext:
    """The context of every connection that trusts what browsers trust (certifi), and the authorities of `ca_file`.

    Loading the authorities of the web takes 35 ms of CPU, so there is one context of a kind in a process. Raises
    OSError when the file cannot be read, ssl.SSLError when it holds no certificate.
    """
    context = ssl.create_default_context(cafile=certifi.where())
    if ca_file:
        context.load_verify_locations(ca_file)
    return context


@functools.lru_cache(maxsize=1)
def open_context() -> ssl.SSLContext:
    """A context that accepts any certificate, for looking at it; nothing is ever asked over such a connection."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def peek(address: tuple[Any, ...], host: str, timeout: float) -> bytes:
    """The certificate that is shown at an address to who asks for `host`, in DER. Raises OSError."""
    with (
        socket.create_connection(address[:2], max(timeout, 0.001)) as plain,
        open_context().wrap_socket(plain, server_hostname=host) as secured,
    ):
        return secured.getpeercert(binary_form=True) or b""


def explain(
    wrong: BaseException, host: str, address: tuple[Any, ...] | None, spent: float = 0.0, patience: float = 1.0
) -> str:
    """Why a handshake failed, as half a sentence. Asks the peer again for a certificate's date, within `patience`."""
    if isinstance(wrong, ssl.SSLCertVerificationError):
        code = wrong.verify_code
        if code in (_EXPIRED, _NOT_YET_VALID):
            return _dated(code, host, address, patience)
        if code in _OTHER_HOST:
            return f"the certificate is not for {host}"
        return _MEANING.get(code, f"the certificate is not trusted (OpenSSL's number {code})")
    if isinstance(wrong, TimeoutError):
        return f"it did not finish within {spent:.1f} s"
    if isinstance(wrong, ssl.SSLError):
        return spoken(wrong)
    if isinstance(wrong, ConnectionError):
        return "the peer cut the connection"
    return "it broke off"


def spoken(wrong: ssl.SSLError) -> str:
    """OpenSSL's reason, which is one of its own fixed names, as words."""
    if isinstance(wrong, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return "the peer cut the connection"
    reason = str(wrong.reason or "").lower().replace("_", " ")
    if reason in ("wrong version number", "http request", "packet length too long", "record layer failure"):
        return "the peer does not speak TLS"
    if "alert" in reason:
        return f"the peer refused: {reason.partition('alert ')[2]}"
    return reason or "broken TLS"


def _dated(code: int, host: str, address: tuple[Any, ...] | None, patience: float) -> str:
    """The words for a certificate whose time is not now. Somebody who has to renew it asks first since when."""
    words = "certificate expired" if code == _EXPIRED else "certificate is not valid yet"
    if address is None or patience <= 0:
        return words
    try:
        facts = certificate.read(peek(address, host, patience))
    except (OSError, ValueError):
        return words
    if code == _EXPIRED:
        if facts.not_after > datetime.now(UTC):  # then it is not this one
            return "an authority of the certificate's chain expired"
        return f"{words} on {facts.not_after:%Y-%m-%d}"
    return f"{words}, but from {facts.not_before:%Y-%m-%d}"
