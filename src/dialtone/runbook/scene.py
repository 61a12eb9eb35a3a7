"""What a look may ask for: only what reads, each request bounded, and what went wrong told instead of raised."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from dialtone.runbook.causes import Entry, is_red
from dialtone.verdict import Misdeclared, Unarmed

if TYPE_CHECKING:
    from dialtone.http import Answer
    from dialtone.probes.caller import Caller
    from dialtone.probes.database import Database
    from dialtone.probes.journal import Journal
    from dialtone.probes.reach import Reach
    from dialtone.probes.status_page import StatusPages
    from dialtone.target import Target

REQUESTS = 20
"""Requests to the target that one diagnosis may send."""
_STATEMENT_SECONDS = 2.0
_OTHERS = re.compile(r"\bpg_stat_(activity|statements)\b")
_BLIND = (
    "the prober's role sees only its own sessions and statements: GRANT pg_monitor TO it"
    " (https://www.postgresql.org/docs/current/predefined-roles.html)"
)


class ReadOnly:
    """The database, for reading: `rows`, `one`, `value` as a check has them, within two seconds each."""

    def __init__(self, database: Database, lack: Callable[[str], None]) -> None:
        self._database, self._lack = database, lack
        self._sees_all: bool | None = None

    def rows(self, sql: str, params: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """All rows of a SELECT."""
        self._look_about(sql)
        return self._database.rows(sql, params)

    def one(self, sql: str, params: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The first row of a SELECT; empty when there is none."""
        self._look_about(sql)
        return self._database.one(sql, params)

    def value(self, sql: str, params: Mapping[str, Any] | None = None) -> Any:
        """The first column of the first row of a SELECT; None when there is none."""
        return next(iter(self.one(sql, params).values()), None)

    def _look_about(self, sql: str) -> None:
        """Postgres hides the sessions of others without an error: an empty answer would look like a clean one."""
        if not _OTHERS.search(sql):
            return
        if self._sees_all is None:
            self._sees_all = bool(self._database.value("SELECT pg_has_role('pg_read_all_stats', 'USAGE')"))
        if not self._sees_all:
            self._lack(_BLIND)


class Scene:
    """A run as a look sees it: its checks, its target, and means to look further. One for a whole diagnosis."""

    def __init__(
        self,
        target: Target,
        checks: Sequence[Entry],
        last_ok: Mapping[str, Any] | None,
        began: datetime,
        now: datetime,
    ) -> None:
        self.target, self.checks, self.began, self.now = target, list(checks), began, now
        self.red = [entry for entry in checks if is_red(entry)]
        self.last_ok = last_ok
        self.since = datetime.fromisoformat(last_ok["finished"]) if last_ok else None
        self.suspects: list[tuple[str, str]] = []
        self.lacks: list[str] = []
        self._made: dict[str, Any] = {}
        self._closing: list[Callable[[], None]] = []

    def ask_for(self, name: str) -> Any:
        """What a look calls `name`. Raises Unarmed where the profile lacks it, Misdeclared where nobody knows it."""
        if name not in self._made:
            make = getattr(self, f"_make_{name}", None)
            if make is None:
                known = ", ".join(sorted(n.removeprefix("_make_") for n in dir(self) if n.startswith("_make_")))
                raise Misdeclared(f"a look may ask for {known}; not for {name}")
            self._made[name] = make()
        return self._made[name]

    def close(self) -> None:
        """Close every connection."""
        for close in self._closing:
            close()

    def _make_target(self) -> Target:
        return self.target

    def _make_red(self) -> list[Entry]:
        return self.red

    def _make_checks(self) -> list[Entry]:
        return self.checks

    def _make_since(self) -> datetime | None:
        return self.since

    def _make_began(self) -> datetime:
        """When the run began."""
        return self.began

    def _make_now(self) -> datetime:
        return self.now

    def _make_suspect(self) -> Callable[[str, str], None]:
        return lambda cause, because: self.suspects.append((cause, because))

    def _make_lacks(self) -> Callable[[str], None]:
        return self.lacks.append

    def _make_reach(self) -> Reach:
        from dialtone.probes.reach import Reach

        return Reach(self.target.profile.witnesses)

    def _make_db(self) -> ReadOnly:
        from dialtone.probes.database import Database

        if self.target.profile.database is None:
            raise Unarmed("the profile has no database")
        url = self.target.secret(self.target.profile.database)
        database = Database(url, statement_timeout=_STATEMENT_SECONDS, application_name="dialtone diagnosis")
        self._closing.append(database.close)
        return ReadOnly(database, self.lacks.append)

    def _make_get(self) -> Callable[..., Answer]:
        """`get(path)`: one GET at the target; a failure is in the answer and never raised."""
        from dialtone.probes.caller import Budget, Caller
        from dialtone.probes.synthetic import Run

        run = Run(self.target.profile.marker)
        caller: Caller = Caller(self.target, run.token, "diagnosis", self.ask_for("reach"), Budget(REQUESTS))
        self._closing.append(caller.close)

        def get(where: str, headers: Mapping[str, str] | None = None) -> Answer:
            return caller.send("GET", where, headers=dict(headers or {}))

        return get

    def _make_ask(self) -> Callable[..., Answer]:
        """`ask("stripe", path)`: a read of a provider with the prober's own credential.

        What a check of the run has read already is not read again, for the sake of quotas, unless it is to be `fresh`.
        """
        from dialtone.probes.provider import ask
        from dialtone.probes.shared import VARIABLE, Shared

        shared = Shared(os.environ.get(VARIABLE))
        self._closing.append(shared.close)

        def read(name: str, path: str | None = None, *, fresh: bool = False) -> Answer:
            return ask(self.target, self.ask_for("reach"), name, path, shared=None if fresh else shared)

        return read

    def _make_read(self) -> Callable[..., Answer]:
        """`read("vercel", "deployments", name=value)`: a GET of a path of a tool, filled with the profile's values."""
        from dialtone.runbook.actions.access import Access
        from dialtone.template import fill

        access = Access(self.target)
        self._closing.append(access.close)

        def read(tool: str, path: str, **values: Any) -> Answer:
            paths = self.target.tool(tool).paths
            if path not in paths:
                raise Unarmed(f"the profile has no tools.{tool}.paths.{path}")
            return access.tool(tool).get(fill(paths[path], {**self.target.profile.values, **values}))

        return read

    def _make_status(self) -> StatusPages:
        """`status.of("stripe")`: what a provider's status page says."""
        from dialtone.probes.status_page import StatusPages

        return StatusPages(self.target)

    def _make_journal(self) -> Callable[..., list[dict[str, Any]]]:
        """`journal(provider=…)`: what the stand-ins took in, from their beginning (targets with stand-ins only)."""
        from dialtone.probes.journal import Journal

        journal: Journal = Journal(self.target)
        journal.start = 0
        self._closing.append(journal.close)
        return journal.requests
