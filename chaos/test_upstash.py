"""Redis is away: limits hold all the same, visitors notice nothing, and the team hears of it."""

from __future__ import annotations

from dialtone import experiment, fault
from dialtone.template import body

HOST = "sandbox.upstash.io"
PATIENCE = 3.0  # seconds that a visitor waits for a page at most
CLAIMS = [
    *("ratelimit-fails-closed", "ratelimit-fails-open", "alert-missing-redis", "alert-never-resolved", "alert-floods"),
]


@experiment(
    dependency="upstash",
    runbook="rate-limiting",
    severity="P2",
    needs=["rate_limits.login", "routes.login", "journal", "pages.home"],
    recover_within=10,
    smoke=True,
    faults={
        "gone": fault("refuse", host=HOST),
        "silent": fault("hang", host=HOST),
        "edge-502": fault("upstash.any.edge_502"),
        "quota": fault("upstash.any.daily_quota"),
        "token-refused": fault("upstash.any.wrong_token"),
        "no-data": fault("upstash.any.aborted"),
        "page": fault("html", host=HOST),
    },
    catches={
        **dict.fromkeys(("gone", "edge-502", "quota", "token-refused", "no-data", "page"), CLAIMS),
        "silent": [*CLAIMS, "no-timeout-upstash"],
    },
)
def test_limits_hold_without_redis(story, fault, callers, target):
    """While Redis fails pages are served soon, passwords cannot be tried without end, and honest users are let in."""
    limit, page = target.rate_limit("login"), target.page("home")
    story.steady("a page is served", lambda: callers("first").get(page.path).ok)
    story.steady("a log-in is judged", lambda: _try(callers("honest"), limit).status == 401)
    visitors = story.load("visitors", lambda: callers("visitor").get(page.path).ok, most=25)
    with story.fault(fault):
        story.fallback("an honest user is let in", _try(callers("honest"), limit).status == 401)
        story.fallback("passwords cannot be tried without end", _is_stopped(callers("guesser"), limit))
        story.fallback("visitors are served", lambda: len(story.during_fault(visitors)) >= 3, within=10)
        seen = story.during_fault(visitors)
        story.fallback("all of them, and soon", all(s.good and s.seconds < PATIENCE for s in seen))
        story.alert("slack", names=["redis", "limits"])
    story.resolved("slack", names=["resolved", "redis"])
    story.recovered("a log-in is judged", lambda: _try(callers("late"), limit).status == 401)


def _is_stopped(guesser, limit):
    """Who tries far more passwords than are allowed is refused; who is not even answered has seen enough."""
    for _ in range(4 * limit.requests):
        status = _try(guesser, limit).status
        if status == 429 or not status:
            return bool(status)
    return False


def _try(caller, limit):
    content = body(limit.body, {"run": "nobody"})
    return caller.request(limit.method, limit.route, content=content, headers={"content-type": "application/json"})
