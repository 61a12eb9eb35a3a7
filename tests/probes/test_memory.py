"""What one run leaves to the next."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dialtone.probes.memory import Memory

DAY = 24 * 3600.0


def test_highest_of_a_window(tmp_path: Path) -> None:
    """The highest number within the window; nothing is None; names and targets are apart."""
    now = [1_000_000.0]
    memory = Memory(tmp_path / "deep/memory.json", "one", clock=lambda: now[0])
    assert memory.highest("rows", DAY) is None
    memory.keep("rows", 500)
    now[0] += DAY * 0.9
    memory.keep("rows", 400)
    assert memory.highest("rows", DAY) == 500
    now[0] += DAY * 0.2
    assert memory.highest("rows", DAY) == 400
    assert memory.highest("others", DAY) is None
    assert Memory(tmp_path / "deep/memory.json", "two", clock=lambda: now[0]).highest("rows", DAY) is None


def test_what_is_old_is_forgotten(tmp_path: Path) -> None:
    """A target that nobody looked at for a week leaves nothing in the file."""
    now = [0.0]
    path = tmp_path / "memory.json"
    Memory(path, "old", clock=lambda: now[0]).keep("rows", 1)
    now[0] = 8 * DAY
    Memory(path, "new", clock=lambda: now[0]).keep("rows", 2)
    assert json.loads(path.read_text()).keys() == {"new"}


@pytest.mark.parametrize(
    "text", ["", "no json", "[1]", '{"one": 1}', '{"one": {"rows": [1]}}', '{"one": {"rows": [["a", 1]]}}']
)
def test_a_damaged_file_is_an_empty_one(text: str, tmp_path: Path) -> None:
    """Whatever stands there: no error, and the next number is kept."""
    path = tmp_path / "memory.json"
    path.write_text(text)
    memory = Memory(path, "one", clock=lambda: 5.0)
    assert memory.highest("rows", DAY) is None
    memory.keep("rows", 3)
    assert memory.highest("rows", DAY) == 3


def test_several_at_once(tmp_path: Path) -> None:
    """Nothing is lost between processes that keep at the same moment."""
    memory = Memory(tmp_path / "memory.json", "one", clock=lambda: 5.0)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: memory.keep(f"rows.{n}", n), range(40)))
    assert [memory.highest(f"rows.{n}", DAY) for n in range(40)] == list(range(40))
