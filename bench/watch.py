"""The resident watch for half an hour: defects that come and go on a real sandbox; a thousand checks, one of them hung.

First `dialtone watch` looks at a sandbox every few seconds, while two defects are switched on and off at a script's
moments; a stand-in of Slack counts what people are told. Every switch has to be told once: opened or reopened for on,
resolved for off, and nothing else. Then another one looks at a thousand checks every 60 s, of which one never ends; how
late each look began is read from its own /metrics. The memory of all its processes is read all the while, and each is
ended by SIGTERM.

Both find a history of two hours, so that what fills up with it (SQLite keeps 2 MB of pages in memory) is full soon. Of
the time of each part two fifths are warm-up, in which memory is not judged. Each part takes 30 min and about one more;
`--only` runs one.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))
from bench._postgres import free_port
from bench._table import ROOT, Bench

from dialtone.history import Result, Run, Store
from dialtone.incidents.outbox import Outbox
from dialtone.sandbox import Sandbox
from dialtone.sandbox.controller import ATTACH_VARIABLE
from dialtone.sandbox.profile import sandbox_options
from dialtone.standins.nearby import Nearby
from dialtone.standins.slack_api import CHANNEL, SlackApi
from dialtone.standins.state import Clock
from dialtone.verdict import Verdict

TOKEN = "xoxb-watch-0123456789"
WARM_UP, MOST_SLOPE = 0.4, 1.0  # of the time; MB an hour: less than a fifth of what it holds in a day
MINUTES, QUICK_MINUTES, CHECKS, INTERVAL, LIMIT = 30.0, 2.0, 1000, 60, 20
# Defect, the check that claims it, and the shares of the time at which it is switched on, off, on and off: its incident
# is opened and resolved, then reopened and resolved, which takes more good looks the second time.
SWITCHES = {
    "health-503": ("health_answers_ok", (0.05, 0.25, 0.50, 0.65)),
    "root-redirect-loop": ("old_addresses_lead_to_pages", (0.15, 0.35, 0.55, 0.72)),
}
SUITE = f'''
import time
import pytest
from dialtone import check, expect, ok
@check(runbook="x", requests=1)
@pytest.mark.parametrize("n", range({CHECKS - 1}))
def test_page(http, target, n):
    """A page is served."""
    expect(http.get(target.route("page"))).status(200)
@check(runbook="x", requests=0)
def test_hung():
    """Never ends."""
    time.sleep(3600)
    ok("never")
'''


class Process:
    """One `dialtone watch`, and what is known of it from outside."""

    def __init__(self, folder: Path, arguments: list[str], own: Mapping[str, str], words: Path) -> None:
        self.port = free_port()
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("DIALTONE_", "SANDBOX_", "GITHUB_"))}
        self._words = words.open("wb")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "dialtone.cli", "watch", "--listen", f"127.0.0.1:{self.port}", *arguments],
            cwd=folder, env={**clean, **own}, stdout=self._words, stderr=self._words,
        )  # fmt: skip
        self.memory: list[tuple[float, ...]] = []
        self.stopping = 0.0

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self.stop()

    def metrics(self) -> dict[str, float]:
        """Plain figures by their whole names; empty while it does not answer."""
        with (
            contextlib.suppress(OSError),
            urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=5) as page,
        ):
            lines = page.read().decode().splitlines()
            return {name: float(value) for name, _, value in (x.rpartition(" ") for x in lines if x[:1] != "#")}
        return {}

    def figure(self, name: str) -> float:
        """One figure without regard to its labels; 0 where it is not told."""
        return next((v for k, v in self.metrics().items() if re.fullmatch(rf"{name}(\{{.*\}})?", k)), 0.0)

    def p99(self) -> float:
        """How late 99 of 100 of the latest looks were at most, in seconds."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=5) as page:
                return float(json.load(page)["lateness_p99_seconds"])
        except urllib.error.HTTPError as trouble:  # it tells that all the same
            return float(json.load(trouble)["lateness_p99_seconds"])

    def ready(self, patience: float = 120.0) -> None:
        """Wait until it watches."""
        end = time.monotonic() + patience
        while not self.metrics():
            if self._process.poll() is not None or time.monotonic() > end:
                raise SystemExit(f"the watch did not begin: {Path(self._words.name).read_text()[-2000:]}")
            time.sleep(0.2)

    def weigh(self) -> None:
        """Read the memory of the lasting processes, the ruling one and its two children, in MB.

        RssAnon of proc(5): what they have written themselves. USS will not do, since the warm session shares its pages
        with its copies: it has 2 MB alone while some run, and 50 while none does.
        """
        with contextlib.suppress(psutil.Error, OSError):
            ruling = psutil.Process(self._process.pid)
            held = [_anonymous(one.pid) for one in (ruling, *sorted(ruling.children(), key=lambda c: c.pid))]
            self.memory.append((time.monotonic(), *held))

    def cpu(self) -> float:
        """Seconds that its processes have used, sessions that are over included."""
        ruling = psutil.Process(self._process.pid)
        return sum(sum(one.cpu_times()[:4]) for one in (ruling, *ruling.children()))

    def stop(self) -> int:
        """SIGTERM; its exit code. How long it took is in `stopping`."""
        whole = psutil.Process(self._process.pid).children(recursive=True)
        begun = time.monotonic()
        self._process.send_signal(signal.SIGTERM)
        try:
            code = self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        self.stopping = time.monotonic() - begun
        _, left = psutil.wait_procs(whole, timeout=1)
        left = [one for one in left if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]
        print("\n".join(f"left: {one.pid} {one.status()} {one.cmdline()}" for one in left), end="\n" if left else "")
        for one in left:
            one.kill()
        self._words.close()
        return code + 1000 * len(left)


