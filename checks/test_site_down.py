"""Site down (P0): pages, the health endpoint, and how long it has been up."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from html.parser import HTMLParser
from urllib.parse import urldefrag, urljoin, urlsplit

from dialtone import check, each, expect, fail, note, ok, pick, undecided
from dialtone.probes.sampler import is_down
from dialtone.verdict import Unarmed


@check(
    severity="P0", runbook="site-down", catches={"pricing": ["page-500"]}, needs=["pages.{page}"], requests=1, gate=True
)
@each("pages", "page", ["home", "pricing", "login"])
def test_pages_answer(page, target, http):
    """Every page of the site is served, and is the right page."""
    wanted = target.page(page)
    answer = http.get(wanted.path)
    expect(answer).status(200).contains(wanted.contains)
    if _MARKUP.search(wanted.contains) and answer.header("content-type"):
        expect(answer).header("content-type", "html|xml")


# Under another type a browser shows the source of such a page, or saves it.
_MARKUP = re.compile(r"<(html|head|title|body|main|h1)\b", re.IGNORECASE)


@check(severity="P1", runbook="site-down", catches=["root-redirect-loop"], needs=["redirects"], requests=6, gate=True)
def test_old_addresses_lead_to_pages(target, http):
    """The bare domain and other old addresses lead to their page in one hop, not in a circle."""
    for redirect in target.profile.redirects:
        answer = http.get(redirect.path)
        expect(answer).status(*redirect.status)
        there = urljoin(answer.url, answer.header("location") or "")
        if urlsplit(there).path.rstrip("/") != urlsplit(target.url(redirect.to)).path.rstrip("/"):
            fail(f"{redirect.path} does not lead to {redirect.to}")
        expect(http.get(redirect.to)).status(200)


@check(severity="P0", runbook="site-down", catches=["health-503"], needs=["routes.health"], requests=1, gate=True)
def test_health_answers_ok(target, http):
    """The health endpoint answers 200 and says ok."""
    answer = expect(http.get(target.route("health"))).status(200)
    if "health_ok" in target.profile.values:  # else the status says it all
        answer.json_field(target.field("health_status", "status"), target.value("health_ok"))


@check(runbook="site-down", catches=["health-cached"], needs=["routes.health"], requests=1, gate=True)
def test_health_is_not_cached(target, http):
    """Nobody between us and the application may answer for its health."""
    answer = http.get(target.route("health"))
    expect(answer).status(200, 503).not_cached()


def _time(value: object) -> datetime:
    """ISO 8601, an HTTP date, or seconds or milliseconds since 1970, as a number or a text; naive without a zone.

    Raises ValueError, OverflowError.
    """
    text = str(value).strip()
    if re.fullmatch(r"\d{10,}(\.\d+)?", text):
        number = float(text)
        return datetime.fromtimestamp(number / 1000 if number > 1e11 else number, UTC)
    try:
        return datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return parsedate_to_datetime(text)


@check(
    runbook="site-down", catches=["health-stale"], needs=["routes.health", "fields.health_time"], requests=2, gate=True
)
def test_health_is_fresh(target, http):
    """The health answer was made just now: its time is ours, and moves on."""
    field, seen = target.field("health_time", "timestamp"), []
    for _ in range(2):
        answer = http.get(target.route("health"))
        expect(answer).status(200, 503).json_field(field)
        try:
            seen.append(_time(pick(answer.json(), field)))
        except (ValueError, OverflowError):
            fail(f"{field} of the health answer is not a time")
    local = seen[-1].tzinfo is None
    seen = [at if at.tzinfo else at.replace(tzinfo=UTC) for at in seen]
    age = abs((datetime.now(UTC) - seen[-1]).total_seconds())
    if age > target.profile.clock_skew:
        http.agree_on_time()
        off = round(age / 900) * 900  # zones differ by quarters of an hour
        if local and off and abs(age - off) <= target.profile.clock_skew:
            undecided(f"{field} of the health answer names no time zone: {age:,.0f} s from UTC may be one, or its age")
    if age > target.profile.clock_skew or seen[1] < seen[0]:
        fail(f"the health answer is {age:,.0f} s away from our clock: an old answer, or a clock that is off")
    ok("the health answer is of this moment", value=round(age, 3), unit="s")


_SECRET_NAMES = re.compile(r"secret|passw|api_?key|token|credential|private|[A-Z0-9]_(KEY|URL|DSN)\b|[a-z]Key$", re.I)
_INTERNALS = re.compile(
    r"relation \S+ does not exist|ECONN\w+|ENOTFOUND|connection (refused|terminated)|could not connect|PGRST\d|SQLSTATE"
    r"|password authentication|syntax error at|permission denied for|\bat \w+[.\w]* \(|Traceback|invalid api key",
    re.IGNORECASE,
)


def _leaks(tree: object) -> str | None:
    """What a public answer tells that it should not: names of secrets, or the text of an internal error."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            if _SECRET_NAMES.search(str(key)):
                return "the answer tells of secrets"
            found = _leaks(value)
            if found:
                return found
    if isinstance(tree, list):
        return next((found for value in tree if (found := _leaks(value))), None)
    if isinstance(tree, str) and _INTERNALS.search(tree):
        return "the answer quotes an internal error"
    return None


