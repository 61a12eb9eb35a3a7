"""High error rate (P1): the errors that a prober sees, and whether the application's own alarms work."""

from __future__ import annotations

import json
import time

from dialtone import check, eventually, expect, fail, ok, pick, undecided
from dialtone.template import fill, typed


@check(
    severity="P1",
    runbook="high-error-rate",
    catches=["errors-one-in-six"],
    objective="error_rate",
    needs=["pages"],
    requests=2,
    samples=True,
    gate=True,
)
def test_error_rate_of_the_probe(target, sampler, objective):
    """Hardly any answer to the prober is a 5xx or none at all."""
    pages = [page.path for name, page in target.profile.pages.items() if name != "pricing"]
    seen = sampler.outcomes(pages, objective.objective)
    objective.rate(seen.errors, seen.count, what="error rate of the probe", regions=sorted(seen.regions))


def _metrics(cron):
    answer = cron("own_monitor")
    expect(answer).status(200, 503)
    return answer.json()


@check(
    runbook="high-error-rate",
    catches=["metrics-random"],
    needs=["routes.own_monitor", "cron", "database", "fields.monitor_metrics"],
    requests=1,
)
def test_own_monitor_reports_real_numbers(target, cron, db):
    """The numbers of the application's own monitor are those of its database, not made up."""
    told = pick(_metrics(cron), target.field("monitor_metrics", "metrics"))
    names = [name for name in (told or {}) if name in target.profile.queries]
    if not names:
        undecided("the monitor reports no number that the profile has a query for")
    for name in names:
        counted = db.value(target.query(name))
        if abs(float(told[name]) - float(counted)) > max(5, 0.05 * float(counted)):
            fail(f"the monitor's {name} is not what the database holds", value=float(counted), unit="count")
    ok(f"{len(names)} numbers agree with the database", value=len(names), unit="count")


@check(
    runbook="high-error-rate",
    catches=["monitor-missing-field"],
    needs=["routes.own_monitor", "routes.health", "cron", "fields.monitor_healthy"],
    requests=2,
    gate=True,
)
def test_own_monitor_agrees_with_health(target, cron, http):
    """The application's own monitor is not red while its health is ok, nor green while it is not."""
    says = pick(_metrics(cron), target.field("monitor_healthy", "healthy"))
    health = http.get(target.route("health"))
    if says is not (health.status == 200):
        fail(f"the monitor says healthy = {json.dumps(says is True)} while health answers {health.status}")
    ok("monitor and health agree")


def _report(target, http, run, severity):
    mark = run.id("error-")
    content, kind = typed(target.request("client_error"), {"mark": mark, "severity": severity})
    answer = http.post(target.route("client_error"), content=content, headers=kind)
    expect(answer).status(200, 201, 202, 204)
    return mark


@check(
    severity="P1",
    runbook="alert-channels",
    effect="provokes",
    catches=["sentry-silent"],
    needs=["routes.client_error", "requests.client_error", "journal"],
    requests=1,
)
def test_client_error_reaches_sentry(target, http, run, journal):
    """An error in a visitor's browser arrives at Sentry."""
    mark = _report(target, http, run, "error")
    if not journal.wait(provider="sentry", contains=mark):
        fail(f"nothing arrived at Sentry within {target.profile.settle:g} s")
    ok("the error arrived at Sentry")


@check(
    severity="P1",
    runbook="alert-channels",
    effect="provokes",
    proof="observed",
    catches=["sentry-drops-events", "sentry-silent"],
    needs=["routes.client_error", "requests.client_error", "providers.sentry", "values.sentry_search"],
    requests=1,
    reads=10,  # a look each `quiet` until the error is there
)
def test_client_error_is_found_at_sentry(target, http, run, record):
    """An error in a visitor's browser is kept by Sentry: taken in and dropped is what nobody notices."""
    search = fill(target.value("sentry_search"), {"mark": _report(target, http, run, "error")})
    pause = target.profile.quiet
    looked = {"within": target.profile.settle, "sleep": lambda seconds: time.sleep(max(seconds, pause))}
    if not eventually(lambda: record("sentry", search), bool, **looked):
        fail(f"Sentry does not know the error after {target.profile.settle:g} s")
    ok("Sentry has kept the error")


@check(
    severity="P1",
    runbook="alert-channels",
    effect="provokes",
    catches=["alert-mail-logged-only"],
    needs=["routes.client_error", "requests.client_error", "journal"],
    requests=1,
)
def test_alerts_reach_every_channel(target, http, run, journal):
    """A critical error is told on Slack and by e-mail: sent, not only logged, and not on one channel alone."""
    mark = _report(target, http, run, "critical")
    wanted = ("slack", "mail")
    seen = eventually(
        lambda: {c for c in wanted if any(r["accepted"] for r in journal.requests(provider=c, contains=mark))},
        lambda found: len(found) == len(wanted),
        within=target.profile.settle,
    )
    silent = [channel for channel in wanted if channel not in seen]
    if silent:
        fail(f"the alert did not go out by {' and '.join(silent)}")
    ok("the alert went out by Slack and e-mail")
