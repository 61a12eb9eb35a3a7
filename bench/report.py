"""How fast the page of every day opens with 1,000 checks and 90 days of history, in a real Chromium.

A history of that size is made (days rolled up, two days of raw results, 15 minutes between rounds), the page is written
by `dialtone report`'s own code, and opened in a fresh window as often as two others of the same content, in turn: a
plain table of it (no strip, no style), and one with an element for each day, as status pages have. Milliseconds from
the begin of the navigation to the second frame after the load, by the browser's own clock; medians.
"""

from __future__ import annotations

import random
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from bench._chromium import Chromium, executable
from bench._table import Bench

from dialtone.history import Result, Run, Store
from dialtone.history.store import _INSERT, _row
from dialtone.report.pages.daily import SPAN, Daily, gather
from dialtone.report.pages.daily_page import daily_page
from dialtone.report.pages.strip import tone
from dialtone.verdict import Verdict

DAY, EVERY = 86_400, 900
NOW = 20_418 * DAY + 43_200.0  # noon, so that half a day is raw


def filled(path: Path, checks: int) -> Store:
    """A history of `checks` checks over 90 days."""
    rng = random.Random(20261126)  # noqa: S311 - made-up results
    store = Store.open(path, clock=lambda: NOW)
    names = store._numbers("production", [f"section_{i % 20}_check_{i:04d}" for i in range(checks)])
    today = int(NOW) // DAY
    rolled = []
    for number in names.values():
        for day in range(today - SPAN + 1, today):
            bad, seen = (rng.randint(1, 6) if rng.random() < 0.02 else 0), rng.random() > 0.01
            counts = (96 - bad, 0, 0, bad, 0, 96, bad, DAY * 1000) if seen else (0, 0, 96, 0, 0, 0, 0, 0)
            rolled.append((number, DAY * 1000, day * DAY * 1000, *counts, None))
    begin = today * DAY
    with store.engine.transaction():
        store.engine.many("INSERT INTO dialtone_rollup VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rolled)
        store.engine.many("UPDATE dialtone_mark SET rolled = ?, purged = ?", [(begin * 1000, begin * 1000)])
        for at in range(begin, int(NOW), EVERY):
            run = store._run(Run(f"r{at}", "production", at, at, every=EVERY, finished=at + 30, exit_code=0))
            rows = [
                _row(number, run, Result(name, at + 5, Verdict.BREACH if rng.random() < 0.002 else Verdict.OK))
                for name, number in names.items()
            ]
            store.engine.many(_INSERT, rows)
    return store


def plain(told: Daily) -> str:
    """The same checks as a table without anything."""
    rows = "".join(f"<tr><td>{c.id}<td>{c.state}<td>{c.severity}<td>{len(c.days)}" for c in told.checks)
    return f'<!doctype html><meta charset="utf-8"><title>plain</title><table>{rows}</table>'


def cells(told: Daily) -> str:
    """The same with an element for each day."""
    rows = "".join(
        f"<tr><td>{c.id}<td>{c.state}<td>" + "".join(f'<i class="d{tone(day)}"></i>' for day in c.days)
        for c in told.checks
    )
    style = "i{display:inline-block;width:4px;height:14px}.do{background:green}.dx{background:red}"
    return f'<!doctype html><meta charset="utf-8"><title>cells</title><style>{style}</style><table>{rows}</table>'


def _main() -> int:
    bench = Bench("report", __doc__)
    checks, times = (300, 3) if bench.quick else (1000, 9)
    if executable() is None:
        print("no Chromium on this machine: nothing was measured")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        store = filled(Path(folder, "history.db"), checks)
        began, cpu = time.perf_counter(), time.process_time()
        told = gather(store, "production", NOW, verdicts={}, objectives={})
        page = daily_page(told)
        made, spent = time.perf_counter() - began, time.process_time() - cpu
        store.close()
        pages = {"dialtone report": page, "plain table": plain(told), "an element a day": cells(told)}
        for name, text in pages.items():
            Path(folder, f"{name}.html").write_text(text)
        found: dict[str, list[float]] = {name: [] for name in pages}
        with Chromium() as browser:
            for _ in range(times + 1):
                for name in pages:
                    window = browser.page(1000, 800)
                    found[name].append(window.go(Path(folder, f"{name}.html").as_uri()))
                    if name == "dialtone report":
                        opened = window.ask(
                            "(s => { document.querySelectorAll('details').forEach(d => d.open = true);"
                            " document.body.offsetHeight; return performance.now() - s })(performance.now())"
                        )
                        asked = len([url for url in window.requests if not url.startswith("data:")])
                    window.close()
    typical = {name: statistics.median(took[1:]) for name, took in found.items()}  # the first one warms the browser
    rows = [[name, len(pages[name]) / 1024, typical[name], max(found[name][1:])] for name in pages]
    print(f"{checks:,} checks, {SPAN} days; all sections opened at once: {opened:.0f} ms more")
    bench.rows(["page", "KiB", "opens in, ms", "slowest, ms"], rows)
    bench.bar("the page opens in", typical["dialtone report"], "ms", most=1000)
    bench.bar("opens, of a plain table", typical["dialtone report"] / typical["plain table"], "ratio", most=3)
    bench.bar("opens, of an element a day", typical["dialtone report"] / typical["an element a day"], "ratio", most=1)
    bench.bar("requests", asked, "count", most=1)
    bench.bar("CPU to write it, a check", 1000 * spent / checks, "ms", most=10)
    bench.bar("written within", made, "s", most=30)
    return bench.finish()


if __name__ == "__main__":
    raise SystemExit(_main())
