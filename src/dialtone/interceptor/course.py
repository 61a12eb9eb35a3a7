"""How a fault's share moves over time: a brown-out that grows, an outage that flaps, a slow recovery."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from dialtone.interceptor.mechanism import Bounds

Seconds = Annotated[float, Bounds(0.01, 4 * 3600)]


@dataclass(frozen=True, slots=True)
class Course:
    """`grow` from nothing to the whole share, `recover` from the whole share to nothing, `flap` between both."""

    kind: Literal["grow", "recover", "flap"]
    over: Seconds | None = None
    """grow, recover: seconds that it takes."""
    period: Seconds | None = None
    """flap: seconds of one on and off."""
    duty: Annotated[float, Bounds(0.01, 0.99)] = 0.5
    """flap: the part of a period that it is on, at its beginning."""

    def factor(self, age: float) -> float:
        """What the share is multiplied with, `age` seconds after the fault began."""
        if self.kind == "flap":
            period = self.period or 1.0
            return 1.0 if age % period < self.duty * period else 0.0
        done = min(1.0, age / (self.over or 1.0))
        return done if self.kind == "grow" else 1.0 - done

    def problems(self) -> list[str]:
        """What is missing for its kind."""
        wanted = "period" if self.kind == "flap" else "over"
        return [] if getattr(self, wanted) is not None else [f"course.{wanted}: is needed for {self.kind}"]
