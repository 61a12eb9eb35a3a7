"""Counting requests: in memory, and in Redis with memory to fall back on."""

from __future__ import annotations

import asyncio
from typing import Any

from dialtone_receptionist.limits import WINDOW, Count, MemoryCounter, SharedCounter
from dialtone_receptionist.providers.upstash import UpstashError


class Clock:
    """Time that passes when told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """The time in seconds."""
        return self.now


class Redis:
    """Counts like Redis, or fails with `error`."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.calls = 0
        self.counts: dict[str, int] = {}

    async def pipeline(self, *commands: Any) -> list[object]:
        """The three commands of a counter."""
        self.calls += 1
        if self.error:
            raise self.error
        assert [command[0] for command in commands] == ["SET", "INCR", "PTTL"]
        assert commands[0][2:] == (0, "EX", WINDOW, "NX")
        key = commands[1][1]
        self.counts[key] = self.counts.get(key, 0) + 1
        return ["OK", self.counts[key], 890_000]


def test_a_window_begins_with_the_first_request_and_ends() -> None:
    """Counts go up to the end of the window and begin anew after it; keys are apart."""
    clock = Clock()
    counter = MemoryCounter(clock)
    assert [counter.hit("a").used for _ in range(3)] == [1, 2, 3]
    assert counter.hit("b") == Count(1, 1000.0 + WINDOW)
    clock.now += WINDOW - 0.1
    assert counter.hit("a") == Count(4, 1000.0 + WINDOW)
    clock.now += 0.2
    assert counter.hit("a").used == 1


def test_memory_is_bounded() -> None:
    """A flood of addresses costs bounded memory."""
    counter = MemoryCounter(Clock())
    for number in range(20_500):
        counter.hit(str(number))
    assert len(counter._windows) <= 20_000


def test_instances_share_their_counts() -> None:
    """Two counters over one Redis count together."""

    async def run() -> None:
        redis, clock = Redis(), Clock()
        one, two = (SharedCounter(redis, lambda _: None, clock) for _ in range(2))  # type: ignore[arg-type]
        assert [(await c.hit("k")).used for c in (one, two, one, two)] == [1, 2, 3, 4]
        assert (await one.hit("k")).resets_at == 1000.0 + 890

    asyncio.run(run())


def test_redis_away_means_memory_and_one_report() -> None:
    """While Redis is away each instance counts for itself, asks again every 5 s, and reports each outage once."""

    async def run() -> None:
        redis, clock, reports = Redis(), Clock(), list[Exception | None]()
        counter = SharedCounter(redis, reports.append, clock)  # type: ignore[arg-type]
        redis.error = UpstashError("away")
        assert [(await counter.hit("k")).used for _ in range(3)] == [1, 2, 3]
        assert (redis.calls, len(reports)) == (1, 1)
        clock.now += 6
        await counter.hit("k")
        assert (redis.calls, len(reports)) == (2, 1)
        redis.error = None
        clock.now += 6
        assert (await counter.hit("k")).used == 1
        assert reports[1:] == [None]
        redis.error = UpstashError("away again")
        await counter.hit("k")
        assert len(reports) == 3

    asyncio.run(run())


def test_without_redis_memory_counts() -> None:
    """No address for Redis: no report for each request."""

    async def run() -> None:
        counter = SharedCounter(None, lambda _: None, Clock())
        assert [(await counter.hit("k")).used for _ in range(2)] == [1, 2]

    asyncio.run(run())
