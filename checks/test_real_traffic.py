"""High error rate (P1): the errors of real visitors, beside those that a prober sees and never instead of them."""

from __future__ import annotations

from dialtone import check, pick


@check(
    severity="P1",
    runbook="high-error-rate",
    objective="error_rate",
    catches=["traffic-failing"],
    needs=["database", "indicators.real_traffic"],
    requests=0,
)
def test_error_rate_of_real_traffic(indicator):
    """Hardly any answer to a real visitor is a 5xx."""
    indicator("real_traffic", what="error rate of real traffic")


@check(
    severity="P1",
    runbook="high-error-rate",
    proof="observed",
    objective="error_rate",
    catches=["visitors-crashing"],
    needs=["providers.sentry", "values.sentry_sessions"],
    requests=0,
)
def test_sessions_do_not_crash(target, record, objective):
    """By Sentry's count of all sessions of real visitors, hardly one crashed within the last hour."""
    groups = pick(record("sentry", target.value("sentry_sessions")), "groups") or []
    ended = {str((g.get("by") or {}).get("session.status")): int(g["totals"]["sum(session)"]) for g in groups}
    crashed = ended.get("crashed", 0) + ended.get("abnormal", 0)
    objective.rate(crashed, sum(ended.values()), what="sessions of real visitors that crashed")
