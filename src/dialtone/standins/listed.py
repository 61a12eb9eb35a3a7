"""What a stand-in lists of the time before the start: as many entries as the target's own tables were seeded with."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Listed:
    """Entries of one provider, `prefix` and a number each, spread evenly over `hours`, the first one the newest."""

    prefix: str = ""
    count: int = 0
    hours: float = 24.0
    first: int = 1
    step: int = 1
    digits: int = 0

    def entries(self, began: float, more: int = 0) -> list[tuple[str, float]]:
        """Id and time (s) of each, newest first; `more` are entries that no table knows, half an hour before."""
        numbers = range(self.first, self.first + self.count * self.step, self.step)
        listed = [
            (f"{self.prefix}{number:0{self.digits}}", began - self.hours * 3600 * (place + 1) / self.count)
            for place, number in enumerate(numbers)
        ]
        unknown = [(f"{self.prefix}9{number:06}", began - 1800 - number) for number in range(more)]
        return sorted([*listed, *unknown], key=lambda one: -one[1])


NOTHING = Listed()
