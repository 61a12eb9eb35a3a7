"""One answer for all who ask the same within a run, in whichever process they are: a provider is read once a round.

The answers stand in memory that belongs to the controller (memfd_create(2)) and that its workers open by its name in
/proc, so nothing reaches a disk and nothing is left when the controller is gone, however it went. Who is first makes
the request and holds a lock on it; the others wait for that and read. Where the system has no such memory, each process
makes its own request once.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from dataclasses import asdict
from hashlib import sha256
from typing import Any

from dialtone.http import Answer, Failure, FailureKind, Headers, Phases, Url

VARIABLE = "DIALTONE_SHARED"
_LOCKS = 1 << 40  # where the lock of a question stands, far behind everything that is written


class Memory:
    """What the controller holds for its workers; its name is in the environment as long as it is open."""

    def __init__(self) -> None:
        self._file: int | None = None
        if hasattr(os, "memfd_create") and not os.environ.get(VARIABLE):
            self._file = os.memfd_create("dialtone-shared")
            os.environ[VARIABLE] = f"/proc/{os.getpid()}/fd/{self._file}"

    def close(self) -> None:
        """Forget everything."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
            os.environ.pop(VARIABLE, None)


class Shared:
    """The answers that this process and, where `path` leads to the controller's memory, the others of the run know."""

    def __init__(self, path: str | None = None) -> None:
        self._known: dict[str, Answer] = {}
        self._file: int | None = None
        if path:
            with contextlib.suppress(OSError):
                self._file = os.open(path, os.O_RDWR | os.O_CLOEXEC)

    def answer(self, question: str, ask: Callable[[], Answer]) -> Answer:
        """The answer to a question; `ask` is called if nobody has asked it yet in this run."""
        if question in self._known:
            return self._known[question]
        with self._held(_LOCKS + int.from_bytes(sha256(question.encode()).digest()[:4])):
            answer = self._read(question)
            if answer is None:
                answer = ask()
                self._write(question, answer)
        self._known[question] = answer
        return answer

    @contextlib.contextmanager
    def _held(self, at: int) -> Iterator[None]:
        """The one byte of the file that stands for something, held against other processes."""
        if self._file is None:
            yield
            return
        fcntl.lockf(self._file, fcntl.LOCK_EX, 1, at)
        try:
            yield
        finally:
            fcntl.lockf(self._file, fcntl.LOCK_UN, 1, at)

    def _all(self) -> dict[str, Any]:
        assert self._file is not None
        text = os.pread(self._file, os.fstat(self._file).st_size, 0)
        found: dict[str, Any] = json.loads(text) if text else {}
        return found

    def _read(self, question: str) -> Answer | None:
        if self._file is None:
            return None
        with self._held(0):
            told = self._all().get(question)
        return _answer(told) if told else None

    def _write(self, question: str, answer: Answer) -> None:
        if self._file is None:
            return
        with self._held(0):
            text = json.dumps({**self._all(), question: _told(answer)}).encode()
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, text, 0)

    def close(self) -> None:
        """Let go of the memory."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


def _told(answer: Answer) -> dict[str, Any]:
    return {
        "method": answer.method,
        "url": answer.url[:],
        "status": answer.status,
        "headers": list(answer.headers),
        "body": b64encode(answer.body).decode(),
        "phases": asdict(answer.phases),
        "failure": [str(answer.failure.kind), answer.failure.reason] if answer.failure else None,
        "off_host": answer.redirected_off_host,
    }


def _answer(told: dict[str, Any]) -> Answer:
    failure = told["failure"]
    return Answer(
        told["method"],
        Url(told["url"]),
        told["status"],
        Headers([(name.encode("latin-1"), value.encode("latin-1")) for name, value in told["headers"]]),
        b64decode(told["body"]),
        Phases(**told["phases"]),
        failure=Failure(FailureKind(failure[0]), failure[1]) if failure else None,
        redirected_off_host=told["off_host"],
    )
