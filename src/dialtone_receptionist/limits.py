"""Limits of requests per client: counted in Redis for all instances, in memory while Redis is away."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from dialtone_receptionist.defects import on
from dialtone_receptionist.providers.upstash import Upstash, UpstashError

WINDOW = 15 * 60
"""Length of every window in seconds; it begins with a client's first request."""

_RETRY_REDIS_AFTER = 2.0  # seconds in memory after a failure, so that not every request waits for a dead Redis
_MOST_KEYS = 20_000


@dataclass(frozen=True, slots=True)
class Count:
    """How many requests were counted in the running window, this one included, and when it ends (Unix seconds)."""

    used: int
    resets_at: float


class MemoryCounter:
    """Counts in this process only."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._windows: dict[str, Count] = {}

    def hit(self, key: str) -> Count:
        """Count one request for `key`."""
        now = self._clock()
        count = self._windows.get(key)
        if count is None or count.resets_at <= now:
            if len(self._windows) >= _MOST_KEYS:
                self._windows = {k: c for k, c in self._windows.items() if c.resets_at > now}
            if len(self._windows) >= _MOST_KEYS:
                self._windows.clear()  # bounded memory is worth more than a count under such a flood
            count = Count(0, now + WINDOW)
        count = self._windows[key] = Count(count.used + 1, count.resets_at)
        return count


class SharedCounter:
    """Counts in Redis, shared by all instances; in memory for a while after each failure of Redis.

    `report` is called once for each outage, with its reason, and with None when it is over.
    """

    def __init__(
        self,
        redis: Upstash | None,
        report: Callable[[Exception | None], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._redis = redis
        self._report = report
        self._clock = clock
        self._memory = MemoryCounter(clock)
        self._away_until = 0.0
        self._is_away = False

    async def hit(self, key: str) -> Count:
        """Count one request for `key`; never raises."""
        now = self._clock()
        if self._redis is None or now < self._away_until:
            return self._without(key)
        try:
            # SET … NX opens the window with its end, so that no later request can move it or find it without one.
            _, used, left = await self._redis.pipeline(
                ("SET", key, 0, "EX", WINDOW, "NX"), ("INCR", key), ("PTTL", key)
            )
        except UpstashError as error:
            self._away_until = now + _RETRY_REDIS_AFTER
            if not self._is_away:
                self._is_away = True
                self._report(error)
            return self._without(key)
        if self._is_away:
            self._is_away = False
            self._report(None)
        if not isinstance(used, int) or not isinstance(left, int):
            return self._memory.hit(key)
        return Count(used, now + left / 1000)

    def _without(self, key: str) -> Count:
        """Count one request while Redis is away."""
        if on("ratelimit-fails-closed"):
            return Count(1_000_000, self._clock() + WINDOW)
        if on("ratelimit-fails-open"):
            return Count(0, self._clock() + WINDOW)
        return self._memory.hit(key)
