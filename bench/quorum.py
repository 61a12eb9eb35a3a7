"""Three places look at one target, two have to agree: a broken place calls nobody, an outage does in its first round.

The places meet in a PostgreSQL of their own. First a thousand rounds in which one place is broken, each hundred in
another way: it sees everything down, half of it, one check; it is offline, its checks break, it says nothing, it
changes its mind every round. The places finish together, as threads that wait for each other, so that the second sees
what the first wrote. Then outages, with all places well, with one broken, with one silent: which messages had arrived
at a stand-in of Slack when the round was over. Last the same with real sessions of pytest, one for each place.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
from bench._postgres import Server, free_port
from bench._table import Bench

from dialtone.history import Run, Store
from dialtone.history.recorder import result_of
from dialtone.incidents.handover import Handover
from dialtone.standins.nearby import Nearby
from dialtone.standins.slack_api import CHANNEL, SlackApi
from dialtone.standins.state import Clock
from dialtone.target import load

TOKEN = "xoxb-quorum-0123456789"
PLACES, CHECKS, ROUNDS, QUICK_ROUNDS, EVERY = ("fra1", "iad1", "gru1"), 12, 1000, 70, 60.0
Seen = dict[str, tuple[str | None, str | None]]
"""Check -> verdict and kind."""


def well(_: int, __: random.Random) -> Seen:
    """All is ok."""
    return {f"check_{n}": ("ok", None) for n in range(CHECKS)}


def _broken(pick: Callable[[int, random.Random], Sequence[int]], verdict: str, kind: str | None = None) -> Any:
    def see(round_: int, chance: random.Random) -> Seen:
        wrong = {f"check_{n}" for n in pick(round_, chance)}
        return {name: (verdict, kind) if name in wrong else was for name, was in well(round_, chance).items()}

    return see


ALL = range(CHECKS)
MODES: dict[str, Callable[[int, random.Random], Seen | None]] = {
    "everything is down": _broken(lambda *_: ALL, "critical"),
    "half of it, by chance": _broken(lambda _, c: c.sample(ALL, CHECKS // 2), "breach"),
    "one check": _broken(lambda *_: [3], "critical"),
    "offline": _broken(lambda *_: ALL, "unknown", "offline"),
    "its checks break": _broken(lambda *_: ALL, "unknown", "broken"),
    "silent": lambda *_: None,
    "another mind every round": _broken(lambda r, _: ALL if r % 2 else [], "critical"),
}


class Place:
    """One place: a connection, a handover and a clock of its own."""

    def __init__(self, name: str, url: str, config: Path, environ: Mapping[str, str]) -> None:
        self.name = name
        self._store = Store.open(url)
        found = Handover.open(config, load(config, "preview", environ), environ)
        assert found is not None
        self._handover = found

    def look(self, token: str, at: float, seen: Seen | None) -> list[str]:
        """One round; what people at this place are told."""
        if seen is None:
            return []
        entries = [_entry(name, *verdict) for name, verdict in seen.items()]
        run = Run(token, "preview", at, at, self.name, EVERY, None, at, 0)
        results = [r for e in entries if (r := result_of(e, {}, at)) is not None]
        self._store.add(run, results, lambda: _none(self._handover.absorb(self._store, run, entries, at)))
        self._handover.deliver(self._store, patience=0.0, clock=lambda: at + 1)
        return self._handover.words()

    def close(self) -> None:
        """Give everything back."""
        self._handover.close()
        self._store.close()


def _none(_: object) -> None:
    return None


def _entry(name: str, verdict: str | None, kind: str | None) -> dict[str, Any]:
    return {
        "id": name, "severity": "P1", "runbook": "x", "effect": "reads", "proof": None, "experiment": False,
        "verdict": verdict, "kind": kind, "value": None, "unit": None, "samples": 1,
        "levels": {"target": None, "alert": None, "critical": None}, "armed": True, "reason": f"{name} is {verdict}",
        "seconds": 0.1, "at": None, "trace": None,
    }  # fmt: skip


def configured(folder: Path, slack: str, base: str) -> Path:
    """A profile with a quorum and a channel."""
    path = folder / "dialtone.toml"
    path.write_text(
        f'[target.preview]\nkind = "preview"\nbase_url = "{base}"\nrunbook = "https://runbook.example.com"\n'
        'witnesses = ["${WITNESS}", "${WITNESS}/two"]\ntimeouts = { connect = "2s", read = "3s", total = "5s" }\n'
        f'[target.preview.schedule]\nevery = "{EVERY:.0f}s"\n'
        f"[target.preview.quorum]\nplaces = {json.dumps(list(PLACES))}\nagree = 2\n"
        '[target.preview.routes]\npage = "/page"\n'
        f'[channels.slack]\nkind = "slack"\nsecret = "T"\nto = ["{CHANNEL}"]\nurl = "{slack}"\n'
        '[people.ada]\n[on_call]\nprimary = "ada"\n[routes.all]\nchannels = ["slack"]\nresend_every = "300h"\n'
        'ack_within = "300h"\n'
    )
    return path


def posted(nearby: Nearby) -> list[str]:
    """The states that messages told, as they came."""
    return [
        str(e.body["metadata"]["event_payload"]["state"]) for e in list(nearby.journal._entries)
        if e.path.endswith("chat.postMessage")
    ]  # fmt: skip


class Rounds:
    """Rounds of three places that finish at one moment."""

    def __init__(self, places: Sequence[Place], pool: ThreadPoolExecutor) -> None:
        self._places, self._pool = places, pool
        self._now, self._numbers = time.time(), itertools.count()
        self.seconds: list[float] = []

    def play(self, seen: Sequence[Seen | None]) -> list[list[str]]:
        """One round; what was told at each place."""
        number, self._now = next(self._numbers), self._now + EVERY
        gate = threading.Barrier(len(self._places))

        def one(place: Place, what: Seen | None) -> list[str]:
            gate.wait()
            return place.look(f"round-{number}-{place.name}", self._now, what)

        begun = time.perf_counter()
        told = list(self._pool.map(one, self._places, seen))
        self.seconds.append(time.perf_counter() - begun)
        return told


def thousand(bench: Bench, rounds: Rounds, nearby: Nearby, count: int) -> None:
    """One place is broken."""
    for _ in range(2):  # the first round of all decides alone: nobody else has looked yet
        rounds.play([well(0, random.Random())] * 3)  # noqa: S311
    rows: list[list[Any]] = []
    chance = random.Random(7)  # noqa: S311 - a plan that is the same every time
    for turn, (word, mode) in enumerate(
        itertools.islice(itertools.cycle(MODES.items()), -(-count // 100) if count >= 700 else len(MODES))
    ):
        each, alone, before = min(100, count if count >= 700 else count // len(MODES)), 0, len(posted(nearby))
        broken = turn % len(PLACES)
        for number in range(each):
            told = rounds.play([mode(number, chance) if n == broken else well(number, chance) for n in range(3)])
            alone += any(f"seen from {PLACES[broken]} only" in line for line in told[broken])
        rounds.play([well(0, chance)] * 3)  # what the broken place said last does not count for the next one
        rounds.play([well(0, chance)] * 3)
        rounds.play([well(0, chance)] * 3)
        rows.append([PLACES[broken], word, each, alone, len(posted(nearby)) - before])
    bench.rows(["broken place", "in which way", "rounds", "told as seen from there only", "alerts"], rows)
    bench.bar("rounds with a broken place", sum(row[2] for row in rows), "rounds", least=count)
    bench.bar("alerts of a broken place", sum(row[4] for row in rows), "alerts", most=0)
    loud = [row for row in rows if row[1] in ("everything is down", "half of it, by chance", "one check")]
    share = sum(row[3] for row in loud) / sum(row[2] for row in loud)
    bench.bar("rounds of a place that sees something bad alone in which it is told so", share, "share", least=1)


def outages(bench: Bench, rounds: Rounds, nearby: Nearby, count: int) -> None:
    """What two places see at least."""
    rows: list[list[Any]] = []
    chance = random.Random(11)  # noqa: S311 - the same
    fine = [well(0, chance)] * 3
    for word, third in (("well", None), ("everything is down", "everything is down"), ("silent", "silent")):
        first, ended = 0, 0
        for number in range(count):
            down = _broken(lambda *_, at=number % CHECKS: [at], "critical")
            other = MODES[third] if third else down
            for _ in range(3):
                rounds.play(fine if third is None else [fine[0], fine[1], MODES[third](number, chance)])
            before = posted(nearby)
            rounds.play([down(number, chance), down(number, chance), other(number, chance)])
            first += "open" in posted(nearby)[len(before) :]
            for _ in range(9):  # more good looks the more often it came back
                rounds.play(fine)
            ended += posted(nearby)[len(before) :].count("resolved") == 1
        rows.append([word, count, first, ended])
    bench.rows(["the third place", "outages", "told in the first round", "and their end, once"], rows)
    bench.bar("outages told in their first round", sum(r[2] for r in rows) / sum(r[1] for r in rows), "share", least=1)
    bench.bar("ends told once", sum(r[3] for r in rows) / sum(r[1] for r in rows), "share", least=1)


@contextmanager
def service() -> Iterator[tuple[str, list[int]]]:
    """A target on loopback, and the status that it answers with."""
    status = [200]

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status[0] if self.path == "/page" else 200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.2", 0), Handler)  # no history on the host that is watched
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.2:{server.server_address[1]}", status
    server.shutdown()
    server.server_close()


SUITE = """
from dialtone import check, expect
@check(runbook="x", severity="P0", requests=1)
def test_page(http, target):
    \"\"\"The page is served.\"\"\"
    expect(http.get(target.route("page"))).status(200)
