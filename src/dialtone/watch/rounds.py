"""When rounds run: at the start and every so many seconds after it, by the monotonic clock, however long each takes.

Each moment is counted from the start, never from the last round, so that nothing drifts. A round that is not over when
the next one is due makes that one a missed round: it is not made up for, and the next runs at its own moment.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Round:
    """One moment of the plan, in seconds after the start. `started`, `ended` and `code` are None for a missed round."""

    number: int
    due: float
    started: float | None = None
    ended: float | None = None
    code: int | None = None

    @property
    def missed(self) -> bool:
        """It was due while another one was still running."""
        return self.started is None

    @property
    def late(self) -> float:
        """Seconds from its moment to its beginning; 0 for a missed round."""
        return 0.0 if self.started is None else self.started - self.due


def rounds(
    every: float,
    total: float,
    run: Callable[[Round], int],
    *,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
) -> Iterator[Round]:
    """Run rounds until `total` seconds are over (`inf` for ever); yields each, missed ones too, in their order.

    `run` gets a round with its moment and returns an exit code. A moment at which the round before is just over counts
    as in time. Raises ValueError for an interval or a time that is not positive.
    """
    if every <= 0 or total <= 0:
        raise ValueError(f"rounds need an interval and a time: every {every} s for {total} s")
    start, number = clock(), 0
    while number * every < total:
        due = number * every
        while (left := due - (clock() - start)) > 0:
            sleep(left)
        began = clock() - start
        code = run(Round(number, due, began))
        ended = clock() - start
        yield Round(number, due, began, ended, code)
        following = max(number + 1, math.ceil(round(ended / every, 9)))
        for missed in range(number + 1, following):
            if missed * every < total:
                yield Round(missed, missed * every)
        number = following
