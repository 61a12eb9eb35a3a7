"""Runs the checks of this checkout with profiles of the documents."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


def toml(table: dict[str, Any], at: tuple[str, ...] = ()) -> str:
    """A table as TOML text; lists of tables are written inline."""
    plain = {k: v for k, v in table.items() if not isinstance(v, dict)}
    lines = [f"[{'.'.join(at)}]"] if at and plain else []
    lines += [f"{k} = {_inline(v)}" for k, v in plain.items()]
    return "\n".join([*lines, *(toml(v, (*at, k)) for k, v in table.items() if isinstance(v, dict))])


def _inline(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{k} = {_inline(v)}" for k, v in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_inline, value)) + "]"
    return json.dumps(value)


def merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """What a reader gets who writes `over` into a file that holds `base`."""
    both = {k: merged(base[k], v) if isinstance(v, dict) and k in base else v for k, v in over.items()}
    return {**base, **both}


@dataclass(frozen=True)
class Outcome:
    """What a run of the checks said."""

    exit_code: int
    output: str
    checks: dict[str, dict[str, Any]]

    def are(self, *states: str) -> set[str]:
        """The ids of the checks in one of these states."""
        return {name for name, check in self.checks.items() if self.state(name) in states and check}

    def state(self, name: str) -> str:
        """A check's one word."""
        check = self.checks[name]
        return "unarmed" if not check["armed"] else str(check["kind"] or check["verdict"])

    def told(self, *states: str) -> str:
        """The checks in these states with their reasons, for a failing test's message."""
        return "\n".join(f"{self.state(n)}: {n}: {self.checks[n]['reason']}" for n in sorted(self.are(*states)))


@pytest.fixture
def run_checks(tmp_path: Path) -> Callable[..., Outcome]:
    """`run_checks(profile, environ)`: the checks of this checkout against the target `mine`, in a process apart."""

    def run(profile: dict[str, Any], environ: dict[str, str], *args: str) -> Outcome:
        config, verdicts = tmp_path / "dialtone.toml", tmp_path / "verdicts.json"
        config.write_text(toml(profile) + "\n")
        verdicts.unlink(missing_ok=True)
        own = {k: v for k, v in os.environ.items() if not k.startswith(("DIALTONE_", "SANDBOX_", "PYTEST_"))}
        own["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # other people's plugins cost seconds
        command = [sys.executable, "-m", "pytest", *(args or ("checks",)), "-q", "-p", "no:cacheprovider"]
        command += ["-p", "dialtone.plugin", "--target", "mine", "--dialtone-config", str(config)]
        done = subprocess.run(
            [*command, "--verdicts", str(verdicts)],
            cwd=ROOT,
            env={**own, **environ},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        found = json.loads(verdicts.read_text())["checks"] if verdicts.exists() else []
        return Outcome(done.returncode, done.stdout + done.stderr, {check["id"]: check for check in found})

    return run
