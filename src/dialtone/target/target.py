"""A target as checks see it: its profile, its credentials, and what is armed."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from dialtone.objective import Objective
from dialtone.target.model import Cron, Indicator, Journal, Page, Profile, RateLimit, Webhook
from dialtone.target.provider import Provider, Tool
from dialtone.target.traffic import Traffic
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
    absent: Mapping[str, str] = field(default_factory=dict)
    """Entries that were left out of the profile, each with the variable of the environment that is not set."""

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
            raise Unarmed(f"{variable}{_UNSET}")
        raise Unarmed(f"{_LACKING}credentials.{name}")

    def headers(self, named: Mapping[str, str]) -> dict[str, str]:
        """Headers (or parameters) of the profile, `credential:NAME` put in; raises Unarmed where one is missing.

        `credential:NAME?` is left out where it is not set.
        """
        kept = {k: v for k, v in named.items() if not v.endswith("?") or v[11:-1] in self.credentials}
        return {k: self.secret(v[11:].rstrip("?")) if v.startswith("credential:") else v for k, v in kept.items()}

    def url(self, where: str) -> str:
        """The address of a route, which may be a whole URL already."""
        return self.profile.url(where)

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

    @property
    def home(self) -> Page:
        """The page `home`, or the first one where none has that name."""
        pages = self.profile.pages
        return self.page("home") if "home" in pages or not pages else next(iter(pages.values()))

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

    def traffic(self, name: str) -> Traffic:
        """A named list of real traffic, with the table that has to agree with it."""
        found: Traffic = self._entry("traffic", self.profile.traffic, name)
        return found

    def rate_limit(self, name: str) -> RateLimit:
        """A named rate limit."""
        found: RateLimit = self._entry("rate_limits", self.profile.rate_limits, name)
        return found

    def indicator(self, name: str) -> Indicator:
        """A named indicator."""
        found: Indicator = self._entry("indicators", self.profile.indicators, name)
        return found

    def objective(self, name: str) -> Objective:
        """A named objective."""
        return self._entry("objectives", self.profile.objectives, name).objective(name)

    def _entry(self, table: str, entries: Mapping[str, T], name: str) -> T:
        if name not in entries:
            variable = self.absent.get(f"{table}.{name}")
            if variable:
                raise Unarmed(f"{table}.{name} needs {variable}, which is not set")
            raise Unarmed(f"{_LACKING}{table}.{name}")
        return entries[name]

    def lacks(self, needs: Iterable[str]) -> list[str]:
        """What is missing of `needs`, in words, none if nothing is.

        A need is a table or an entry of one (`database`, `routes.health`, `credentials.x`), or a key of an entry
        (`webhooks.x.genuine`), and stands for all that it takes: credentials, and what templates and effects ask for.
        """
        missing: list[str] = []
        for need in needs:
            try:
                self._require(need)
            except Unarmed as reason:
                missing.append(str(reason))
        return _joined(missing)

    def _require(self, need: str) -> None:
        table, name, key = [*need.split(".", 2), "", ""][:3]
        if table == "credentials":
            self.secret(name)
            return
        if table not in Profile.model_fields:
            near = difflib.get_close_matches(table, Profile.model_fields, 1, 0.6)
            meant = f"; did you mean {near[0]!r}?" if near else ""
            raise Misdeclared(f"the check needs {need}: no profile has {table!r}{meant}")
        entries = getattr(self.profile, table)
        entry = self._entry(table, entries, name) if name else entries
        if entry is None or entry in ([], {}, "") or (key and not getattr(entry, key, None)):
            raise Unarmed(f"{_LACKING}{need}")
        if table in ("database", "repair_database"):
            self.secret(entry)
        elif isinstance(entry, Tool):
            self.secret(entry.credential) if entry.credential else None
        elif isinstance(entry, Journal):
            self.secret(entry.token)
        elif isinstance(entry, Traffic):
            self._require("database")
            self._require(f"providers.{entry.provider}")
        elif isinstance(entry, Cron):
            self.secret(entry.key)
        elif isinstance(entry, Webhook) and key != "route":  # to know where it is takes no secret
            self.secret(entry.key)
            self._require_for(entry, key)
        elif isinstance(entry, Provider):
            self.headers({**entry.headers, **entry.query})
            for credential in (entry.credential, entry.client_id, entry.client_secret):
                if credential:
                    self.secret(credential)

    def _require_for(self, webhook: Webhook, key: str) -> None:
        """What a template or the effects of a webhook take: a tenant, the database, the journal."""
        if "{{tenant." in str(getattr(webhook, key, "")):
            self._require("tenant")
            self._require("database")
        for effect in webhook.effects if key == "effects" else ():
            if not effect.route:
                self._require("database" if effect.sql else "journal")


_LACKING, _UNSET = "the profile has no ", " is not set"
_FORMS: tuple[tuple[re.Pattern[str], str, str], ...] = (
    (re.compile(rf"{_LACKING}(?P<name>\S+)()"), _LACKING + "{names}", _LACKING + "{names}"),
    (
        re.compile(r"(?P<name>\S+) needs (\S+), which is not set"),
        "{names} needs {of}, which is not set",
        "{names} need {of}, which is not set",
    ),
    (re.compile(rf"(?P<name>\S+)(){_UNSET}"), "{names}" + _UNSET, "{names} are not set"),
)
"""Reasons of one form, as one: what is listed, of what; the sentence for one and for several."""


def _joined(reasons: Iterable[str]) -> list[str]:
    """Reasons of one form as one sentence: `the profile has no a, b and c`."""
    told = list(dict.fromkeys(reasons))
    found: list[str] = []
    for form, one, several in _FORMS:
        groups: dict[str, list[str]] = {}
        for match in filter(None, map(form.fullmatch, told)):
            groups.setdefault(match[2], []).append(match["name"])
        for of, names in groups.items():
            sentence = one if len(names) == 1 else several
            found.append(sentence.format(names=_listed(names), of=of))
    return found + [reason for reason in told if not any(form.fullmatch(reason) for form, _, _ in _FORMS)]


def _listed(names: list[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
