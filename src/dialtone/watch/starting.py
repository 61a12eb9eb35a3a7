"""What a resident watch begins with, and what a reload has to bring about first: a warm session and a clerk."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dialtone.watch.clerk import CHANNEL
from dialtone.watch.processes import Child, Gone, Refused, Warm

_READY, _GRACE = 300.0, 1.2


@dataclass(frozen=True, slots=True)
class Settings:
    """What the command line says. `arguments` are pytest's own."""

    target: str
    config: Path
    arguments: tuple[str, ...]
    sessions: int
    listen: tuple[str, int] | None
    folder: Path


async def fresh(settings: Settings, environ: Mapping[str, str], stopping: asyncio.Event) -> tuple[Warm, Child] | None:
    """Both, or None where a signal came first. Raises Refused with everything that is wrong."""
    warming, clerking = asyncio.create_task(_warm(settings, environ)), asyncio.create_task(_clerk(settings, environ))
    stop = asyncio.create_task(stopping.wait())
    works: set[asyncio.Task[Any]] = {warming, clerking}
    end = asyncio.get_running_loop().time() + _READY
    while (going := [work for work in works if not work.done()]) and not stop.done():
        left = end - asyncio.get_running_loop().time()
        if left <= 0:
            break
        await asyncio.wait([stop, *going], timeout=left, return_when=asyncio.FIRST_COMPLETED)
    stopped = stop.done()
    for task in (stop, *works):
        task.cancel()
    warm, clerk = await asyncio.gather(warming, clerking, return_exceptions=True)
    if isinstance(warm, Warm) and isinstance(clerk, Child) and not stopped:
        return warm, clerk
    await asyncio.gather(
        *([warm.child.end(_GRACE)] if isinstance(warm, Warm) else []),
        *([clerk.end(_GRACE)] if isinstance(clerk, Child) else []),
    )
    if stopped:
        return None
    wrong = [one for one in (warm, clerk) if isinstance(one, Refused)]
    raise Refused("\n".join(map(str, wrong)) or f"the checks were not collected within {_READY:.0f} s")


async def _warm(settings: Settings, environ: Mapping[str, str]) -> Warm:
    words = settings.folder / f"words-{time.monotonic_ns()}"
    try:
        return await Warm.start(settings.arguments, settings.target, settings.config, words, environ)
    finally:
        words.unlink(missing_ok=True)


async def _clerk(settings: Settings, environ: Mapping[str, str]) -> Child:
    command = [sys.executable, "-m", "dialtone.watch.clerk", str(settings.config), settings.target]
    child = await Child.start(command, CHANNEL, environment=environ)
    try:
        told = await child.talk.hear()
    except asyncio.CancelledError:
        await child.end(0.5)
        raise
    except Gone:
        await child.end(1.0)
        raise Refused("the process that keeps the history did not come up") from None
    if "refused" in told:
        await child.end(1.0)
        raise Refused(str(told["refused"]))
    return child
