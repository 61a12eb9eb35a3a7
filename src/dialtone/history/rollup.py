"""Roll-up and retention: raw results become minutes, hours and days, and go when they are old.

An hour is made of the raw results in it, a day of the hours, so that every roll-up can be made anew from what is below
it for as long as that is kept; results that come late do just that. Minutes are made when raw results go. A roll-up
counts verdicts, samples and bad samples, adds up the time that somebody observed, and merges the histograms.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from dialtone.history import latency
from dialtone.history.engines import Engine
from dialtone.history.store import Store

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
_SLACK = 2 * 60_000  # results of a round that is still running belong to the hour that has just ended


@dataclass(frozen=True, slots=True)
class Retention:
    """How long (s) raw results, minutes and hours are kept, and which rounds moved incidents; days are kept for ever.

    Of rounds whose raw results are gone one a minute is left, for as long as hours are: enough to tell when nobody
    looked.
    """

    raw: float = 35 * 86_400
    minutes: float = 90 * 86_400
    hours: float = 400 * 86_400
    absorbed: float = 7 * 86_400


# A result speaks for the slot of its round (its planned time and how often rounds are), at most an hour, and counts as
# observation when something was judged (verdict 2 is unknown). Slots, not distances, so that times add up over buckets.
_RAW = """SELECT bucket, sum(ok), sum(degraded), sum(unknown), sum(breach), sum(critical), sum(samples), sum(bad),
 sum(slot) FROM (
 SELECT (r.at / {step}) * {step} AS bucket,
 sum(CASE r.verdict WHEN 0 THEN 1 ELSE 0 END) AS ok, sum(CASE r.verdict WHEN 1 THEN 1 ELSE 0 END) AS degraded,
 sum(CASE r.verdict WHEN 2 THEN 1 ELSE 0 END) AS unknown, sum(CASE r.verdict WHEN 3 THEN 1 ELSE 0 END) AS breach,
 sum(CASE r.verdict WHEN 4 THEN 1 ELSE 0 END) AS critical, sum(r.samples) AS samples, sum(r.bad) AS bad,
 max(CASE r.verdict WHEN 2 THEN 0 ELSE {width} END) AS slot
 FROM dialtone_result r JOIN dialtone_run u ON u.id = r.run
 WHERE r.series = ? AND r.at >= ? AND r.at < ?
 GROUP BY (r.at / {step}) * {step}, u.planned / ({width}), {width}) slots GROUP BY bucket ORDER BY bucket"""
_WIDTH = "CASE WHEN u.every < 60 THEN 60000 WHEN u.every > 3600 THEN 3600000 ELSE u.every * 1000 END"
_HOURS = """SELECT (at / {step}) * {step} AS bucket, sum(ok), sum(degraded), sum(unknown), sum(breach), sum(critical),
 sum(samples), sum(bad), sum(observed) FROM dialtone_rollup
 WHERE series = ? AND step = 3600000 AND at >= ? AND at < ? GROUP BY (at / {step}) * {step} ORDER BY 1"""
_PUT = """INSERT INTO dialtone_rollup
 (series, step, at, ok, degraded, unknown, breach, critical, samples, bad, observed, latency)
 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (series, step, at) DO UPDATE SET ok = excluded.ok,
 degraded = excluded.degraded, unknown = excluded.unknown, breach = excluded.breach, critical = excluded.critical,
 samples = excluded.samples, bad = excluded.bad, observed = excluded.observed, latency = excluded.latency"""


def counts(engine: Engine, series: int, step: int, since: int, until: int) -> list[tuple[int, ...]]:
    """Buckets of `step` ms made of raw results: start, counts by verdict, samples, bad ones, observed ms."""
    rows = engine.all(_RAW.format(step=step, width=_WIDTH), [series, since, until])
    return [tuple(int(v) for v in row) for row in rows]


def _make(engine: Engine, series: int, step: int, since: int, until: int) -> None:
    if step == DAY:
        found = engine.all(_HOURS.format(step=step), [series, since, until])
        table, extra = "dialtone_rollup", "AND step = 3600000 "
    else:
        found = list(counts(engine, series, step, since, until))
        table, extra = "dialtone_result", ""
    blobs: dict[int, list[bytes]] = {}
    for at, blob in engine.all(
        f"SELECT at, latency FROM {table} WHERE series = ? {extra}AND at >= ? AND at < ? AND latency IS NOT NULL",  # noqa: S608 - names of ours
        [series, since, until],
    ):
        blobs.setdefault(at // step * step, []).append(bytes(blob))
    rows: list[tuple[Any, ...]] = [
        (
            series,
            step,
            int(row[0]),
            *(int(v) for v in row[1:8]),
            min(step, int(row[8])),
            latency.merge(blobs.get(int(row[0]), ())),
        )
        for row in found
    ]
    if rows:
        engine.many(_PUT, rows)


def remake(engine: Engine, late: Iterable[tuple[int, int]]) -> None:
    """Make the hours and days anew that these results (series, ms) belong to; inside of a transaction."""
    late = list(late)
    for step in (HOUR, DAY):
        for series, at in sorted({(series, at // step * step) for series, at in late}):
            _make(engine, series, step, at, at + step)


def closed(now: float) -> int:
    """Up to when (ms) hours are over at `now` (seconds since 1970)."""
    return (round(now * 1000) - _SLACK) // HOUR * HOUR


def tidy(store: Store, now: float, keep: Retention | None = None) -> None:
    """Make what is complete at `now` (seconds since 1970) into hours and days, and drop what is old.

    A transaction for each series and day, so that other writers wait for milliseconds; one that is killed between them
    is taken up by the next. Does nothing most of the time: once an hour there is something to do.
    """
    keep = keep or Retention()
    rolled, purged = store.marks()
    until = closed(now)
    everything = [int(r[0]) for r in store.engine.all("SELECT id FROM dialtone_series ORDER BY id")]
    if until > rolled:
        for series in everything:
            first = store.engine.all(
                "SELECT min(at) FROM dialtone_result WHERE series = ? AND at >= ?", [series, rolled]
            )
            start = first[0][0]
            while start is not None and start < until:
                end = min(until, (start // DAY + 1) * DAY)
                with store.engine.transaction():
                    store.engine.alone()
                    _make(store.engine, series, HOUR, start // HOUR * HOUR, end)
                    _make(store.engine, series, DAY, start // DAY * DAY, (start // DAY + 1) * DAY)
                start = end
        _mark(store, "rolled", until)
    old = (round((now - keep.raw) * 1000)) // DAY * DAY
    if old > purged:
        for series in everything:
            _purge(store.engine, series, old)
        _thin(store.engine, old - DAY)  # a day later: its results are younger than the round itself
        _mark(store, "purged", old)
        with store.engine.transaction():
            for step, age in ((MINUTE, keep.minutes), (HOUR, keep.hours)):
                store.engine.many(
                    "DELETE FROM dialtone_rollup WHERE step = ? AND at < ?", [(step, round((now - age) * 1000))]
                )
            store.engine.many("DELETE FROM dialtone_run WHERE planned < ?", [(round((now - keep.hours) * 1000),)])
            store.engine.many("DELETE FROM dialtone_absorbed WHERE at < ?", [(round((now - keep.absorbed) * 1000),)])


def _purge(engine: Engine, series: int, until: int) -> None:
    first = engine.all("SELECT min(at) FROM dialtone_result WHERE series = ? AND at < ?", [series, until])[0][0]
    while first is not None and first < until:
        end = min(until, (first // DAY + 1) * DAY)
        with engine.transaction():
            engine.alone()
            _make(engine, series, MINUTE, first // MINUTE * MINUTE, end)
            engine.many("DELETE FROM dialtone_result WHERE series = ? AND at < ?", [(series, end)])
        first = end


def _thin(engine: Engine, until: int) -> None:
    """Of the rounds of a minute leave the first of those that spoke for the longest time, day by day.

    It begins where there is more than one, however old that is: a history may have been filled before it was thinned.
    """
    first = engine.all(_FIRST_SPARE, [until])[0][0]
    while first is not None and first < until:
        end = min(until, (first // DAY + 1) * DAY)
        with engine.transaction():
            engine.many(_SPARE, [(first, end, first, end)])
        first = end


_FIRST_SPARE = """SELECT min(planned) FROM (SELECT min(planned) AS planned FROM dialtone_run WHERE planned < ?
 GROUP BY planned / 60000, target HAVING count(*) > 1) doubled"""
_SPARE = """DELETE FROM dialtone_run WHERE planned >= ? AND planned < ? AND id NOT IN (
 SELECT id FROM (SELECT id, row_number() OVER (PARTITION BY target, planned / 60000 ORDER BY every DESC, planned, id)
 AS place FROM dialtone_run WHERE planned >= ? AND planned < ?) ranked WHERE place = 1)"""


def _mark(store: Store, column: str, until: int) -> None:
    with store.engine.transaction():
        store.engine.many(
            f"UPDATE dialtone_mark SET {column} = ? WHERE {column} < ?",  # noqa: S608 - a name of ours
            [(until, until)],
        )
