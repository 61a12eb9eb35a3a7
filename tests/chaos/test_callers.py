"""Callers of this suite's experiments: several at once, each with an hour of their own."""

from __future__ import annotations

import itertools
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))
from chaos import conftest

COUNT = itertools.count


class Slowly:
    """As `itertools.count`; the others get their turn while one counts."""

    def __init__(self, start: int = 0) -> None:
        self._count = COUNT(start)

    def __iter__(self) -> Slowly:
        return self

    def __next__(self) -> int:
        time.sleep(0.002)
        return next(self._count)


def test_callers_who_book_at_once_have_an_hour_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """None is turned away because another one asks at the same moment, and no two get the same; each is noted."""
    hours: list[tuple[int, str]] = []
    numbers, begin = COUNT(), threading.Barrier(4)

    def booking(_: Any, *, time: str, days: int, **__: Any) -> Any:
        hours.append((days, time))
        return SimpleNamespace(success=True)

    monkeypatch.setattr(conftest, "itertools", SimpleNamespace(count=Slowly))
    fixture: Any = conftest.book
    callers = conftest.Callers()
    book = fixture.__wrapped__(booking, lambda: str(next(numbers)), callers)

    def several(_: int) -> None:
        begin.wait(10)
        for _ in range(4):
            book({"id": "t"})

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(several, range(4)))
    assert sorted(hours) == [(day, f"{hour:02d}:00") for day in (3, 4) for hour in range(9, 17)]
    assert len(callers.promises) == 16
