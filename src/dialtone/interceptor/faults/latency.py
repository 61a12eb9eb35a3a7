"""An answer that takes longer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from dialtone.interceptor.mechanism import Act, Bounds, Mechanism, Pieces, mechanism

Seconds = Annotated[float, Bounds(0, 300)]


@mechanism("latency")
@dataclass(frozen=True, slots=True)
class Latency(Mechanism):
    """Waits before the answer's first byte; the upstream has had the request by then."""

    seconds: Seconds = 0.2
    """The median wait."""
    jitter: Seconds = 0.0
    """uniform: up to so much more or less; normal: standard deviation; ignored by the long-tailed ones."""
    distribution: Literal["uniform", "normal", "exponential", "pareto"] = "uniform"
    """exponential has `seconds` as its mean; pareto (shape 2) as its least: one in a hundred waits ten times that."""

    async def answer(self, act: Act, pieces: Pieces) -> Pieces:
        """Hold the first piece."""
        wait = self.draw(act)
        first = True
        async for piece in pieces:
            if first:
                first = False
                await act.pause(wait, act.answered)  # not since its turn came: with many at once that is late
            yield piece

    def draw(self, act: Act) -> float:
        """One wait in seconds."""
        if self.distribution == "exponential":
            return min(300.0, act.random.expovariate(1 / self.seconds)) if self.seconds else 0.0
        if self.distribution == "pareto":
            return min(300.0, self.seconds * act.random.paretovariate(2))
        if not self.jitter:
            return self.seconds
        spread = (
            act.random.gauss(0, self.jitter)
            if self.distribution == "normal"
            else act.random.uniform(-self.jitter, self.jitter)
        )
        return max(0.0, self.seconds + spread)
