"""One round of the defect matrix: a defect is switched on, all checks run, the defect is switched off.

The checks are a session of pytest in a child process that attaches to a sandbox; that stays up between two rounds.
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
from collections.abc import Callable, Collection, Generator, Sequence
from pathlib import Path
from typing import IO, Any

from dialtone.sandbox.controller import ATTACH_VARIABLE, Sandbox, filled
from dialtone.sandbox.environment import inherited
from dialtone.sandbox.isolation import Identity, before_exec
from dialtone.sandbox.matrix import Claims, Defect, Round

_UNUSED = ("randomly", "cacheprovider", "hypothesispytest", "allure_pytest", "syrupy", "xdist")
CHECKS = ("checks", "--target", "sandbox", "-q", *(word for name in _UNUSED for word in ("-p", f"no:{name}")))
"""Arguments of pytest for one round, without the plugins that it has no use for.

Without workers: two rounds at once cost two thirds of one with two workers.
"""
ROUND_BOUND = 180.0
"""Seconds after which a round is given up."""
_DEFECTS_COMMAND = (sys.executable, "-P", "-m", "dialtone_receptionist.defects")
_HOLD_BOUND = 60.0
_GONE = "the sandbox is gone"


class CampaignError(RuntimeError):
    """The rounds cannot be run; the message says why."""


def known_defects(app: Sequence[str] | None = None, claimed: Collection[str] = ()) -> dict[str, Defect]:
    """All defects of the application and of the stand-ins; those of kind `resilience` as far as they are `claimed`.

    `app` is the command that lists those of an application of one's own: then the stand-ins' count as far as they are
    `claimed` by a check, since nobody needs all stand-ins. Without it they are those of the application in the suite.
    """
    from dialtone.standins.defects import DEFECTS

    others = {n: e for n, e in DEFECTS.items() if n in claimed or (app is None and e.get("kind") != "resilience")}
    command = filled(_DEFECTS_COMMAND if app is None else app)
    own = _listed(command) if command else {}
    own = {name: e for name, e in own.items() if e.get("kind") != "resilience" or name in claimed}
    twice = sorted(set(own) & set(others))
    if twice:
        raise CampaignError(f"declared by the application and by a stand-in: {', '.join(twice)}")
    return {**Defect.read(own, command or ()), **Defect.read(others)}


def resilience_defects(app: Sequence[str] | None = None) -> dict[str, Defect]:
    """Those that only an experiment can find, of the application and around it; `app` is the command that lists its."""
    from dialtone.standins.defects import DEFECTS

    command = filled(_DEFECTS_COMMAND if app is None else app)
    listed = _listed(command) if command else {}
    others = Defect.read({name: e for name, e in DEFECTS.items() if e.get("kind") == "resilience"})
    own = {name: e for name, e in listed.items() if e.get("kind") == "resilience"}
    return {**Defect.read(own, command or ()), **others}


def _listed(command: Sequence[str]) -> dict[str, dict[str, Any]]:
    """What the command prints: a JSON object of defects, by id, each with `what` in words."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=inherited(), timeout=60)
        listed = json.loads(done.stdout) if done.returncode == 0 else None
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        raise CampaignError(f"the application does not list its defects: {error}") from error
    if done.returncode != 0:
        raise CampaignError(f"the application does not list its defects: {_last(done.stderr)}")
    if not isinstance(listed, dict) or not all(isinstance(e, dict) and e.get("what") for e in listed.values()):
        raise CampaignError('the application lists its defects wrongly: {"ID": {"what": "in words"}} is needed')
    return listed


def known_claims(arguments: Sequence[str], folder: Path) -> list[Claims]:
    """What the checks claim, by collecting them."""
    return Claims.read({"checks": catalogued(arguments, folder)})


def catalogued(arguments: Sequence[str], folder: Path) -> list[dict[str, Any]]:
    """What checks and experiments declare, by collecting them. Raises CampaignError."""
    folder.mkdir(parents=True, exist_ok=True)
    catalog = folder / "catalog.json"
    catalog.unlink(missing_ok=True)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *arguments, "--collect-only", "-q"],
        capture_output=True,
        text=True,
        check=False,
        env={**_compiling(folder), "DIALTONE_CATALOG": str(catalog)},
        timeout=ROUND_BOUND,
    )
    if done.returncode != 0 or not catalog.exists():
        raise CampaignError(f"the checks cannot be collected: {_last(done.stdout + done.stderr)}")
    found: list[dict[str, Any]] = json.loads(catalog.read_text())["checks"]
    return found


