"""Scripts for Node that use the providers' SDKs of `make node`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
MODULES = ROOT / "build/tools/node/node_modules"


def need(*packages: str) -> None:
    """Skip the test where Node or one of the packages is missing."""
    if shutil.which("node") is None:
        pytest.skip("no node")
    if missing := [name for name in packages if not (MODULES / name).is_dir()]:
        pytest.skip(f"no {', '.join(missing)} for Node: make node")


def run(script: str, environment: Mapping[str, str], *options: str, seconds: float = 60) -> Any:
    """What a script of `tests/node` prints, read as JSON. Its packages are those of `make node`."""
    done = subprocess.run(
        ["node", *options, str(ROOT / "tests/node" / script)],
        env={"PATH": os.environ["PATH"], "NODE_PATH": str(MODULES), **environment},
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)