def _anonymous(pid: int) -> float:
    """MB of a process that belong to no file."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon:")) * 1024 / 1e6


def filled(history: Path, target: str, names: Sequence[str]) -> None:
    """Two hours of good results, up to now."""
    store, now = Store.open(history), time.time()
    for minute in range(120):
        at = now - 60 * (120 - minute)
        run = Run(f"before-{minute}", target, at, at, every=60.0, finished=at + 1)
        store.add(run, [Result(name, at, Verdict.OK, seconds=0.01) for name in names])
    store.close()


def slope(points: list[tuple[float, float]], warm_up: float) -> tuple[float, float]:
    """MB an hour after the warm-up by least squares, and the half of its interval of 95 %.

    The points of a slow curve are not independent: they are taken together in 12 spans, of which each is one.
    """
    import numpy as np

    kept = np.array([p for p in points if p[0] - points[0][0] >= warm_up])
    spans = [part.mean(axis=0) for part in np.array_split(kept, min(12, len(kept))) if len(part)]
    hours, held = np.array([s[0] for s in spans]) / 3600, np.array([s[1] for s in spans])
    if len(spans) < 4:
        return 0.0, float("inf")
    design = np.vstack([hours - hours.mean(), np.ones_like(hours)]).T
    (steep, base), residual, *_ = np.linalg.lstsq(design, held, rcond=None)
    del base
    error = float(np.sqrt(float(residual[0]) / (len(spans) - 2) / np.sum((hours - hours.mean()) ** 2)))
    return float(steep), 2.23 * error


def during(seconds: float, process: Process, moments: list[tuple[float, Callable[[], None]]]) -> None:
    """Let time pass, do each thing at its moment, weigh every 2 s."""
    begun, left = time.monotonic(), sorted(moments, key=lambda m: m[0])
    while (now := time.monotonic() - begun) < seconds:
        while left and left[0][0] <= now:
            left.pop(0)[1]()
        process.weigh()
        time.sleep(max(0.05, min(2.0, (left[0][0] if left else seconds) - now)))
    for _, do in left:
        do()


def alerts(bench: Bench, minutes: float) -> None:
    """The first part."""
    every = 2 if minutes < 10 else 5
    slack = SlackApi(TOKEN, Clock())
    with tempfile.TemporaryDirectory() as name, Sandbox.begin(**sandbox_options(start=ROOT)).wait() as sandbox:
        folder = Path(name)
        with Nearby([slack]) as nearby:
            config = folder / "dialtone.toml"
            config.write_text(
                (ROOT / "dialtone.toml").read_text().partition("\n[channels")[0]
                + f'\n[target.sandbox.schedule]\nevery = "{every}s"\n'
                f'[channels.slack]\nkind = "slack"\nsecret = "BENCH_TOKEN"\nto = ["{CHANNEL}"]\n'
                f'url = "{nearby.url("slack_api")}"\n[people.ada]\n[on_call]\nprimary = "ada"\n'
                '[routes.all]\nchannels = ["slack"]\nack_within = "5h"\nresend_every = "5h"\n'
            )
            own = {
                ATTACH_VARIABLE: str(sandbox.state_file), "DIALTONE_CONFIG": str(config), "BENCH_TOKEN": TOKEN,
                "DIALTONE_HISTORY": str(folder / "history.db"), "DIALTONE_VERDICTS": str(folder / "verdicts.json"),
            }  # fmt: skip
            chosen = ["checks/test_site_down.py", "-k", "health or pages_answer or old_addresses"]
            filled(folder / "history.db", "sandbox", [f"before_{n}" for n in range(500)])
            words = bench.build / "watch-alerts.txt"
            on: set[str] = set()

            def switch(defect: str) -> Callable[[], None]:
                def do() -> None:
                    on.symmetric_difference_update({defect})
                    sandbox.switch(sorted(on))
                    print(f"{time.strftime('%H:%M:%S')} on: {', '.join(sorted(on)) or 'nothing'}", flush=True)

                return do

            moments = [(60 * minutes * share, switch(d)) for d, (_, shares) in SWITCHES.items() for share in shares]
            with Process(ROOT, ["--target", "sandbox", "--", *chosen, "--no-diagnosis"], own, words) as process:
                process.ready()
                during(60 * minutes, process, moments)
                code = process.stop()
        judged(bench, folder / "history.db", nearby, minutes)
    memory(bench, "alerts", process, minutes, code)


def judged(bench: Bench, history: Path, nearby: Nearby, minutes: float) -> None:
    """What people were told, against what was switched."""
    posted = Counter(
        e.body["metadata"]["event_payload"]["transition"] for e in list(nearby.journal._entries)
        if e.path.endswith("chat.postMessage")
    )  # fmt: skip
    store = Store.open(history)
    rows = Outbox(store.engine).rows()
    store.close()
    lines, wrong = [], 0
    for defect, (check, shares) in SWITCHES.items():
        told = [row for row in rows if row.message.cause == check]
        words = [str(row.message.told) for row in told]
        wanted = ["opened", "resolved", "reopened", "resolved"]
        times = [f"{posted[row.message.key]}" for row in told]
        wrong += words != wanted or times != ["1"] * 4
        lines.append(
            [defect, ", ".join(f"{60 * minutes * s:.0f} s" for s in shares), ", ".join(words), ", ".join(times)]
        )
    bench.rows(["defect", "switched on, off, on, off", "told", "messages that arrived for each"], lines)
    others = [row.message.cause for row in rows if row.message.cause not in {c for c, _ in SWITCHES.values()}]
    bench.bar("defects whose switches were not told once each, in order", wrong, "defects", most=0)
    bench.bar("messages about anything else", len(others), "messages", most=0)


def memory(bench: Bench, part: str, process: Process, minutes: float, code: int) -> None:
    """Flat, and ended in time."""
    warm_up = 60 * WARM_UP * minutes
    held = [row for row in process.memory if len(row) == 4]  # with both of its children
    begun = held[0][0]
    for name, column in (("ruling", 1), ("first child", 2), ("second child", 3)):
        steep, half = slope([(row[0], row[column]) for row in held], warm_up)
        first = next(row[column] for row in held if row[0] - begun >= warm_up)
        print(f"{part}: {name} {first:.1f} MB, {held[-1][column]:.1f} at the end, {steep:+.2f} MB an hour ± {half:.2f}")
    steep, half = slope([(row[0], sum(row[1:])) for row in held], warm_up)
    last = sum(held[-1][1:])
    print(f"{part}: {last:.1f} MB in all, after {warm_up / 60:.1f} min of warm-up")
    print(f"{part}: {steep:+.2f} MB an hour, 95 % ± {half:.2f}")
    if minutes < 10:  # a slope of some minutes says nothing of an hour
        first = next(sum(row[1:]) for row in held if row[0] - begun >= warm_up)
        bench.bar(f"{part}: memory at the end, of that after the warm-up", last / first, "ratio", most=1.05)
    else:
        bench.bar(f"{part}: memory slope, upper end of its interval", steep + half, "MB/h", most=MOST_SLOPE)
    bench.bar(f"{part}: exit code, and processes left", code, "code", most=0)
    bench.bar(f"{part}: SIGTERM to the end", process.stopping, "s", most=2)


def answering(port: int) -> None:
    """A service that answers every request with a page, cheaply."""
    body = b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 2\r\n\r\nok"

    class Page(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport: Any = transport

        def data_received(self, data: bytes) -> None:
            self.transport.write(body * data.count(b"\r\n\r\n"))

    async def serve() -> None:
        server = await asyncio.get_running_loop().create_server(Page, "127.0.0.1", port, backlog=512)
        await server.serve_forever()

    asyncio.run(serve())


@contextlib.contextmanager
def service() -> Iterator[str]:
    """It, in a process of its own."""
    port = free_port()
    process = multiprocessing.get_context("spawn").Process(target=answering, args=(port,), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.join()


def thousand(bench: Bench, minutes: float) -> None:
    """The second part."""
    with tempfile.TemporaryDirectory() as name, service() as url:
        folder = Path(name)
        (folder / "checks").mkdir()
        (folder / "checks" / "test_thousand.py").write_text(SUITE)
        (folder / "dialtone.toml").write_text(
            f'[target.preview]\nkind = "preview"\nbase_url = "{url}"\nwitnesses = ["{url}", "{url}/two"]\n'
            f'[target.preview.schedule]\nevery = "{INTERVAL}s"\nlimit = "{LIMIT}s"\n'
            '[target.preview.routes]\npage = "/page"\n'
        )
        filled(folder / "build" / "history.db", "preview", [f"page[{n}]" for n in range(CHECKS - 1)])
        with Process(folder, ["--target", "preview"], {}, bench.build / "watch-thousand.txt") as process:
            process.ready()
            before, used = os.getloadavg()[0], process.cpu()
            during(60 * minutes, process, [])
            told, cpu, p99 = process.metrics(), process.cpu() - used, process.p99()
            code = process.stop()
    late = {k: v for k, v in told.items() if k.startswith("dialtone_watch_lateness_seconds")}
    count = late["dialtone_watch_lateness_seconds_count"]
    rows, under = [], {}
    for name, value in late.items():
        if (bound := re.search(r'le="([^"]+)"', name)) is not None:
            rows.append([bound[1], int(value), 100 * value / count])
            under[float(bound[1])] = value / count
    load = f"load {before:.1f} at first, {os.getloadavg()[0]:.1f} at last"
    print(f"{CHECKS} checks every {INTERVAL} s for {minutes:g} min, one hung; {load}")
    bench.rows(["late by at most, s", "looks", "%"], rows)
    most = min(edge for edge, share in under.items() if share >= 0.99)
    looks, missed, hung = (
        next(v for k, v in told.items() if k.startswith(f"dialtone_watch_{w}_total"))
        for w in ("looks", "missed", "hung")
    )
    print(f"lateness p99 at most {most:g} s, {p99:.3f} s of the last 2,000 looks")
    print(f"{looks:.0f} looks, {missed:.0f} missed, {hung:.0f} ended by the limit;"
          f" {cpu:.0f} s of CPU, {1000 * cpu / looks:.0f} ms a look")  # fmt: skip
    wanted = (CHECKS - 1) * minutes
    bench.bar("looks, of those that were due", looks / wanted, "ratio", least=0.97)
    bench.bar("the hung check was ended", hung, "times", least=1)
    bench.bar("moments missed, the hung check's own apart", max(0.0, missed - hung), "moments", most=0.01 * wanted)
    bench.bar("lateness p99", most, "s", most=5)
    bench.bar("CPU of the watch, of two cores", cpu / (120 * minutes), "ratio", most=0.25)
    memory(bench, "thousand", process, minutes, code)


def main() -> int:
    """Both parts."""
    bench = Bench("watch", __doc__)
    bench.parser.add_argument(
        "--minutes", type=float, help=f"of each part; default {MINUTES:g}, {QUICK_MINUTES:g} with --quick"
    )
    bench.parser.add_argument("--only", choices=["alerts", "thousand"], help="one part")
    minutes = bench.arguments.minutes or (QUICK_MINUTES if bench.quick else MINUTES)
    bench.build.mkdir(parents=True, exist_ok=True)
    if bench.arguments.only != "thousand":
        alerts(bench, minutes)
    if bench.arguments.only != "alerts":
        thousand(bench, minutes)
    return bench.finish()


if __name__ == "__main__":
    raise SystemExit(main())
