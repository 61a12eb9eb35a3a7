"""A host that nobody listens at."""

from __future__ import annotations

from dataclasses import dataclass

from dialtone.interceptor.mechanism import Act, Cut, Mechanism, mechanism


@mechanism("refuse")
@dataclass(frozen=True, slots=True)
class Refuse(Mechanism):
    """Closes the host's own listener: connections are refused; on a shared one they are reset."""

    def listener(self) -> str | None:
        """Closed."""
        return "refuse"

    async def connect(self, act: Act) -> None:
        """Who still gets through came by a shared listener."""
        raise Cut("reset")
