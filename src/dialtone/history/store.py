"""A history: runs and results in a database, each once, however often it is sent.

A result is known by its series (target and check), its time and its run: sending it again changes nothing. Shards of
one run share its token, so that their results, and what they say of the run, meet in one row. Everything that
`add` took is durable when it returns, or StoreError says that none of it is.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dialtone.history.engines import PATIENCE, Engine, Postgres, StoreError, connect
from dialtone.history.schema import MIGRATIONS, NEWEST
from dialtone.verdict import Kind, Severity, Verdict

VERDICTS, KINDS, SEVERITIES = list(Verdict), list(Kind), list(Severity)
HOLDS = 900
"""Seconds for which a result speaks when nobody says how often rounds are: four an hour."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run of checks. Times are seconds since 1970; `planned` is when it should have begun."""

    token: str
    target: str
    planned: float
    started: float
    place: str = ""
    every: float = HOLDS
    deployment: str | None = None
    finished: float | None = None
    exit_code: int | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """What one check found in one run: `bad` of `samples` were bad; `latency` is an encoded histogram."""

    check: str
    at: float
    verdict: Verdict
    kind: Kind | None = None
    severity: Severity = Severity.P2
    value: float | None = None
    samples: int = 1
    bad: int = 0
    seconds: float = 0.0
    reason: str = ""
    latency: bytes | None = None
    objective: str | None = field(default=None, compare=False)


class Store:
    """An open history. Not shared between threads. `too_old` counts results of a time whose raw results are gone."""

    def __init__(self, engine: Engine, clock: Callable[[], float] = time.time) -> None:
        self.engine = engine
        self.too_old = 0
        self._clock = clock
        self._series: dict[tuple[str, str], int] = {}
        self._told: set[tuple[str, int]] = set()

    @classmethod
    def open(cls, where: str | Path, patience: float = PATIENCE, *, clock: Callable[[], float] = time.time) -> Store:
        """Open the history at a path or URL and bring it to the newest schema. Raises StoreError."""
        engine = connect(where, patience)
        try:
            _migrate(engine)
        except BaseException:
            engine.close()
            raise
        return cls(engine, clock)

    def close(self) -> None:
        """Give the connection back."""
        self.engine.close()

    def add(self, run: Run, results: Iterable[Result] = (), also: Callable[[], None] | None = None) -> int:
        """Store what is known of a run and some of its results, in one transaction; how many results were new.

        What is older than the raw results that are kept is counted in `too_old` and not stored: it could not be told
        from what its hour holds already. `also` writes what belongs to these results into the same transaction.
        """
        with self.engine.transaction():
            rolled, purged = self.marks()
            given = list(results)
            results = sorted((r for r in given if r.at * 1000 >= purged), key=lambda r: (r.check, r.at))
            number = self._run(run)
            series = self._numbers(run.target, sorted({r.check for r in results}))
            rows = [_row(series[r.check], number, r) for r in results]
            new = self.engine.many(_INSERT, rows) if rows else 0
            self._objectives({(r.objective, series[r.check]) for r in results if r.objective})
            self._remake({(row[0], row[1]) for row in rows}, rolled)
            if also is not None:
                also()
        self.too_old += len(given) - len(results)
        self._series |= {(run.target, check): n for check, n in series.items()}  # known to others from here on
        return new

    def _run(self, run: Run) -> int:
        times = [_ms(t) for t in (run.planned, run.started, run.finished)]
        values = (run.token, run.place, run.target, run.deployment, round(run.every), *times, run.exit_code)
        self.engine.many(_MERGE_RUN, [values])
        found = self.engine.all("SELECT id FROM dialtone_run WHERE token = ? AND place = ?", [run.token, run.place])
        return int(found[0][0])

    def _numbers(self, target: str, checks: Sequence[str]) -> dict[str, int]:
        missing = [c for c in checks if (target, c) not in self._series]
        if missing:
            self.engine.many(
                "INSERT INTO dialtone_series (target, name) VALUES (?, ?) ON CONFLICT DO NOTHING",
                [(target, c) for c in missing],
            )
        known = {c: self._series[target, c] for c in checks if (target, c) in self._series}
        return known | (self.series(target) if missing else {})

    def _objectives(self, told: set[tuple[str, int]]) -> None:
        fresh = sorted((name, number, name) for name, number in told - self._told)
        if fresh:
            changed = "UPDATE dialtone_series SET objective = ? WHERE id = ? AND (objective IS NULL OR objective <> ?)"
            self.engine.many(changed, fresh)
            self._told |= told

    def objectives(self, target: str) -> dict[str, str]:
        """The checks of a target that judge by an objective, with its name."""
        rows = self.engine.all(
            "SELECT name, objective FROM dialtone_series WHERE target = ? AND objective IS NOT NULL", [target]
        )
        return {str(name): str(objective) for name, objective in rows}

    def _remake(self, touched: set[tuple[int, int]], rolled: int) -> None:
        """Results of hours that are over make stale what was made of those, or is being made just now by others."""
        from dialtone.history.rollup import closed, remake

        before = max(rolled, closed(self._clock()))
        late = {(series, at) for series, at in touched if at < before}
        if late and rolled:
            self.engine.alone()
            remake(self.engine, late)

    def series(self, target: str) -> dict[str, int]:
        """The checks of a target that have a history, with their numbers."""
        rows = self.engine.all("SELECT name, id FROM dialtone_series WHERE target = ? ORDER BY name", [target])
        return {str(name): int(number) for name, number in rows}

    def number(self, target: str, check: str) -> int | None:
        """The number of one check; None where it has no history."""
        rows = self.engine.all("SELECT id FROM dialtone_series WHERE target = ? AND name = ?", [target, check])
        return int(rows[0][0]) if rows else None

    def objective(self, target: str, check: str) -> str:
        """The objective by which a check judges; empty where it has none."""
        rows = self.engine.all("SELECT objective FROM dialtone_series WHERE target = ? AND name = ?", [target, check])
        return str(rows[0][0] or "") if rows else ""

    def targets(self) -> list[str]:
        """The targets that have a history."""
        return [str(r[0]) for r in self.engine.all("SELECT DISTINCT target FROM dialtone_series ORDER BY target")]

    def marks(self) -> tuple[int, int]:
        """Up to when (ms) hours and days are made, and raw results are gone."""
        rolled, purged = self.engine.all("SELECT rolled, purged FROM dialtone_mark")[0]
        return int(rolled), int(purged)

    def results(self, target: str, check: str, since: float = 0.0, until: float = math.inf) -> list[Result]:
        """The raw results of a check from `since` on, before `until` (seconds since 1970), oldest first."""
        series = self.number(target, check)
        if series is None:
            return []
        rows = self.engine.all(_READ, [series, _ms(since), _end(until)])
        return [_result(check, row) for row in rows]

    def runs(self, target: str, since: float = 0.0, until: float = math.inf) -> list[Run]:
        """The runs on a target by the time for which they were planned."""
        rows = self.engine.all(_RUNS, [target, _ms(since), _end(until)])
        return [
            Run(
                token, target, planned / 1e3, started / 1e3, place, every, deployment, finished and finished / 1e3, code
            )
            for token, place, deployment, every, planned, started, finished, code in rows
        ]


