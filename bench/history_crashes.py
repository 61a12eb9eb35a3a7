"""Kills programs while they write into a history, and looks for what was lost or doubled.

A writer stores rounds of 20 results, sends some again, makes roll-ups now and then, and says which round it was told
is stored. It is ended by SIGKILL at a random moment, on SQLite and on PostgreSQL in turn; the next one goes on with the
same history. After each kill the history has to open, hold every acknowledged result, and hold none twice.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from bench._postgres import Server
from bench._table import Bench

from dialtone.history import Result, Run, Store, latency, tidy
from dialtone.verdict import Verdict

START = 1_760_000_400.0
RESULTS = 20
BLOB = latency.encode([100_000_000, 120_000_000, 150_000_000])


def a_round(writer: int, number: int) -> tuple[Run, list[Result]]:
    """One round of one writer, at a time of its own."""
    at = START + 3600 * writer + 60 * number
    run = Run(f"w{writer}-{number}", "production", at, at, every=60.0)
    return run, [Result(f"check_{i}", at + i, Verdict.OK, latency=BLOB) for i in range(RESULTS)]


def write(place: str, writer: int, told: int) -> None:
    """Write until killed; each acknowledged round is told as four bytes."""
    store = Store.open(place, clock=lambda: START)
    for number in range(1_000_000):
        run, results = a_round(writer, number)
        store.add(run, results[: RESULTS // 2])
        store.add(run, results)
        os.write(told, number.to_bytes(4, "big"))
        if number % 5 == 4:
            store.add(*a_round(writer, number - 3))
            tidy(store, START + 3600 * writer + 60 * number + 7200)


def kill_one(place: str, writer: int, wait: float) -> list[int]:
    """Start a writer, kill it so many seconds after its first word; the rounds that it was told are stored."""
    reader, told = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        try:
            write(place, writer, told)
        finally:
            os._exit(3)
    os.close(told)
    said = os.read(reader, 4)
    time.sleep(wait)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if not os.WIFSIGNALED(status):
        raise SystemExit("a writer ended by itself")
    while part := os.read(reader, 65_536):
        said += part
    os.close(reader)
    return [int.from_bytes(said[i : i + 4], "big") for i in range(0, len(said), 4)]


def look(place: str, acknowledged: dict[int, list[int]]) -> tuple[int, int, int]:
    """Results lost, doubled, and of rounds that nobody began."""
    store = Store.open(place, clock=lambda: START)
    rows = store.engine.all(
        "SELECT u.token, s.name, count(*) FROM dialtone_result r JOIN dialtone_run u ON u.id = r.run"
        " JOIN dialtone_series s ON s.id = r.series GROUP BY u.token, s.name"
    )
    if place.endswith(".db"):
        ((state,),) = store.engine.all("PRAGMA integrity_check")
        if state != "ok":
            raise SystemExit(f"the file is damaged: {state}")
    store.close()
    there = {(str(run), str(check)): int(count) for run, check, count in rows}
    wanted = {(f"w{w}-{n}", f"check_{i}") for w, ns in acknowledged.items() for n in ns for i in range(RESULTS)}
    lost = sum(key not in there for key in wanted)
    doubled = sum(count - 1 for count in there.values())
    last = {w: max(ns) for w, ns in acknowledged.items()}
    strange = 0
    for run, _ in there:
        writer, number = (int(part) for part in run[1:].split("-"))
        strange += number > last[writer] + 1
    return lost, doubled, strange


def main() -> int:
    """Kill, look, go on."""
    bench = Bench("history_crashes", __doc__)
    bench.parser.add_argument("--seed", type=int, default=20261)
    chance = random.Random(bench.arguments.seed)  # noqa: S311 - moments that can be repeated
    kills = 10 if bench.quick else 100
    rows: list[list[object]] = []
    totals = [0, 0, 0]
    with tempfile.TemporaryDirectory(prefix="dialtone-crashes-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        (folder / "server").mkdir()
        server = Server(folder / "server")
        try:
            for kind, place in (("SQLite", str(folder / "history.db")), ("PostgreSQL", server.url())):
                acknowledged: dict[int, list[int]] = {}
                found = [0, 0, 0]
                for writer in range(kills):
                    acknowledged[writer] = kill_one(place, writer, chance.uniform(0, 0.1))
                    found = [a + b for a, b in zip(found, look(place, acknowledged), strict=True)]
                rounds = sum(map(len, acknowledged.values()))
                rows.append([kind, kills, rounds, rounds * RESULTS, *found])
                totals = [a + b for a, b in zip(totals, found, strict=True)]
        finally:
            server.stop()
    bench.rows(["", "kills", "rounds acknowledged", "results", "lost", "doubled", "never sent"], rows)
    bench.bar("kills while writing", 2 * kills, "kills", least=2 * kills)
    for what, count in zip(("lost", "doubled", "never sent"), totals, strict=True):
        bench.bar(f"results {what}", count, "results", most=0)
    return bench.finish()


if __name__ == "__main__":
    raise SystemExit(main())
