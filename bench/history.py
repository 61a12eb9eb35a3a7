"""The history at full size: precision of its histograms, millions of results, eight writers at once.

Percentiles of ten million latencies from 50 us to 60 s, recorded in a thousand histograms that are stored, read and
merged, against the exact nearest-rank ones. Ten million results of 231 checks, one round a minute for 30 days; the
window of one check over those 30 days, with its p95, read anew each time. Then eight processes that write rounds of 80
results at once, into SQLite and into PostgreSQL.
"""

from __future__ import annotations

import multiprocessing
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
from bench._postgres import Server
from bench._table import Bench

from dialtone.history import Result, Run, Store, latency, tidy
from dialtone.history.store import _INSERT, _row
from dialtone.history.windows import tally
from dialtone.verdict import Verdict

START = 1_760_000_400.0
CHECKS = 231
WRITERS, ROUND = 8, 80


def precision(bench: Bench, samples: int) -> None:
    """Merged histograms against exact percentiles."""
    rng = np.random.default_rng(20261)
    values = np.exp(rng.uniform(np.log(50e3), np.log(60e9), samples)).astype(np.int64)
    parts = 1000
    blobs = [blob for part in np.array_split(values, parts) if (blob := latency.encode(part.tolist()))]
    shares = [0.5, 0.9, 0.95, 0.99, 0.999]
    found = latency.quantiles(blobs, *shares)
    values.sort()
    rows, worst = [], 0.0
    for share, told in zip(shares, found, strict=True):
        exact = int(values[int(np.ceil(share * samples)) - 1])
        error = abs(told - exact) / exact
        worst = max(worst, error)
        rows.append([f"p{100 * share:g}", exact / 1e6, told / 1e6, f"{100 * error:.4f}"])
    print(f"{samples:,} latencies in {parts:,} merged histograms of {statistics.mean(map(len, blobs)):,.0f} bytes")
    bench.rows(["", "exact, ms", "merged, ms", "error, %"], rows)
    bench.bar("largest error of a percentile", 100 * worst, "%", most=0.1)


def rounds(first: int, last: int) -> Iterator[tuple[Run, list[Result]]]:
    """Rounds of all checks, one a minute; two checks have latencies."""
    rng = np.random.default_rng(first)
    blobs = [latency.encode((rng.lognormal(19, 0.4, 20)).astype(int).tolist()) for _ in range(50)]
    for number in range(first, last):
        at = START + 60 * number
        verdicts = rng.random(CHECKS) < 0.002
        yield (
            Run(f"round-{number}", "production", at, at, every=60.0, finished=at + 20, exit_code=0),
            [
                Result(
                    f"check_{i}",
                    at + 5 + i / 50,
                    Verdict.BREACH if verdicts[i] else Verdict.OK,
                    samples=20 if i < 2 else 1,
                    bad=int(verdicts[i]),
                    seconds=0.2,
                    reason="answered 503 instead of 200" if verdicts[i] else "",
                    latency=blobs[(number + i) % 50] if i < 2 else None,
                )
                for i in range(CHECKS)
            ],
        )


def fill(store: Store, first: int, last: int) -> int:
    """Store rounds, a thousand in one transaction as an import does; the results stored."""
    stored = 0
    numbers: dict[str, int] = {}
    for start in range(first, last, 1000):
        with store.engine.transaction():
            rows = []
            for run, results in rounds(start, min(last, start + 1000)):
                number = store._run(run)
                numbers = numbers or store._numbers("production", sorted(r.check for r in results))
                rows += [_row(numbers[r.check], number, r) for r in results]
            stored += store.engine.many(_INSERT, rows)
    return stored


def read(store: Store, until: int) -> float:
    """Median milliseconds to read 30 days of one check up to a round, with its p95."""
    end, took = START + 60 * until, []
    for shift in (0, 1000, 2000, 3000, 4000):
        began = time.perf_counter()
        seen = tally(store, "production", "check_1", end - 30 * 86_400 - shift, end - shift)
        seen.quantile(0.95)
        took.append(1000 * (time.perf_counter() - began))
        if seen.judged == 0:
            raise SystemExit("the window is empty")
    return statistics.median(took)


def size(bench: Bench, folder: Path, total: int) -> None:
    """Millions of results in SQLite."""
    path = folder / "history.db"
    store = Store.open(path, clock=lambda: START)
    rows, speeds, reads = [], [], []
    done = 0
    for target in (total // 10, total // 2, total):
        last = target // CHECKS + 1
        began = time.perf_counter()
        stored = fill(store, done, last)
        took = time.perf_counter() - began
        plain = sum(p.stat().st_size for p in folder.glob("history.db*"))
        began = time.perf_counter()
        tidy(store, START + 60 * last)
        tidied = time.perf_counter() - began
        speeds.append(stored / took)
        reads.append(read(store, last))
        results = last * CHECKS
        whole = sum(p.stat().st_size for p in folder.glob("history.db*"))
        rows.append([results, stored / took, plain / results, whole / results, tidied, reads[-1]])
        done = last
    store.close()
    print("SQLite: results stored, and the 30-day window of one check")
    bench.rows(["results", "stored a second", "bytes each", "with roll-ups", "roll-up, s", "window, ms"], rows)
    bench.bar("30-day window of one check", reads[-1], "ms", most=200)
    bench.bar("time to store a result, last half of first tenth", speeds[0] / speeds[-1], "ratio", most=2)
    bench.bar("time to read, whole of a tenth", reads[-1] / reads[0], "ratio", most=10)


def _write(place: str, writer: int, count: int, gate: object) -> None:
    store = Store.open(place, patience=120)
    gate.wait()  # type: ignore[attr-defined]
    for number in range(count):
        at = START + 60 * number
        results = [Result(f"check_{writer}_{i}", at + i / 50, Verdict.OK) for i in range(ROUND)]
        store.add(Run(f"r{number}", "production", at, at, place=str(writer), every=60.0), results)
    store.close()


def writers(bench: Bench, folder: Path, count: int) -> None:
    """Eight processes at once."""
    (folder / "server").mkdir()
    server = Server(folder / "server")
    rows: list[list[object]] = []
    lost = 0
    try:
        for name, place in (("SQLite", str(folder / "shared.db")), ("PostgreSQL", server.url())):
            Store.open(place).close()
            context = multiprocessing.get_context("fork")
            gate = context.Barrier(WRITERS + 1)
            processes = [context.Process(target=_write, args=(place, n, count, gate)) for n in range(WRITERS)]
            for process in processes:
                process.start()
            gate.wait()
            began = time.perf_counter()
            for process in processes:
                process.join()
            took = time.perf_counter() - began
            store = Store.open(place)
            there = int(store.engine.all("SELECT count(*) FROM dialtone_result")[0][0])
            store.close()
            lost += WRITERS * count * ROUND - there
            rows.append([name, WRITERS, there, there / took, WRITERS * count / took])
    finally:
        server.stop()
    print("rounds of 80 results, each in a transaction of its own")
    bench.rows(["", "writers", "results", "results a second", "rounds a second"], rows)
    bench.bar("results lost", lost, "results", most=0)


def main() -> int:
    """All of it."""
    bench = Bench("history", __doc__)
    with tempfile.TemporaryDirectory(prefix="dialtone-history-") as place:
        folder = Path(place)
        folder.chmod(0o711)
        precision(bench, 200_000 if bench.quick else 10_000_000)
        size(bench, folder, 200_000 if bench.quick else 10_000_000)
        writers(bench, folder, 20 if bench.quick else 250)
    return bench.finish()


if __name__ == "__main__":
    raise SystemExit(main())
