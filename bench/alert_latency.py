"""From an outage to the message: how long after the round that confirms it, and how many rounds that takes.

The sandbox is held; for each trial the checks of health run against it every 3 s, as `pytest --every 3s` does, with a
history of their own. After a good round the health endpoint says 503 although nothing is wrong; when the message has
arrived at a stand-in of Slack it is well again, until the end has been told too. A round is over when its last check
is, which is when its run has `finished` in the history; a message has arrived when the stand-in has taken it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from bench._table import ROOT, Bench

from dialtone.history import Run, Store
from dialtone.sandbox import Sandbox
from dialtone.sandbox.controller import ATTACH_VARIABLE
from dialtone.sandbox.profile import sandbox_options
from dialtone.standins.nearby import Nearby
from dialtone.standins.slack_api import CHANNEL, SlackApi
from dialtone.standins.state import Clock

TRIALS, QUICK_TRIALS, EVERY, PATIENCE = 50, 1, 3, 90.0
TOKEN = "xoxb-latency-0123456789"
CHECKS = ["checks/test_site_down.py", "-k", "health", "--target", "sandbox", "-q", "-p", "no:randomly",
          "-p", "no:cacheprovider", "--no-diagnosis", "--every", f"{EVERY}s", "--for", "10m"]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Told:
    """A message: seconds from the end of its round, and from the switch, and the rounds in between."""

    after_round: float
    after_switch: float
    rounds: int


def until(what: Callable[[], object], patience: float = PATIENCE) -> None:
    """Wait until it is so."""
    end = time.monotonic() + patience
    while not what():
        if time.monotonic() > end:
            raise SystemExit("what was waited for did not happen")
        time.sleep(0.02)


@contextlib.contextmanager
def watching(folder: Path, url: str, sandbox: Sandbox) -> Iterator[Path]:
    """Rounds until the end of the block; their history."""
    history, config = folder / "history.db", folder / "dialtone.toml"
    config.write_text(
        (ROOT / "dialtone.toml").read_text().partition("\n[channels")[0]
        + f'\n[channels.slack]\nkind = "slack"\nsecret = "BENCH_TOKEN"\nto = ["{CHANNEL}"]\nurl = "{url}"\n'
        '[people.ada]\n[on_call]\nprimary = "ada"\n[routes.all]\nchannels = ["slack"]\n'
    )
    own = {
        ATTACH_VARIABLE: str(sandbox.state_file),
        "DIALTONE_HISTORY": str(history),
        "DIALTONE_CONFIG": str(config),
        "DIALTONE_VERDICTS": str(folder / "verdicts.json"),
        "BENCH_TOKEN": TOKEN,
    }
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("DIALTONE_", "SANDBOX_", "GITHUB_"))}
    with (folder / "words.txt").open("wb") as words:
        process = subprocess.Popen(
            [sys.executable, "-m", "pytest", *CHECKS], cwd=ROOT, env={**environment, **own}, stdout=words, stderr=words
        )
    try:
        yield history
    finally:
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(30)
        process.kill()


def runs(history: Path) -> list[Run]:
    """The rounds that are over."""
    if not history.exists():
        return []
    store = Store.open(history)
    try:
        return [run for run in store.runs("sandbox") if run.finished]
    finally:
        store.close()


def told(history: Path, switched: float, arrived: float) -> Told:
    """A message against the rounds that came before it."""
    over = [run for run in runs(history) if run.finished and run.finished <= arrived and run.started >= switched]
    if not over:
        raise SystemExit("a message came without a round")
    last = max(run.finished or 0.0 for run in over)
    return Told(arrived - last, arrived - switched, len(over))


def trial(folder: Path, sandbox: Sandbox) -> tuple[Told, Told]:
    """One outage and its end."""
    slack = SlackApi(TOKEN, Clock())

    def at(state: str, nearby: Nearby) -> list[float]:
        return [
            e.at
            for e in list(nearby.journal._entries)
            if e.path.endswith("chat.postMessage") and e.body["metadata"]["event_payload"]["state"] == state
        ]

    with Nearby([slack]) as nearby, watching(folder, nearby.url("slack_api"), sandbox) as history:
        until(lambda: runs(history))
        begun = time.time()
        sandbox.switch(["health-503"])
        try:
            until(lambda: at("open", nearby))
            opened = told(history, begun, at("open", nearby)[0])
        finally:
            ended = time.time()
            sandbox.switch([])
        until(lambda: at("resolved", nearby))
        return opened, told(history, ended, at("resolved", nearby)[0])


def _p95(values: list[float]) -> float:
    return sorted(values)[max(0, round(0.95 * len(values) + 0.5) - 1)]


def _main() -> int:
    bench = Bench("alert_latency", __doc__)
    bench.parser.add_argument("--trials", type=int, help=f"default: {TRIALS}, or {QUICK_TRIALS} with --quick")
    trials = bench.arguments.trials or (QUICK_TRIALS if bench.quick else TRIALS)
    found: list[tuple[Told, Told]] = []
    with tempfile.TemporaryDirectory() as name, Sandbox.begin(**sandbox_options(start=ROOT)).wait() as sandbox:
        for number in range(1, trials + 1):
            folder = Path(name) / str(number)
            folder.mkdir()
            found.append(trial(folder, sandbox))
            opened, resolved = found[-1]
            print(
                f"trial {number}: told {opened.after_round:.2f} s after round {opened.rounds},"
                f" over {resolved.after_round:.2f} s after round {resolved.rounds}",
                flush=True,
            )
    rows = []
    for word, which in (("outage", [o for o, _ in found]), ("its end", [r for _, r in found])):
        after = [t.after_round for t in which]
        spans, rounds = [t.after_switch for t in which], [t.rounds for t in which]
        rows.append([word, statistics.median(after), _p95(after), statistics.median(spans), min(rounds), max(rounds)])
        bench.bar(f"{word}: from the end of its round to the message, p95", _p95(after), "s", most=2)
        bench.bar(f"{word}: rounds that it took at most", max(rounds), "rounds", most=8)
    print(f"\n{trials} trials, a round every {EVERY} s")
    bench.rows(["told of", "median s", "p95 s", "median s since the switch", "least rounds", "most rounds"], rows)
    return bench.finish()


if __name__ == "__main__":
    raise SystemExit(_main())
