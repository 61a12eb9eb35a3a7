"""Takes the pictures of what people open: report, drill, status page, Allure, job summary, comment on a pull request.

    make check && dialtone drill && make report
    .venv/bin/python docs/img/pages.py --build build --out docs/img

Verdicts, Allure results and the drill are those of the build folder; the 90 days before them and the incidents are made
up, by a seed. Markdown is drawn as GitHub shows it, by markdown-it (`make docs` installs it) and a style of our own.
Needs chromium (or what CHROMIUM names). `--every` takes each page at phone and desktop width, in light and dark.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))
from bench._chromium import Chromium

from dialtone.github import text
from dialtone.history import Result, Run, Store
from dialtone.history.store import _INSERT, _row
from dialtone.incidents.lifecycle import Incident, Sign, State
from dialtone.incidents.records import Records
from dialtone.report.pages import drilled
from dialtone.report.pages.daily import gather
from dialtone.report.pages.daily_page import daily_page
from dialtone.report.pages.drill_page import drill_page
from dialtone.report.pages.status import status, status_page
from dialtone.target.load import objectives
from dialtone.verdict import Kind, Severity, Verdict

ROOT = Path(__file__).parents[2]
DAY, EVERY = 86_400, 3_600
COMPONENTS = {
    "Phone calls": ["*call*", "*retell*", "*agent*"],
    "Calendar": ["*calendar*", "*google*"],
    "Payments": ["*stripe*", "*payment*"],
    "Website and login": ["*health*", "*page*", "*login*", "*session*"],
}
DESKTOP, PHONE = 1000, 360
_GITHUB = """
body{margin:0;padding:16px 20px;font:14px/1.5 -apple-system,"Segoe UI","DejaVu Sans",sans-serif;color:#1f2328;
background:#fff}h3{font-size:1.25em;margin:0 0 10px}table{border-collapse:collapse;margin:0 0 12px;display:block;
overflow:auto}th,td{border:1px solid #d1d9e0;padding:6px 13px}tr:nth-child(2n) td{background:#f6f8fa}th{font-weight:600}
code{background:#818b981f;border-radius:6px;padding:.2em .4em;font:85% "DejaVu Sans Mono",monospace}a{color:#0969da}
.box{border:1px solid #d1d9e0;border-radius:6px}.who{background:#f6f8fa;
border-bottom:1px solid #d1d9e0;padding:8px 16px;color:#59636e;border-radius:6px 6px 0 0}.in{padding:16px}
"""


_CATEGORIES = (
    "[...document.querySelectorAll('button,a')].find(e => /^Categories\\s*\\d/.test(e.textContent))?.click(),"
    " [...document.querySelectorAll('*')].forEach(e => e.scrollTop = 0)"
)


def lived(path: Path, document: dict[str, Any], levels: Iterable[str], now: float) -> Store:
    """A history of the checks of a run: 90 days with an outage, some bad hours, and a day on which nobody looked."""
    rng = random.Random(20261126)  # noqa: S311 - made-up results
    store = Store.open(path, clock=lambda: now)
    checks = [e for e in document["checks"] if e["armed"] and not e["experiment"]]
    names = store._numbers("production", sorted(e["id"] for e in checks))
    blind, outage = (now // DAY - 33) * DAY, now - 61 * DAY
    with store.engine.transaction():
        rows = []
        for at in range(int(now) - 90 * DAY, int(now), EVERY):
            if blind <= at < blind + DAY:
                continue
            run = store._run(Run(f"r{at}", "production", at, at, every=EVERY, finished=at + 20, exit_code=0))
            down = outage <= at < outage + 2 * EVERY
            rows += [
                _row(names[e["id"]], run, Result(e["id"], at + 5, _then(rng, down=down and "health" in e["id"])))
                for e in checks
            ]
        store.engine.many(_INSERT, rows)
        run = store._run(Run("now", "production", now - 60, now - 60, every=EVERY, finished=now - 20, exit_code=1))
        store.engine.many(_INSERT, [_row(names[e["id"]], run, _told(e, now - 40)) for e in checks])
        store._objectives({(by, number) for name, number in names.items() for by in levels if name.startswith(by)})
    _incidents(store, document, now)
    return store


def _then(rng: random.Random, *, down: bool) -> Verdict:
    drawn = rng.random()
    if down:
        return Verdict.CRITICAL if drawn < 0.8 else Verdict.OK
    return Verdict.BREACH if drawn < 0.00002 else Verdict.DEGRADED if drawn < 0.00006 else Verdict.OK


def _told(entry: dict[str, Any], at: float) -> Result:
    kind = Kind(entry["kind"]) if entry["kind"] else None
    return Result(entry["id"], at, Verdict(entry["verdict"]), kind, Severity(entry["severity"]), reason=entry["reason"])


def _incidents(store: Store, document: dict[str, Any], now: float) -> None:
    records = Records(store.engine)
    bad = [e for e in document["checks"] if e["verdict"] in ("critical", "breach")]
    for number, entry in enumerate(bad):
        sign = Sign(entry["id"], now - 900, Verdict(entry["verdict"]))
        state = (State.ACKNOWLEDGED, State.OPEN)[number % 2]
        by = "ada" if state is State.ACKNOWLEDGED else None
        severity = Severity(entry["severity"])
        made = Incident(f"i{number}", "production", entry["id"], now - 900, severity, state, by=by)
        records.put(_with(made, sign), None)
    old = next(e["id"] for e in document["checks"] if "health" in e["id"])
    begin = now - 61 * DAY
    over = Incident("old", "production", old, begin, Severity.P0, State.RESOLVED, resolved=begin + 7_260, by="bo")
    records.put(_with(over, Sign(old, begin, Verdict.CRITICAL)), None)


def _with(one: Incident, sign: Sign) -> Incident:
    from dataclasses import replace

    return replace(one, members={sign.check: sign})


def on_github(markdown: str, who: str = "") -> str:
    """Markdown as GitHub draws it, in a box with its author where it is a comment."""
    from markdown_it import MarkdownIt

    drawn = MarkdownIt("commonmark", {"html": True}).enable("table").render(markdown)
    inside = f'<div class="box"><div class="who">{who}</div><div class="in">{drawn}</div></div>' if who else drawn
    return f'<!doctype html><meta charset="utf-8"><style>{_GITHUB}</style>{inside}'


def told(document: dict[str, Any], title: str, *, full: bool, lines: list[str]) -> str:
    """What `dialtone github tell` writes of a run."""
    head = text.plain(text.headline(document, document["exit_code"]))
    link = "[The run](https://github.com/example/shop/actions/runs/42)"
    return text.page(title, [f"**{head}**", *lines, text.table(document, full=full), link])


def pages(build: Path, folder: Path) -> dict[str, str]:
    """Name -> HTML."""
    document = {**json.loads((build / "verdicts.json").read_text()), "target": "production"}
    now = time.time() // 60 * 60
    stamp = datetime.fromtimestamp(now - 30, UTC).isoformat()
    document |= {"started": stamp, "finished": stamp}
    drill, earlier = drilled.read(build / "drill.json")
    levels = objectives(ROOT / "dialtone.toml", "production")
    store = lived(folder / "history.db", document, levels, now)
    daily = gather(
        store, "production", now, verdicts=document, objectives=levels,
        told=(drill, earlier), runbook="https://example.com/runbook",
    )  # fmt: skip
    shown = status(daily, COMPONENTS)
    store.close()
    proved = "Revision `4f2c9a1b7d3e`, proved before and after."
    gate = told(document, "Gate", full=True, lines=[proved])
    return {
        "report": daily_page(daily),
        "drill": drill_page(drill, earlier),
        "status": status_page(shown, "Status of the telephones"),
        "job-summary": on_github(told(document, "Checks", full=True, lines=[])),
        "pull-request": on_github(gate, "<b>github-actions</b> bot commented"),
    }


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=Path, default=ROOT / "build")
    parser.add_argument("--out", type=Path, default=ROOT / "docs/img")
    parser.add_argument("--every", action="store_true", help="each page in all four forms, to look at")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary, Chromium() as browser:
        made = pages(args.build, Path(temporary))
        for name, html in made.items():
            Path(temporary, f"{name}.html").write_text(html)
        files = {name: Path(temporary, f"{name}.html") for name in made}
        allure = args.build / "allure-report/index.html"
        files |= {"allure": allure.resolve()} if allure.exists() else {}
        for name, file in files.items():
            ours = name in ("report", "drill", "status")
            forms = [(DESKTOP, False), (PHONE, True)] if ours else [(DESKTOP, False)]
            if args.every:
                forms = [(width, dark) for width in (DESKTOP, PHONE) for dark in (False, True)]
            for width, dark in forms:
                page = browser.page(width, 800 if width == DESKTOP else 720, dark=dark)
                page.go(file.as_uri())
                if name == "allure":
                    time.sleep(1.5)  # it draws itself by a script
                    page.ask(_CATEGORIES)
                    time.sleep(1.5)
                high = min(int(page.ask("document.body.scrollHeight")), 860 if width == DESKTOP else 1000)
                form = f"{name}{'' if width == DESKTOP else '-phone'}{'-dark' if dark else ''}.png"
                (args.out / form).write_bytes(page.picture(None if name == "allure" else high))
                print(f"{form}: {(args.out / form).stat().st_size:,} bytes")
                page.close()


if __name__ == "__main__":
    _main()
