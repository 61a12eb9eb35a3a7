"""Runs the rounds of the defect matrix: one resident sandbox, one pytest session for each defect.

A defect is switched on, all checks run as a child process that attaches to the sandbox, the defect is switched off,
the verdicts are read. Nothing is restarted between two rounds.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from dialtone.sandbox.controller import ATTACH_VARIABLE, Sandbox
from dialtone.sandbox.environment import inherited
from dialtone.sandbox.folder import write_private
from dialtone.sandbox.isolation import Identity, before_exec
from dialtone.sandbox.matrix import Claims, Defect, Round

CHECKS = ("checks", "--target", "sandbox", "-q", "-p", "no:randomly", "-n", "2")
"""Arguments of pytest for one round."""
ROUND_BOUND = 180.0
"""Seconds after which a round is given up."""
_DEFECTS_COMMAND = (sys.executable, "-P", "-m", "dialtone_receptionist.defects")
_HOLD_BOUND = 20.0


class CampaignError(RuntimeError):
    """The rounds cannot be run; the message says why."""


def known_defects() -> dict[str, Defect]:
    """All defects of the application and of the stand-ins."""
    from dialtone.standins.defects import DEFECTS

    done = subprocess.run(_DEFECTS_COMMAND, capture_output=True, text=True, check=False, env=inherited(), timeout=60)
    if done.returncode != 0:
        raise CampaignError(f"the application does not list its defects: {_last(done.stderr)}")
    own = json.loads(done.stdout)
    twice = sorted(set(own) & set(DEFECTS))
    if twice:
        raise CampaignError(f"declared by the application and by a stand-in: {', '.join(twice)}")
    return Defect.read({**own, **DEFECTS})


def known_claims(arguments: Sequence[str], folder: Path) -> list[Claims]:
    """What the checks claim, by collecting them."""
    catalog = folder / "catalog.json"
    catalog.unlink(missing_ok=True)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *arguments, "-n", "0", "--collect-only", "-q"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "DIALTONE_CATALOG": str(catalog)},
        timeout=ROUND_BOUND,
    )
    if done.returncode != 0 or not catalog.exists():
        raise CampaignError(f"the checks cannot be collected: {_last(done.stdout + done.stderr)}")
    return Claims.read(json.loads(catalog.read_text()))


def run_round(sandbox: Sandbox, defect: Defect | None, arguments: Sequence[str], folder: Path) -> Round:
    """All checks under one defect, or none. What they printed stays in `folder`."""
    name = defect.id if defect else "healthy"
    verdicts = folder / f"{name}.json"
    verdicts.unlink(missing_ok=True)
    began = time.monotonic()
    try:
        with _switched_on(sandbox, defect):
            failure = _run_checks(sandbox, arguments, verdicts, folder / f"{name}.log")
    except CampaignError as error:
        return Round(failure=str(error))
    seconds = time.monotonic() - began
    if failure or not verdicts.exists():
        problem = sandbox.problem()
        reason = failure or f"pytest wrote no verdicts, see {folder / name}.log"
        return Round(seconds=round(seconds, 1), failure=reason + (f"; {problem}" if problem else ""))
    return Round.read(json.loads(verdicts.read_text()), seconds)


@contextmanager
def _switched_on(sandbox: Sandbox, defect: Defect | None) -> Iterator[None]:
    held = _held(sandbox, defect) if defect and defect.how == "hold" else nullcontext()
    sandbox.switch([defect.id] if defect and defect.how == "switch" else [])
    try:
        with held:
            yield
    finally:
        if sandbox.problem() != "the sandbox is gone":
            sandbox.switch([])


@contextmanager
def _held(sandbox: Sandbox, defect: Defect) -> Iterator[None]:
    """A defect of the database: it is there while its process lives, and undone at the end of that one's stdin."""
    with tempfile.TemporaryFile() as words:
        process = subprocess.Popen(
            [*_DEFECTS_COMMAND, "--hold", defect.id],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=words,
            env={**inherited(), "DATABASE_URL": sandbox.admin_database_url},
            process_group=0,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        with process.stdin, process.stdout:
            try:
                ready, _, _ = select.select([process.stdout], [], [], _HOLD_BOUND)
                if not ready or process.stdout.readline().strip() != b"ready":
                    raise CampaignError(f"the defect cannot be applied: {_said(process, words)}")
                yield
                process.stdin.close()
                if process.wait(_HOLD_BOUND) != 0:
                    raise CampaignError(f"the defect was not undone: {_said(process, words)}")
            except subprocess.TimeoutExpired:
                raise CampaignError("the defect was not undone: its process does not end") from None
            finally:
                process.stdin.close()  # an interrupted round undoes its defect too
                _wait_or_kill(process)


def _wait_or_kill(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(5.0)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _said(process: subprocess.Popen[bytes], words: IO[bytes]) -> str:
    """The last line that an unsuccessful process said, once it has ended."""
    _wait_or_kill(process)
    words.seek(0)
    return _last(words.read().decode(errors="replace"))


def _run_checks(sandbox: Sandbox, arguments: Sequence[str], verdicts: Path, log: Path) -> str:
    """Run pytest; answers why it could not, or nothing."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "pytest", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, ATTACH_VARIABLE: str(sandbox.state_file), "DIALTONE_VERDICTS": str(verdicts)},
            process_group=0,
            preexec_fn=before_exec(Identity.OWN, signal.SIGTERM),  # noqa: PLW1509 - there is one thread
        )
    try:
        process.wait(ROUND_BOUND)
    except subprocess.TimeoutExpired:
        return f"the checks did not end within {ROUND_BOUND:.0f} s"
    finally:
        _end(process)
    return ""


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a session that is still running, with its workers."""
    for number, seconds in ((signal.SIGINT, 5.0), (signal.SIGKILL, 5.0)):
        if process.poll() is not None:
            return
        os.killpg(process.pid, number)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            continue


def _last(text: str) -> str:
    lines = [line for line in text.strip().splitlines() if line.strip()]
    return lines[-1].strip() if lines else "it said nothing"


class Kept:
    """Results of rounds that went as claimed, for as long as the source stays what it was."""

    def __init__(self, path: Path, source: str, *, fresh: bool = False) -> None:
        self._path = path
        self._source = source
        self._rounds: dict[str, dict[str, Any]] = {}
        if not fresh:
            self._rounds = self._read()

    def _read(self) -> dict[str, dict[str, Any]]:
        try:
            kept = json.loads(self._path.read_text())
            return dict(kept["rounds"]) if kept["source"] == self._source else {}
        except (OSError, ValueError, KeyError, TypeError):
            return {}

    def get(self, name: str) -> Round | None:
        """The kept round of a defect, or of `healthy`."""
        found: Mapping[str, Any] | None = self._rounds.get(name)
        if found is None:
            return None
        return Round(**{**found, "red": tuple(found["red"]), "broken": tuple(found["broken"])})

    def put(self, name: str, shown: Round) -> None:
        """Keep a round, on disk at once: an interrupted campaign resumes."""
        self._rounds[name] = asdict(shown)
        write_private(self._path, json.dumps({"source": self._source, "rounds": self._rounds}, indent=1))
