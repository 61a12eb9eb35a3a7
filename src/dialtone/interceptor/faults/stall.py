"""A connection that stands, and then nothing."""

from __future__ import annotations

from dataclasses import dataclass

from dialtone.interceptor.mechanism import Act, Mechanism, mechanism


@mechanism("stall")
@dataclass(frozen=True, slots=True)
class Stall(Mechanism):
    """Accepts and never says a byte: a TLS client waits in its handshake, a plain one for its answer."""

    async def connect(self, act: Act) -> None:
        """Wait for the end."""
        await act.hold()
