"""A target as checks see it: its profile, its credentials, and what is armed."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from dialtone.objective import Objective
from dialtone.target.model import Journal, Page, Profile, RateLimit, Webhook
from dialtone.target.provider import Provider, Tool
from dialtone.verdict import Effect, Misdeclared, Unarmed

T = TypeVar("T")


@dataclass(frozen=True, slots=True, repr=False)
class Target:
    """One deployment. Its repr shows no credential."""

    name: str
    profile: Profile
    credentials: Mapping[str, str]
    fenced: tuple[str, ...] = ()
    source: Path | None = None

    def __repr__(self) -> str:
        return f"Target({self.name}, {self.profile.base_url})"

    @property
    def effects(self) -> frozenset[Effect]:
        """What checks may do here: the profile's effects, or only reads behind a fence; production never disrupts."""
        if self.fenced:
            return frozenset({Effect.READS})
        allowed = frozenset(self.profile.effects) | {Effect.READS}
        return allowed - {Effect.DISRUPTS} if self.profile.kind == "production" else allowed

    def refuses(self, effect: Effect) -> str | None:
        """Why a check with this effect is not armed here, or None."""
        if effect in self.effects:
            return None
        if self.fenced:
            return f"{effect} refused here: {'; '.join(self.fenced)}"
        return f"{self.name} does not allow {effect}: effects in its profile"

    def secret(self, name: str) -> str:
        """The value of a credential; raises Unarmed naming the variable when it is missing."""
        if name in self.credentials:
            return self.credentials[name]
        variable = self.profile.credentials.get(name)
        if variable:
            raise Unarmed(f"{variable} is not set")
        raise Unarmed(f"the profile has no credential {name!r}")

    def route(self, name: str) -> str:
        """The path of a named route."""
        found: str = self._entry("routes", self.profile.routes, name)
        return found

    def value(self, name: str) -> Any:
        """A further value of the profile: text, a number, true or false."""
        found: Any = self._entry("values", self.profile.values, name)
        return found

    def query(self, name: str) -> str:
        """The SQL of a named query."""
        found: str = self._entry("queries", self.profile.queries, name)
        return found

    def request(self, name: str) -> str:
        """The template of a named request body."""
        found: str = self._entry("requests", self.profile.requests, name)
        return found

    def field(self, name: str, default: str) -> str:
        """The target's own name of a field in its JSON answers."""
        return self.profile.fields.get(name, default)

    def page(self, name: str) -> Page:
        """A named page."""
        found: Page = self._entry("pages", self.profile.pages, name)
        return found

    def webhook(self, name: str) -> Webhook:
        """A named webhook."""
        found: Webhook = self._entry("webhooks", self.profile.webhooks, name)
        return found

    def provider(self, name: str) -> Provider:
        """A named provider."""
        found: Provider = self._entry("providers", self.profile.providers, name)
        return found

    def tool(self, name: str) -> Tool:
        """A named tool of repairs and maintenance."""
        found: Tool = self._entry("tools", self.profile.tools, name)
        return found

    def statement(self, name: str) -> str:
        """The SQL of a named statement of repairs and maintenance."""
        found: str = self._entry("statements", self.profile.statements, name)
        return found

    def rate_limit(self, name: str) -> RateLimit:
        """A named rate limit."""
        found: RateLimit = self._entry("rate_limits", self.profile.rate_limits, name)
        return found

    def objective(self, name: str) -> Objective:
        """A named objective."""
        return self._entry("objectives", self.profile.objectives, name).objective(name)

    def _entry(self, table: str, entries: Mapping[str, T], name: str) -> T:
        if name not in entries:
            raise Unarmed(f"the profile has no {table}.{name}")
        return entries[name]

    def lacks(self, needs: Iterable[str]) -> list[str]:
        """What is missing of `needs` (`routes.health`, `credentials.x`, `webhooks.x`, `database`, `journal`, …)."""
        missing = []
        for need in needs:
            try:
                self._require(need)
            except Unarmed as reason:
                missing.append(str(reason))
        return missing

    def _require(self, need: str) -> None:
        table, _, name = need.partition(".")
        if table == "credentials":
            self.secret(name)
            return
        if table not in Profile.model_fields:
            near = difflib.get_close_matches(table, Profile.model_fields, 1, 0.6)
            meant = f"; did you mean {near[0]!r}?" if near else ""
            raise Misdeclared(f"the check needs {need}: no profile has {table!r}{meant}")
        entries = getattr(self.profile, table)
        entry = self._entry(table, entries, name) if name else entries
        if not entry:
            raise Unarmed(f"the profile has no {need}")
        if table in ("database", "repair_database"):
            self.secret(entry)
        elif isinstance(entry, Tool):
            self.secret(entry.credential) if entry.credential else None
        elif isinstance(entry, Journal):
            self.secret(entry.token)
        elif isinstance(entry, Webhook):
            self.secret(entry.key)
        elif isinstance(entry, Provider):
            for key in (entry.credential, entry.client_id, entry.client_secret):
                if key:
                    self.secret(key)
