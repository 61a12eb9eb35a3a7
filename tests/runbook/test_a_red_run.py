"""A run with something red: diagnosed once for each section, beside the verdicts, never touching a verdict."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conftest import Suite

CHECKS = """
@pytest.mark.parametrize("n", range(3))
@check(runbook="site-down", severity="P0")
def test_page_answers(http, n):
    expect(http.get("/status/500")).status(200)

@check(runbook="database")
def test_statements_are_quick():
    fail("the slowest statement takes 2 s")

@check(runbook="site-down")
def test_fine():
    ok("fine")
"""
CAUSES = """
from dialtone.runbook import Cause, When

CAUSES = [
    Cause("application.page-fails", "A page fails by itself", "read the stack; roll back",
          seen=[When("page_answers", r"answered 5")], contact="vercel"),
    Cause("database.slow", "A statement is slow", "look at its plan"),
]
"""
LOOKS = """
import os, sys, time
from pathlib import Path
from dialtone.runbook import look

def once(name):
    with Path("looked").open("a") as file:
        file.write(name + "\\n")

@look("site-down")
def page_again(get):
    '''The page, asked again.'''
    once("page_again")
    answer = get("/status/200?mary@example.com")
    return [{"status": answer.status, "who": "mary@example.com", "query": "SELECT 'Mary'"}]

@look("*")
def everything(red, since, suspect):
    '''What is red everywhere.'''
    once("everything")
    suspect("database.slow", "one statement took 2 s")
    return f"{len(red)} are red"
"""
MORE = 'contacts = { vercel = "https://vercel.com/support" }'


@pytest.fixture
def red(suite: Suite) -> Suite:
    """A suite with two red sections, causes and looks."""
    suite.checks(CHECKS)
    suite.pytester.path.joinpath("causes.py").write_text(CAUSES)
    suite.pytester.path.joinpath("diagnosis.py").write_text(LOOKS)
    suite.profile(more=MORE)
    return suite


def looks(suite: Suite) -> list[str]:
    """Which looks were taken, in order."""
    path = suite.pytester.path / "looked"
    return path.read_text().split() if path.exists() else []


def page(suite: Suite, section: str) -> str:
    """The page of a section."""
    return (suite.pytester.path / f"build/diagnosis/{section}.md").read_text()


def test_the_diagnosis_is_made_once_and_told(red: Suite) -> None:
    """However many checks failed: each look once; the cause, the first step and the contact in summary and page."""
    result = red.run()
    assert result.ret == 1
    assert looks(red) == ["page_again", "everything"]
    found = red.document["diagnosis"]
    assert found["cause"]["id"] == "application.page-fails"
    assert found["cause"]["checks"] == [f"page_answers[{n}]" for n in range(3)]
    assert found["unexplained"] == ["statements_are_quick"]
    assert found["pages"] == {s: f"build/diagnosis/{s}.md" for s in ("site-down", "database")}
    result.stdout.fnmatch_lines(
        [
            "likely cause A page fails by itself (GET /status/500: answered 500, not 200)",
            "             first: read the stack; roll back",
            "             vercel support: https://vercel.com/support",
            "             it does not explain statements_are_quick",
            "             build/diagnosis/site-down.md build/diagnosis/database.md",
        ]
    )
    text = page(red, "site-down")
    assert "**Likeliest cause:** A page fails by itself" in text
    assert "| 200 | …@… | SELECT ? |" in text
    assert "mary" not in text.lower()
    assert "page_again" not in page(red, "database")


def test_the_workers_leave_it_to_the_controller(red: Suite) -> None:
    """Under xdist too each look is taken once."""
    pytest.importorskip("xdist")
    result = red.run("-pxdist", "-n2", apart=True)
    assert result.ret == 1
    assert looks(red) == ["page_again", "everything"]


def test_it_is_attached_in_allure(red: Suite) -> None:
    """Each red check of a section has the page of its section; what is well has none."""
    pytest.importorskip("allure_pytest")
    red.run("-pallure_pytest", "--alluredir=build/allure", apart=True)
    folder = red.pytester.path / "build/allure"
    attached = {}
    for path in folder.glob("*-result.json"):
        result = json.loads(path.read_text())
        sources = [a["source"] for a in result.get("attachments", []) if a["name"] == "diagnosis"]
        attached[result["name"].partition("[")[0]] = [(folder / source).read_text()[:25] for source in sources]
    assert attached == {
        "test_page_answers": ["# Diagnosis: site-down\n\nT"],
        "test_statements_are_quick": ["# Diagnosis: database\n\nTa"],
        "test_fine": [],
    }


def test_nothing_is_looked_at_when_nothing_is_red(red: Suite) -> None:
    """And the pages of the run before are gone: they would be taken for this one's."""
    red.run()
    red.checks("@check(runbook='x')\ndef test_fine():\n    ok('fine')\n")
    (red.pytester.path / "looked").unlink()
    assert red.run().ret == 0
    assert looks(red) == []
    assert not (red.pytester.path / "build/diagnosis").exists()
    assert "diagnosis" not in red.document


