"""Rate limiting (P2): who floods is stopped, who does not is served, and nobody slips through.

Each check speaks from addresses of its own (`client_address` in the profile); a burst is never sent to production.
"""

from __future__ import annotations

import time
from email.utils import formatdate, parsedate_to_datetime

import pytest

from dialtone import check, each, expect, fail, ok, undecided
from dialtone.template import as_form, body, fill

_NEEDS = ["rate_limits.{name}", "client_address"]
every_limit = each("rate_limits", "name", ["login"])


class Burst:
    """Requests that count against one limit, from one address; `last` is the newest answer."""

    def __init__(self, target, http, run, name):
        self.limit, self._http = target.rate_limit(name), http
        self._values = {**target.profile.values, "run": run.token, "marker": run.marker, "id": run.id("limit_")}
        self._path = fill(self.limit.route, self._values, as_form)
        self._since = time.monotonic()
        self.passed, self.last = 0, None

    def knock(self, headers=None, *, fresh=False):
        """One request; whether it was let through. Nothing can be said where nobody serves the route."""
        content = None
        if self.limit.method != "GET":
            content = body(self.limit.body or "{}", self._values, content_type=self.limit.content_type)
            headers = {"content-type": self.limit.content_type, **(headers or {})}
        sent = self._http.send(self.limit.method, self._path, content=content, headers=headers, fresh=fresh)
        self.last = self._http.judge(sent)
        if self.last.failure:
            undecided(f"{self._path}: {self.last.failure}: nothing can be said about its limit")
        if self.last.status in self.limit.refuses:
            return False
        if self.last.status in (404, 405) or self.last.status >= 500:
            undecided(f"{self._path} answers {self.last.status}: nothing can be said about its limit")
        self.passed += 1
        return True

    def until_limited(self, tries, *, fresh=False):
        """Knock until it is refused; whether it was."""
        return any(not self.knock(fresh=fresh) for _ in range(tries))

    @property
    def flood(self):
        """More requests than a limit that works lets through, even if a second instance counted for itself."""
        return min(self.limit.requests * 3 + 2, self.limit.requests + 200)

    @property
    def allowed(self):
        """What the promise lets through by now: a limit that refills all the time gives some of the next window."""
        elapsed = time.monotonic() - self._since
        if elapsed > self.limit.window:
            undecided(f"the burst took {elapsed:.0f} s, longer than the window of {self.limit.window:g} s")
        return self.limit.requests + int(self.limit.requests * elapsed / self.limit.window)


@pytest.fixture
def burst(target, http, run):
    """`burst(name)`: requests against a limit, from an address of this check."""
    return lambda name, by=None: Burst(target, by or http, run, name)


@check(
    severity="P2",
    runbook="rate-limiting",
    effect="disrupts",
    catches={"login": ["ratelimit-off"], "site": ["site-limit-off"]},
    needs=_NEEDS,
    requests=302,
)
@every_limit
def test_burst_is_limited(name, burst):
    """Somebody who tries many times in a row is stopped at some point."""
    tries = burst(name)
    if not tries.until_limited(tries.flood):
        said = f"{tries.passed} tries in a row were let through; {tries.allowed} are promised"
        fail(said, value=tries.passed, unit="count")
    ok(f"stopped after {tries.passed} tries", value=tries.passed, unit="count")


@check(
    severity="P3",
    runbook="rate-limiting",
    effect="disrupts",
    catches={"login": ["ratelimit-no-headers"]},
    needs=["rate_limits.{name}.headers", "client_address"],
    requests=302,
)
@each("rate_limits", "name", ["login"], key="headers")
def test_limited_answer_has_headers(name, burst):
    """Who is stopped is told for how long, and that is no longer than the window."""
    tries = burst(name)
    if not tries.until_limited(tries.flood):
        undecided("the limit never acted; see burst_is_limited")
    for header in tries.limit.headers:
        expect(tries.last).header(header, r"\d")
    wait = _wait(tries.last)
    if wait > tries.limit.window + 1:
        fail(f"retry-after says {wait:,.0f} s; the window is {tries.limit.window:g} s", value=wait, unit="s")


def _wait(answer):
    """What `retry-after` says, in seconds; it may name a time (RFC 9110 section 10.2.3), by the answer's own clock."""
    said = answer.header("retry-after") or ""
    if said.isdecimal():
        return int(said)
    try:
        now = parsedate_to_datetime(answer.header("date") or formatdate(usegmt=True))
        return (parsedate_to_datetime(said) - now).total_seconds()
    except (ValueError, TypeError):
        return 0


@check(
    severity="P2",
    runbook="rate-limiting",
    effect="disrupts",
    catches={"login": ["ratelimit-strict"]},
    needs=_NEEDS,
    requests=100,
)
@every_limit
def test_user_below_the_limit_is_served(name, burst):
    """Nobody who stays within the promised number is turned away."""
    tries = burst(name)
    promised = tries.limit.requests
    if tries.until_limited(promised):
        fail(f"turned away after {tries.passed} tries; {promised} are promised", value=tries.passed, unit="count")
    ok(f"{promised} tries were served", value=promised, unit="count")


@check(
    severity="P2",
    runbook="rate-limiting",
    effect="disrupts",
    catches={"login": ["ratelimit-per-instance"]},
    needs=_NEEDS,
    requests=302,
)
@every_limit
def test_limit_is_shared_between_instances(name, burst, callers):
    """The limit counts over all instances: fresh connections, which meet different ones, do not get more tries."""
    tries = burst(name, callers("flood"))
    if not tries.until_limited(tries.flood, fresh=True):
        undecided("the limit never acted; see burst_is_limited")
    if tries.passed > tries.allowed:
        fail(
            f"{tries.passed} tries were let through over fresh connections; {tries.limit.requests} are promised:"
            " each instance counts for itself",
            value=tries.passed,
            unit="count",
        )
    ok(f"stopped after {tries.passed} tries over fresh connections", value=tries.passed, unit="count")


@check(
    severity="P2",
    runbook="rate-limiting",
    effect="disrupts",
    catches={"login": ["ratelimit-spoofable"]},
    needs=_NEEDS,
    requests=312,
)
@every_limit
def test_no_escape_by_header(name, burst, target):
    """Who is stopped stays stopped, whatever address a header claims that the edge does not set itself."""
    tries = burst(name)
    if not tries.until_limited(tries.flood):
        undecided("the limit never acted; see burst_is_limited")
    own = (target.profile.client_address.header or "").lower()
    claims = [header for header in tries.limit.spoof if header.lower() != own]
    claimed = {header: "for=203.0.113.77" if header == "forwarded" else "203.0.113.77" for header in claims}
    escaped = [header for header, claim in claimed.items() if tries.knock({header: claim})]
    if tries.knock():
        undecided("the limit ended while we looked")
    if escaped:
        fail(f"a client escapes the limit by claiming another address in {', '.join(escaped)}")
    ok(f"{len(claims)} headers tried, none helps", value=len(claims), unit="count")


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
