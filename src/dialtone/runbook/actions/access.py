"""What an action works with: the database by a role that may repair, APIs by keys of their own, and the target."""

from __future__ import annotations

from base64 import b64encode
from types import TracebackType
from typing import Self

from dialtone.http import Client, Limits, shared_context
from dialtone.probes.database import Database
from dialtone.target import Target
from dialtone.verdict import Unarmed

_AGENT = "dialtone/0.1 (repair)"
_STATEMENT = 20.0  # seconds


class Access:
    """Opens what is asked for at its first use, and closes it. What is missing raises Unarmed, naming it."""

    def __init__(self, target: Target) -> None:
        self.target = target
        times = target.profile.timeouts
        self._limits = Limits(times.connect, times.read, times.total, times.max_body)
        self._database: Database | None = None
        self._clients: dict[str, Client] = {}

    @property
    def database(self) -> Database:
        """The database, as the role that may repair; where the profile has none, as the prober's."""
        if self._database is None:
            credential = self.target.profile.repair_database or self.target.profile.database
            if credential is None:
                raise Unarmed("the profile has no repair_database")
            self._database = Database(
                self.target.secret(credential), statement_timeout=_STATEMENT, application_name="dialtone-repair"
            )
        return self._database

    def tool(self, name: str) -> Client:
        """A client of a tool's API; its credential goes with each request as a header."""
        if name not in self._clients:
            tool = self.target.tool(name)
            headers = {"user-agent": _AGENT, **tool.headers, **self.authority(name)}
            self._clients[name] = Client(tool.base_url, limits=self._limits, headers=headers)
        return self._clients[name]

    def authority(self, name: str) -> dict[str, str]:
        """The header that says who we are to a tool."""
        tool = self.target.tool(name)
        if tool.auth == "none" or tool.credential is None:
            return {}
        secret = self.target.secret(tool.credential)
        if tool.auth == "basic":
            return {"authorization": "Basic " + b64encode(f"{secret}:".encode()).decode()}
        return {"authorization": f"Bearer {secret}"}

    @property
    def site(self) -> Client:
        """A client of the target itself. Its requests carry no synthetic mark: what they bring about is real."""
        if "" not in self._clients:
            profile = self.target.profile
            headers = {
                name: self.target.secret(value[11:]) if value.startswith("credential:") else value
                for name, value in profile.headers.items()
            }
            self._clients[""] = Client(
                profile.base_url,
                limits=self._limits,
                headers={"user-agent": _AGENT, **headers},
                verify=shared_context(profile.ca_file),
            )
        return self._clients[""]

    def close(self) -> None:
        """Close every connection."""
        if self._database is not None:
            self._database.close()
            self._database = None
        for client in self._clients.values():
            client.close()
        self._clients.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
