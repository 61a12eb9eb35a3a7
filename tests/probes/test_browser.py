"""A browser: found or not, and what it makes of a page. The real one where this machine has it."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from dialtone.probes.browser import Browser, executable, opened
from dialtone.probes.caller import Budget, Caller
from dialtone.probes.reach import Reach
from dialtone.target import Profile, Target
from dialtone.verdict import Unarmed, Undecided

BASE = "http://shop.example:8080"


def caller(base: str = BASE, granted: int | None = None, **profile: Any) -> Caller:
    """A caller of a target that wants a header of its own."""
    told = {"kind": "sandbox", "base_url": base, "headers": {"x-bypass": "credential:bypass"}, **profile}
    told["credentials"] = {"bypass": "BYPASS"}
    target = Target("test", Profile.model_validate(told), {"bypass": "bypass-secret"})
    return Caller(target, "run", "seed", Reach([]), Budget(granted))


@dataclass
class Page:
    """A page of Playwright's, as far as it is used: requests are played, events are fired."""

    plays: Callable[[Page], Any] = lambda _: None
    handlers: dict[str, Callable[[Any], None]] = field(default_factory=dict)
    passed: list[tuple[str, dict[str, str] | None]] = field(default_factory=list)
    pass_on: Callable[[Any], None] = lambda _: None

    def route(self, _: str, handler: Callable[[Any], None]) -> None:
        """See Playwright."""
        self.pass_on = handler

    def on(self, event: str, handler: Callable[[Any], None]) -> None:
        """See Playwright."""
        self.handlers[event] = handler

    def goto(self, url: str, **_: Any) -> Any:
        """See Playwright."""
        self.request(url)
        return self.plays(self)

    def request(self, url: str, status: int = 200) -> None:
        """The page asks for something and is answered."""
        request = types.SimpleNamespace(method="GET", url=url, headers={"accept": "*/*"})
        go_on = lambda headers=None: self.passed.append((url, headers))  # noqa: E731
        self.pass_on(types.SimpleNamespace(request=request, continue_=go_on))
        self.handlers["response"](types.SimpleNamespace(url=url, status=status))


@pytest.fixture
def playwright(monkeypatch: pytest.MonkeyPatch) -> type[Exception]:
    """The name that Playwright's errors have, whether it is installed or not."""

    class Error(Exception):
        pass

    module = types.ModuleType("playwright.sync_api")
    module.Error = Error  # type: ignore[attr-defined]
    module.sync_playwright = None  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "playwright", types.ModuleType("playwright"))
    monkeypatch.setitem(sys.modules, "playwright.sync_api", module)
    return Error


def test_a_whole_page(playwright: type[Exception]) -> None:
    """Its status, how many requests of ours, and nothing wrong; whose headers go where."""

    def plays(page: Page) -> Any:
        page.request(f"{BASE}/app.css")
        page.request("http://cdn.example/lib.js", 404)
        page.request(f"{BASE}/favicon.ico", 404)
        return types.SimpleNamespace(status=200)

    page, http = Page(plays), caller(granted=10)
    seen = Browser(page, http).visit("/landing")
    assert (seen.status, seen.errors, seen.failed, seen.requests) == (200, [], [], 3)
    assert http.budget.spent == 3
    told = dict(page.passed)
    own = told[f"{BASE}/app.css"]
    assert own is not None
    assert own["x-bypass"] == "bypass-secret"
    assert own["accept"] == "*/*"
    assert "traceparent" in own
    assert told["http://cdn.example/lib.js"] is None  # nothing of ours goes to anybody else


def test_what_goes_wrong(playwright: type[Exception]) -> None:
    """Kinds of script errors without their words, files of ours that lack, once each."""

    def plays(page: Page) -> Any:
        page.request(f"{BASE}/app.js?v=1", 404)
        page.request(f"{BASE}/app.js?v=2", 500)
        page.handlers["requestfailed"](types.SimpleNamespace(url=f"{BASE}/font.woff2"))
        page.handlers["pageerror"]("TypeError: cannot read customer 4477")
        page.handlers["pageerror"]("whatever a script throws")
        return types.SimpleNamespace(status=200)

    seen = Browser(Page(plays), caller()).visit("/landing")
    assert seen.failed == ["/app.js", "/font.woff2"]
    assert seen.errors == ["TypeError", "Error"]


def test_a_page_that_never_comes(playwright: type[Exception]) -> None:
    """No status, and nothing of what the browser says about it."""

    def plays(_: Page) -> Any:
        raise playwright("net::ERR_CONNECTION_REFUSED at http://shop.example:8080/landing")

    assert Browser(Page(plays), caller()).visit("/landing").status == 0


def test_the_budget_holds(playwright: type[Exception]) -> None:
    """A page with more files than the check may ask for ends it."""
    with pytest.raises(Undecided, match="budget"):
        Browser(Page(lambda page: page.request(f"{BASE}/app.css")), caller(granted=1)).visit("/")


def test_no_browser(monkeypatch: pytest.MonkeyPatch, playwright: type[Exception], tmp_path: Any) -> None:
    """Not armed, with the command that mends it: no package, no program, a variable that names nothing."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("DIALTONE_BROWSER", raising=False)
    with pytest.raises(Unarmed, match=r"no Chromium .*apt-get install chromium.*DIALTONE_BROWSER"):
        executable()
    monkeypatch.setenv("DIALTONE_BROWSER", "/no/such/browser")
    with pytest.raises(Unarmed, match="DIALTONE_BROWSER names no program"), opened(caller()):
        pass
    program = tmp_path / "chromium"
    program.touch(mode=0o755)
    monkeypatch.delenv("DIALTONE_BROWSER")
    assert executable() == str(program)
    monkeypatch.setitem(sys.modules, "playwright.sync_api", None)
    with pytest.raises(Unarmed, match=r"pip install 'pytest-dialtone\[browser\]'"), opened(caller()):
        pass
