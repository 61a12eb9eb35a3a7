"""A part of the checks, so that several jobs share a round: which part a check belongs to is decided by its id alone.

Parts share the token of their round (`DIALTONE_ROUND`) and meet in the history. Whoever starts them need not know the
checks, and a check stays in its part when others come or go.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from functools import partial
from hashlib import sha256

import pytest

from dialtone.keeping import LEFT

VARIABLE, COUNT, INDEX = "DIALTONE_SHARD", "DIALTONE_SHARDS", "JOB_COMPLETION_INDEX"
"""`2/5`; or how many parts there are, with the number (from 0) that Kubernetes gives to each pod of an Indexed Job."""


def part(told: str | None, environ: Mapping[str, str]) -> tuple[int, int] | None:
    """Number (from 1) and count of the part that is asked for. Raises UsageError in words."""
    text = told or environ.get(VARIABLE, "").strip()
    if not text and environ.get(COUNT, "").strip():
        index = environ.get(INDEX, "")
        if not index.isdigit():
            raise pytest.UsageError(f"{COUNT} needs {INDEX}, which Kubernetes sets in an Indexed Job; else use --shard")
        text = f"{int(index) + 1}/{environ[COUNT].strip()}"
    if not text:
        return None
    match = re.fullmatch(r"(\d{1,4})/(\d{1,4})", text)
    if not match or not 1 <= int(match[1]) <= int(match[2]):
        raise pytest.UsageError(f"--shard {text}: a part and how many there are, as in 2/5")
    return int(match[1]), int(match[2])


def of(name: str, count: int) -> int:
    """The part (from 1) that a test belongs to."""
    return int.from_bytes(sha256(name.encode()).digest()[:8]) % count + 1


def keep(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the tests of this run's part, if it is one."""
    asked = part(config.getoption("shard", None), os.environ)
    if asked is None:
        return
    number, count = asked
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = f"{number}/{count}"  # for what moves incidents, and for workers
    config.add_cleanup(partial(_restore, before))
    left = [item for item in items if of(item.nodeid, count) != number]
    config.stash[LEFT] = left
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if of(item.nodeid, count) == number]


def _restore(before: str | None) -> None:
    """Nobody else in this process is a part."""
    if before is None:
        os.environ.pop(VARIABLE, None)
    else:
        os.environ[VARIABLE] = before