def test_it_can_be_switched_off(red: Suite) -> None:
    """`--no-diagnosis`."""
    result = red.run("--no-diagnosis")
    assert looks(red) == []
    assert "diagnosis" not in red.document
    assert "likely cause" not in result.stdout.str()


def test_what_changed_since_the_last_ok_run(red: Suite) -> None:
    """The record of an ok run is compared: facts of the deployment, verdicts, values that moved."""
    well = "@check(runbook='a')\ndef test_a():\n    ok('quick', value=10, unit='ms')\n"
    sick = "@check(runbook='a')\ndef test_a():\n    fail('slow', value=90, unit='ms')\n"
    facts = """
from pathlib import Path
from dialtone.runbook import look

@look("a", facts=True)
def version():
    '''Which build runs.'''
    return {"build": Path("build.txt").read_text()}
"""
    (red.pytester.path / "diagnosis.py").write_text(facts)
    (red.pytester.path / "build.txt").write_text("one")
    red.checks(well)
    assert red.run().ret == 0
    (red.pytester.path / "build.txt").write_text("two")
    red.checks(sick)
    assert red.run().ret == 1
    found = red.document["diagnosis"]
    assert found["changes"] == ["version: build was one, is two", "a: was 10 ms, is 90 ms"]
    assert "- version: build was one, is two" in page(red, "a")
    assert re.search(r"all was well at \d{4}-\d\d-\d\d \d\d:\d\d UTC", page(red, "a")) is None  # no cause is known


@pytest.mark.parametrize(
    ("look", "lack"),
    [
        ("raise KeyError('+15005550001')", "the look itself failed: KeyError at diagnosis.py:"),
        ("os._exit(3)", "the diagnosis itself failed (exit code 3)"),
        ("sys.stdout.write('{\"look\": broken')", None),
        ("suspect('no.such-cause', 'x')", "bad suspects no.such-cause, a cause that is not declared"),
    ],
    ids=["raises", "dies", "babbles", "strange cause"],
)
def test_a_look_that_fails_takes_nothing_with_it(red: Suite, look: str, lack: str | None) -> None:
    """The others are told, the verdict and the exit code are the same, and what the error said is not told."""
    bad = f"\n@look('*')\ndef bad(suspect):\n    '''Bad.'''\n    {look}\n"
    (red.pytester.path / "diagnosis.py").write_text(LOOKS + bad)
    result = red.run()
    assert result.ret == 1
    assert red.verdicts["statements_are_quick"] == "breach"
    found = red.document["diagnosis"]
    assert found["cause"]["id"] == "application.page-fails"
    assert found["looks"]["page_again"]["rows"] == [{"status": 200, "who": "…@…", "query": "SELECT ?"}]
    assert "+15005550001" not in json.dumps(red.document)
    lacks = [*found["lacks"], *(reason for record in found["looks"].values() for reason in record["lacks"])]
    assert lack is None or any(reason.startswith(lack) for reason in lacks)


def test_declarations_that_cannot_be_read(red: Suite) -> None:
    """A file with an error is told of; the verdicts stand."""
    (red.pytester.path / "causes.py").write_text("import dialtone.runbook\nCAUSES = [1 / 0]\n")
    result = red.run()
    assert result.ret == 1
    assert red.document["diagnosis"]["cause"] is None
    # In one line: where it is wrapped depends on how long the path of the folder is.
    assert "ZeroDivisionError: division by zero" in " ".join(result.stdout.str().split())


def test_names_that_nobody_knows_and_what_a_profile_lacks(red: Suite) -> None:
    """A look says what it lacks: a name that there is not, a part of the profile, a database."""
    more = """
@look("site-down")
def odd(databse):
    '''Odd.'''

@look("site-down", needs=["providers.sentry"])
def sentry(ask):
    '''Sentry.'''

@look("site-down")
def rows(db):
    '''Rows.'''
"""
    (red.pytester.path / "diagnosis.py").write_text(LOOKS + more)
    red.run()
    found = red.document["diagnosis"]["looks"]
    assert found["odd"]["lacks"][0].startswith("the look itself failed: Misdeclared: a look may ask for ask, began, ")
    assert found["sentry"]["lacks"] == ["the profile has no providers.sentry"]
    assert found["rows"]["lacks"] == ["the profile has no database"]


def test_causes_are_named_without_a_target(red: Suite) -> None:
    """What is red names causes by itself, even where nothing can be looked at: here because the looks are broken."""
    (red.pytester.path / "diagnosis.py").write_text("from dialtone.runbook import look\n1 / 0\n")
    assert red.run().ret == 1
    found = red.document["diagnosis"]
    assert found["cause"]["id"] == "application.page-fails"
    assert found["looks"] == {}
    assert "ZeroDivisionError" in found["lacks"][0]
