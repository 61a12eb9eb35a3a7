"""Before any fault: a call of the application to each provider host has to arrive at the interceptor.

A drill must never meet a real provider by accident, and a fault on a host that nobody is led to proves nothing.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from dialtone.interceptor.client import Controller
from dialtone.verdict import Undecided

PROVED = "proved"
"""A file in the interceptor's folder: every host of it was called once."""
NOTHING_STARTED = "so nothing is started"
"""Words by which a drill knows that its application bypasses the interceptor."""
_WITHIN = 5.0
_TRIES = 2
"""A first call may meet an application that is not warm yet, and that gives up before it calls the last host."""


def prove(
    controller: Controller,
    canaries: Mapping[str, Callable[[], object] | None],
    folder: Path | None = None,
    *,
    within: float = _WITHIN,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Have the application call its providers by `canaries` (in words -> what makes it call), and see all called.

    A host with None for a canary is one that this application never calls. What a canary answers or raises does not
    matter, only what arrives. Done once for an interceptor, whose `folder` remembers. Raises Undecided, naming the
    hosts that were not called; nothing is started then.
    """
    if folder is not None and (folder / PROVED).exists():
        return
    wanted = {h for h in controller.state()["hosts"] if canaries.get(h, prove) is not None}
    for _ in range(_TRIES):
        for call in canaries.values():
            if call is not None:
                with contextlib.suppress(Exception):  # only arriving counts
                    call()
        if not (missed := _missed(controller, wanted, within, sleep)):
            break
    else:
        tried = ", ".join(name for name, call in canaries.items() if call) or "none: give the fixture `canaries`"
        raise Undecided(
            f"inconclusive: no call to {', '.join(missed)} arrived at the interceptor, {NOTHING_STARTED}"
            f" (canaries: {tried})"
        )
    if folder is not None:
        (folder / PROVED).touch()


def _missed(controller: Controller, wanted: set[str], within: float, sleep: Callable[[float], None]) -> list[str]:
    """The hosts that were not called, as soon as there are none, and so many seconds later at the latest."""
    waited = 0.0
    while (missed := sorted(wanted - set(controller.state()["arrived"]))) and waited < within:
        sleep(0.05)
        waited += 0.05
    return missed
