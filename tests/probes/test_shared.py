"""One answer for all who ask the same in a run, over processes, and nothing of it on a disk."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dialtone.http import Answer, Failure, FailureKind, Headers, Phases, Url
from dialtone.probes.shared import VARIABLE, Memory, Shared

ANSWER = Answer(
    "GET",
    Url("http://s/v1/balance?x=1"),
    200,
    Headers([(b"content-type", b"application/json"), (b"x", b"1"), (b"X", b"2")]),
    b'{"a":1}\xff',
    Phases(None, 0.1, None, 0.2, 0.3),
)
BROKEN = Answer("GET", Url("http://s/"), failure=Failure(FailureKind.RESET, "connection reset before any answer"))


@pytest.fixture
def path(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The memory of a controller."""
    monkeypatch.delenv(VARIABLE, raising=False)
    memory = Memory()
    yield os.environ[VARIABLE]
    memory.close()
    assert VARIABLE not in os.environ


@pytest.mark.parametrize("answer", [ANSWER, BROKEN], ids=["answer", "failure"])
def test_the_second_process_reads_what_the_first_was_answered(path: str, answer: Answer) -> None:
    """Two ends of one memory: one request, and the same answer to the last byte; a failure is an answer too."""
    first, second, asked = Shared(path), Shared(path), []

    def ask() -> Answer:
        asked.append(1)
        return answer

    seen = [shared.answer("GET stripe", ask) for shared in (first, first, second)]
    assert len(asked) == 1
    told = seen[2]
    for name in ("method", "status", "body", "phases", "failure", "redirected_off_host"):
        assert getattr(told, name) == getattr(answer, name), name
    assert told.url[:] == answer.url[:]
    assert list(told.headers) == list(answer.headers)
    first.answer("GET retell", ask)
    assert len(asked) == 2
    first.close()
    second.close()


def test_without_a_memory_each_process_asks_once() -> None:
    """As without xdist, and where the system has no such memory; a name that leads nowhere is none."""
    for shared in (Shared(), Shared("/proc/0/fd/9")):
        asked: list[int] = []
        for _ in range(2):
            assert shared.answer("q", lambda asked=asked: asked.append(1) or ANSWER) is ANSWER  # type: ignore[func-returns-value,misc]
        assert asked == [1]


WORKER = """
import os, sys
from dialtone.http import Answer, Url
from dialtone.probes.shared import Shared
def ask():
    with open(sys.argv[2], "a") as told:
        told.write("asked\\n")
    return Answer("GET", Url("http://s/"), 200, body=b"x" * 100_000)
print(len(Shared(sys.argv[1]).answer("q", ask).body))
"""


def test_processes_at_the_same_time_make_one_request(path: str, tmp_path: Path) -> None:
    """Whoever comes while the first one asks waits for its answer."""
    told = tmp_path / "asked"
    command = [sys.executable, "-c", WORKER, path, str(told)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    assert [process.communicate(timeout=60)[0] for process in running] == ["100000\n"] * 3
    assert told.read_text() == "asked\n"


def test_nothing_is_left(path: str) -> None:
    """The memory has no name in any folder: it is gone with the last who holds it."""
    link = str(Path(path).readlink())
    assert link.startswith("/memfd:")
    assert not Path(link.split(maxsplit=1)[0]).exists()
