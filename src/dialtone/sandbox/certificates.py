"""Certificates of a throw-away authority: a good one, one about to expire, one for another host."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from dialtone.sandbox.folder import write_private


@dataclass(frozen=True, slots=True)
class Leaf:
    """Files of one certificate (with its chain) and its key."""

    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class Certificates:
    """The files in `folder`; they exist after `issue`, their names are known before."""

    folder: Path

    @property
    def authority(self) -> Path:
        """What a client has to trust."""
        return self.folder / "authority.crt"

    @property
    def good(self) -> Leaf:
        """For localhost and 127.0.0.1."""
        return self._leaf("good")

    @property
    def expiring(self) -> Leaf:
        """The same with few days left."""
        return self._leaf("expiring")

    @property
    def wrong_host(self) -> Leaf:
        """For a host that the sandbox is not."""
        return self._leaf("wrong-host")

    def _leaf(self, name: str) -> Leaf:
        return Leaf(self.folder / f"{name}.crt", self.folder / f"{name}.key")

    def issue(self, days_left: float = 2.0) -> None:
        """Write all files; the expiring certificate has `days_left` days left."""
        import trustme

        authority = trustme.CA()
        expiry = datetime.now(UTC) + timedelta(days=days_left)
        leaves = (
            (self.good, authority.issue_cert("localhost", "127.0.0.1")),
            (self.expiring, authority.issue_cert("localhost", "127.0.0.1", not_after=expiry)),
            (self.wrong_host, authority.issue_cert("elsewhere.invalid")),
        )
        for files, issued in leaves:
            write_private(files.certificate, b"".join(part.bytes() for part in issued.cert_chain_pems))
            write_private(files.key, issued.private_key_pem.bytes())
        write_private(self.authority, authority.cert_pem.bytes())