@check(severity="P1", runbook="site-down", catches=["health-leaks"], needs=["routes.health"], requests=1, gate=True)
def test_health_leaks_nothing(target, http):
    """The public health answer says nothing of secrets, and quotes no database error."""
    answer = http.get(target.route("health"))
    expect(answer).status(200, 503)
    found = _leaks(answer.json() if "json" in (answer.header("content-type") or "") else answer.text())
    if found:
        fail(found)
    ok("the health answer tells nothing that it should not")


@check(severity="P3", runbook="site-down", catches=["soft-404"], needs=["routes.unknown_page"], requests=1, gate=True)
def test_unknown_page_is_404(target, http):
    """A page that does not exist is said not to exist."""
    expect(http.get(target.route("unknown_page"))).status(404, 410)


class _Named(HTMLParser):
    """What a page names: the files that it loads and where its links lead, as whole addresses."""

    def __init__(self, url: str, text: str) -> None:
        super().__init__()
        self.assets: set[str] = set()
        self.links: set[str] = set()
        self._base = url
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: (value or "").strip() for name, value in attrs}
        href = values.get("href")
        if tag == "base" and href:
            self._base = urljoin(self._base, href)
        if tag in ("script", "img") and values.get("src"):
            self.assets.add(urljoin(self._base, values["src"]))
        if tag == "link" and href and {"stylesheet", "icon", "preload"} & set(values.get("rel", "").lower().split()):
            self.assets.add(urljoin(self._base, href))
        if tag == "a" and href:
            self.links.add(urldefrag(urljoin(self._base, href)).url)


@check(runbook="site-down", catches=["asset-missing"], needs=["pages"], requests=8, gate=True)
def test_page_assets_load(target, http):
    """Style sheets, scripts and images of the home page that are our own do load."""
    page = http.get(target.home.path)
    if not page.ok:
        undecided(f"the home page answered {page.status}; see pages_answer")
    ours = sorted(a for a in _Named(page.url, page.text()).assets if urlsplit(a).netloc == urlsplit(page.url).netloc)
    if not ours:
        raise Unarmed("the home page names no asset of its own host")
    for asset in ours[:7]:
        answer = http.get(asset)
        if not _is_large(answer):
            expect(answer).status(200, 304)
    ok(f"{len(ours[:7])} assets load", value=len(ours[:7]), unit="count")


def _is_large(seen):
    """Whether it is there, and larger than a prober reads (`timeouts.max_body`): a film, a download."""
    return bool(seen.failure and seen.failure.kind == "too-large" and 200 <= seen.status < 300)


@check(runbook="site-down", catches=["dead-link"], needs=["pages"], requests=20)
def test_internal_links_lead_somewhere(target, http, many):
    """Whatever our pages lead to on our own host is there; the pages themselves are judged by pages_answer."""
    pages = [page.path for page in target.profile.pages.values()][:5]
    links: set[str] = set()
    read = 0
    for path in pages:
        page = http.get(path)
        if page.ok and page.is_html:
            read += 1
            links |= _Named(page.url, page.text()).links
    host = urlsplit(target.profile.base_url).netloc
    links = {link for link in links if urlsplit(link).netloc == host}
    if not read:
        undecided("no page could be read: see pages_answer")
    if not links:
        raise Unarmed("no page of the profile leads to another one of its own host")
    known = {urlsplit(target.url(path)).path for path in pages}
    ours = sorted(link for link in links if urlsplit(link).path not in known)
    # What wants a session or a method of its own is there as well.
    samples = many(ours[:15], status=(*range(200, 400), 401, 403, 405, 429))
    dead = [sample.finding.reason for sample in samples if sample.finding.verdict.is_bad and not _is_large(sample)]
    if dead:
        fail(f"{len(dead)} of {len(links)} internal links lead nowhere: {'; '.join(dead[:3])}", value=len(dead))
    ok(f"{len(links)} internal links lead somewhere", value=0, unit="count")


@check(severity="P3", runbook="site-down", catches=["edge-anonymous"], needs=["edge", "pages"], requests=1, gate=True)
def test_edge_region_is_recorded(target, http):
    """The edge says which region served the request, so that a regional fault can be told from a general one."""
    edge = target.profile.edge
    answer = http.get(target.home.path)
    expect(answer).status(200).header(edge.header, edge.region)
    note("region", edge.region_of(answer.header(edge.header)))


@check(
    severity="P0",
    runbook="uptime",
    catches=["health-flaps"],
    needs=["routes.health"],
    objective="uptime",
    requests=2,
    samples=True,
)
def test_uptime_of_the_observed_window(target, sampler, objective):
    """Of the moments that we looked at, the health endpoint answered in nearly all."""
    seen = sampler.outcomes([target.route("health")], objective.objective, is_down, fresh=True)
    objective.rate(seen.count - seen.errors, seen.count, what="uptime of the observed window")
