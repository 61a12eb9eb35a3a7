"""High error rate (P1): the errors of real visitors, beside those that a prober sees and never instead of them."""

from __future__ import annotations

from dialtone import check


@check(
    severity="P1",
    runbook="high-error-rate",
    objective="error_rate",
    catches=["traffic-failing"],
    needs=["database", "indicators.real_traffic"],
    requests=0,
)
def test_error_rate_of_real_traffic(target, db, objective):
    """Hardly any answer to a real visitor is a 5xx."""
    seen = db.one(target.profile.indicators["real_traffic"].sql)
    objective.rate(int(seen["events"]), int(seen["samples"]), what="error rate of real traffic")
