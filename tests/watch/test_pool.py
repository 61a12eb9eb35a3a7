"""Sessions are copied when there is no other way, live while there is work, and none waits behind what hangs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest

from dialtone.watch import pool as pools
from dialtone.watch.pool import Pool, Slice
from dialtone.watch.processes import Gone
from dialtone.watch.schedule import Check, Look

NOBODY = 2**30
"""The number of no process: larger than the kernel gives."""


class Talk:
    """A session without a process: it looks when it is let, and ends when it is asked to."""

    def __init__(self, warm: Warm) -> None:
        self._warm, self._answers = warm, asyncio.Queue[dict[str, Any] | None]()
        self._answers.put_nowait({"hello": NOBODY})

    def send(self, told: dict[str, Any]) -> None:
        """What it is asked."""
        if "end" in told:
            self._answers.put_nowait({"end": True})
        elif told["look"] in self._warm.held:
            self._warm.held[told["look"]].append(self._answers)
        else:
            self._answers.put_nowait({"entry": {"verdict": "ok"}})

    async def hear(self) -> dict[str, Any]:
        """What it says. Raises Gone."""
        found = await self._answers.get()
        if found is None:
            raise Gone("closed")
        return found

    def close(self) -> None:
        """Hang up."""


class Warm:
    """Copies without processes. Looks at checks in `held` last until they are let go."""

    def __init__(self) -> None:
        self.child = SimpleNamespace(alive=True)
        self.catalogue: dict[str, Any] = {"checks": []}
        self.held: dict[str, list[asyncio.Queue[dict[str, Any] | None]]] = {}

    async def copy(self) -> Talk:
        """Another one."""
        return Talk(self)

    def let_go(self, name: str) -> None:
        """The looks at a check are over."""
        for answers in self.held.pop(name):
            answers.put_nowait({"entry": {"verdict": "ok"}})


class Scene:
    """A pool, and what it told."""

    def __init__(self, size: int = 4) -> None:
        self.warm, self.looked, self.slices = Warm(), list[str](), list[Slice]()
        self.pool = Pool(
            self.warm,  # type: ignore[arg-type]
            size,
            told=self.slices.append,
            looked=lambda look, *_: self.looked.append(look.check.id),
            wall=lambda: 0.0,
        )

    def due(self, *names: str, waited: float = 0.0) -> None:
        """Looks whose moment came so many seconds ago."""
        now = asyncio.get_running_loop().time() - waited
        self.pool.add([Look("P2", now, Check(n, n, "P2", 60.0, 120.0), now) for n in names])

    async def until(self, what: Callable[[], object]) -> None:
        """Let the loop go round until it is so."""
        async with asyncio.timeout(60):
            while not what():  # noqa: ASYNC110 - there is no event for what is looked at
                await asyncio.sleep(0)

    async def busy(self, count: int) -> None:
        """So many sessions, all at work at one check."""
        self.warm.held["held"] = []
        for number in range(count):
            self.due("held", waited=1000.0)
            await self.until(lambda number=number: len(self.warm.held["held"]) == number + 1)


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine makes nobody impatient: what a test is about is set by that test."""
    for name in ("LINGER", "PATIENCE", "AGE"):
        monkeypatch.setattr(pools, name, 600.0)


def played(scene: Callable[[Scene], Awaitable[None]], size: int = 4) -> None:
    """Play it, and end what is left."""

    async def play() -> None:
        made = Scene(size)
        await scene(made)
        await made.pool.close(0.5)

    asyncio.run(play())


def test_a_look_ends_no_session_that_has_none() -> None:
    """Four sessions without work; look after look, one at a time, costs no other copy."""

    async def scene(on: Scene) -> None:
        await on.busy(4)
        on.warm.let_go("held")
        await on.until(lambda: len(on.looked) == 4)
        for number in range(20):
            on.due(f"n{number}")
            await on.until(lambda number=number: f"n{number}" in on.looked)
        assert (on.pool.forks, on.slices) == (4, [])

    played(scene)


def test_who_is_nearly_done_is_waited_for() -> None:
    """A look that comes while the only session is at work is that session's next one."""

    async def scene(on: Scene) -> None:
        await on.busy(1)
        on.due("next")
        await asyncio.sleep(0)
        on.warm.let_go("held")
        await on.until(lambda: "next" in on.looked)
        assert on.pool.forks == 1

    played(scene)


def test_nothing_waits_long_for_another_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """A look is begun although the only session never ends its own."""
    monkeypatch.setattr(pools, "PATIENCE", 0.01)

    async def scene(on: Scene) -> None:
        await on.busy(1)
        on.due("next")
        await on.until(lambda: "next" in on.looked)
        assert on.pool.forks == 2

    played(scene)


def test_there_are_no_more_sessions_than_allowed() -> None:
    """What is too much waits, and is not lost."""

    async def scene(on: Scene) -> None:
        await on.busy(2)
        on.due(*(f"n{number}" for number in range(50)), waited=1000.0)
        await asyncio.sleep(0)
        assert (on.pool.waiting, on.pool.forks) == (50, 2)
        on.warm.let_go("held")
        await on.until(lambda: len(on.looked) == 52)
        assert on.pool.waiting == 0

    played(scene, 2)


def test_what_has_hung_gets_a_session_of_its_own() -> None:
    """At once, although one that has done other things is free; that one goes on."""

    async def scene(on: Scene) -> None:
        on.due("first")
        await on.until(lambda: on.looked == ["first"])
        on.pool._alone.add("hung")
        on.due("hung", waited=1000.0)
        await on.until(lambda: "hung" in on.looked)
        assert on.pool.forks == 2
        on.due("last")
        await on.until(lambda: "last" in on.looked)
        assert on.pool.forks == 2

    played(scene)


def test_sessions_end_when_nothing_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a moment, with all that they have looked at."""
    monkeypatch.setattr(pools, "LINGER", 0.01)

    async def scene(on: Scene) -> None:
        on.due("a")
        await on.until(lambda: on.slices)
        assert [look.check.id for look, *_ in on.slices[0].done] == ["a"]
        assert on.pool.running == []

    played(scene)
