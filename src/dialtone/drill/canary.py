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
_WITHIN = 8.0


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
    for call in canaries.values():
        if call is not None:
            with contextlib.suppress(Exception):  # only arriving counts
                call()
    wanted, waited = {h for h in controller.state()["hosts"] if canaries.get(h, prove) is not None}, 0.0
    while missed := sorted(wanted - set(controller.state()["arrived"])):
        if waited >= within:
            tried = ", ".join(name for name, call in canaries.items() if call) or "none: give the fixture `canaries`"
            raise Undecided(
                f"inconclusive: no call to {', '.join(missed)} arrived at the interceptor, so nothing is started"
                f" (canaries: {tried})"
            )
        sleep(0.05)
        waited += 0.05
    if folder is not None:
        (folder / PROVED).touch()
