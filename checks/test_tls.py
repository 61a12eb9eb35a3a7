"""TLS, redirects and headers: what stands between a visitor and the site."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import urljoin, urlsplit

from dialtone import check, expect, fail, note, ok, undecided
from dialtone.probes import tls
from dialtone.verdict import Unarmed


def _certificate(target, reach):
    url = target.profile.tls_url or target.profile.base_url
    if urlsplit(url).scheme != "https":
        raise Unarmed("the profile has no tls_url and its base_url is not https")
    seen = tls.inspect(url, ca_file=target.profile.ca_file)
    if seen.days_left is None and seen.failure:
        if not reach.online():
            raise reach.offline()
        undecided(f"no certificate could be had: {seen.failure}")
    return seen


@check(severity="P1", runbook="site-down", catches=["cert-expiring"], objective="certificate_days", requests=2)
def test_certificate_has_time_left(target, reach, objective):
    """The certificate does not run out before somebody can act."""
    seen = _certificate(target, reach)
    objective.value(seen.days_left, what="time that the certificate has left", expires=str(seen.not_after))


@check(severity="P0", runbook="site-down", catches=["cert-wrong-host"], requests=2, gate=True)
def test_certificate_chain_is_valid(target, reach):
    """A browser accepts the certificate: known authority, right name, not expired."""
    seen = _certificate(target, reach)
    if not seen.valid:
        fail(f"a browser would refuse the certificate: {seen.failure}")
    note("protocol", seen.protocol)
    ok(f"the certificate is valid for this name ({seen.protocol})")


@check(severity="P2", runbook="security", catches=["plain-served"], needs=["pages"], requests=2, gate=True)
def test_plain_http_redirects_to_https(target, http):
    """Whoever comes without TLS is sent to the same page with it."""
    base = urlsplit(target.profile.base_url)
    plain = target.profile.plain_url or (f"http://{base.hostname}{base.path}" if base.scheme == "https" else None)
    if plain is None:
        raise Unarmed("the profile has no plain_url and its base_url is not https")
    path = urlsplit(target.url(target.home.path)).path
    where = f"{plain.rstrip('/')}{target.home.path}"
    answer = http.send("GET", where)
    if not target.profile.plain_url and answer.failure and answer.failure.kind == "refused":
        http.get(target.home.path)  # else nobody answers at all
        ok("nobody answers without TLS")  # not promised, and gives nothing away
        return
    expect(http.judge(answer)).status(301, 302, 307, 308)
    there = urlsplit(urljoin(answer.url, answer.header("location") or ""))
    if there.scheme != "https" or there.path.rstrip("/") != path.rstrip("/"):
        fail("the redirect does not lead to the same page over https")
    ok("plain http leads to https")


@check(
    severity="P2",
    runbook="security",
    catches=["headers-missing"],
    needs=["security_headers", "pages"],
    requests=1,
    gate=True,
)
def test_security_headers_are_set(target, http):
    """The headers that keep browsers from being used against a visitor are there."""
    base = target.profile.tls_url or target.profile.base_url
    answer = http.send("GET", f"{base.rstrip('/')}{target.home.path}")
    if answer.failure and answer.failure.kind == "tls":
        undecided("no page could be had over TLS; see certificate_chain_is_valid")
    if not http.judge(answer).ok:
        undecided(f"the home page answered {answer.status}; see pages_answer")
    for name, pattern in target.profile.security_headers.items():
        expect(answer).header(name, pattern)


@check(
    severity="P1",
    runbook="security",
    effect="provokes",
    catches=["origin-open"],
    needs=["routes.login", "requests.login", "values.foreign_origin"],
    requests=2,
    gate=True,
)
def test_foreign_origin_is_refused(target, log_in):
    """A page of somebody else cannot send requests in a visitor's name."""
    wanted = target.value("foreign_origin")
    answer, refused = log_in(origin="https://dialtone-foreign.example")
    if answer.status != wanted and (answer.ok or refused):  # as far as the password
        fail(f"a request of a foreign site was let through to the login (answered {answer.status}, not {wanted})")
    expect(answer).status(wanted)
    if log_in()[0].status == wanted:
        undecided(f"the login answers {wanted} whatever the origin")


@check(
    severity="P1",
    runbook="site-down",
    proof="observed",
    objective="domain_days",
    catches=["domain-expiring"],
    needs=["providers.rdap", "values.domain_record"],
    requests=0,
)
def test_domain_has_time_left(target, record, objective):
    """The registration of the domain does not run out before somebody can act (RFC 9083, by the registry's word)."""
    told = record("rdap", target.value("domain_record"))
    held = [s for s in told.get("status") or [] if s in _LOST]
    if held:
        fail(f"the registry has the domain in {', '.join(held)}: it does not resolve, or will not for long")
    ends = [e.get("eventDate") for e in told.get("events") or [] if e.get("eventAction") == "expiration"]
    if not ends:
        undecided("the registry does not say when the registration ends")
    left = datetime.fromisoformat(str(ends[0]).replace("Z", "+00:00")) - datetime.now(UTC)
    objective.value(left.total_seconds() / 86_400, what="time that the domain has left")


_LOST = {"client hold", "server hold", "redemption period", "pending delete", "inactive"}  # RFC 9083 section 10.2.2
