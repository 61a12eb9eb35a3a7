"""A runbook's lines, what covers them, and each way in which that may be wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dialtone.runbook.coverage import Covers, judged
from dialtone.runbook.page import Cover, read

if TYPE_CHECKING:
    from tests.conftest import Suite

ROOT = Path(__file__).parents[2]
PAGE = """
# Runbook

<a id="site-down"></a>
## Site down (P0)

Words that are no line.

**Symptoms:**

- <a id="s.pages"></a>All pages answer 500
  or 503. → check: pages_answer,
  health[ok]; person: primary
- Health check fails. → check: health

### Resolution

1. **Roll back:**
   - <a id="s.back"></a>Promote the last good deployment → command: do promote

```sh
- not a line
```

<a id="money"></a>
## Payments

* [ ] <a id="m.key"></a>Is the key set? → planned: chaos/test_x.py
"""
NAMES = {"check": {"pages_answer", "health", "health[ok]"}, "command": {"do promote"}}


def covers(root: Path, people: dict[str, str] | None = None, **names: set[str]) -> Covers:
    """What there is, for a page in `root`."""
    return Covers({**NAMES, **names}, root, people)


def complaints(text: str, root: Path, people: dict[str, str] | None = None) -> list[str]:
    """What is wrong with a page that has enough lines that run."""
    filler = "\n".join(f'- <a id="f{n}"></a>Fine. → check: health' for n in range(20))
    return judged(read(f"{text}\n\n{filler}\n"), covers(root, people)).complaints


def test_the_lines_of_a_page() -> None:
    """Wrapped items, check boxes and nested lists; no fences, no items that only introduce others."""
    page = read(PAGE)
    assert page.sections == {"site-down": "Site down (P0)", "money": "Payments"}
    assert [(x.anchor, x.section, x.under, x.text) for x in page.lines] == [
        ("s.pages", "site-down", "Symptoms", "All pages answer 500 or 503."),
        ("", "site-down", "Symptoms", "Health check fails."),
        ("s.back", "site-down", "Resolution", "Promote the last good deployment"),
        ("m.key", "money", "", "Is the key set?"),
    ]
    assert page.lines[0].covers == (
        Cover("check", "pages_answer"),
        Cover("check", "health[ok]"),
        Cover("person", "primary"),
    )


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("- Nothing. → check: health", "line 1 has no anchor: begin it with"),
        ('- <a id="a"></a>Nothing.', "line 1 is covered by nothing: end it with → and what covers it (a)"),
        ('- <a id="a"></a>X → check: helth', "line 1: there is no check helth; did you mean health?"),
        ('- <a id="a"></a>X → check', "line 1: check without a name"),
        ('- <a id="a"></a>X → command: do nothing', "line 1: there is no command do nothing"),
        ('- <a id="a"></a>X → experiment: x', "line 1: there is no experiment x"),
        ('- <a id="a"></a>X → magic: wand', "line 1: 'magic' covers nothing: a line is covered by check, diagnosis"),
        ('- <a id="a"></a>X → document: gone.md', "line 1: there is no document gone.md"),
        ('- <a id="a"></a>X → document: here.md#gone', "line 1: there is no document here.md#gone"),
        ('- <a id="a"></a>X → planned: chaos/here.py', "line 1: chaos/here.py is there: name what covers the line"),
        ('- <a id="a"></a>X → planned: dialtone.runbook', "line 1: dialtone.runbook is there"),
        ('- <a id="a"></a>X → person: nobody', "line 1: nobody on call is nobody: there are primary"),
        ("Primary: [Your Name]", "line 1 has a placeholder in use: [Your Name]"),
        ("Ask <your-team> (TODO)", "line 1 has a placeholder in use: <your-team>"),
    ],
)
def test_what_may_be_wrong(tmp_path: Path, line: str, complaint: str) -> None:
    """Each in words that name the line and the remedy."""
    (tmp_path / "chaos").mkdir()
    (tmp_path / "chaos/here.py").touch()
    (tmp_path / "here.md").write_text('<a id="there"></a>')
    found = complaints(line, tmp_path, {"primary": "mary"})
    assert found
    assert found[0].startswith(complaint) or any(said.startswith(complaint) for said in found), found


@pytest.mark.parametrize(
    "line",
    [
        '- <a id="a"></a>X → check: pages_answer, health; command: do promote',
        '- <a id="a"></a>X → document: here.md#there',
        '- <a id="a"></a>X → planned: chaos/test_later.py',
        '- <a id="a"></a>X → planned: dialtone.no_such_room.yet',
        '- <a id="a"></a>X → person',
        '- <a id="a"></a>X → person: primary',
        "- [ ] **Group:**",
        "See [the page](other.md) and [Name][1]; `[Your Name]` is a placeholder.",
    ],
)
def test_what_is_fine(tmp_path: Path, line: str) -> None:
    """No complaint about what is as it should be."""
    (tmp_path / "here.md").write_text('<a id="there"></a>')
    assert complaints(line, tmp_path, {"primary": "mary"}) == []


def test_an_anchor_stands_once(tmp_path: Path) -> None:
    """Two lines of one anchor could not be told apart."""
    twice = '- <a id="a"></a>X → check: health\n- <a id="a"></a>Y → check: health'
    assert complaints(twice, tmp_path) == ["line 2 has the anchor of line 1: a"]


def test_whoever_is_on_call_is_no_placeholder(tmp_path: Path) -> None:
    """A name in brackets is nobody; that nobody is named is a remark."""
    assert complaints("", tmp_path, {"primary": "[Your Name]"}) == ["on call primary is a placeholder: [Your Name]"]
    assert judged(read(PAGE), covers(tmp_path)).remarks == [
        "nobody has said who is on call: [on_call] in the profile file"
    ]


def test_planned_lines_do_not_run(tmp_path: Path) -> None:
    """They are covered, counted apart, and too many of them are a complaint."""
    page = '- <a id="a"></a>X → planned: chaos/test_x.py\n- <a id="b"></a>Y → check: health; person'
    found = judged(read(page), covers(tmp_path))
    assert found.counts() == {"runs": 1, "document": 0, "person": 0, "planned": 1, "nothing": 0}
    assert found.share("runs", "document", "person", "planned") == 100
    assert found.complaints == ["50 % of the lines run, 60 % have to"]


def test_an_empty_page_is_wrong(tmp_path: Path) -> None:
    """A runbook without lines covers nothing."""
    assert judged(read("# Runbook\n\nWords.\n"), covers(tmp_path)).complaints == [
        "the runbook has no lines: every item of a list is one"
    ]


def test_another_teams_page(suite: Suite) -> None:
    """The command over somebody else's page, checks and looks: the table, the exit code, the same as JSON."""
    suite.checks("@check(runbook='a')\n@pytest.mark.parametrize('n', [1])\ndef test_one(n):\n    ok('fine')\n")
    folder = suite.pytester.path
    (folder / "diagnosis.py").write_text(
        "from dialtone.runbook import look\n@look('a')\ndef around():\n    '''Look around.'''\n"
    )
    page = folder / "page.md"
    page.write_text(
        '<a id="a"></a>\n## A\n\n- <a id="a.x"></a>X → check: one[1]; route: P0\n'
        '- <a id="a.y"></a>Y → diagnosis: around; command: runbook\n'
    )
    done = _coverage(folder, page)
    assert done.returncode == 0, done.stderr
    assert "2 lines: 100 % covered, 100 % by what runs (2 run)" in done.stdout
    page.write_text(page.read_text() + '- <a id="a.z"></a>Z → check: two\n')
    done = _coverage(folder, page, "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["complaints"] == ["line 6: there is no check two"]


def _coverage(folder: Path, page: Path, *more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "dialtone.cli", "runbook", "coverage", "--runbook", page, "--items", folder, *more]
    environment = {k: v for k, v in os.environ.items() if k != "PYTEST_DISABLE_PLUGIN_AUTOLOAD"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize(("folder", "least"), [(ROOT, 150), (ROOT / "examples/charging", 8)], ids=["ours", "theirs"])
def test_the_runbooks_of_this_repository_are_covered(folder: Path, least: int) -> None:
    """Every line, by what there is."""
    command = [sys.executable, "-m", "dialtone.cli", "runbook", "coverage", "--json"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=300)
    found = json.loads(done.stdout)
    assert found["complaints"] == []
    assert found["covered"] == 100
    assert found["running"] >= 60
    assert len(found["lines"]) >= least
