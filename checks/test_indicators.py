"""Indicators of the profile that no section of the runbook speaks of: each is held against its objective."""

from __future__ import annotations

from dialtone import check, each

# These have checks of their own, with the severity and the section of the runbook that belong to them.
ELSEWHERE = ["payment_success", "call_success", "calendar_sync", "webhook_lag", "webhook_success", "real_traffic"]


@check(
    severity="P2",
    runbook="indicators",
    catches={"calls_cut_short": ["calls-cut-short"]},
    needs=["indicators.{name}", "database"],
    requests=0,
)
@each("indicators", "name", but=ELSEWHERE)
def test_indicator_keeps_its_objective(name, indicator):
    """A figure that the profile names is where its objective wants it."""
    indicator(name)
