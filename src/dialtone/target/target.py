"""A target as checks see it: its profile, its credentials, and what is armed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dialtone.objective import Objective
from dialtone.target.model import Page, Profile, Provider, RateLimit, Webhook
from dialtone.verdict import Effect, Unarmed


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
        return self._entry("routes", name)

    def value(self, name: str) -> str:
        """A further value of the profile."""
        return self._entry("values", name)

    def query(self, name: str) -> str:
        """The SQL of a named query."""
        return self._entry("queries", name)

    def request(self, name: str) -> str:
        """The template of a named request body."""
        return self._entry("requests", name)

    def field(self, name: str, default: str) -> str:
        """The target's own name of a field in its JSON answers."""
        return self.profile.fields.get(name, default)

    def page(self, name: str) -> Page:
        """A named page."""
        return self._entry("pages", name)

    def webhook(self, name: str) -> Webhook:
        """A named webhook."""
        return self._entry("webhooks", name)

    def provider(self, name: str) -> Provider:
        """A named provider."""
        return self._entry("providers", name)

    def rate_limit(self, name: str) -> RateLimit:
        """A named rate limit."""
        return self._entry("rate_limits", name)

    def objective(self, name: str) -> Objective:
        """A named objective."""
        return self._entry("objectives", name).objective(name)

    def _entry(self, table: str, name: str) -> Any:
        entries = getattr(self.profile, table)
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
        elif table == "database":
            if not self.profile.database:
                raise Unarmed("the profile has no database")
            self.secret(self.profile.database)
        elif not name:
            if not getattr(self.profile, table):
                raise Unarmed(f"the profile has no {table}")
            if table == "journal" and self.profile.journal:
                self.secret(self.profile.journal.token)
        else:
            entry = self._entry(table, name)
            if isinstance(entry, Webhook):
                self.secret(entry.key)
            elif isinstance(entry, Provider):
                for key in (entry.credential, entry.client_id, entry.client_secret):
                    if key:
                        self.secret(key)
