"""A name that does not resolve, as each client sees it."""

from __future__ import annotations

from dataclasses import dataclass

from dialtone.interceptor.mechanism import Act, Mechanism, Refused, mechanism


@mechanism("dns-failure")
@dataclass(frozen=True, slots=True)
class DnsFailure(Mechanism):
    """By a proxy 502 with a resolver's words, by the preload ENOTFOUND; who has found an address is reset."""

    def unresolved(self) -> bool:
        """The preload asks before it connects."""
        return True

    async def connect(self, act: Act) -> None:
        """Before the tunnel stands."""
        raise Refused(502, f"Name or service not known: {act.host}")
