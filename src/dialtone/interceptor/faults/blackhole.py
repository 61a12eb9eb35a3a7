"""A host that swallows every packet."""

from __future__ import annotations

from dataclasses import dataclass

from dialtone.interceptor.mechanism import Act, Mechanism, mechanism


@mechanism("blackhole")
@dataclass(frozen=True, slots=True)
class Blackhole(Mechanism):
    """The host's own listener accepts nobody: connects run into their time-out. On a shared one nothing is said."""

    def listener(self) -> str | None:
        """Full."""
        return "blackhole"

    async def connect(self, act: Act) -> None:
        """Who still gets through came by a shared listener."""
        await act.hold()
