"""Drills that are killed: an interrupted bench leaves none of them behind, and begins none."""

from __future__ import annotations

import random
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))
from bench import drills
from bench._table import Bench


class Victims:
    """Stands where drills would be started; while `interrupted` is waited for Ctrl-C comes."""

    def __init__(self) -> None:
        self.interrupted = ""
        self.names: list[str] = []
        self.alive: set[str] = set()
        self.over = threading.Event()

    def begin(self, place: Path) -> Any:
        """One drill."""
        victims, name = self, place.name
        victims.names.append(name)
        victims.alive.add(name)

        class Victim:
            faulted = True

            def live(self, _: float) -> bool:
                if name == victims.interrupted:
                    raise KeyboardInterrupt
                if name == "undisturbed":
                    victims.alive.discard(name)
                elif int(name) > int(victims.interrupted):
                    victims.over.wait(10)
                return name != "undisturbed"

            def kill(self) -> float:
                victims.alive.discard(name)
                return 0.1

            def left(self) -> list[str]:
                return []

        return Victim()


@pytest.fixture
def victims(monkeypatch: pytest.MonkeyPatch) -> Victims:
    """No drill is really started; one that is running when the pool ends goes on until then."""
    made = Victims()

    class Pool(ThreadPoolExecutor):
        def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
            made.over.set()
            super().shutdown(wait, cancel_futures=cancel_futures)

    monkeypatch.setattr(drills, "Victim", made.begin)
    monkeypatch.setattr(drills, "ThreadPoolExecutor", Pool)
    return made


@pytest.mark.parametrize(
    ("interrupted", "begun"), [("undisturbed", ["undisturbed"]), ("1", ["undisturbed", "0", "1", "2"])]
)
def test_what_is_interrupted_leaves_no_victim(
    victims: Victims, tmp_path: Path, interrupted: str, begun: list[str]
) -> None:
    """Neither the one that nobody meant to kill nor those that wait for their moment."""
    victims.interrupted = interrupted
    with pytest.raises(KeyboardInterrupt):
        drills.kills(Bench("x", None, build=tmp_path), 50, 1, random.Random(1))  # noqa: S311 - can be repeated
    assert victims.alive == set()
    assert begun[: len(victims.names)] == victims.names
