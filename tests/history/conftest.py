"""Histories on both databases; the embedded PostgreSQL is one for a whole session of tests."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))
from bench._postgres import Server, free_port

from dialtone.history import Result, Run, Store
from dialtone.verdict import Verdict

__all__ = ["NOON", "Server", "free_port", "result", "run"]

NOON = 1_760_011_200.0
"""2025-10-09, noon: the moment of most tests, in seconds since 1970."""


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The server of this session."""
    made = Server(tmp_path_factory.mktemp("server"))
    yield made
    made.stop()


_numbers = itertools.count()


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where an empty history can be: a path or a URL."""
    if request.param == "sqlite":
        return str(tmp_path / "history.db")
    made: Server = request.getfixturevalue("server")
    return made.database(f"history_{next(_numbers)}")


@pytest.fixture
def open_store(place: str) -> Iterator[Callable[[], Store]]:
    """Opens the history of this test, as often as wanted."""
    opened: list[Store] = []

    def make() -> Store:
        opened.append(Store.open(place, clock=lambda: NOON))
        return opened[-1]

    yield make
    for store in opened:
        store.close()


@pytest.fixture
def store(open_store: Callable[[], Store]) -> Store:
    """An open, empty history."""
    return open_store()


def run(name: str = "r1", planned: float = NOON, **more: object) -> Run:
    """A run on production, one a minute unless told otherwise."""
    return Run(name, "production", planned, planned, **{"every": 60.0, **more})  # type: ignore[arg-type]


def result(check: str = "health", at: float = NOON, verdict: Verdict = Verdict.OK, **more: object) -> Result:
    """A result of a check."""
    return Result(check, at, verdict, **more)  # type: ignore[arg-type]
