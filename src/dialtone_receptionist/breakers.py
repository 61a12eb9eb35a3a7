"""Circuit breakers: a provider that keeps failing is not asked for a while, so that nobody waits for it.

Closed until so many calls in a row have failed; then open for some seconds, in which calls fail at once; then one call
is let through, and its outcome closes the breaker or opens it again (M. Nygard, "Release It!", 2nd ed., section 5).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from dialtone_receptionist.defects import on, turn

_DATABASE = "postgres"  # the defects here are about providers: another file, another hand

Told = Callable[[str, str], None]
"""Is told a provider's name and why it is not asked any more; with an empty reason, that it answers again."""


class Breaker:
    """The breaker of one provider in this process. `failures` in a row open it for `seconds`."""

    def __init__(
        self, name: str, failures: int, seconds: float, told: Told, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.name = name
        self._most, self._seconds, self._told, self._clock = failures, seconds, told, clock
        self._failures = 0
        self._open_until: float | None = None
        self._is_trying = False
        self._opened_in = 0

    @property
    def is_open(self) -> bool:
        """Whether the provider is taken for down."""
        return self._open_until is not None

    def admits(self) -> bool:
        """Whether a call may go out now. One that may has to end in `succeeded`, `failed` or `gave_up`."""
        if self._open_until is not None and self._opened_in != turn():
            self._failures, self._open_until, self._is_trying = 0, None, False  # switched anew: nobody is told
        if self._open_until is None:
            return True
        if self._is_trying or self._clock() < self._open_until or self._stays_open():
            return False
        self._is_trying = True
        return True

    def succeeded(self) -> None:
        """The provider answered."""
        was_open, self._open_until = self.is_open, None
        self._failures, self._is_trying = 0, False
        if was_open:
            self._told(self.name, "")

    def failed(self, why: str) -> None:
        """It did not, or with an error of its own."""
        self._failures += 1
        self._is_trying = False
        if self._failures < self._most or (on("breaker-never-opens") and self.name != _DATABASE):
            return
        was_open, self._open_until = self.is_open, self._clock() + self._seconds
        self._opened_in = self._opened_in if was_open else turn()
        if not was_open:
            self._told(self.name, why)

    def _stays_open(self) -> bool:
        """The defect breaker-never-closes."""
        return on("breaker-never-closes") and self.name != _DATABASE

    def gave_up(self) -> None:
        """The call was cancelled: nothing is known."""
        self._is_trying = False


def _nobody(_name: str, _why: str) -> None:
    return


@dataclass(slots=True)
class Breakers:
    """How breakers are made in this process. `told` is set by whoever tells people, after the first are made."""

    failures: int = 5
    seconds: float = 5.0
    told: Told = _nobody

    def make(self, name: str, failures: int | None = None, seconds: float | None = None) -> Breaker:
        """A breaker that tells through `told` as it is then."""
        return Breaker(name, failures or self.failures, seconds or self.seconds, self._tell)

    def _tell(self, name: str, why: str) -> None:
        self.told(name, why)
