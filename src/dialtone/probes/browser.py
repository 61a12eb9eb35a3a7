"""A real browser: what a visitor's sees of a page, and what no plain request can: scripts that fail, files that lack.

Playwright drives the Chromium of this machine; none is downloaded. What the prober says of itself goes to the target
alone. Console texts are the target's words and are not kept: of an error only its kind is.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from dialtone.probes.caller import Caller, same_origin
from dialtone.verdict import Unarmed, Undecided

VARIABLE = "DIALTONE_BROWSER"
_NAMES = ("chromium", "chromium-headless-shell", "chromium-browser", "google-chrome", "google-chrome-stable")
_KIND = re.compile(r"(?:Uncaught )?([A-Z][A-Za-z]*Error)\b")
_LAUNCH = 20.0  # seconds
_UNASKED = ("/favicon.ico",)  # what a browser asks for by itself


@dataclass(slots=True)
class Visit:
    """One page: `status` (0 if it never came), kinds of script errors, and paths of our own files that failed."""

    path: str
    status: int = 0
    errors: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    requests: int = 0


class Browser:
    """A window without cookies of its own. `visit` goes to a page, `follow` clicks a link to one."""

    def __init__(self, page: Any, http: Caller) -> None:
        self._page, self._http = page, http
        self._base, self._url = http.target.profile.base_url, http.target.url
        self._visit = Visit("")
        page.route("**/*", self._pass_on)
        page.on("pageerror", lambda error: self._visit.errors.append(_kind(str(error))))
        page.on("requestfailed", lambda request: self._missed(request.url))
        page.on("response", lambda answer: self._missed(answer.url) if answer.status >= 400 else None)

    def visit(self, path: str) -> Visit:
        """Load a page to its end, its scripts included."""
        return self._go(path, lambda: self._page.goto(self._url(path), wait_until="load"))

    def follow(self, path: str) -> Visit | None:
        """Click the first link to a path and wait for it; None where the page has no such link."""
        link = self._page.locator(f'a[href="{urlsplit(self._base).path.rstrip("/")}{path}"]').first
        if not link.count():
            return None

        def click() -> Any:
            with self._page.expect_navigation(wait_until="load") as there:
                link.click()
            return there.value

        return self._go(path, click)

    def shows(self, selector: str) -> bool:
        """Whether the page shows an element (CSS selector)."""
        return bool(self._page.locator(selector).first.is_visible())

    def _go(self, path: str, move: Any) -> Visit:
        from playwright.sync_api import Error

        self._visit = visit = Visit(path)
        try:
            answer = move()
            visit.status = answer.status if answer else 0
        except Error:
            visit.status = 0  # its words quote the address, and what stands there
        self._http.budget.take(visit.requests)
        return visit

    def _pass_on(self, route: Any) -> None:
        """Let a request through; one to the target carries what every request of ours does."""
        request = route.request
        if not same_origin(request.url, self._base):
            route.continue_()
            return
        self._visit.requests += 1
        own = self._http.headers(request.method, request.url)
        own.pop("user-agent", None)
        route.continue_(headers={**request.headers, **own})

    def _missed(self, url: str) -> None:
        path = urlsplit(url).path
        known = (*_UNASKED, self._visit.path, *self._visit.failed)
        if same_origin(url, self._base) and path not in known:
            self._visit.failed.append(path)


def executable() -> str:
    """Path of this machine's Chromium. Raises Unarmed with the remedy."""
    told = os.environ.get(VARIABLE)
    found = shutil.which(told) if told else next(filter(None, map(shutil.which, _NAMES)), None)
    if not found:
        where = f"{VARIABLE} names no program" if told else "no Chromium on this machine"
        raise Unarmed(f"{where}: install one (apt-get install chromium), or set {VARIABLE} to its path")
    return found


@contextmanager
def opened(http: Caller) -> Iterator[Browser]:
    """A browser for one check. Raises Unarmed without Playwright or Chromium, Undecided when that does not start."""
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError:
        raise Unarmed("a browser needs Playwright: pip install 'pytest-dialtone[browser]'") from None
    path, profile = executable(), http.target.profile
    # Chromium's own sandbox cannot be set up by root; /dev/shm is small in containers.
    flags = ["--disable-dev-shm-usage", *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    with sync_playwright() as playwright:
        try:
            chromium = playwright.chromium.launch(executable_path=path, args=flags, timeout=_LAUNCH * 1000)
        except Error:
            raise Undecided(f"the browser at {path} does not start") from None
        try:
            page = chromium.new_page(ignore_https_errors=profile.ca_file is not None)
            page.set_default_timeout(profile.timeouts.total * 1000)
            yield Browser(page, http)
        finally:
            chromium.close()


def _kind(text: str) -> str:
    found = _KIND.match(text)
    return found[1] if found else "Error"
