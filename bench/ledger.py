"""The ledger's checker: made-up histories with planted losses and doubles; none missed, none invented, a million fast.

Thousands of small histories (another seed each) and one with a million entries; beside the large one the same by SQL
(an in-memory SQLite: two anti-joins and a GROUP BY a duty), which is what a user would write instead.
"""

from __future__ import annotations

import random
import sqlite3
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench._table import Bench
from tests.drill.histories import DUTIES, NOW, History

from dialtone.drill import Answer, Entry, Promise, reconcile

FATES = ["kept"] * 20 + ["lost", "pending", "late", "doubled"]


def history(chooser: random.Random, promises: int, *, shuffled: bool = True) -> History:
    """A history of so many promises, with fates by chance."""
    made = History()
    for number in range(promises):
        kind = "appointment" if chooser.random() < 0.8 else "call"
        made.promise(kind, f"k{number}", chooser.choice(list(Answer)), chooser.choices(FATES, k=3))
    for number in range(chooser.randrange(4)):
        made.stray(chooser.choice(["rows", "charges", "messages"]), f"stray{number}")
    if shuffled:
        made.read_twice(chooser)
    return made


def differs(made: History) -> tuple[int, int]:
    """How many planted outcomes were missed, and how many told that were not planted."""
    found = {
        (line.duty, line.key, line.outcome)
        for line in reconcile(made.promises, made.books, DUTIES, retries=made.retries, now=NOW).lines
    }
    planted = {(duty, key, outcome) for (duty, key), outcome in made.planted.items()}
    return len(planted - found), len(found - planted)


def by_sql(promises: list[Promise], books: dict[str, list[Entry]]) -> float:
    """Seconds that SQLite takes for the same question, with the records inserted and an index on each book."""
    begin = time.perf_counter()
    with sqlite3.connect(":memory:") as base:
        base.execute("CREATE TABLE promise (kind TEXT, key TEXT, at REAL, answer TEXT)")
        base.executemany("INSERT INTO promise VALUES (?, ?, ?, ?)", promises)
        for book, entries in books.items():
            base.execute(f"CREATE TABLE {book} (key TEXT, id TEXT PRIMARY KEY, at REAL) WITHOUT ROWID")
            base.executemany(f"INSERT OR IGNORE INTO {book} VALUES (?, ?, ?)", entries)  # noqa: S608 - our own names
            base.execute(f"CREATE INDEX {book}_key ON {book} (key)")
        for duty in DUTIES:
            base.execute(
                "SELECT p.key, count(b.id) FROM promise p"  # noqa: S608 - our own names
                f" LEFT JOIN {duty.book} b ON b.key = p.key WHERE p.kind = ?"
                " GROUP BY p.key HAVING count(b.id) <> (p.answer = 'yes')",
                [duty.of],
            ).fetchall()
    return time.perf_counter() - begin


def main() -> int:
    """Small ones for correctness, a large one for speed."""
    bench = Bench("ledger", __doc__)
    small = 300 if bench.quick else 5_000
    missed = invented = planted = 0
    for seed in range(small):
        chooser = random.Random(seed)  # noqa: S311 - a history that can be repeated
        made = history(chooser, chooser.randrange(40))
        planted += len(made.planted)
        fewer, more = differs(made)
        missed, invented = missed + fewer, invented + more
    size = 30_000 if bench.quick else 360_000
    large = history(random.Random(1), size, shuffled=False)  # noqa: S311
    entries = len(large.promises) + sum(map(len, large.books.values())) + len(large.retries)
    begin = time.perf_counter()
    ledger = reconcile(large.promises, large.books, DUTIES, retries=large.retries, now=NOW)
    seconds = time.perf_counter() - begin
    fewer, more = differs(large)
    sql = by_sql(large.promises, large.books)
    bench.rows(
        ["histories", "entries", "planted", "missed", "invented", "seconds", "by SQL"],
        [
            [f"{small:,} small", "", planted, missed, invented, "", ""],
            ["1 large", entries, len(large.planted), fewer, more, f"{seconds:.2f}", f"{sql:.2f}"],
        ],
    )
    print(f"\n{ledger}\n")
    bench.bar("missed", missed + fewer, "", most=0)
    bench.bar("invented", invented + more, "", most=0)
    bench.bar("planted", planted, "", least=500)
    bench.bar(f"{entries:,} entries", round(seconds, 2), "s", most=5)
    bench.bar("time by time of SQLite", round(seconds / sql, 2), "", most=1)
    return bench.finish()


if __name__ == "__main__":
    raise SystemExit(main())
