"""Synthetic tenants: rows that checks may write, marked, removed afterwards, and swept when a run was killed.

Each process of a run has a marker (`dialtone-synthetic <epoch>-<token>`) and holds a Postgres advisory lock on it for
as long as it lives. What carries a marker whose lock is free belongs to nobody any more and is swept by the next run.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from dialtone.judging import running
from dialtone.probes.database import Database, DatabaseFailure
from dialtone.probes.leftovers import Outside, Swept
from dialtone.probes.sealing import through
from dialtone.target import Target
from dialtone.template import made
from dialtone.verdict import Unarmed


class Run:
    """Identity of one process of a run: `token` goes into every id that checks make up, `marker` into names."""

    def __init__(self, prefix: str, *, clock: Callable[[], float] = time.time, random: Random | None = None) -> None:
        random = random or Random()  # noqa: S311 - identities, not secrets
        self.token = f"{int(clock())}-{''.join(random.choices('0123456789abcdef', k=8))}"
        self.marker = f"{prefix} {self.token}"
        self._random = random

    def id(self, prefix: str = "") -> str:
        """A new id that carries the run's token, so that whatever bears it can be found again."""
        return f"{prefix}{self.token}-{''.join(self._random.choices('0123456789abcdef', k=8))}"


def lock_number(token: str) -> int:
    """The advisory lock of a run's token: 63 bits of its hash."""
    return int.from_bytes(hashlib.sha256(token.encode()).digest()[:8]) >> 1


class Tenants:
    """Makes and removes the synthetic tenants of one process."""

    def __init__(self, target: Target, run: Run, database: Database, *, clock: Callable[[], float] = time.time) -> None:
        if target.profile.tenant is None:
            raise Unarmed("the profile has no tenant")
        self._spec, self._run, self._db, self._clock = target.profile.tenant, run, database, clock
        self._after = target.profile.sweep_after
        self._prefix = target.profile.marker
        self._random = Random(run.token)  # noqa: S311
        self._values = target.profile.values
        self._outside = Outside(target, clock=clock)
        self._ready = False

    def prepare(self) -> None:
        """Take this run's lock and sweep what dead runs left; once per process."""
        if self._ready:
            return
        self._ready = True
        self._db.hold("SELECT pg_advisory_lock(%(lock)s)", {"lock": lock_number(self._run.token)})
        self.sweep()

    def sweep(self) -> int:
        """Remove the rows of runs whose lock is free and that are older than `sweep_after`; how many runs."""
        swept = 0
        for row in self._db.rows(self._spec.runs, {"prefix": self._prefix}):
            token = str(next(iter(row.values()))).removeprefix(self._prefix).strip()
            started = token.split("-")[0]
            if token == self._run.token or not started.isdigit() or self._clock() - int(started) < self._after:
                continue
            if self._claim(token):
                for statement in self._spec.sweep:
                    self._db.write(statement, {"run": token, "marker": f"{self._prefix} {token}"})
                self._release(token)
                swept += 1
        self._note(self._outside.sweep(self._claim, self._release))
        return swept

    def _claim(self, token: str) -> bool:
        """Take the lock of a run, if nobody holds it; its own it holds already."""
        if token == self._run.token:
            return False
        return bool(self._db.hold("SELECT pg_try_advisory_lock(%(lock)s)", {"lock": lock_number(token)}))

    def _release(self, token: str) -> None:
        self._db.hold("SELECT pg_advisory_unlock(%(lock)s)", {"lock": lock_number(token)})

    def _note(self, swept: Swept) -> None:
        """What could not be swept at a provider is told with the check that ran into it; it judges nothing."""
        if swept.troubles:
            running().notes["left at providers"] = "; ".join(swept.troubles)

    def create(self, **overrides: Any) -> dict[str, Any]:
        """Insert a tenant; returns its columns. Overrides replace the profile's `fields` (None is NULL)."""
        self.prepare()
        base = {**self._values, "run": self._run.token, "marker": self._run.marker, **_plain(overrides)}
        values = {k: made(v, self._random, base) for k, v in self._spec.fields.items() if k not in overrides}
        values |= overrides
        values |= {k: through(self._spec.seal, str(values[k])) for k in self._spec.sealed if values.get(k)}
        row = self._db.write(self._spec.create, {**base, **values})
        return dict(row[0]) if row else {}

    def remove(self, tenant: Mapping[str, Any]) -> None:
        """Remove a tenant and everything that belongs to it."""
        for statement in self._spec.remove:
            self._db.write(statement, {**tenant, "run": self._run.token, "marker": self._run.marker})

    def clean(self) -> None:
        """Remove whatever of this run is still there (rows that no tenant owns); at the end of the process."""
        if not self._ready:
            return
        self._note(self._outside.clean(self._run.token))
        try:
            for statement in self._spec.sweep:
                self._db.write(statement, {"run": self._run.token, "marker": self._run.marker})
        except DatabaseFailure:
            return  # the lock goes with this process: the next run sweeps


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in values.items() if v is not None}
