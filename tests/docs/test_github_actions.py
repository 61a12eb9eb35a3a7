"""docs/github-actions.md: the profile is one, the workflows pass the linters, figures are what is printed."""

from __future__ import annotations

import argparse
import re
import subprocess
from pathlib import Path

import pytest
from tests.docs.conftest import ROOT
from tests.github.test_lint import tool
from tests.start import test_forecast

from dialtone import catalog, cli
from dialtone.github import tell
from dialtone.report.public import FIELDS
from dialtone.start import forecast
from dialtone.target import load

TEXT = (ROOT / "docs/github-actions.md").read_text()


def block(name: str) -> str:
    """The fenced text below a mark."""
    found = re.search(rf"<!-- {name} -->\n```\w+\n(.*?)```", TEXT, re.DOTALL)
    assert found
    return found[1]


def test_the_profile_is_one(tmp_path: Path) -> None:
    """With the bypass it is sent, without it is left out."""
    (tmp_path / "dialtone.toml").write_text(block("profile"))
    given = {"PREVIEW_URL": "https://shop-1.vercel.app"}
    for more, headers in (
        ({}, {}),
        ({"PREVIEW_PROTECTION_BYPASS": "s3cret"}, {"x-vercel-protection-bypass": "s3cret"}),
    ):
        target = load(tmp_path / "dialtone.toml", "preview", {**given, **more})
        assert target.headers(target.profile.headers) == headers
    assert target.profile.gate.revision


@pytest.mark.parametrize("name", ["workflow", "caller"])
def test_the_workflows_pass_the_linters(tmp_path: Path, name: str) -> None:
    """Where a commit stands for COMMIT."""
    text = block(name).replace("OWNER", "acme").replace("COMMIT", "a" * 40)
    folder = tmp_path / ".github/workflows"
    folder.mkdir(parents=True)
    (folder / f"{name}.yml").write_text(text)
    (folder.parent / "zizmor.yml").write_text((ROOT / ".github/zizmor.yml").read_text())
    for command in (
        [tool("zizmor"), "--offline", "-q", "--config", str(folder.parent / "zizmor.yml"), str(folder / f"{name}.yml")],
        [tool("check-jsonschema"), "--builtin-schema", "vendor.github-workflows", str(folder / f"{name}.yml")],
    ):
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_forecast_is_what_is_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the suite of its tests."""
    test_forecast.repository(tmp_path)
    collected = catalog.collected([str(tmp_path / "checks")], "production", tmp_path / "dialtone.toml")
    monkeypatch.setattr(forecast, "collected", lambda *_: collected)
    assert cli.main(["forecast", "--config", str(tmp_path / "dialtone.toml")]) == 0
    assert capsys.readouterr().out == block("forecast")


def test_names_are_those_of_the_code() -> None:
    """Steps, fields that are public, inputs of the action, conclusions."""
    import yaml

    commands = cli.parser()._subparsers
    assert commands
    (group,) = (a for a in commands._group_actions if isinstance(a, argparse._SubParsersAction))
    (steps,) = (a for a in group.choices["github"]._actions if isinstance(a, argparse._SubParsersAction))
    assert re.findall(r"^\| `(\w+)` \| .* \|.*\|$", TEXT.partition("## Steps")[2], re.MULTILINE) == list(steps.choices)
    assert ", ".join(f"`{name}`" for name in FIELDS) in re.sub(r"\s+", " ", TEXT)
    told = yaml.safe_load((ROOT / "action.yml").read_text())
    inputs = re.sub(r"\s+", " ", TEXT.partition("Inputs: ")[2].partition("Outputs: ")[0])
    assert re.findall(r"`([\w-]+)`", inputs) == list(told["inputs"])
    for code, words in re.findall(r"^\| .+ \| (\d+)? \| ([a-z ]+) \|$", TEXT, re.MULTILINE):
        if code:
            assert tell.conclusion(int(code), "success", "") == words.replace(" ", "_")
