"""Reads of providers: one in a run for all workers, no more than a month's quota allows, no more than is declared."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.conftest import Suite

CHECKS = """
from dialtone import each
@check(runbook="external-apis", needs=["providers.stripe"])
def test_one(ask):
    expect(ask("stripe")).status(200)

@check(runbook="external-apis", needs=["providers.stripe"])
def test_two(ask):
    expect(ask("stripe")).status(200)

@each("providers", "provider", ["stripe"])
@check(runbook="external-apis")
def test_each(provider, ask):
    expect(ask(provider)).status(200)

@check(runbook="external-apis", effect="writes", needs=["providers.stripe"])
def test_unarmed(ask): ...
"""


def profile(suite: Suite, *, quota: str = "", every: str = "") -> None:
    """A provider with a quota, and a schedule."""
    table = f'[target.preview.providers.stripe]\nbase_url = "{suite.server.url}"\nprobe = "/balance"\nauth = "none"\n'
    quota = f'quota = "{quota}"\n' if quota else ""
    schedule = f'[target.preview.schedule]\nevery = "{every}"\n' if every else ""
    suite.profile(more=table + quota + schedule)
    suite.server.pages["/balance"] = (200, {}, b"{}")


def test_checks_share_one_read(suite: Suite) -> None:
    """Three checks ask the same: one request, three verdicts."""
    profile(suite)
    suite.checks(CHECKS)
    suite.run()
    assert suite.verdicts == {"one": "ok", "two": "ok", "each[stripe]": "ok", "unarmed": "unarmed"}
    assert suite.server.asked.count("/balance") == 1


def test_workers_share_one_read(suite: Suite) -> None:
    """So do the workers of xdist."""
    profile(suite)
    suite.checks(CHECKS)
    suite.run("-pxdist.plugin", "-n2", apart=True)
    assert suite.verdicts == {"one": "ok", "two": "ok", "each[stripe]": "ok", "unarmed": "unarmed"}
    assert suite.server.asked.count("/balance") == 1


def test_a_fresh_read_is_one_of_its_own(suite: Suite) -> None:
    """Who needs to see what changed says so; a path that the profile does not name is never shared."""
    profile(suite)
    suite.checks(
        """
@check(runbook="x", needs=["providers.stripe"], reads=4)
def test_one(ask):
    for _ in range(2):
        expect(ask("stripe", fresh=True)).status(200)
        expect(ask("stripe", "/other")).status(200)
"""
    )
    suite.run()
    assert suite.server.asked == ["/balance", "/other"] * 2


def test_a_month_above_the_quota_is_a_mistake(suite: Suite) -> None:
    """Exit code 4 before any request: file, key, figures and remedy. What is not armed does not count."""
    profile(suite, quota="8000/month", every="15m")
    suite.checks(CHECKS)
    result = suite.run()
    assert result.ret == 4
    assert (
        "dialtone.toml: target.preview.providers.stripe.quota: 3 checks read stripe 3 times a round, 8,640 times in a"
        " month of 2,880 rounds, and the quota is 8,000: run rounds less often (schedule.every), raise the quota, or"
        " leave checks out" in " ".join(result.stderr.str().split())
    )
    assert suite.server.asked == []


def test_a_month_within_the_quota_runs(suite: Suite) -> None:
    """Exactly the quota is not above it, in any of its forms."""
    for quota in ("8640/month", "288/day"):
        profile(suite, quota=quota, every="15m")
        suite.checks(CHECKS)
        assert suite.run().ret == 0


def test_a_quota_needs_a_schedule(suite: Suite) -> None:
    """Nobody can say how much a month is without knowing how often a round runs."""
    profile(suite, quota="many")
    suite.checks(CHECKS)
    assert 'a quota is a number of reads and its time: "10000/month"' in suite.run().stderr.str()
    profile(suite, quota="8640/month")
    assert "providers.stripe.quota needs to know how often a round runs" in suite.run().stderr.str()


def test_who_reads_more_than_declared_is_broken(suite: Suite) -> None:
    """Where a quota is planned, a check cannot read more than its plan: it is told what to declare."""
    profile(suite, quota="1000000/month", every="15m")
    suite.checks(
        """
@check(runbook="x", needs=["providers.stripe"])
def test_one(ask):
    for _ in range(2):
        expect(ask("stripe", "/status/200")).status(200)
"""
    )
    suite.run()
    assert suite.verdicts == {"one": "broken"}
    assert (
        "reads stripe more often than the quota is planned for: say so, @check(reads=2)" in suite.check("one")["reason"]
    )
