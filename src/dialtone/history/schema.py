"""The one schema of a history, for SQLite and PostgreSQL, and how it moves forward.

A migration is a list of statements, appended to `MIGRATIONS` and never changed afterwards. `{key}` stands for a number
that the database gives, `{blob}` for bytes, `{clustered}` for rows that lie in the order of their key; everything else
is the SQL that both speak. Times are whole milliseconds since 1970 (UTC).
"""

from __future__ import annotations

MIGRATIONS: list[list[str]] = [
    [
        """CREATE TABLE dialtone_series (
            id {key},
            target TEXT NOT NULL,
            name TEXT NOT NULL,
            UNIQUE (target, name))""",
        # One round, or one run of its own. Shards of it share its token; `place` is where it ran.
        """CREATE TABLE dialtone_run (
            id {key},
            token TEXT NOT NULL,
            place TEXT NOT NULL,
            target TEXT NOT NULL,
            deployment TEXT,
            every BIGINT NOT NULL,
            planned BIGINT NOT NULL,
            started BIGINT NOT NULL,
            finished BIGINT,
            exit_code INTEGER,
            UNIQUE (token, place))""",
        "CREATE INDEX dialtone_run_planned ON dialtone_run (planned)",
        # A window of one series lies together: it is what is read.
        """CREATE TABLE dialtone_result (
            series BIGINT NOT NULL,
            at BIGINT NOT NULL,
            run BIGINT NOT NULL,
            verdict SMALLINT NOT NULL,
            kind SMALLINT NOT NULL,
            severity SMALLINT NOT NULL,
            value DOUBLE PRECISION,
            samples BIGINT NOT NULL,
            bad BIGINT NOT NULL,
            took INTEGER NOT NULL,
            reason TEXT,
            latency {blob},
            PRIMARY KEY (series, at, run)) {clustered}""",
        """CREATE TABLE dialtone_rollup (
            series BIGINT NOT NULL,
            step INTEGER NOT NULL,
            at BIGINT NOT NULL,
            ok BIGINT NOT NULL,
            degraded BIGINT NOT NULL,
            unknown BIGINT NOT NULL,
            breach BIGINT NOT NULL,
            critical BIGINT NOT NULL,
            samples BIGINT NOT NULL,
            bad BIGINT NOT NULL,
            observed BIGINT NOT NULL,
            latency {blob},
            PRIMARY KEY (series, step, at)) {clustered}""",
        # Up to where hours and days are made, and raw results are gone: one row.
        "CREATE TABLE dialtone_mark (rolled BIGINT NOT NULL, purged BIGINT NOT NULL)",
        "INSERT INTO dialtone_mark (rolled, purged) VALUES (0, 0)",
    ],
]

NEWEST = len(MIGRATIONS)
