"""docs/write-an-experiment.md tells every argument, fixture and step, and its example is the suite's own."""

from __future__ import annotations

import inspect
import re

from tests.docs.conftest import ROOT

from dialtone.drill.declared import experiment
from dialtone.drill.story import Story
from dialtone.fixtures import experiments, recovery

TEXT = (ROOT / "docs" / "write-an-experiment.md").read_text()


def test_arguments_are_those_of_experiment() -> None:
    """Every argument of `@experiment` stands in the table."""
    section = TEXT.split("## What stands at it")[1].split("\n## ")[0]
    firsts = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    assert set(re.findall(r"`(\w+)`", " ".join(firsts))) == set(inspect.signature(experiment).parameters)


def test_fixtures_are_those_of_the_plugin() -> None:
    """Every fixture of experiments is on the page, and no other."""
    there = {**vars(experiments), **vars(recovery)}
    found = {n for n, thing in there.items() if type(thing).__name__ == "FixtureFunctionDefinition"}
    section = TEXT.split("## What it may ask for")[1].split("\n## ")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", section, re.M)) == {name for name in found if not name.startswith("_")}


def test_steps_are_those_of_the_story() -> None:
    """Every public method of a story is told."""
    steps = {n for n, thing in vars(Story).items() if inspect.isfunction(thing) and not n.startswith("_")}
    section = TEXT.split("## The story")[1].split("\n## ")[0]
    assert set(re.findall(r"story\.(\w+)\(", section)) == steps - {"conclude", "stop", "record", "named"}


def test_the_example_is_an_experiment_of_the_suite() -> None:
    """Its name is that of one which runs."""
    (name,) = re.findall(r"^def (test_\w+)\(", TEXT, re.M)
    assert any(f"def {name}(" in path.read_text() for path in (ROOT / "chaos").glob("test_*.py"))
