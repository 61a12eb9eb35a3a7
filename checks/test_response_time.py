"""Response time: server time apart from connecting, the usual and the slow answers, and the first one after a pause."""

from __future__ import annotations

import pytest

from dialtone import check, each


def _judge(page, target, sampler, objective):
    path = target.route("health") if page == "health" else target.page(page).path
    seen = sampler.latency(path, objective.objective, objective.q)
    what = f"p{round(objective.q * 100)} of {path}"
    objective.quantile(seen.values, what=what, regions=sorted(seen.regions), errors=seen.errors)


@check(
    severity="P1",
    runbook="response-time",
    objective="response_time_p95",
    catches={"pricing": ["slow-tail"]},
    requests=2,
    samples=True,
    gate=True,
)
@each("pages", "page", ["home", "pricing", "login", "health"])
def test_response_time_p95(page, target, sampler, objective):
    """95 % of answers arrive within the objective, connecting not counted."""
    _judge(page, target, sampler, objective)


@check(
    severity="P2",
    runbook="response-time",
    objective="response_time_p50",
    catches={"login": ["slow-median"]},
    requests=2,
    samples=True,
)
@pytest.mark.parametrize("page", ["home", "login", "health"])
def test_response_time_p50(page, target, sampler, objective):
    """The usual answer is a quick one."""
    _judge(page, target, sampler, objective)


@check(
    severity="P2",
    runbook="response-time",
    objective="connect_time_p95",
    catches=["slow-handshake"],
    needs=["pages"],
    requests=2,
    samples=True,
)
def test_connect_time_p95(target, sampler, objective):
    """Name, TCP and TLS of a new connection take no longer than an answer may."""
    url = target.profile.tls_url or target.profile.base_url
    seen = sampler.connects(f"{url.rstrip('/')}{target.home.path}", objective.objective, objective.q)
    objective.quantile(seen.values, what="p95 of connecting", errors=seen.errors)


@check(
    severity="P2",
    runbook="response-time",
    objective="cold_start_p50",
    catches=["cold-start-slow"],
    needs=["routes.cold"],
    requests=2,
    samples=True,
)
def test_cold_start(target, sampler, objective):
    """After a pause the first answer comes in time as well."""
    path = target.route("cold")
    seen = sampler.after_idle(path, target.profile.idle_gap, objective.objective, objective.q)
    objective.quantile(seen.values, what=f"first answer after {target.profile.idle_gap:g} s of silence")