_INSERT = """INSERT INTO dialtone_result
 (series, at, run, verdict, kind, severity, value, samples, bad, took, reason, latency)
 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"""
_READ = """SELECT at, verdict, kind, severity, value, samples, bad, took, reason, latency FROM dialtone_result
 WHERE series = ? AND at >= ? AND at < ? ORDER BY at, run"""
_RUNS = """SELECT token, place, deployment, every, planned, started, finished, exit_code FROM dialtone_run
 WHERE target = ? AND planned >= ? AND planned < ? ORDER BY planned, token, place"""
# What shards say of one run is put together so that order and repetition do not matter: earliest beginning, latest end,
# and of two exit codes the worse one (1 says that something is bad; of ours the higher).
_MERGE_RUN = """INSERT INTO dialtone_run
 (token, place, target, deployment, every, planned, started, finished, exit_code) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
 ON CONFLICT (token, place) DO UPDATE SET
 deployment = coalesce(dialtone_run.deployment, excluded.deployment),
 planned = CASE WHEN excluded.planned < dialtone_run.planned THEN excluded.planned ELSE dialtone_run.planned END,
 started = CASE WHEN excluded.started < dialtone_run.started THEN excluded.started ELSE dialtone_run.started END,
 finished = CASE WHEN dialtone_run.finished IS NULL OR excluded.finished > dialtone_run.finished
 THEN excluded.finished ELSE dialtone_run.finished END,
 exit_code = CASE WHEN dialtone_run.exit_code = 1 OR excluded.exit_code = 1 THEN 1
 WHEN dialtone_run.exit_code IS NULL OR excluded.exit_code > dialtone_run.exit_code
 THEN excluded.exit_code ELSE dialtone_run.exit_code END"""


def _ms(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1000)


def _end(seconds: float) -> int:
    return 2**62 if math.isinf(seconds) else round(seconds * 1000)


def _row(series: int, run: int, result: Result) -> tuple[Any, ...]:
    return (
        series,
        _ms(result.at),
        run,
        VERDICTS.index(result.verdict),
        KINDS.index(result.kind) + 1 if result.kind else 0,
        SEVERITIES.index(result.severity),
        result.value,
        result.samples,
        result.bad,
        _ms(result.seconds),
        result.reason or None,
        result.latency,
    )


def _result(check: str, row: Sequence[Any]) -> Result:
    at, verdict, kind, severity, value, samples, bad, took, reason, latency = row
    return Result(
        check,
        at / 1000,
        VERDICTS[verdict],
        KINDS[kind - 1] if kind else None,
        SEVERITIES[severity],
        value,
        samples,
        bad,
        took / 1000,
        reason or "",
        None if latency is None else bytes(latency),
    )


def _migrate(engine: Engine) -> None:
    """Bring the schema forward, never back. A history that a newer program has written is left alone."""
    version = _version(engine)
    if version == NEWEST:
        return
    if version > NEWEST:
        raise StoreError(f"the history has schema {version}, this program knows up to {NEWEST}: update pytest-dialtone")
    with engine.transaction():
        engine.alone()
        engine.do("CREATE TABLE IF NOT EXISTS dialtone_schema (version INTEGER PRIMARY KEY, applied BIGINT)")
        done = engine.all("SELECT coalesce(max(version), 0) FROM dialtone_schema")[0][0]
        for number, statements in enumerate(MIGRATIONS[done:], done + 1):
            for statement in statements:
                engine.do(statement.format(**engine.words))
            engine.many("INSERT INTO dialtone_schema VALUES (?, ?)", [(number, round(time.time() * 1000))])


def _version(engine: Engine) -> int:
    """The schema's version; 0 where there is none yet."""
    exists = (
        "SELECT count(*) FROM pg_class WHERE oid = to_regclass('dialtone_schema')"
        if isinstance(engine, Postgres)
        else "SELECT count(*) FROM sqlite_master WHERE name = 'dialtone_schema'"
    )
    if not engine.all(exists)[0][0]:
        return 0
    return int(engine.all("SELECT coalesce(max(version), 0) FROM dialtone_schema")[0][0])
