"""`@each`: a case for every entry of a table of the profile."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.conftest import Suite

PAGES = """
[target.preview.rate_limits.search]
route = "/search"
requests = 5
window = "1m"
headers = ["retry-after"]
[target.preview.rate_limits.export]
route = "/export"
requests = 5
window = "1m"
"""
CHECKS = """
from dialtone import each

@check(runbook="x", needs=["rate_limits.{name}"])
@each("rate_limits", "name", ["login"])
def test_all(name, target):
    ok(target.rate_limit(name).route)

@check(runbook="x", needs=["rate_limits.{name}.headers"])
@each("rate_limits", "name", ["login", "export"], key="headers")
def test_headers(name):
    ok(name)

@check(runbook="x", catches={"search": ["something"]})
@each("rate_limits", "name", but=["export"])
def test_others(name):
    ok(name)

@check(runbook="x", needs=["routes"])
@each("webhooks", "name")
def test_none(name): ...
"""


def test_cases_come_from_the_profile(suite: Suite) -> None:
    """Known names always, those of the profile beside them: with a key only those that set it, never those in `but`."""
    suite.profile(more=PAGES)
    suite.checks(CHECKS)
    suite.run()
    assert suite.verdicts == {
        "all[login]": "unarmed",
        "all[search]": "ok",
        "all[export]": "ok",
        "headers[login]": "unarmed",
        "headers[export]": "unarmed",
        "headers[search]": "ok",
        "others[search]": "ok",
        "none[any]": "unarmed",
    }
    assert suite.check("all[login]")["reason"] == "the profile has no rate_limits.login"
    assert suite.check("none[any]")["reason"] == "the profile has no webhooks that this check is for"
    assert suite.check("headers[export]")["reason"] == "the profile has no rate_limits.export.headers"
