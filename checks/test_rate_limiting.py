"""Rate limiting (P2): who floods is stopped, who does not is served, and nobody slips through.

Each check speaks from addresses of its own (`client_address` in the profile); a burst is never sent to production.
"""

from __future__ import annotations

from dialtone import check, expect, fail, ok, undecided
from dialtone.template import fill
from dialtone.verdict import Unarmed

_NEEDS = ["rate_limits.login", "client_address"]


def _knock(http, limit, headers=None, fresh=False):
    """One request that counts against a limit; its status is what matters."""
    if limit.method == "GET":
        return http.judge(http.send("GET", limit.route, headers=headers, fresh=fresh))
    content = fill(limit.body or "{}", {"run": "limits"}, json_text=True).encode()
    typed = {"content-type": limit.content_type, **(headers or {})}
    return http.judge(http.send("POST", limit.route, content=content, headers=typed, fresh=fresh))


def _until_limited(http, limit, tries):
    """Knock until the answer is 429: how many were let through before, and that answer (None if never)."""
    for passed in range(tries):
        answer = _knock(http, limit)
        if answer.status == 429:
            return passed, answer
        if answer.failure or answer.status >= 500:
            undecided(f"{limit.route} answers {answer.failure or answer.status}: nothing can be said about its limit")
    return tries, None


@check(
    severity="P2",
    runbook="rate-limiting",
    effect="disrupts",
    catches=["ratelimit-off"],
    needs=_NEEDS,
    requests=40,
)
def test_burst_is_limited(target, http):
    """Somebody who tries many times in a row is stopped at some point."""
    limit = target.rate_limit("login")
    passed, answer = _until_limited(http, limit, limit.requests * 3 + 2)
    if answer is None:
        fail(f"{passed} tries in a row were let through; {limit.requests} are promised", value=passed, unit="count")
    ok(f"stopped after {passed} tries", value=passed, unit="count")


@check(
    severity="P3",
    runbook="rate-limiting",
    effect="disrupts",
    catches=["ratelimit-no-headers"],
    needs=_NEEDS,
    requests=40,
)
def test_limited_answer_has_headers(target, http):
    """Who is stopped is told for how long."""
    limit = target.rate_limit("login")
    if not limit.headers:
        raise Unarmed("the profile names no headers of a limited answer")
    _, answer = _until_limited(http, limit, limit.requests * 3 + 2)
    if answer is None:
        undecided("the limit never acted; see burst_is_limited")
    for name in limit.headers:
        expect(answer).header(name, r"\d")


@check(
    severity="P2",
    runbook="rate-limiting",
    effect="disrupts",
    catches=["ratelimit-strict"],
    needs=_NEEDS,
    requests=12,
)
def test_user_below_the_limit_is_served(target, http):
    """Nobody who stays within the promised number is turned away."""
    limit = target.rate_limit("login")
    passed, answer = _until_limited(http, limit, limit.requests)
    if answer is not None:
        fail(f"turned away after {passed} tries; {limit.requests} are promised", value=passed, unit="count")
    ok(f"{limit.requests} tries were served", value=limit.requests, unit="count")


@check(
    severity="P2",
    runbook="rate-limiting",
    effect="disrupts",
    catches=["ratelimit-per-instance"],
    needs=_NEEDS,
    requests=40,
)
def test_limit_is_shared_between_instances(target, callers):
    """The limit counts over all instances: fresh connections, which meet different ones, do not get more tries."""
    limit = target.rate_limit("login")
    http = callers("flood")
    passed = 0
    while passed < limit.requests * 3 + 2:
        answer = _knock(http, limit, fresh=True)
        if answer.status == 429:
            break
        passed += 1
    else:
        undecided("the limit never acted; see burst_is_limited")
    if passed > limit.requests:
        fail(
            f"{passed} tries were let through over fresh connections; {limit.requests} are promised:"
            " each instance counts for itself",
            value=passed,
            unit="count",
        )
    ok(f"stopped after {passed} tries over fresh connections", value=passed, unit="count")


@check(
    severity="P2",
    runbook="rate-limiting",
    effect="disrupts",
    catches=["ratelimit-spoofable"],
    needs=_NEEDS,
    requests=60,
)
def test_no_escape_by_header(target, http):
    """Who is stopped stays stopped, whatever address a header claims that the edge does not set itself."""
    limit = target.rate_limit("login")
    _, answer = _until_limited(http, limit, limit.requests * 3 + 2)
    if answer is None:
        undecided("the limit never acted; see burst_is_limited")
    own = (target.profile.client_address.header or "").lower()
    tried, escaped = [], []
    for name in limit.spoof:
        if name == own:
            continue
        claim = "for=203.0.113.77" if name == "forwarded" else "203.0.113.77"
        tried.append(name)
        if _knock(http, limit, {name: claim}).status != 429:
            escaped.append(name)
    if _knock(http, limit).status != 429:
        undecided("the limit ended while we looked")
    if escaped:
        fail(f"a client escapes the limit by claiming another address in {', '.join(escaped)}")
    ok(f"{len(tried)} headers tried, none helps", value=len(tried), unit="count")


@check(
    severity="P3",
    runbook="rate-limiting",
    effect="disrupts",
    catches=["site-limit-off"],
    needs=["rate_limits.site", "client_address"],
    requests=130,
)
def test_site_limit_holds(target, http):
    """One address cannot load the pages without end."""
    limit = target.rate_limit("site")
    passed, answer = _until_limited(http, limit, int(limit.requests * 1.2) + 5)
    if answer is None:
        fail(f"{passed} requests in a row were let through; {limit.requests} are promised", value=passed, unit="count")
    if passed < limit.requests:
        fail(f"stopped after {passed} requests; {limit.requests} are promised", value=passed, unit="count")
    ok(f"stopped after {passed} requests", value=passed, unit="count")


@check(
    severity="P2",
    runbook="rate-limiting",
    objective="limited_in_a_minute",
    catches=["limits-hit"],
    needs=["database", "queries.limited_in_a_minute"],
    requests=0,
)
def test_real_visitors_are_not_limited(target, db, objective):
    """Hardly anybody real is turned away by a limit: else it is too low, or somebody floods."""
    seen = db.value(target.query("limited_in_a_minute"))
    objective.value(float(seen or 0), what="requests limited (429) in the worst minute of an hour:")
