"""Kills the alerting at every write and every send, and counts at the far end what arrived.

A scripted day of 50 incidents is played round by round. First without a kill, which gives the list of fail-points (each
write, commit, request and upload, before and after) and of messages. Then again, killed with SIGKILL at more than 500
of them, each once, and started again: on SQLite, on PostgreSQL, and on a disk that is lost with each kill, so that the
store falls back to what was uploaded after the last whole round. At stand-ins on real sockets each message has to
arrive, in order, and in effect once: one message in Slack, one alert in PagerDuty. Mail and webhook cannot tell; what
they get twice is counted, and has to carry one id.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
from bench._table import Bench

from dialtone.history import Store
from dialtone.incidents.channels import build
from dialtone.incidents.desk import Desk
from dialtone.incidents.lifecycle import Sign
from dialtone.incidents.outbox import LEASE, Postman
from dialtone.incidents.routing import Router
from dialtone.target.alerting import Alerting
from dialtone.verdict import Severity, Verdict

NOON = 1_780_315_200
INCIDENTS, KILLS, QUICK_INCIDENTS, QUICK_KILLS = 50, 540, 4, 40
SECRETS = {
    "TOKEN": "xoxb-crashes-0123456789",
    "KEY": "0123456789abcdef0123456789abcd33",
    "SIGNING": "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3",
}
CHANNELS = ["slack", "pager", "mail", "hook"]


def configured(urls: dict[str, str]) -> Alerting:
    """Every message goes to all four."""
    return Alerting.model_validate(
        {
            "channels": {
                "slack": {"kind": "slack", "secret": "TOKEN", "to": ["C0ALERTS"], "url": urls["slack_api"]},
                "pager": {"kind": "pagerduty", "secret": "KEY", "url": urls["pagerduty"]},
                "mail": {"kind": "smtp", "url": urls["smtp"], "sender": "d@example.com"},
                "hook": {"kind": "webhook", "secret": "HOOK", "signing": "SIGNING"},
            },
            "people": {"ada": {"email": "ada@example.com"}},
            "on_call": {"primary": "ada"},
            "routes": {"all": {"channels": CHANNELS, "ack_within": "20d", "resend_every": "20d"}},
        }
    )


def script(incidents: int) -> list[dict[str, Verdict]]:
    """The rounds of the day: each incident begins two rounds after the one before, is bad for four, then good."""
    rounds: list[dict[str, Verdict]] = [{} for _ in range(2 * incidents + 8)]
    for number in range(incidents):
        for step in range(8):
            verdict = Verdict.CRITICAL if step < 4 else Verdict.OK
            rounds[2 * number + step][f"check_{number:02d}"] = verdict
    return rounds


@dataclass
class Points:
    """Where the process may be killed. Without `wanted` the points are only written down."""

    file: Path
    wanted: frozenset[str] | None
    hit: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.hit = set(self.file.read_text().splitlines()) if self.file.exists() else set()

    def at(self, label: str) -> None:
        """Here it is; if it is wanted, and was not before, this is the end of the process."""
        if label in self.hit or (self.wanted is not None and label not in self.wanted):
            return
        self.hit.add(label)
        with self.file.open("a") as file:
            file.write(f"{label}\n")
        if self.wanted is not None:
            os.kill(os.getpid(), signal.SIGKILL)

    @contextmanager
    def around(self, what: str) -> Iterator[None]:
        """Before and after."""
        self.at(f"{what} before")
        yield
        self.at(f"{what} after")


class Watched:
    """A database whose writes and commits are fail-points."""

    def __init__(self, engine: Any, points: Points) -> None:
        self._engine, self._points, self._last = engine, points, "nothing"

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def many(self, sql: str, rows: Any) -> Any:
        """Each statement."""
        rows = list(rows)
        names = [v for v in (rows[0] if rows else ()) if isinstance(v, str) and len(v) < 50]  # no times: they vary
        self._last = " ".join([*sql.split()[:5], *names])
        with self._points.around(self._last):
            return self._engine.many(sql, rows)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Each commit."""
        with self._engine.transaction():
            yield
            self._points.at(f"commit of {self._last} before")
        self._points.at(f"commit of {self._last} after")


class WatchedSender:
    """A channel whose sends, and the single requests of Slack, are fail-points."""

    def __init__(self, name: str, sender: Any, points: Points) -> None:
        self._name, self._sender, self._points, self._key = name, sender, points, ""
        if name == "slack":
            call = sender._call

            def watched(method: str, body: Any) -> Any:
                if not method.startswith("chat."):
                    return call(method, body)
                with self._points.around(f"{method} of {self._key}"):
                    return call(method, body)

            sender._call = watched

    def send(self, message: Any, memory: Any, *, doubt: bool) -> Any:
        """Each message."""
        self._key = message.key
        with self._points.around(f"send {message.key}.{self._name}"):
            return self._sender.send(message, memory, doubt=doubt)


