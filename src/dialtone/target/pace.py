"""How often the checks run, and from where: what a profile says of rounds, intervals and places."""

from __future__ import annotations

import math
from fnmatch import fnmatchcase

from pydantic import Field, model_validator

from dialtone.target.duration import Duration
from dialtone.target.parts import Part, Text


class Schedule(Part):
    """`[schedule]`: how often a round of checks runs; reads of providers are summed over a month of such rounds.

    `checks`, `least` and `limit` are for the resident watch, which looks at each check by itself.
    """

    every: Duration
    checks: dict[str, Duration] = Field(default={}, description="id, or pattern of ids -> an interval of its own")
    least: Duration = Field(
        default=900.0, description="between two looks of a check that does more than read; none on a sandbox"
    )
    limit: Duration = Field(default=120.0, gt=0, description="after this long a check is ended, and broken")

    @model_validator(mode="after")
    def _intervals(self) -> Schedule:
        if min([self.every, *self.checks.values()]) < 1:
            raise ValueError("an interval is a second at least")
        return self

    def of(self, check: str, declared: float | None = None) -> float:
        """Seconds between two looks at a check: as the profile says by its id, its function or a pattern, else as the
        check declares, else `every`."""
        plain = check.partition("[")[0]
        for name in (check, plain):
            if name in self.checks:
                return self.checks[name]
        fitting = (v for k, v in self.checks.items() if fnmatchcase(check, k.replace("[", "[[]")))
        return next(fitting, declared or self.every)

    @property
    def rounds_a_month(self) -> int:
        """Rounds in 30 days."""
        return math.ceil(30 * 86_400 / self.every)


class Quorum(Part):
    """`[quorum]`: places that look at the target, and how many have to see something bad before anybody is told."""

    places: list[Text] = Field(min_length=2, description="their names, as DIALTONE_PLACE tells them")
    agree: int = Field(default=2, ge=1)

    @model_validator(mode="after")
    def _possible(self) -> Quorum:
        if len(set(self.places)) != len(self.places) or self.agree > len(self.places):
            raise ValueError("each place once, and no more have to agree than there are")
        return self
