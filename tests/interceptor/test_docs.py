"""The pages about faults: what they show runs, what they list is what there is."""

from __future__ import annotations

import importlib.util
import json
import re
import tomllib
from pathlib import Path

import pytest

from dialtone import cli
from dialtone.interceptor import mechanism
from dialtone.interceptor.answers import Answers, providers
from dialtone.interceptor.client import Controller
from dialtone.interceptor.commands import page
from dialtone.interceptor.mechanism import Act, mechanisms
from dialtone.interceptor.plan import parse
from dialtone.interceptor.settings import build

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/write-a-fault.md").read_text()
PLANS = sorted((ROOT / "src/dialtone/interceptor/plans").glob("*.json"))


def blocks(mark: str) -> list[str]:
    """The blocks of code under a mark."""
    return re.findall(rf"<!-- {re.escape(mark)} -->\n```\w+\n(.*?)```", TEXT, re.S)


def test_the_example_is_a_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its file registers it, its command lists it, its plan is accepted."""
    monkeypatch.setattr(mechanism, "_MECHANISMS", dict(mechanisms()))
    [source] = blocks("file: src/dialtone/interceptor/faults/latin_1.py")
    path = tmp_path / "latin_1.py"
    path.write_text(source)
    spec = importlib.util.spec_from_file_location("latin_1", path)
    assert spec is not None
    assert spec.loader is not None
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
    [command] = blocks("run: 0")
    assert cli.main(command.split()[1:]) == 0
    assert "Says ISO-8859-1 of a body that is UTF-8." in capsys.readouterr().out
    [plan] = blocks("plan")
    assert parse(plan)[0].mechanism.name == "latin-1"


def test_the_settings_and_the_plan_of_the_guide_are_taken() -> None:
    """Whole; each command that it shows is one; its fixture has what it uses."""
    guide = (ROOT / "docs/faults.md").read_text()
    [settings], [plan] = (
        re.findall(rf"<!-- {mark} -->\n```\w+\n(.*?)```", guide, re.S) for mark in ("settings", "plan")
    )
    hosts = build(tomllib.loads(settings)).hosts
    assert hosts["postgres"].tcp
    assert [spec.mechanism.name for spec in parse(plan)] == ["answer", "in-doubt", "latency", "refuse"]
    for action in set(re.findall(r"dialtone faults (\w+)", guide)):
        with pytest.raises(SystemExit) as caught:
            cli.main(["faults", action, "--help"])
        assert caught.value.code == 0
    for name in ("put", "guard"):
        assert hasattr(Controller, name)


def test_what_the_page_says_of_an_act_is_there() -> None:
    """Every name that it gives."""
    names = set(re.findall(r"act\.(\w+)", TEXT))
    assert {"pause", "hold", "random", "resend", "beside", "note"} <= names
    assert [name for name in names if not hasattr(Act, name)] == []


@pytest.mark.parametrize("provider", providers())
def test_a_providers_page_is_what_its_rows_say(provider: str) -> None:
    """Write it anew with `dialtone faults answers PROVIDER --markdown`."""
    assert (ROOT / f"docs/providers/{provider}.md").read_text() == page(Answers.of(provider))


@pytest.mark.parametrize("path", PLANS, ids=lambda p: p.stem)
def test_published_outages_are_plans(path: Path) -> None:
    """Each is accepted, and says what happened when, and where that stands."""
    plan = json.loads(path.read_text())
    assert parse(plan)
    assert re.search(r"-\d{4}-\d\d-\d\d$", path.stem)
    assert plan["source"]
    assert plan["comment"]


def test_the_guide_names_every_mechanism() -> None:
    """In its table of what can fail, each once."""
    table = (ROOT / "docs/faults.md").read_text().partition("| what fails | faults |")[2].partition("\n\n")[0]
    named = set(re.findall(r"`([a-z-]+)`", table))
    assert set(mechanisms()) - named == set()
    choices = {"close", "timeout"}  # how a fault of the table ends
    assert named - set(mechanisms()) == choices