Steps = Generator[None, None, Round]
"""A round on its way: it yields whenever there is nothing to do but wait, so that several may go on at once."""


def round_steps(
    sandbox: Sandbox,
    defect: Defect | None,
    arguments: Sequence[str],
    folder: Path,
    *,
    name: str = "",
    bound: float | None = None,
) -> Steps:
    """All checks under one defect, or none; the defect is gone afterwards, also when the round is closed early.

    What the checks printed stays in `folder`. After `bound` seconds (`ROUND_BOUND`) it is given up.
    """
    name = name or (defect.id if defect else "healthy")
    if sandbox.problem() == _GONE:
        return Round(failure=f"not run, {_GONE}")
    began = time.monotonic()
    held: _Held | None = None
    try:
        if defect and defect.how == "hold":
            held = _Held(sandbox, defect)
            yield from held.applied()
        sandbox.switch([defect.id] if defect and defect.how == "switch" else [])
        failure = yield from _checked(sandbox, arguments, folder / name, bound or ROUND_BOUND)
        if held:
            yield from held.undone()
    except CampaignError as error:
        failure = str(error)
    finally:
        if held:
            held.end()
        if sandbox.problem() != _GONE:
            sandbox.switch([])
    seconds = time.monotonic() - began
    if failure:
        problem = sandbox.problem()
        return Round(seconds=round(seconds, 1), failure=failure + (f"; {problem}" if problem else ""))
    return Round.read(json.loads(_verdicts(folder / name).read_text()), seconds)


def _until(holds: Callable[[], bool], seconds: float) -> Generator[None, None, bool]:
    """Yield until it holds, at most so long; answers whether it does."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() >= deadline:
            return False
        yield
    return True


class _Held:
    """A defect of the database: it is there while its process lives, and undone at the end of that one's stdin."""

    def __init__(self, sandbox: Sandbox, defect: Defect) -> None:
        self._words: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed in `end`
        self._process = subprocess.Popen(
            [*defect.holder, "--hold", defect.id],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._words,
            env={**inherited(), "DATABASE_URL": sandbox.admin_database_url},
            process_group=0,
        )

    def applied(self) -> Generator[None, None, None]:
        """Wait until the defect is there."""
        output = self._process.stdout
        assert output is not None
        yield from _until(lambda: bool(select.select([output], [], [], 0)[0]), _HOLD_BOUND)
        if not select.select([output], [], [], 0)[0] or output.readline().strip() != b"ready":
            raise CampaignError(f"the defect cannot be applied: {self._said()}")

    def undone(self) -> Generator[None, None, None]:
        """Wait until the defect is gone."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        yield from _until(lambda: self._process.poll() is not None, _HOLD_BOUND)
        if self._process.poll() != 0:
            raise CampaignError(f"the defect was not undone: {self._said()}")

    def end(self) -> None:
        """An interrupted round undoes its defect too."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._wait()
        self._process.stdout.close()
        self._words.close()

    def _wait(self) -> None:
        try:
            self._process.wait(30.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _said(self) -> str:
        self._wait()
        self._words.seek(0)
        return _last(self._words.read().decode(errors="replace"))


def _verdicts(place: Path) -> Path:
    return place.with_name(place.name + ".json")


def _checked(sandbox: Sandbox, arguments: Sequence[str], place: Path, bound: float) -> Generator[None, None, str]:
    """Run pytest; answers why there are no verdicts, or nothing."""
    verdicts = _verdicts(place)
    verdicts.unlink(missing_ok=True)
    log = place.with_name(place.name + ".log")
    added = {ATTACH_VARIABLE: str(sandbox.state_file), "DIALTONE_VERDICTS": str(verdicts.absolute())}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "pytest", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**_compiling(place.parent), **added},
            process_group=0,
            preexec_fn=before_exec(Identity.OWN, signal.SIGTERM),  # noqa: PLW1509 - there is one thread
        )
    try:
        if not (yield from _until(lambda: process.poll() is not None, bound)):
            return f"the checks did not end within {bound:.0f} s"
    finally:
        _end(process)
    return "" if verdicts.exists() else f"pytest wrote no verdicts, see {log}"


def _compiling(folder: Path) -> dict[str, str]:
    """This environment; where it forbids compiled files beside the sources, they go to `folder`.

    A hundred sessions that compile everything anew would take twice as long.
    """
    environment = dict(os.environ)
    if environment.pop("PYTHONDONTWRITEBYTECODE", ""):
        environment.setdefault("PYTHONPYCACHEPREFIX", str((folder / "compiled").absolute()))
    return environment


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
