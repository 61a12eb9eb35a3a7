"""From a defect to the message: how long after the round that confirms it, and how many rounds and samples that takes.

One sandbox is held. For each defect the check that claims it runs against it every 3 s, as `pytest --every 3s` does,
with a history of its own. After a good round the defect is switched on; when the message has arrived at a stand-in of
Slack it is switched off, until the end has been told too; then the history forgets its incidents, and the next trial
begins. A round is over when its last check is, which is when its run has `finished` in the history; a message has
arrived when the stand-in has taken it.

Outages are bad in every answer: the rounds follow from the budget of false pages. Of a rate or a latency only a share
of the answers is bad, and each round takes samples until its sequential test ends: how many those are, and how many
rounds, is computed from `evidence.py` and the defect's own share, exactly, and compared with what was seen.
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
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from bench._table import ROOT, Bench

from dialtone.evidence import alpha_of
from dialtone.history import Result, Run, Store
from dialtone.incidents.lifecycle import Sign, evidence_needed
from dialtone.objective import Objective
from dialtone.sandbox import Sandbox
from dialtone.sandbox.controller import ATTACH_VARIABLE
from dialtone.sandbox.profile import sandbox_options
from dialtone.standins.nearby import Nearby
from dialtone.standins.slack_api import CHANNEL, SlackApi
from dialtone.standins.state import Clock
from dialtone.target import Target, load
from dialtone.verdict import Verdict

TRIALS, QUICK_TRIALS, SHARES, EVERY, PATIENCE = 50, 1, 2, 3, 240.0
TOKEN = "xoxb-latency-0123456789"
OPTIONS = ["--target", "sandbox", "-q", "-p", "no:randomly", "-p", "no:cacheprovider", "--no-diagnosis",
           "--every", f"{EVERY}s", "--for", "40m"]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Case:
    """A defect and the check that claims it. `share` of its samples are bad with the defect on; None is an outage."""

    defect: str
    check: str
    file: str
    words: str
    objective: str = ""
    share: float | None = None


OUTAGES = [
    Case("health-503", "health_answers_ok", "test_site_down.py", "test_health_answers_ok"),
    Case("page-500", "pages_answer[pricing]", "test_site_down.py", "test_pages_answer and pricing"),
    Case("root-redirect-loop", "old_addresses_lead_to_pages", "test_site_down.py", "test_old_addresses"),
    Case("cert-wrong-host", "certificate_chain_is_valid", "test_tls.py", "test_certificate_chain_is_valid"),
]
# The share that each defect's own description tells: every 6th request, every 4th, every one; of the pages of the error
# rate both raise the error. What stands in one row hits other paths and is tried at once.
RATES = [[
    Case("health-flaps", "uptime_of_the_observed_window", "test_site_down.py", "test_uptime", "uptime", 1 / 6),
    Case("slow-tail", "response_time_p95[pricing]", "test_response_time.py", "p95 and pricing",
         "response_time_p95", 1 / 4),
    Case("slow-median", "response_time_p50[login]", "test_response_time.py", "p50 and login", "response_time_p50", 1.0),
], [
    Case("errors-one-in-six", "error_rate_of_the_probe", "test_error_rate.py", "test_error_rate_of",
         "error_rate", 1 / 6),
]]  # fmt: skip


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


class Watch:
    """Rounds of one check every 3 s, in a history of their own, told to a Slack of their own."""

    def __init__(self, case: Case, folder: Path, sandbox: Sandbox, nearby: Nearby) -> None:
        self.case, self.history, self._nearby = case, folder / "history.db", nearby
        self.seen: list[tuple[Verdict, int, int]] = []  # verdict, bad and all samples of each round with the defect
        config = folder / "dialtone.toml"
        config.write_text(
            (ROOT / "dialtone.toml").read_text().partition("\n[channels")[0].replace(
                '\nsample_time = "10s"', '\nsample_time = "60s"'  # a round may take as many samples as it needs
            )
            + f'\n[channels.slack]\nkind = "slack"\nsecret = "BENCH_TOKEN"\nto = ["{CHANNEL}"]\n'
            f'url = "{nearby.url("slack_api")}"\n'
            '[people.ada]\n[on_call]\nprimary = "ada"\n[routes.all]\nchannels = ["slack"]\n'
        )  # fmt: skip
        own = {
            ATTACH_VARIABLE: str(sandbox.state_file),
            "DIALTONE_HISTORY": str(self.history),
            "DIALTONE_CONFIG": str(config),
            "DIALTONE_VERDICTS": str(folder / "verdicts.json"),
            "BENCH_TOKEN": TOKEN,
        }
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("DIALTONE_", "SANDBOX_", "GITHUB_"))}
        command = [sys.executable, "-m", "pytest", f"checks/{case.file}", "-k", case.words, *OPTIONS]
        self._words = folder / "words.txt"
        with self._words.open("wb") as words:
            self._process = subprocess.Popen(command, cwd=ROOT, env={**environment, **own}, stdout=words, stderr=words)
        self._store: Store | None = None

    def close(self) -> None:
        """Interrupt the rounds, as Ctrl-C does."""
        if self._store:
            self._store.close()
        self._process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(30)
        self._process.kill()

    def runs(self) -> list[Run]:
        """The rounds that are over."""
        if self._process.poll() is not None:
            raise SystemExit(f"the rounds ended:\n{self._words.read_text()[-2_000:]}")
        if self._store is None:
            if not self.history.exists():
                return []
            self._store = Store.open(self.history, patience=10)
        return [run for run in self._store.runs("sandbox") if run.finished]

    def good_round(self) -> None:
        """Wait for a round that began after this moment, and is over."""
        begun = time.time()
        until(lambda: any(run.started >= begun for run in self.runs()))

    def arrived(self, state: str, since: float) -> list[float]:
        """When messages arrived that tell of this state."""
        return [
            e.at
            for e in list(self._nearby.journal._entries)
            if e.path.endswith("chat.postMessage")
            and e.status == 200
            and e.at >= since
            and e.body["metadata"]["event_payload"]["state"] == state
        ]

    def told(self, state: str, switched: float) -> Told:
        """The message, against the rounds that came before it: from the first that shows the new state."""
        until(lambda: self.arrived(state, switched))
        arrived = self.arrived(state, switched)[0]
        over = [run for run in self.runs() if switched <= (run.finished or arrived) <= arrived]
        found = [one.verdict.is_bad is (state == "open") for one in self.results(switched) if one.at <= arrived]
        if not over or True not in found:
            raise SystemExit(f"{self.case.defect}: a message came without a round")
        last = max(run.finished or 0.0 for run in over)
        return Told(arrived - last, arrived - switched, len(found) - found.index(True))

    def results(self, since: float) -> list[Result]:
        """What the check has found since."""
        assert self._store
        return self._store.results("sandbox", self.case.check, since)

    def look(self, since: float) -> None:
        """Note what the rounds that began after `since` have found."""
        began = [run.started for run in self.runs() if run.started >= since]
        self.seen += [
            (one.verdict, one.bad, one.samples) for one in self.results(since) if began and one.at >= min(began)
        ]

    def forget(self) -> None:
        """The next trial is another day: no incident is known, and none to be opened again."""
        assert self._store
        with self._store.engine.transaction():
            for table in ("incident", "transition", "outbox", "thread"):
                self._store.engine.many(f"DELETE FROM dialtone_{table} WHERE ? = 1", [(1,)])  # noqa: S608


@contextlib.contextmanager
def watching(cases: Sequence[Case], folder: Path, sandbox: Sandbox) -> Iterator[list[Watch]]:
    """A watch for each, until the end of the block; each has had a good round."""
    with contextlib.ExitStack() as stack:
        watches = []
        for case in cases:
            nearby = stack.enter_context(Nearby([SlackApi(TOKEN, Clock())]))
            own = folder / case.defect
            own.mkdir(parents=True)
            watches.append(Watch(case, own, sandbox, nearby))
            stack.callback(watches[-1].close)
        for watch in watches:
            watch.good_round()
        yield watches


def trial(watches: Sequence[Watch], sandbox: Sandbox) -> list[tuple[Told, Told]]:
    """The defects of all watches, and their ends. Before it each has had a good round."""
    begun = time.time()
    sandbox.switch([watch.case.defect for watch in watches])
    try:
        opened = [watch.told("open", begun) for watch in watches]
        for watch in watches:
            watch.look(begun)
    finally:
        ended = time.time()
        sandbox.switch([])
    resolved = [watch.told("resolved", ended) for watch in watches]
    for watch in watches:
        watch.forget()
    return list(zip(opened, resolved, strict=True))


@dataclass(frozen=True, slots=True)
class Predicted:
    """Least, mean and most of the samples of a round and of the rounds, the 0.5 % at each end left out."""

    samples: tuple[float, float, float]
    rounds: tuple[float, float, float]


def predicted(case: Case, target: Target) -> Predicted:
    """What `evidence.py` makes of the share of bad samples, exactly, for independent ones."""
    from dataclasses import replace

    pages = target.profile.history.false_pages
    objective = replace(target.objective(case.objective), alpha=alpha_of(pages, 1, EVERY))
    lengths, verdicts = _one_round(objective, case.share or 1.0)
    needed, rounds = evidence_needed(1, EVERY, pages), dict[int, float]()
    waiting = {0.0: 1.0}
    for number in range(1, 200):
        following: dict[float, float] = defaultdict(float)
        for weight, chance in waiting.items():
            for verdict, share in verdicts.items():
                if verdict is Verdict.UNKNOWN or not verdict.is_bad:  # a good round forgets the suspicion
                    following[weight if verdict is Verdict.UNKNOWN else 0.0] += chance * share
                    continue
                grown = weight + Sign("c", 0.0, verdict, samples=2).weight
                if grown >= needed:
                    rounds[number] = rounds.get(number, 0.0) + chance * share
                else:
                    following[grown] += chance * share
        waiting = following
        if sum(waiting.values()) < 1e-6:
            break
    return Predicted(_ends(lengths), _ends(rounds))


def _one_round(objective: Objective, share: float) -> tuple[dict[int, float], dict[Verdict, float]]:
    """How likely a round stops after so many samples, and with which verdict."""
    stop = objective.stop(objective.quantile)
    lengths: dict[int, float] = {}
    verdicts: dict[Verdict, float] = defaultdict(float)
    alive = {0: 1.0}
    for n in range(1, 2_000):
        following: dict[int, float] = defaultdict(float)
        for k, chance in alive.items():
            following[k + 1] += chance * share
            following[k] += chance * (1 - share)
        alive = {}
        for k, chance in following.items():
            if stop.exceeded(k, n) or stop.excluded(k, n):
                lengths[n] = lengths.get(n, 0.0) + chance
                verdicts[_verdict(objective, k, n)] += chance
            elif chance > 1e-12:
                alive[k] = chance
        if sum(alive.values()) < 1e-6:
            break
    return lengths, verdicts


def _verdict(objective: Objective, k: int, n: int) -> Verdict:
    if not objective.quantile:
        events = k if objective.direction == "below" else n - k
        return objective.judge_rate(events, n, sequential=True).verdict
    levels = objective.levels  # slower than the alert level, and not than the critical one
    slower = {levels.target or 0.0: k, levels.alert or 0.0: k, levels.critical or 0.0: 0}
    return objective.judge_slower(slower, n, levels.alert, q=objective.quantile, sequential=True).verdict


def _ends(found: Mapping[int, float]) -> tuple[float, float, float]:
    total, ends, sofar = sum(found.values()), list[int](), 0.0
    for value in sorted(found):
        before, sofar = sofar, sofar + found[value] / total
        ends += [value for edge in (0.005, 0.995) if before < edge <= sofar]
    return ends[0], sum(v * c for v, c in found.items()) / total, ends[-1]


def _p95(values: list[float]) -> float:
    return sorted(values)[max(0, round(0.95 * len(values) + 0.5) - 1)]


def outages(bench: Bench, trials: int, folder: Path, sandbox: Sandbox) -> None:
    """Trials of outages, spread over the defects."""
    found: list[tuple[Told, Told]] = []
    for number, case in enumerate(OUTAGES):
        own = len(range(number, trials, len(OUTAGES)))
        if not own:
            continue
        with watching([case], folder, sandbox) as watches:
            for _ in range(own):
                found += trial(watches, sandbox)
                opened, resolved = found[-1]
                print(
                    f"trial {len(found)}, {case.defect}: told {opened.after_round:.2f} s after round {opened.rounds},"
                    f" over {resolved.after_round:.2f} s after round {resolved.rounds}",
                    flush=True,
                )
    rows = []
    for word, which in (("outage", [o for o, _ in found]), ("its end", [r for _, r in found])):
        after = [t.after_round for t in which]
        spans, rounds = [t.after_switch for t in which], [t.rounds for t in which]
        rows.append([word, statistics.median(after), _p95(after), statistics.median(spans), min(rounds), max(rounds)])
        bench.bar(f"{word}: from the end of its round to the message, p95", _p95(after), "s", most=2)
        bench.bar(f"{word}: rounds that it took at most", max(rounds), "rounds", most=4)
    print(f"\n{len(found)} outages, a round every {EVERY} s")
    bench.rows(["told of", "median s", "p95 s", "median s since the switch", "least rounds", "most rounds"], rows)


def rates(bench: Bench, trials: int, folder: Path, sandbox: Sandbox) -> None:
    """Trials of rates and latencies."""
    target = load(ROOT / "dialtone.toml", "sandbox", {**os.environ, **sandbox.env})
    rows = []
    for cases in RATES[1:] if bench.quick else RATES:
        found: list[list[Told]] = []
        with watching(cases, folder, sandbox) as watches:
            for _ in range(trials):
                found.append([opened for opened, _ in trial(watches, sandbox)])
                told = (f"{case.defect} after round {one.rounds}" for case, one in zip(cases, found[-1], strict=True))
                print(f"told of {', '.join(told)}", flush=True)
        for watch, rounds in zip(watches, zip(*found, strict=True), strict=True):
            rows.append(_compared(bench, watch, [one.rounds for one in rounds], predicted(watch.case, target)))
    print(f"\n{trials} trials of each; predicted: mean (99 % of all)")
    bench.rows(["defect", "bad", "samples predicted", "mean seen", "seen", "rounds predicted", "seen"], rows)


def _compared(bench: Bench, watch: Watch, rounds: Sequence[int], wanted: Predicted) -> list[object]:
    defect, samples = watch.case.defect, [n for verdict, _, n in watch.seen if verdict.is_bad]
    outside = sum(not wanted.samples[0] <= n <= wanted.samples[2] for n in samples)
    bench.bar(f"{defect}: rounds with more or fewer samples than predicted", outside, "rounds", most=0)
    late = sum(not wanted.rounds[0] <= n <= wanted.rounds[2] for n in rounds)
    bench.bar(f"{defect}: told after more or fewer rounds than predicted", late, "trials", most=0)
    return [defect, f"{watch.case.share:.0%}", _range(wanted.samples), statistics.mean(samples),
            f"{min(samples)} to {max(samples)}", _range(wanted.rounds), f"{min(rounds)} to {max(rounds)}"]  # fmt: skip


def _range(told: tuple[float, float, float]) -> str:
    return f"{told[1]:.3g} ({told[0]:.0f} to {told[2]:.0f})"


def _main() -> int:
    bench = Bench("alert_latency", __doc__)
    bench.parser.add_argument("--trials", type=int, help=f"outages; default: {TRIALS}, or {QUICK_TRIALS} with --quick")
    bench.parser.add_argument("--only", choices=["outages", "rates"], help="one of the two parts")
    only, trials = bench.arguments.only, bench.arguments.trials or (QUICK_TRIALS if bench.quick else TRIALS)
    with tempfile.TemporaryDirectory() as name, Sandbox.begin(**sandbox_options(start=ROOT)).wait() as sandbox:
        if only != "rates":
            outages(bench, trials, Path(name) / "outages", sandbox)
        if only != "outages":
            rates(bench, 1 if bench.quick or trials < TRIALS else SHARES, Path(name) / "rates", sandbox)
    return bench.finish()


if __name__ == "__main__":
    raise SystemExit(_main())
