"""Samples: given up where none will ever be good; regions as the edge of the profile tells them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.conftest import Suite

OBJECTIVE = """
[target.preview.objectives.p95]
alert = 1000
unit = "ms"
quantile = 0.95
[target.preview.edge]
header = "x-served-by"
region = "^([a-z]+)-"
"""


def test_nobody_waits_for_a_good_answer_that_will_not_come(suite: Suite) -> None:
    """After a few answers of which none was good: undecided, and not four hundred requests later."""
    suite.profile(more=OBJECTIVE)
    suite.checks(
        """
@check(runbook="x", objective="p95", samples=True)
def test_p95(sampler, objective):
    objective.quantile(sampler.latency("/status/405", objective.objective, 0.95).values)
"""
    )
    suite.run()
    assert suite.verdicts == {"p95": "undecided"}
    assert "none of 5 answers was a good one" in suite.check("p95")["reason"]
    assert len(suite.server.asked) == 6  # the first one opens the connection


def test_regions_are_those_of_the_edge(suite: Suite) -> None:
    """By the header that the profile names, and no other."""
    suite.profile(more=OBJECTIVE)
    suite.server.pages["/page"] = (200, {"x-served-by": "lon-3", "x-vercel-id": "iad1::x"}, b"")
    suite.checks(
        """
@check(runbook="x", objective="p95", samples=True)
def test_p95(sampler, objective):
    seen = sampler.latency("/page", objective.objective, 0.95)
    if seen.regions != {"lon"}:
        fail("another region")
    ok("lon")
"""
    )
    suite.run()
    assert suite.verdicts == {"p95": "ok"}
