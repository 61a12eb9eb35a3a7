"""Our own watch while an experiment runs: rounds of chosen checks, whose incidents reach a mailbox of the drill.

Rounds follow each other as fast as they can and count as if they were `every` apart, so that the evidence for an
incident is what it takes in production, and the time is not. `story.alert("mail")` looks at the receiving end.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

MAILBOX = "drill@example.com"
ROUND_BOUND = 60.0
"""Seconds after which a round is given up."""
_UNUSED = ("randomly", "cacheprovider", "hypothesispytest", "allure_pytest", "syrupy", "xdist")
_ROUTES = """
[channels.drill]
kind = "smtp"
url = "{mail}"
sender = "Dialtone <dialtone@example.com>"
to = ["{mailbox}"]

[routes.drill]
targets = ["{target}"]
channels = ["drill"]
"""
_ON_CALL = """
[people.drill]
email = "{mailbox}"

[on_call]
primary = "drill"
"""


class Watching:
    """Rounds in child processes, one after the other, from `start` to `stop`."""

    def __init__(
        self, config: Path, target: str, checks: Sequence[str], *, mail: str, every: float = 300.0,
        run: Callable[[Sequence[str], Mapping[str, str]], object] | None = None,
    ) -> None:  # fmt: skip
        """`checks` are files, or node ids, of the suite of `config`; `mail` is the address of a mail server (`smtp://`).

        Nothing of the suite's own configuration is changed: the copy has one more route, for this target alone.
        """
        self._root, self._run = config.parent, run or self._child
        self._folder = Path(tempfile.mkdtemp(prefix="dialtone-watching-"))
        text = config.read_text()
        told = _ROUTES if "\n[on_call]" in text else _ROUTES + _ON_CALL
        copy = self._folder / "dialtone.toml"
        copy.write_text(text + told.format(mail=mail, mailbox=MAILBOX, target=target))
        history = self._folder / "history.db"
        self._environment = {
            "DIALTONE_CONFIG": str(copy),
            "DIALTONE_HISTORY": str(history),
            "DIALTONE_EVERY": f"{every:g}",
            "DIALTONE_VERDICTS": str(self._folder / "verdicts.json"),
        }
        plugins = [word for name in _UNUSED for word in ("-p", f"no:{name}")]
        self._command = [
            *(sys.executable, "-m", "pytest", *checks, "--rootdir", str(self._root)),
            *("--target", target, "-q", "--no-diagnosis", *plugins),
        ]
        self.rounds = 0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._go_on, name="dialtone-watching", daemon=True)

    def start(self) -> Watching:
        """Begin."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Let the round that is under way end, and forget everything; idempotent."""
        self._end.set()
        if self._thread.is_alive():
            self._thread.join(ROUND_BOUND + 5)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _go_on(self) -> None:
        while not self._end.is_set():
            self._run(self._command, self._environment)
            self.rounds += 1

    def _child(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        inherited = {n: v for n, v in os.environ.items() if not n.startswith(("PYTEST_", "DIALTONE_DRILL"))}
        with (self._folder / "rounds.log").open("ab") as log:
            process = subprocess.Popen(
                list(command),
                cwd=self._root,
                env={**inherited, **environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
            waited = 0.0
            while process.poll() is None and waited < ROUND_BOUND:
                if self._end.wait(0.05):
                    break
                waited += 0.05
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
