"""docs/checks.md is what `dialtone checks` prints of the checks that there are."""

from __future__ import annotations

import subprocess
import sys

from tests.docs.conftest import ROOT


def test_the_page_is_current() -> None:
    """Every check of the suite stands there with its effect, its reads and its needs, and no other."""
    command = [sys.executable, "-m", "dialtone.cli", "checks", "--markdown"]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=300).stdout
    remedy = "write it anew: .venv/bin/dialtone checks --markdown > docs/checks.md"
    assert printed == (ROOT / "docs" / "checks.md").read_text(), remedy
