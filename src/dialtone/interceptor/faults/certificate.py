"""A certificate that a client must not accept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dialtone.interceptor.mechanism import Mechanism, mechanism


@mechanism("certificate")
@dataclass(frozen=True, slots=True)
class Certificate(Mechanism):
    """Shows a certificate that ended yesterday, names another host, or comes from an authority that nobody trusts."""

    wrong: Literal["expired", "wrong-host", "unknown-authority"] = "expired"

    def certificate(self) -> str | None:
        """Which one."""
        return self.wrong