def life(told: dict[str, Any]) -> None:
    """From the last whole round to the end of the day, or to a kill."""
    folder = Path(told["folder"])
    points = Points(folder / "points", frozenset(told["wanted"]) if told["wanted"] is not None else None)
    progress, lives = folder / "progress", folder / "lives"
    with lives.open("a") as file:
        file.write(".")
    late = (LEASE + 1) * lives.stat().st_size
    place, artifact = told["place"], folder / "artifact.db"
    if told["ephemeral"]:
        for left in folder.glob("history.db*"):
            left.unlink()
        if artifact.exists():
            shutil.copy(artifact, place)
    config = configured(told["urls"])
    environ = {**SECRETS, "HOOK": f"{told['urls']['hook']}/alerts"}
    senders: dict[str, Any] = {
        name: WatchedSender(name, build(name, channel, environ), points) for name, channel in config.channels.items()
    }
    rounds = script(told["incidents"])
    store = Store.open(place)
    for number in range(int(progress.read_text()) if progress.exists() else 0, len(rounds)):
        engine: Any = Watched(store.engine, points)
        desk = Desk(engine, Router(config, ["production"]))
        at = NOON + 60.0 * number
        signs = [
            Sign(check, at, verdict, severity=Severity.P0, reason=f"{check} is {verdict}")
            for check, verdict in rounds[number].items()
        ]
        desk.absorb(f"round {number}", "production", signs, at)
        for incident in desk.records.latest(1_000) if number % 3 == 0 else ():
            desk.acknowledge(incident.id, "ada", at)
        desk.tick(at)
        Postman(desk.outbox, senders, clock=lambda at=at: at + late, wary=told["ephemeral"], seed=1).deliver()  # type: ignore[misc]
        if told["ephemeral"]:
            store.close()
            with points.around(f"upload {number}"):
                shutil.copy(place, folder / "draft.db")
                (folder / "draft.db").replace(artifact)
        draft = folder / "progress.draft"
        draft.write_text(str(number + 1))
        draft.replace(progress)
        if told["ephemeral"]:
            store = Store.open(place)
    store.close()


def lives(told: dict[str, Any]) -> int:
    """Live until the day is over; how often that took. Forked from a process that has loaded everything."""
    count = 0
    while True:
        count += 1
        child = os.fork()
        if child == 0:
            code = 1
            try:
                life(told)
                code = 0
            finally:
                sys.stderr.flush()
                os._exit(code)
        _, status = os.waitpid(child, 0)
        if os.WIFEXITED(status):
            if os.WEXITSTATUS(status):
                raise SystemExit("the day ended with an error")
            return count


@dataclass
class Day:
    """What arrived on one day, per channel: (incident, seq) in the order of arrival."""

    arrived: dict[str, list[tuple[str, int]]]
    alerts: list[tuple[str, list[str], str]]
    lives: int
    points: list[str]
    seconds: float


