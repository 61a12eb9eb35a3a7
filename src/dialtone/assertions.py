"""`expect(answer)`: the assertions of a check on one HTTP answer, chained, each with a reason for a tired person.

Reasons name statuses, header names and keys; they never quote what the target answered, because that may be a
customer's data.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from email.utils import formatdate, parsedate_to_datetime
from typing import Any, NoReturn

from dialtone.http import Answer, BadBody
from dialtone.judging import fail, ok, running
from dialtone.redact import shape
from dialtone.verdict import Refused


def refusal(answer: Answer) -> str | None:
    """Why an answer comes from something in front of the service and says nothing about it, or None.

    Known forms: Vercel's deployment protection (302 to vercel.com/sso-api, or 401 of its own), Vercel's and
    Cloudflare's challenges (`x-vercel-mitigated`, `cf-mitigated`), and firewalls that answer HTML with 403.
    """
    for header in ("x-vercel-mitigated", "cf-mitigated"):
        if answer.header(header):
            return f"a challenge page stands in front ({header}, status {answer.status})"
    location = answer.header("location") or ""
    if answer.status in (302, 303, 307) and re.match(r"https://vercel\.com/sso-api\b", location):
        return "deployment protection stands in front; set the bypass header in the profile"
    if answer.status == 401 and answer.is_html and b"Authentication Required" in answer.body[:4000]:
        return "deployment protection stands in front; set the bypass header in the profile"
    if answer.status in (403, 503) and answer.is_html and b"challenge" in answer.body[:20_000].lower():
        return f"a challenge page stands in front (status {answer.status})"
    return None


def turned_away(answer: Answer) -> str | None:
    """Why the prober itself was turned away: a challenge, a 401 or a 429 that nobody asked for; or None."""
    found = refusal(answer)
    if found:
        return found
    if answer.status == 429:
        return "answered 429: the prober has used up what the target allows its address"
    if answer.status == 401:
        return "answered 401: the prober's credential is missing or not accepted"
    return None


# Headers that are shown, each only as far as it has the form that it should have: a value may be anything.
_SHOWN = {
    "content-type": re.compile(r"[a-z]+/[a-z0-9.+-]{1,40}(?=;|$)", re.IGNORECASE),
    "cache-control": re.compile(
        r"(?:(?:no-store|no-cache|private|public|must-revalidate|immutable|(?:s-)?max-?age=\d+)(?:, ?|$))+"
    ),
    "retry-after": re.compile(r"\d{1,6}$"),
    "server": re.compile(r"(?:vercel|cloudflare|nginx|caddy|envoy|uvicorn|awselb|gws|awslambda)\b", re.IGNORECASE),
    "x-vercel-cache": re.compile(r"[A-Z]{3,12}$"),
    "x-vercel-error": re.compile(r"[A-Z]+(?:_[A-Z]+)+$"),
}


def describe(answer: Answer) -> dict[str, Any]:
    """The facts of an answer that may be shown: no body, no header values but harmless ones."""
    facts: dict[str, Any] = {"status": answer.status, "bytes": len(answer.body)}
    kind = (answer.header("content-type") or "").lower()
    if answer.failure:
        facts["failure"] = str(answer.failure.kind)
    for name, form in _SHOWN.items():
        found = form.match(answer.header(name) or "")
        if found:
            facts[name] = found[0]
    phases = answer.phases
    for name in ("dns", "connect", "tls", "first_byte", "total"):
        value = getattr(phases, name)
        if value is not None:
            facts[f"{name}_ms"] = round(value * 1000, 2)
    if "json" in kind and len(answer.body) <= 20_000:
        try:
            facts["json"] = shape(answer.json())
        except BadBody as wrong:
            facts["json"] = str(wrong)
    return facts


def _past(answer: Answer) -> bool:
    """Whether `expires` forbids to keep the answer: no time (as `0` is none) or a past one (RFC 9111 section 5.3)."""
    expires = answer.header("expires")
    if expires is None:
        return False
    try:
        until = parsedate_to_datetime(expires)
        return until <= parsedate_to_datetime(answer.header("date") or formatdate(usegmt=True))
    except (ValueError, TypeError):
        return True


class expect:
    """Assertions on one answer; each returns itself, so that they chain, and each counts as a judgement."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        if answer.failure:
            fail(f"{answer.method} {answer.path}: {answer.failure.reason}")

    def _fail(self, reason: str) -> NoReturn:
        fail(f"{self.answer.method} {self.answer.path}: {reason}")

    def status(self, *wanted: int) -> expect:
        """The status is one of `wanted`; a 401, 429 or challenge that is not wanted is a refusal, not a verdict."""
        if self.answer.status not in wanted:
            refused = turned_away(self.answer)
            if refused:
                raise Refused(f"{self.answer.method} {self.answer.path}: {refused}")
            self._fail(f"answered {self.answer.status}, not {' or '.join(map(str, wanted))}")
        ok(f"{self.answer.path} answered {self.answer.status}")
        return self

    def json(self) -> Any:
        """The parsed body; not being JSON is a failure of the target."""
        try:
            return self.answer.json()
        except BadBody as wrong:
            self._fail(f"the answer is {wrong}")

    def json_field(self, name: str, wanted: Any = ...) -> expect:
        """The JSON answer has a field (dotted for nested ones), with the wanted value if one is given."""
        found: Any = self.json()
        for part in name.split("."):
            if not isinstance(found, dict) or part not in found:
                self._fail(f"the answer has no field {name!r}")
            found = found[part]
        if wanted is not ... and found != wanted:
            said, meant = (json.dumps(shape(value), ensure_ascii=False) for value in (found, wanted))
            self._fail(f"{name} is {said}, not {meant if said != meant else 'the one that was wanted'}")
        ok(f"{self.answer.path}: {name} as it should be")
        return self

    def header(self, name: str, pattern: str = ".") -> expect:
        """The header is there and matches the regular expression."""
        value = self.answer.header(name)
        if value is None:
            self._fail(f"the header {name} is missing")
        elif not re.search(pattern, value, re.IGNORECASE):
            self._fail(f"the header {name} is not as it should be (wanted: {pattern})")
        ok(f"{self.answer.path}: {name} present")
        return self

    def not_cached(self) -> expect:
        """The answer came from the application, and asks nobody to keep it."""
        control = ", ".join(self.answer.headers_all("cache-control")).lower()
        for name in ("x-vercel-cache", "cf-cache-status", "x-cache"):
            if re.search(r"\b(hit|stale)\b", self.answer.header(name) or "", re.IGNORECASE):
                self._fail(f"the answer came from a cache ({name})")
        age = self.answer.header("age") or "0"
        if age.isdecimal() and int(age) > 0:
            self._fail("the answer came from a cache (age)")
        expired = "max-age" not in control and _past(self.answer)
        if not expired and not re.search(r"no-store|no-cache|max-age=0|private", control):
            self._fail("cache-control lets caches keep the answer")
        ok(f"{self.answer.path} is not cached")
        return self

    def contains(self, text: str) -> expect:
        """The page holds a text that only the right page holds."""
        try:
            page = self.answer.text()
        except BadBody as wrong:
            self._fail(f"the page is {wrong}")
        if text not in page:
            refused = refusal(self.answer)
            if refused:
                raise Refused(f"{self.answer.method} {self.answer.path}: {refused}")
            self._fail(f"the page lacks {text!r} ({len(self.answer.body):,} bytes)")
        ok(f"{self.answer.path} is the right page")
        return self

    def within(self, seconds: float) -> expect:
        """The whole answer took no longer than `seconds`."""
        took = self.answer.phases.total or 0.0
        if took > seconds:
            self._fail(f"took {took:.2f} s, longer than {seconds:g} s")
        ok(f"{self.answer.path} in {took * 1000:.0f} ms", value=took * 1000, unit="ms")
        return self

    def that(self, holds: Callable[[Answer], bool], reason: str) -> expect:
        """Any other predicate, with the reason to give when it does not hold."""
        if not holds(self.answer):
            self._fail(reason)
        ok(f"{self.answer.path}: not ({reason})")
        return self


def note(name: str, value: Any) -> None:
    """Keep a masked fact as evidence of the running check."""
    running().notes[name] = value


def pick(tree: Any, name: str) -> Any:
    """A field of a JSON answer by its dotted name (`appointment.id`); None when it is not there."""
    for part in name.split("."):
        tree = tree.get(part) if isinstance(tree, dict) else None
    return tree
