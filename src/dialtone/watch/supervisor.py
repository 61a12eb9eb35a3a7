"""`pytest … --every 60s --for 25m`: the supervisor of rounds, and the session that each of them is.

The sandbox, if the target is one, and the history outlive the rounds. A session that hangs is ended: by SIGINT, so that
its clean-up runs and its verdicts are written, then by SIGKILL. What was planned and what happened is in
`build/rounds.json`, beside the verdicts; a round of its own is a run in the history, and one that was missed is a gap.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dialtone.keeping import EVERY, PLANNED, ROUND
from dialtone.report.gather import EXIT_MISSED
from dialtone.watch.rounds import Round, rounds

if TYPE_CHECKING:
    from dialtone.environment import Environment

_OURS = ("--every", "--for")
_GRACE = 20.0
_LEAST = 300.0


def arguments(given: Sequence[str]) -> list[str]:
    """The arguments of each session: all but those that say when sessions are."""
    kept, skip = [], False
    for argument in given:
        if not skip and not argument.startswith(tuple(f"{name}=" for name in _OURS)) and argument not in _OURS:
            kept.append(argument)
        skip = not skip and argument in _OURS
    return kept


class Sessions:
    """Runs one session of pytest for each round; ends one that takes longer than `limit` seconds."""

    def __init__(
        self,
        command: Sequence[str],
        every: float,
        *,
        limit: float | None = None,
        folder: Path | None = None,
        tell: Callable[[str], None] = print,
    ) -> None:
        self.limit = limit or max(every, _LEAST)
        self._command, self._every, self._folder, self._tell = list(command), every, folder, tell
        self._token = f"{time.time():.0f}-{secrets.token_hex(4)}"
        self._wall = time.time()  # read once: a clock that is set meanwhile moves no planned time

    def planned(self, due: float) -> float:
        """When a round should run, in seconds since 1970."""
        return self._wall + due

    def environment(self, of: Round) -> Mapping[str, str]:
        """What a session is told of its round."""
        added = {ROUND: f"{self._token}-{of.number}", PLANNED: f"{self.planned(of.due):.3f}", EVERY: f"{self._every:g}"}
        return {**os.environ, **added}

    def __call__(self, of: Round) -> int:
        """Run one; its exit code. Ctrl-C reaches the session as well: it ends first, then this raises."""
        process = subprocess.Popen(self._command, cwd=self._folder, env=self.environment(of))
        try:
            return process.wait(timeout=self.limit)
        except subprocess.TimeoutExpired:
            self._tell(f"round {of.number + 1} has taken {self.limit:g} s: it is ended")
            return self._end(process)
        except BaseException:
            self._end(process)
            raise

    def _end(self, process: subprocess.Popen[bytes]) -> int:
        process.send_signal(signal.SIGINT)
        try:
            return process.wait(timeout=_GRACE)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()


def supervise(config: pytest.Config, environment: Environment) -> int:
    """Run the rounds that the options ask for; the exit code of the worst of them."""
    try:
        every, total = _length(config, "every"), _length(config, "rounds_for")
    except ValueError as wrong:
        raise pytest.UsageError(f"--every and --for: {wrong}") from None
    environment.open()
    given = arguments([str(argument) for argument in config.invocation_params.args])
    sessions = Sessions([sys.executable, "-m", "pytest", *given], every, folder=config.invocation_params.dir)
    verdicts = Path(config.option.verdicts)
    path = (verdicts if verdicts.is_absolute() else config.rootpath / verdicts).with_name("rounds.json")
    done: list[Round] = []
    try:
        for of in rounds(every, total, sessions, clock=time.monotonic, sleep=time.sleep):
            done.append(of)
            print(line(of, sessions.planned(of.due)), flush=True)
            write(path, done, sessions, every)
    except KeyboardInterrupt:
        print("\nno further rounds", flush=True)
    finally:
        environment.close()
    print(closing(done))
    return exit_code(done)


def _length(config: pytest.Config, option: str) -> float:
    from dialtone.target.duration import seconds

    told = config.getoption(option)
    found = seconds(told) if told else float("inf")
    if found <= 0:
        raise ValueError(f"{told} is no length of time")
    return found


def line(of: Round, planned: float) -> str:
    """A round in a line."""
    when = datetime.fromtimestamp(planned, UTC).strftime("%H:%M:%S")
    if of.missed or of.started is None or of.ended is None:
        return f"round {of.number + 1}, due {when} UTC: missed, the one before it was still running"
    took = of.ended - of.started
    return f"round {of.number + 1}, due {when} UTC: {of.late:.3f} s late, took {took:.1f} s, exit code {of.code}"


def closing(done: Sequence[Round]) -> str:
    """All rounds in a line."""
    missed = sum(of.missed for of in done)
    latest = max((of.late for of in done), default=0.0)
    gaps = f", {missed} missed: gaps, not successes" if missed else ""
    return f"{len(done) - missed} of {len(done)} rounds run{gaps}; the latest began {latest:.3f} s after its moment"


def write(path: Path, done: Sequence[Round], sessions: Sessions, every: float) -> None:
    """Write what was planned and what happened, whole or not at all."""
    told = [{**asdict(of), "missed": of.missed, "planned": sessions.planned(of.due)} for of in done]
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.draft")
    draft.write_text(json.dumps({"every": every, "rounds": told}, indent=1) + "\n")
    draft.replace(path)


def exit_code(done: Sequence[Round]) -> int:
    """1 when a round was bad, else the highest code of a round; missed rounds alone have one of their own."""
    codes = [128 - of.code if of.code < 0 else of.code for of in done if of.code is not None]
    worst = 1 if 1 in codes else max(codes, default=2)
    return EXIT_MISSED if worst == 0 and any(of.missed for of in done) else worst
