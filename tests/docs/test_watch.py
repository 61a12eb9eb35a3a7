"""docs/watch.md: its tables are a profile's, its options exist, its messages are what the watch says."""

from __future__ import annotations

import re
import tomllib

from tests.docs.conftest import ROOT

from dialtone.cli import parser
from dialtone.target.pace import Quorum, Schedule

TEXT = (ROOT / "docs" / "watch.md").read_text()


def test_its_profiles_are_valid() -> None:
    """Both tables, by the model."""
    tables = [tomllib.loads(block)["target"]["production"] for block in re.findall(r"```toml\n(.*?)```", TEXT, re.S)]
    schedule = Schedule.model_validate(tables[0]["schedule"])
    assert (schedule.of("backup_age"), schedule.of("pages_answer[home]"), schedule.of("other")) == (3600, 30, 60)
    assert Quorum.model_validate(tables[1]["quorum"]).agree == 2


def test_its_commands_are_understood() -> None:
    """Every `dialtone watch` of the page, options and all."""
    lines = [*re.findall(r"^dialtone (watch.*)$", TEXT, re.M), *re.findall(r"`dialtone (watch --[^`]*)`", TEXT)]
    assert len(lines) >= 2
    for line in lines:
        assert parser().parse_args(line.replace('"', "").split()).run
    options = parser().parse_args(["watch"])
    for option in set(re.findall(r"`(--listen|--sessions)", TEXT)):
        assert hasattr(options, option[2:])


def test_what_it_says_is_said() -> None:
    """Names of metrics and words of messages stand in the source."""
    source = "".join(path.read_text() for path in (ROOT / "src/dialtone").rglob("*.py"))
    for name in set(re.findall(r"dialtone_(?:watch|check)_\w+", TEXT)):
        assert f'"{name}"' in source, name
    for words in ("looks were cut short", "took longer than", "seen from", "not reloaded, the watch goes on as it was"):
        assert words in source
