"""A visitor's journey in a real browser (P1): pages whose scripts run and whose files are all there.

Needs the extra `browser` and a Chromium on this machine; without them it is not armed, and says so.
"""

from __future__ import annotations

from dialtone import check, fail, ok, undecided


@check(
    severity="P1",
    runbook="site-down",
    catches=["script-error", "asset-missing"],
    needs=["pages.home", "pages.pricing", "pages.login"],
    requests=20,
)
def test_journey_in_a_browser(target, browser):
    """From the home page to the prices and on to the log-in: no script fails, no file of ours is missing."""
    home, prices, login = (target.page(name).path for name in ("home", "pricing", "login"))
    seen = [browser.visit(home), *(browser.follow(path) or browser.visit(path) for path in (prices, login))]
    for visit in seen:
        if visit.status != 200:
            undecided(f"{visit.path} was not loaded (status {visit.status}); see pages_answer")
        if visit.errors:
            kinds = ", ".join(sorted(set(visit.errors)))
            fail(f"{visit.path}: {len(visit.errors)} script errors ({kinds}) in a visitor's browser")
        if visit.failed:
            fail(f"{visit.path}: the browser did not get {', '.join(visit.failed[:5])}")
    if not browser.shows("input[type=password]"):
        fail(f"{login} shows no field for a password")
    ok(f"{len(seen)} pages, {sum(v.requests for v in seen)} requests, no error", value=len(seen), unit="count")
