"""What the stand-ins share: a clock, and state that cannot grow without bound."""

from __future__ import annotations

import time as system
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Clock:
    """Both clocks of the process: `time` for what is shown (unix seconds), `monotonic` for what expires."""

    time: Callable[[], float] = system.time
    monotonic: Callable[[], float] = system.monotonic


class Bounded(Generic[Value]):
    """A mapping from text to values that forgets its oldest entry when it is full."""

    def __init__(self, limit: int = 10_000) -> None:
        self._limit = limit
        self._entries: OrderedDict[str, Value] = OrderedDict()

    def __setitem__(self, key: str, value: Value) -> None:
        self._entries[key] = value
        while len(self._entries) > self._limit:
            self._entries.popitem(last=False)

    def __contains__(self, key: str) -> bool:
        return key in self._entries

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: str) -> Value | None:
        """The value, or None when it is unknown or forgotten."""
        return self._entries.get(key)

    def pop(self, key: str) -> Value | None:
        """Remove and return the value, or None."""
        return self._entries.pop(key, None)

    def newest_first(self) -> list[Value]:
        """All values, the one entered last first."""
        return list(reversed(self._entries.values()))
