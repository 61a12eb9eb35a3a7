"""Runs all checks again and again on a busy machine: whatever turns red there is a false alarm.

A sandbox without a defect is held for all rounds; each round is a session of pytest with two workers, while one
process per core (two at least) does nothing but compute. A verdict degraded or worse is a false alarm, so is a check
that broke, a prober that was turned away or took itself to be offline. What stays undecided is counted and named.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
from bench._table import ROOT, Bench

from dialtone.sandbox import Sandbox
from dialtone.sandbox.controller import ATTACH_VARIABLE
from dialtone.sandbox.profile import sandbox_options

ROUNDS, QUICK_ROUNDS = 20, 2
CHECKS = ["checks", "--target", "sandbox", "-n", "2", "-q", "-p", "no:randomly", "-p", "no:cacheprovider"]
ORDER = ["critical", "breach", "broken", "offline", "refused", "degraded", "undecided", "ok"]  # worst first
ALARMS = ORDER[:6]
# Computes until its standard input ends, which it does when this process is gone, however it went.
BUSY = "import os, threading\nthreading.Thread(target=lambda: (os.read(0, 1), os._exit(0))).start()\nwhile True: pass"


@dataclass(frozen=True, slots=True)
class Round:
    """What one session of all checks said."""

    seconds: float
    exit_code: int
    checks: list[dict[str, Any]]

    def of(self, *states: str) -> list[dict[str, Any]]:
        """The armed checks in these states."""
        return [check for check in self.checks if check["armed"] and _state(check) in states]

    @property
    def worst(self) -> str:
        """The worst state of any check; `nothing` when the session left no verdicts."""
        present = {_state(check) for check in self.checks if check["armed"]}
        return next((state for state in ORDER if state in present), "nothing")

    @property
    def functions(self) -> int:
        """How many check functions were armed; the cases of one count once."""
        return len({check["id"].partition("[")[0] for check in self.checks if check["armed"]})


def _state(check: dict[str, Any]) -> str:
    return str(check["kind"] or check["verdict"])


@contextlib.contextmanager
def busy(count: int) -> Iterator[None]:
    """Keep `count` cores busy with processes that have nothing to do with the checks."""
    command = [sys.executable, "-c", BUSY]
    others = [subprocess.Popen(command, stdin=subprocess.PIPE) for _ in range(count)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.communicate()


def play(number: int, sandbox: Sandbox, folder: Path) -> Round:
    """One session; its words are kept in `folder`."""
    verdicts = folder / f"verdicts-{number}.json"
    verdicts.unlink(missing_ok=True)
    own = {ATTACH_VARIABLE: str(sandbox.state_file), "DIALTONE_VERDICTS": str(verdicts)}
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("DIALTONE_", "SANDBOX_"))}
    begin = time.monotonic()
    with (folder / f"round-{number}.txt").open("wb") as words:
        session = subprocess.run(
            [sys.executable, "-m", "pytest", *CHECKS],
            cwd=ROOT,
            env={**environment, **own},
            stdout=words,
            stderr=subprocess.STDOUT,
            check=False,
        )
    seconds = time.monotonic() - begin
    checks = json.loads(verdicts.read_text())["checks"] if verdicts.exists() else []
    return Round(seconds, session.returncode, checks)


def _row(number: int, one: Round) -> list[object]:
    left = ", ".join(check["id"] for check in one.of("undecided"))
    return [number, one.seconds, one.exit_code, len(one.of(*ORDER)), one.worst, left or "none"]


def _main() -> int:
    bench = Bench("false_alarms", __doc__)
    bench.parser.add_argument("--rounds", type=int, help=f"default: {ROUNDS}, or {QUICK_ROUNDS} with --quick")
    count = bench.arguments.rounds or (QUICK_ROUNDS if bench.quick else ROUNDS)
    folder = bench.build / "false_alarms"
    folder.mkdir(parents=True, exist_ok=True)
    cores = max(2, os.cpu_count() or 2)
    rounds: list[Round] = []
    with Sandbox.begin(**sandbox_options(start=ROOT)).wait() as sandbox, busy(cores):
        for number in range(1, count + 1):
            rounds.append(play(number, sandbox, folder))
            print(f"round {number}: {rounds[-1].seconds:.1f} s, worst {rounds[-1].worst}", flush=True)
            for check in rounds[-1].of(*ALARMS):
                print(f"  {_state(check)}: {check['id']}: {check['reason']}", flush=True)
    print(f"\n{count} rounds beside {cores} busy processes")
    titles = ["#", "seconds", "exit code", "armed", "worst", "undecided"]
    bench.rows(titles, [_row(number, one) for number, one in enumerate(rounds, 1)])
    for name, times in Counter(check["id"] for one in rounds for check in one.of("undecided")).most_common():
        print(f"undecided in {times} of {count} rounds: {name}")
    for state in ALARMS:
        bench.bar(f"verdicts {state}", sum(len(one.of(state)) for one in rounds), "verdicts", most=0)
    bench.bar("sessions that did not end with 0", sum(one.exit_code != 0 for one in rounds), "sessions", most=0)
    bench.bar("check functions armed in each round", min(one.functions for one in rounds), "functions", least=40)
    return bench.finish()


if __name__ == "__main__":
    raise SystemExit(_main())
