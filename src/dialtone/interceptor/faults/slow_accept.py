"""A connection that takes long to come about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from dialtone.interceptor.mechanism import Act, Bounds, Mechanism, mechanism


@mechanism("slow-accept")
@dataclass(frozen=True, slots=True)
class SlowAccept(Mechanism):
    """Waits before the first byte of a new connection, its TLS handshake included; kept connections feel nothing."""

    seconds: Annotated[float, Bounds(0, 300)] = 1.0

    async def connect(self, act: Act) -> None:
        """Wait."""
        await act.pause(self.seconds)
