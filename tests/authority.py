"""A throw-away authority for TLS, with certificates that are good and certificates that are not."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import trustme


@dataclass
class Authority:
    """A throw-away authority and contexts with certificates of it, good ones and others."""

    ca: trustme.CA = field(default_factory=trustme.CA)

    def good(self, *names: str, days: float = 90) -> ssl.SSLContext:
        """A certificate for these names (127.0.0.1 and localhost), valid for so many days more."""
        now = datetime.now(UTC)
        return self._context(names, now - timedelta(days=90), now + timedelta(days=days))

    def expired(self) -> ssl.SSLContext:
        """A certificate that was valid until 2026-01-02."""
        return self._context((), datetime(2025, 1, 2, tzinfo=UTC), datetime(2026, 1, 2, 12, tzinfo=UTC))

    def future(self) -> ssl.SSLContext:
        """A certificate that is valid from 2120-01-02."""
        return self._context((), datetime(2120, 1, 2, tzinfo=UTC), datetime(2121, 1, 2, tzinfo=UTC))

    def self_signed(self) -> ssl.SSLContext:
        """A certificate that nobody but itself vouches for."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with self.ca.cert_pem.tempfile() as cert, self.ca.private_key_pem.tempfile() as key:
            context.load_cert_chain(cert, key)
        return context

    def trusting(self) -> ssl.SSLContext:
        """A client's context that trusts this authority."""
        context = ssl.create_default_context()
        self.ca.configure_trust(context)
        return context

    def _context(self, names: tuple[str, ...], not_before: datetime, not_after: datetime) -> ssl.SSLContext:
        names = names or ("127.0.0.1", "localhost")
        cert = self.ca.issue_cert(*names, common_name=names[0], not_before=not_before, not_after=not_after)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        cert.configure_cert(context)
        return context
