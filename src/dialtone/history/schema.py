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
    [
        # Incidents: `body` holds all of one as JSON, the columns what is looked for. `due` is when time may move it.
        """CREATE TABLE dialtone_incident (
            id TEXT PRIMARY KEY,
            target TEXT NOT NULL,
            cause TEXT NOT NULL,
            state TEXT NOT NULL,
            severity TEXT NOT NULL,
            first_bad BIGINT NOT NULL,
            resolved BIGINT,
            due BIGINT,
            body TEXT NOT NULL)""",
        "CREATE INDEX dialtone_incident_due ON dialtone_incident (due)",
        "CREATE INDEX dialtone_incident_live ON dialtone_incident (target, state, resolved)",
        """CREATE TABLE dialtone_transition (
            incident TEXT NOT NULL,
            seq INTEGER NOT NULL,
            told TEXT NOT NULL,
            at BIGINT NOT NULL,
            note TEXT NOT NULL,
            PRIMARY KEY (incident, seq))""",
        # Which rounds have moved incidents already: a round that is handed in twice moves nothing the second time.
        "CREATE TABLE dialtone_absorbed (token TEXT PRIMARY KEY, at BIGINT NOT NULL)",
        """CREATE TABLE dialtone_outbox (
            id TEXT PRIMARY KEY,
            incident TEXT NOT NULL,
            seq INTEGER NOT NULL,
            channel TEXT NOT NULL,
            state TEXT NOT NULL,
            severity TEXT NOT NULL,
            digest INTEGER NOT NULL,
            created BIGINT NOT NULL,
            after BIGINT NOT NULL,
            deadline BIGINT NOT NULL,
            leased BIGINT NOT NULL,
            attempts INTEGER NOT NULL,
            doubt INTEGER NOT NULL,
            sent BIGINT,
            fallback TEXT NOT NULL,
            error TEXT,
            body TEXT NOT NULL)""",
        "CREATE INDEX dialtone_outbox_waiting ON dialtone_outbox (state, after)",
        "CREATE INDEX dialtone_outbox_incident ON dialtone_outbox (incident, channel, seq)",
        # What a channel remembers of an incident: its thread, for instance.
        """CREATE TABLE dialtone_thread (
            incident TEXT NOT NULL,
            channel TEXT NOT NULL,
            body TEXT NOT NULL,
            PRIMARY KEY (incident, channel))""",
        """CREATE TABLE dialtone_silence (
            id TEXT PRIMARY KEY,
            target TEXT NOT NULL,
            pattern TEXT NOT NULL,
            begun BIGINT NOT NULL,
            until BIGINT NOT NULL,
            reason TEXT NOT NULL,
            owner TEXT NOT NULL)""",
        # When a target was last looked at, and how long until the next look.
        "CREATE TABLE dialtone_heartbeat (target TEXT PRIMARY KEY, at BIGINT NOT NULL, every BIGINT NOT NULL)",
    ],
    [
        # By which objective a check judges: windows are held against its levels.
        "ALTER TABLE dialtone_series ADD COLUMN objective TEXT",
    ],
    [
        # When a channel may be used next, by whichever program: some take one message a second.
        "CREATE TABLE dialtone_pace (channel TEXT PRIMARY KEY, free BIGINT NOT NULL)",
    ],
]

NEWEST = len(MIGRATIONS)
