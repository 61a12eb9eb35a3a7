"""A name that does not resolve, as the client behind a proxy sees it."""

from __future__ import annotations

from dataclasses import dataclass

from dialtone.interceptor.mechanism import Act, Mechanism, Refused, mechanism


@mechanism("dns-failure")
@dataclass(frozen=True, slots=True)
class DnsFailure(Mechanism):
    """Answers CONNECT with 502 and the words of a resolver; a client that found its own address sees a reset."""

    async def connect(self, act: Act) -> None:
        """Before the tunnel stands."""
        raise Refused(502, f"Name or service not known: {act.host}")
