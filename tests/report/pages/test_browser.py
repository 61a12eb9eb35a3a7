"""The pages in a real Chromium: nothing is asked for elsewhere, phones, dark, keyboard, contrast."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from bench._chromium import Chromium, Page, executable
from tests.report.pages.drills import drill, experiment, line

from dialtone.history.days import Day
from dialtone.history.indicators import UPTIME
from dialtone.incidents.lifecycle import Incident, Sign, State
from dialtone.report.export import pages as exported
from dialtone.report.pages.daily import SPAN, Check, Daily
from dialtone.report.pages.daily_page import daily_page
from dialtone.report.pages.drill_page import drill_page
from dialtone.report.pages.status import status, status_page
from dialtone.verdict import Severity, Verdict

pytestmark = pytest.mark.skipif(executable() is None, reason="no Chromium on this machine: apt-get install chromium")
NOW = 1_795_700_000.0
# Every text that is shown against what is behind it, by WCAG 2.2 (relative luminance and contrast ratio).
_CONTRAST = """(() => {
  const rgb = c => { const m = c.match(/[\\d.]+/g).map(Number); return m.length > 3 ? m : [...m, 1] };
  const lum = ([r, g, b]) => { const f = v => (v /= 255) <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
    return .2126 * f(r) + .7152 * f(g) + .0722 * f(b) };
  const behind = e => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor);
    if (c[3] > 0) return c } return [255, 255, 255, 1] };
  const low = [], seen = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  let count = 0;
  while (seen.nextNode()) { const e = seen.currentNode.parentElement;
    if (!seen.currentNode.data.trim() || !e.getClientRects().length) continue;
    const style = getComputedStyle(e), svg = e instanceof SVGElement, mine = rgb(svg ? style.fill : style.color);
    const a = lum(mine), b = lum(behind(svg ? e.closest('svg') : e));
    const r = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    count++; if (r < 4.5) low.push([r, seen.currentNode.data.trim().slice(0, 40)]) }
  return {count, low} })()"""


def made() -> dict[str, str]:
    """Each page, with something of everything on it and long names."""
    long = "booking_survives_a_very_long_name_that_nobody_wants_to_break[api.stripe.com]"
    told = drill(
        experiment("a", "fail"), experiment(long), unarmed=[{"id": "x" * 90, "reason": "no wire " * 30}],
    )  # fmt: skip
    before = [line("2026-11-01T00:00:00+00:00", a="pass")]
    row = [Day(good=1)] * 40 + [Day(bad=1), Day(degraded=1), None] + [Day(good=1)] * (SPAN - 43)
    checks = [
        Check("a" * 90, "critical", "P0", "answers 503 " * 20, "site-down", NOW, None, row),
        Check("undecided", "undecided", "P1", "3 of 9", "site-down", NOW, None, row),
        Check("well", "ok", "P1", "", "payments", NOW, None, row),
    ]
    sign = Sign("well", NOW, Verdict.BREACH)
    one = Incident("i", "production", "a" * 90, NOW - 90, Severity.P0, State.OPEN, by="ada", members={"well": sign})
    daily = Daily(
        "production", NOW, checks, [one], [(NOW - 9e5, NOW - 8e5)], {"uptime": UPTIME}, {"no key": ["pay"]}, told,
        before, begun=NOW - 1e6,
    )  # fmt: skip
    document = {
        "target": "production",
        "checks": [{"id": "a" * 90, "armed": True, "kind": None, "verdict": "ok"}],
        "finished": "now",
        "started": "now",
        "exit_code": 0,
    }
    return {
        "drill": drill_page(told, before),
        "daily": daily_page(daily),
        "status": status_page(status(daily, {"Phone calls": ["well"], "Every other thing": ["a*", "undecided"]})),
        "public": exported(document)["index.html"],
    }


@pytest.fixture(scope="module")
def browser() -> Iterator[Chromium]:
    """One for all."""
    with Chromium() as made:
        yield made


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The pages as files."""
    folder = tmp_path_factory.mktemp("pages")
    for name, text in made().items():
        (folder / f"{name}.html").write_text(text)
    return {name: folder / f"{name}.html" for name in made()}


@pytest.mark.parametrize("name", ["drill", "daily", "status", "public"])
def test_a_page_in_a_browser(browser: Chromium, files: dict[str, Path], name: str) -> None:
    """It asks for itself alone; nothing is wider than a phone; every text can be read, in light and dark."""
    luminance = {}
    for dark in (False, True):
        page = browser.page(360, 740, dark=dark)
        page.go(files[name].as_uri())
        assert [url for url in page.requests if not url.startswith("data:")] == [files[name].as_uri()]
        page.ask("document.querySelectorAll('details').forEach(d => d.open = true)")
        assert page.ask("document.documentElement.scrollWidth") <= 360
        found = page.ask(_CONTRAST)
        assert found["low"] == []
        assert found["count"] > 3
        canvas = page.ask("getComputedStyle(document.body).backgroundColor")
        luminance[dark] = page.ask("getComputedStyle(document.body).color") + canvas
        page.close()
    assert luminance[False] != luminance[True]


def focused(page: Page) -> str:
    """What has the focus."""
    return str(page.ask("(e => e.tagName + ' ' + (e.textContent || e.ariaLabel || '').trim().slice(0, 40))"
                        "(document.activeElement)"))  # fmt: skip


def test_all_of_a_drill_by_keyboard(browser: Chromium, files: dict[str, Path]) -> None:
    """Tab goes through it in the order of reading, Enter opens, what scrolls by itself and boxes can be reached."""
    page = browser.page(900, 700)
    page.go(files["drill"].as_uri())
    order = page.ask(
        "[...document.querySelectorAll('a,summary,input,[tabindex]')].filter(e => e.checkVisibility()).map("
        "e => e.tagName)"
    )
    reached = []
    for _ in order:
        page.key("Tab")
        reached.append(page.ask("document.activeElement.tagName"))
    assert reached == order
    assert {"A", "SUMMARY", "DIV", "INPUT"} <= set(reached)
    closed = "[...document.querySelectorAll('details:not([open])>summary')]"
    number = page.ask(f"{closed}[0].focus(), {closed}.length")
    page.key("Enter")
    assert page.ask(f"{closed}.length") == number - 1
    page.ask("document.querySelector('input').focus()")
    page.key(" ")
    assert page.ask("document.querySelector('input').checked") is True
    assert focused(page).startswith("INPUT")
    page.close()
