"""A server's certificate: would a browser accept it, for whom is it, and until when?

What people ask of a certificate they ask most of all when it is no good, so one that was refused is looked at once more
without judging it. Revocation is not looked up: browsers do not either, for most certificates.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlsplit

from dialtone.http import Limits, certificate
from dialtone.http.exchange import Exchange, Interrupted
from dialtone.http.network import Resolver, Wire
from dialtone.http.trust import open_context, shared_context


@dataclass(frozen=True, slots=True)
class Certificate:
    """What the handshakes showed. Without any certificate `failure` says why, and the facts are None.

    `valid`: the chain leads to a trusted authority, the name is right and the time is now; `failure` says what of it is
    not so. `days_left` is negative after the end. `subject` and `issuer` are common names, empty where there is none.
    """

    valid: bool
    failure: str | None
    host_matches: bool | None = None
    not_after: datetime | None = None
    days_left: float | None = None
    protocol: str | None = None
    cipher: str | None = None
    subject: str | None = None
    issuer: str | None = None


def inspect(url: str, *, ca_file: str | None = None, timeout: float = 5.0, now: datetime | None = None) -> Certificate:
    """Shake hands with the host of an https URL as a browser would, and once more without verifying if that fails.

    Trusted are the web's authorities and those of `ca_file`. Each handshake, name and connection included, may take
    `timeout` seconds. Never raises for what the network or the peer does.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or 443
    except ValueError:
        host, port = "", 0
    if not host:
        return Certificate(False, "not a URL")
    trusted = shared_context(ca_file)  # before the clock runs: loading authorities takes time
    refusal = None
    try:
        der, protocol, cipher = _shake_hands(trusted, host, port, timeout)
    except Interrupted as wrong:
        refusal = wrong.failure.reason
        try:
            der, protocol, cipher = _shake_hands(open_context(), host, port, timeout)
        except Interrupted:
            return Certificate(False, refusal)
        refusal = refusal.removeprefix("TLS handshake failed: ")
    try:
        facts = certificate.read(der)
    except ValueError:
        return Certificate(False, refusal or "the certificate cannot be read", protocol=protocol, cipher=cipher)
    return Certificate(
        valid=refusal is None,
        failure=refusal,
        host_matches=facts.matches(host),
        not_after=facts.not_after,
        days_left=(facts.not_after - (now or datetime.now(UTC))).total_seconds() / 86_400,
        protocol=protocol,
        cipher=cipher,
        subject=facts.subject,
        issuer=facts.issuer,
    )


def _shake_hands(context: ssl.SSLContext, host: str, port: int, timeout: float) -> tuple[bytes, str | None, str | None]:
    """Certificate (DER), protocol version and cipher of one handshake. Raises Interrupted."""
    wire = Wire(Resolver(), Exchange(Limits(connect=timeout, total=timeout)))
    stream = wire.connect_tcp(host, port)
    try:
        stream = stream.start_tls(context, host)
        secured: ssl.SSLSocket = stream.get_extra_info("ssl_object")
        cipher = secured.cipher()
        return secured.getpeercert(binary_form=True) or b"", secured.version(), cipher[0] if cipher else None
    finally:
        stream.close()
