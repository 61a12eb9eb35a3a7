"""A request that is never answered."""

from __future__ import annotations

from dataclasses import dataclass

from dialtone.interceptor.mechanism import Act, Mechanism, mechanism


@mechanism("hang")
@dataclass(frozen=True, slots=True)
class Hang(Mechanism):
    """Takes the request and says nothing until the fault ends; the upstream hears nothing of it."""

    async def request(self, act: Act) -> bytes | None:
        """Wait for the end."""
        await act.hold()
        return None