def play(incidents: int, wanted: list[str] | None, place: str | None, folder: Path, *, ephemeral: bool = False) -> Day:
    """One day against fresh stand-ins."""
    from dialtone.standins.hook import Hook
    from dialtone.standins.nearby import Nearby
    from dialtone.standins.pagerduty import PagerDuty
    from dialtone.standins.slack_api import SlackApi
    from dialtone.standins.state import Clock

    clock = Clock()
    slack, hook = SlackApi(SECRETS["TOKEN"], clock, burst=1e9), Hook(SECRETS["SIGNING"], clock)
    pager = PagerDuty(SECRETS["KEY"], "none", clock, per_minute=10**9)
    began = time.monotonic()
    with Nearby([slack, hook, pager], mail=True) as nearby:
        urls = {name: nearby.url(name) for name in ("slack_api", "hook", "pagerduty", "smtp")}
        told = {"folder": str(folder), "wanted": wanted, "place": place or str(folder / "history.db"), "urls": urls,
                "incidents": incidents, "ephemeral": ephemeral}  # fmt: skip
        done = subprocess.run(
            [sys.executable, __file__, "--lives", json.dumps(told)], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise SystemExit(done.stderr[-3_000:])
        entries = list(nearby.journal._entries)
    posted = [
        e.body["metadata"]["event_payload"]["transition"]
        for e in entries
        if e.provider == "slack_api" and e.path.endswith("chat.postMessage") and e.status == 200
    ]
    mailed = [e.body["id"].strip("<>").partition("@")[0] for e in entries if e.provider == "mail"]
    arrived = {
        "slack": [_key(one) for one in posted],
        "mail": [_key(one.rpartition(".")[0]) for one in mailed],
        "hook": [_key(ident.rpartition(".")[0]) for ident, _ in hook.taken],
    }
    alerts = [(a.dedup_key, a.log, a.status) for a in pager.alerts]
    points = (folder / "points").read_text().splitlines() if (folder / "points").exists() else []
    return Day(arrived, alerts, int(done.stdout.split()[-1]), points, time.monotonic() - began)


def _key(transition: str) -> tuple[str, int]:
    incident, _, seq = transition.rpartition(".")
    return incident, int(seq)


def _in_order(arrived: list[tuple[str, int]]) -> int:
    """How many incidents whose messages came for the first time in another order than they were made."""
    first: dict[str, list[int]] = defaultdict(list)
    for incident, seq in arrived:
        if seq not in first[incident]:
            first[incident].append(seq)
    return sum(seqs != sorted(seqs) for seqs in first.values())


def _judge(bench: Bench, name: str, clean: Day, day: Day) -> list[Any]:
    lost = twice = disorder = 0
    doubles: dict[str, int] = {}
    for channel, wanted in clean.arrived.items():
        count = Counter(day.arrived[channel])
        lost += len(set(wanted) - set(count))
        disorder += _in_order(day.arrived[channel])
        doubles[channel] = sum(count.values()) - len(count)
    twice += doubles["slack"]
    incidents = {key for key, _, _ in clean.alerts}
    lost += len(incidents - {key for key, _, _ in day.alerts})
    twice += len(day.alerts) - len({key for key, _, _ in day.alerts})
    unresolved = sum(status != "resolved" for _, _, status in day.alerts)
    strange = sum(len(set(day.arrived[channel]) - set(wanted)) for channel, wanted in clean.arrived.items())
    bench.bar(f"{name}: messages lost", lost, "messages", most=0)
    bench.bar(f"{name}: out of order", disorder, "incidents", most=0)
    bench.bar(f"{name}: twice in Slack, or a second alert in PagerDuty", twice, "messages", most=0)
    bench.bar(f"{name}: alerts that stayed open", unresolved, "alerts", most=0)
    bench.bar(f"{name}: messages that the day without kills has not", strange, "messages", most=0)
    total = sum(len(set(a)) for a in day.arrived.values())
    return [
        name,
        len(day.points),
        day.lives,
        total,
        lost,
        disorder,
        twice,
        doubles["mail"],
        doubles["hook"],
        day.seconds,
    ]


def _main() -> int:
    if len(sys.argv) == 3 and sys.argv[1] == "--lives":
        print(lives(json.loads(sys.argv[2])))
        return 0
    from tests.history.conftest import Server

    bench = Bench("alert_crashes", __doc__)
    bench.parser.add_argument("--only", choices=["SQLite", "PostgreSQL", "lost disk"], help="one of the three")
    bench.parser.add_argument("--incidents", type=int, help=f"default: {INCIDENTS}, or {QUICK_INCIDENTS} with --quick")
    incidents, kills = (QUICK_INCIDENTS, QUICK_KILLS) if bench.quick else (INCIDENTS, KILLS)
    if bench.arguments.incidents:
        incidents, kills = bench.arguments.incidents, KILLS * bench.arguments.incidents // INCIDENTS
    rows = []
    with tempfile.TemporaryDirectory() as name:
        base = Path(name)

        def fresh(word: str) -> Path:
            (base / word).mkdir()
            return base / word

        server = Server(fresh("server"))
        try:
            for word, ephemeral in (("SQLite", False), ("PostgreSQL", False), ("lost disk", True)):
                if bench.arguments.only not in (None, word):
                    continue
                postgres = word == "PostgreSQL"
                first, second = (server.database(f"day_{n}") if postgres else None for n in (1, 2))
                clean = play(incidents, None, first, fresh(f"{word} clean"), ephemeral=ephemeral)
                step = max(1.0, len(clean.points) / kills)
                wanted = [clean.points[int(n * step)] for n in range(min(kills, len(clean.points)))]
                day = play(incidents, wanted, second, fresh(f"{word} killed"), ephemeral=ephemeral)
                print(f"{word}: {len(clean.points):,} fail-points, {len(wanted)} of them taken", flush=True)
                rows.append(_judge(bench, word, clean, day))
                least = 500 if kills == KILLS else int(kills * 0.9)
                bench.bar(f"{word}: fail-points at which it was killed", len(day.points), "points", least=least)
        finally:
            server.stop()
    counts = ["messages", "lost", "disorder", "twice", "mails twice", "hooks twice"]
    bench.rows(["store", "kills", "lives", *counts, "seconds"], rows)
    return bench.finish()


if __name__ == "__main__":
    raise SystemExit(_main())
