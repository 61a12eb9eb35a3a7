"""A host that takes only so many connections."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from dialtone.interceptor.mechanism import Act, Bounds, Cut, Mechanism, mechanism


@mechanism("connection-limit")
@dataclass(frozen=True, slots=True)
class ConnectionLimit(Mechanism):
    """Closes every connection above so many that are open to the host."""

    most: Annotated[int, Bounds(0, 100_000)] = 10

    one_process = True

    async def connect(self, act: Act) -> None:
        """Count."""
        if act.open_connections > self.most:
            raise Cut("close")
