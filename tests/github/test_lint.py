"""The workflows in the eyes of zizmor, actionlint and GitHub's schemas, and rules of ours that none of them has."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from dialtone.start.flows import made

ROOT = Path(__file__).parents[2]
FLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
FILES = [*FLOWS, ROOT / "action.yml"]


def tool(name: str) -> str:
    """A linter beside this Python, or on PATH."""
    found = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
    if not found:
        pytest.skip(f"{name} is not installed: pip install 'pytest-dialtone[dev]'")
    return found


def finds_nothing(*command: str) -> None:
    """It ends with 0."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_zizmor() -> None:
    """No finding on security."""
    finds_nothing(tool("zizmor"), "--offline", "-q", ".github", "action.yml")


def test_zizmor_can_fail(tmp_path: Path) -> None:
    """An expression in a shell is a finding."""
    bad = "on: issues\njobs:\n  a:\n    runs-on: x\n    steps:\n      - run: echo ${{ github.event.issue.title }}\n"
    (tmp_path / "bad.yml").write_text(bad)
    command = [tool("zizmor"), "--offline", "-q", str(tmp_path / "bad.yml")]
    assert subprocess.run(command, capture_output=True, check=False).returncode != 0


def test_actionlint() -> None:
    """No finding on grammar, expressions, inputs of actions and their runtimes."""
    finds_nothing(tool("actionlint"), *map(str, FLOWS))


def test_schemas() -> None:
    """GitHub's own schemas, as SchemaStore keeps them, in one start."""
    finds_nothing(tool("check-jsonschema"), "--builtin-schema", "vendor.github-workflows", *map(str, FLOWS))
    finds_nothing(tool("check-jsonschema"), "--builtin-schema", "vendor.github-actions", "action.yml")


@pytest.mark.parametrize("path", FLOWS, ids=lambda p: p.stem)
def test_rules_of_ours(path: Path) -> None:
    """Nothing allowed but by a job, each job bounded in time, no credential left behind, no expression in a shell."""
    told = yaml.safe_load(path.read_text())
    assert told["permissions"] == {}
    assert "concurrency" in told
    for job in told["jobs"].values():
        assert job["timeout-minutes"] <= 60
        assert job["permissions"]
        for step in job["steps"]:
            assert "${{" not in step.get("run", "")
            assert "secrets" not in str(step.get("if", ""))
            if step.get("uses", "").startswith("actions/checkout"):
                assert step["with"]["persist-credentials"] is False
            if step.get("uses", "").startswith("actions/upload"):
                assert 1 <= step["with"]["retention-days"] <= 90
    assert "pull_request_target" not in path.read_text()


def secrets(of: Any) -> set[str]:
    """Names of secrets in a part of a workflow."""
    return set(re.findall(r"secrets\.(\w+)", str(of)))


def test_secrets_go_to_single_steps() -> None:
    """None to a whole job or workflow, and to the gate none before it is known that no fork is asked."""
    for path in FLOWS:
        told = yaml.safe_load(path.read_text())
        assert not secrets(told.get("env"))
        for job in told["jobs"].values():
            assert not secrets(job.get("env"))
    gate = yaml.safe_load((ROOT / ".github/workflows/gate.yml").read_text())["jobs"]["gate"]
    holding = [step["name"] for step in gate["steps"] if secrets(step)]
    assert holding == ["Gate"]
    assert next(s for s in gate["steps"] if s.get("name") == "Gate")["if"] == "steps.deployment.outputs.run == 'true'"


def test_every_ref_pin_has_its_reason() -> None:
    """Each action that is used is named in zizmor's settings, and says why by a tag."""
    text = (ROOT / ".github/zizmor.yml").read_text()
    used = {m for path in FILES for m in re.findall(r"uses: ([\w/-]+)@v\d+", path.read_text())}
    named = set(re.findall(r"^ +([\w/-]+): ref-pin # v\d+: .+$", text, re.MULTILINE))
    assert used == named


def test_the_workflows_are_the_templates() -> None:
    """What the repository has is what `dialtone workflows` writes: one source, and the names that the checks need."""
    package = re.search(r"dialtone workflows --package \"(.+)\"", (ROOT / "Makefile").read_text())
    assert package
    found = made(ROOT / "dialtone.toml", "production", "preview", package[1])
    assert {path: (ROOT / path).read_text() for path in found} == found