"""


def sessions(bench: Bench, url: str, nearby: Nearby) -> None:
    """Real ones: a place whose way to the target is broken, then an outage."""
    with tempfile.TemporaryDirectory() as name, service() as (base, status):
        folder = Path(name)
        (folder / "test_page.py").write_text(SUITE)
        configured(folder, nearby.url("slack_api"), "${BASE}")
        dead = f"http://127.0.0.2:{free_port()}"

        def play(broken: str | None) -> list[str]:
            clean = {k: v for k, v in os.environ.items() if not k.startswith(("DIALTONE_", "GITHUB_"))}
            running = [
                subprocess.Popen(
                    [sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", "-p", "no:cacheprovider",
                     "--target", "preview", "--verdicts", f"build/{place}.json", "."],
                    cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                    env={**clean, "DIALTONE_HISTORY": url, "DIALTONE_PLACE": place, "T": TOKEN, "WITNESS": base,
                         "BASE": dead if place == broken else base},
                )
                for place in PLACES
            ]  # fmt: skip
            return [one.communicate(timeout=120)[0] for one in running]

        before = len(posted(nearby))
        play(None)
        said = play("gru1")
        alone = len(posted(nearby)) - before
        print("\n".join(line for line in said[2].splitlines() if "seen from" in line))
        bench.bar("sessions: alerts while one place has no way to the target", alone, "alerts", most=0)
        bench.bar(
            "sessions: told at that place as seen from there only",
            int("seen from gru1 only" in said[2]),
            "times",
            least=1,
        )
        play(None)
        status[0] = 503
        play(None)
        bench.bar(
            "sessions: alerts after the first round of an outage",
            posted(nearby)[before:].count("open"),
            "alerts",
            least=1,
        )


def main() -> int:
    """All three parts."""
    bench = Bench("quorum", __doc__)
    bench.parser.add_argument(
        "--rounds", type=int, help=f"with a broken place; default {ROUNDS}, {QUICK_ROUNDS} with --quick"
    )
    count = bench.arguments.rounds or (QUICK_ROUNDS if bench.quick else ROUNDS)
    environ = {"T": TOKEN, "DIALTONE_RESIDENT": "1", "WITNESS": "http://127.0.0.1:9"}
    with tempfile.TemporaryDirectory() as name, Nearby([SlackApi(TOKEN, Clock())]) as nearby:
        folder = Path(name)
        (folder / "server").mkdir()
        server = Server(folder / "server")
        places: list[Place] = []
        try:
            url = server.database("quorum")
            config = configured(folder, nearby.url("slack_api"), "http://127.0.0.1:9")
            places = [Place(place, url, config, environ) for place in PLACES]
            with ThreadPoolExecutor(len(PLACES)) as pool:
                rounds = Rounds(places, pool)
                thousand(bench, rounds, nearby, count)
                outages(bench, rounds, nearby, 4 if bench.quick else 12)
            typical = sorted(rounds.seconds)[len(rounds.seconds) // 2]
            print(f"a round of three places: median {1000 * typical:.0f} ms\n")
            sessions(bench, server.database("sessions"), nearby)
        finally:
            for place in places:
                place.close()
            server.stop()
    return bench.finish()


if __name__ == "__main__":
    raise SystemExit(main())
