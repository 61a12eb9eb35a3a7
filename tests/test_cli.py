"""The command line as a whole."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_a_reader_that_went_away_is_no_traceback() -> None:
    """`dialtone checks | head -1` ends in silence, as other programs do."""
    command = subprocess.Popen(
        [sys.executable, "-m", "dialtone.cli", "checks", "--json"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert command.stdout is not None
    assert command.stderr is not None
    command.stdout.close()
    assert command.stderr.read() == ""
    command.stderr.close()
    assert command.wait(60) == 141


def test_every_command_explains_itself() -> None:
    """`--help` of each command names what it is for; none needs a profile for it."""
    top = subprocess.run(
        [sys.executable, "-m", "dialtone.cli", "--help"], cwd="/", capture_output=True, text=True, check=True
    )
    assert "exit codes of such a run" in top.stdout
    assert top.stderr == ""
