"""What every bench needs: what it started ends with it."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BENCH = """
import signal, sys, time
from bench._table import Bench
if "own" in sys.argv[1:]:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
bench = Bench("x", None)
bench.parser.add_argument("own", nargs="?")
bench.arguments
try:
    print("started", flush=True)
    time.sleep(30)
finally:
    print("cleaned up", flush=True)
"""


@pytest.mark.parametrize(("own", "code"), [([], 143), (["own"], 7)])
def test_sigterm_cleans_up_as_ctrl_c_does(own: list[str], code: int) -> None:
    """And the exit code says who asked for it; a bench's own handler stays."""
    with subprocess.Popen([sys.executable, "-c", BENCH, *own], cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=20)[0] == "cleaned up\n"
    assert process.returncode == code
