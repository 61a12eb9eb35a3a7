"""The application once more, in a sandbox of its own whose parts may be taken away.

What a disaster destroys must not be what other experiments stand on: same profile, same application, other ports, other
secrets, and a database that archives its log.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from dialtone.drill.books import Books
from dialtone.drill.ledger import Ledger, Promise
from dialtone.http import Answer
from dialtone.probes.caller import Budget, Caller
from dialtone.probes.database import Database
from dialtone.probes.journal import Journal
from dialtone.probes.provider import ask
from dialtone.probes.reach import Reach
from dialtone.probes.synthetic import Run, Tenants
from dialtone.probes.webhook import Hook
from dialtone.sandbox import ATTACH_VARIABLE, Sandbox, SandboxError
from dialtone.target import Target, load
from dialtone.target.load import sandbox_options
from dialtone.verdict import Unarmed

_AT_ONCE = 40  # requests from one client address: far below any limit that a target has for one


class Customer(Caller):
    """Requests whose failure is not ours to judge: it is what the experiment is about."""

    _sent = 0

    def request(self, method: str, where: str, **options: Any) -> Answer:
        """Send one request and return what happened, from another address now and then."""
        self._sent += 1
        if self._sent % _AT_ONCE == 0:
            self.fresh_address()
        return self.send(method, where, **options)


class Deployment:
    """One sandbox of an experiment's own. Close it."""

    def __init__(self, target: Target, run: Run) -> None:
        """Start it, about 3 s. Raises Unarmed where the target is no sandbox, SandboxError."""
        if target.profile.kind != "sandbox" or target.source is None:
            raise Unarmed(f"{target.name} is no sandbox: nothing of it is ever taken away")
        options = sandbox_options(target.source, target.name)
        self.sandbox = Sandbox.begin(**options, recoverable=True).wait()
        try:
            self.sandbox.switch(_active())
            self.target = load(target.source, target.name, {**os.environ, **self.sandbox.env})
            status = self.sandbox.data.stat()
            self.owner = status.st_uid, status.st_gid
            self.run, self.broken = run, False
            self.http = Customer(self.target, run.token, "deployment", Reach(()), Budget(None))
            self.administrator = Database(self.sandbox.admin_database_url)
            self.database = Database(self.target.secret(self.target.profile.database or ""))
            self._tenants = Tenants(self.target, run, self.database)
        except BaseException:
            self.sandbox.stop()
            raise

    @property
    def data(self) -> Path:
        """The data folder of its database."""
        return self.sandbox.data

    @property
    def archive(self) -> Path:
        """Where its database archives the log."""
        return self.data.with_name("archive")

    def folder(self, name: str) -> Path:
        """A place beside the data for a backup or what was lost: empty, not made yet, gone with the sandbox."""
        path = self.data.with_name(name)
        shutil.rmtree(path, ignore_errors=True)
        return path

    def journal(self) -> Journal:
        """What its stand-ins take in from now on."""
        return Journal(self.target)

    def tenant(self, **overrides: Any) -> Mapping[str, Any]:
        """A synthetic tenant of it; gone with the sandbox."""
        return self._tenants.create(**overrides)

    def hook(self, name: str, tenant: Mapping[str, Any], **secrets: str) -> Hook:
        """A webhook of it; `secrets` are credentials that the provider signs with instead of the profile's."""
        target = replace(self.target, credentials={**self.target.credentials, **secrets}) if secrets else self.target
        return Hook(name, target, self.http, self.run, tenant, lambda: self.database, self.journal)

    def healthy(self) -> bool:
        """Whether its health endpoint says 200."""
        return self.http.send("GET", self.target.route("health")).status == 200

    def balance(self, promises: Iterable[Promise], tenant: Mapping[str, Any], journal: Journal) -> Ledger:
        """Hold promises against every book of the profile, as they stand now."""
        books = Books(
            self.target.profile.books,
            rows=lambda sql, params: self.database.rows(sql, params, limit=20_000),
            listed=lambda name, path: ask(self.target, Reach(()), name, path).json(),
            accepted=journal.requests,
            retries=self.target.profile.queries.get("retries"),
        )
        return books.balance(promises, tenant, now=time.time())

    def redeploy(self, environment: Mapping[str, str] | None = None, *, how: str = "asked", within: float = 30) -> None:
        """End the application and start it again, with some variables replaced. Raises SandboxError."""
        self.sandbox.stop_part("application", how)
        self.sandbox.start_part("application", environment, within=within)

    def close(self) -> None:
        """Take everything down."""
        for part in (self.http, self.administrator, self.database):
            part.close()
        self.sandbox.stop()


def _active() -> list[str]:
    """The defects of the sandbox that this run has: a deployment beside it is as wrong in these ways."""
    state = os.environ.get(ATTACH_VARIABLE)
    if not state:
        return []
    with suppress(OSError, ValueError, SandboxError):
        return list(json.loads(Sandbox.attach(state).defects_file.read_text()))
    return []


def quietly(look: Callable[[], Any]) -> bool:
    """What a look says, where a failure of whatever kind is a no."""
    try:
        return bool(look())
    except Exception:  # noqa: BLE001 - the database may be in any state at all
        return False
