"""The shape of a profile: everything that `dialtone.toml` may say about one target.

Durations are written with their unit (`"300ms"`, `"5s"`, `"15m"`, `"24h"`, `"30d"`) and held in seconds. Unknown keys
are errors. Templates hold `{{name}}` placeholders, SQL holds `%(name)s` parameters.
"""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from dialtone.objective import Objective
from dialtone.target.books import Book
from dialtone.target.duration import Duration
from dialtone.target.gate import Allowance, Gate
from dialtone.target.outside import EffectOf, RateLimit, Webhook
from dialtone.target.pace import Quorum, Schedule
from dialtone.target.parts import Part, Text, pattern
from dialtone.target.provider import Leftovers, Provider, Tool
from dialtone.target.traffic import Listed, Traffic
from dialtone.verdict import Effect, Levels, Severity

__all__ = [
    "EffectOf", "Leftovers", "Part", "Profile", "Provider", "Quorum", "RateLimit", "Schedule", "Tool", "Webhook",
]  # fmt: skip


class ObjectiveTable(Part):
    """`[objectives.NAME]`: levels in `unit`; `severity` gives a level its own severity."""

    target: float | None = None
    alert: float
    critical: float | None = None
    unit: Literal["s", "ms", "%", "days", "count"]
    direction: Literal["below", "above"] = "below"
    window: Duration | None = None
    quantile: float | None = Field(default=None, gt=0, lt=1)
    severity: dict[Literal["target", "alert", "critical"], Severity] = {}

    @model_validator(mode="after")
    def _ordered(self) -> ObjectiveTable:
        levels = [v for v in (self.target, self.alert, self.critical) if v is not None]
        if levels != sorted(levels, reverse=self.direction == "above"):
            raise ValueError("target, alert and critical have to run from good to bad (direction says which way)")
        if self.quantile and self.direction == "above":
            raise ValueError("a quantile is judged by the share of samples past a level: direction has to be below")
        return self

    def objective(self, name: str) -> Objective:
        """The engine's own form of it."""
        return Objective(
            name.replace("_", " "),
            Levels(self.target, self.alert, self.critical),
            self.unit,
            self.direction,
            self.window,
            self.quantile,
            {str(k): v for k, v in self.severity.items()},
        )


class Limits(Part):
    """`[timeouts]`: bounds on every request of the prober."""

    connect: Duration = 3.0
    read: Duration = 10.0
    total: Duration = 15.0
    max_body: int = Field(default=2_000_000, gt=0, description="bytes, after decompression")


class Budget(Part):
    """`[budget]`: how many requests the target allows a client address in a window, and rounds that share a window."""

    requests: int = Field(gt=0)
    window: Duration
    rounds: int = Field(default=1, gt=0)

    @property
    def per_round(self) -> int:
        """Requests that one round may send from one client address."""
        return max(1, self.requests // self.rounds)


class ClientAddress(Part):
    """`[client_address]`: gives each check an address of its own, told in `header` or bound as the source address."""

    range: str = Field(description="CIDR block of addresses that the prober may call its own")
    header: str | None = None

    @field_validator("range")
    @classmethod
    def _block(cls, value: str) -> str:
        import ipaddress

        ipaddress.ip_network(value)
        return value


class Page(Part):
    """`[pages.NAME]`: a page, and a text that only the right page holds."""

    path: Text
    contains: Text


class Indicator(Part):
    """`[indicators.NAME]`: SQL giving `events` and `samples` for a rate, one `value`, or a `value` for each sample.

    `%(window)s` in it is the window of the objective in seconds.
    """

    sql: Text
    objective: Text
    kind: Literal["rate", "value", "quantile"] = "rate"
    what: str | None = Field(default=None, description="the figure in words")


class Edge(Part):
    """`[edge]`: the header by which what stands in front of the application says where it answered."""

    header: Text
    region: Text = Field(
        default=r"^[\w-]+", description="regular expression; its first group, or all of it, is the region"
    )

    @field_validator("region")
    @classmethod
    def _pattern(cls, value: str) -> str:
        return pattern(value)

    def region_of(self, value: str | None) -> str | None:
        """The region that a header's value names, 20 characters at most; None where it has not its form."""
        found = re.search(self.region, value or "", re.IGNORECASE)
        return (found[1] if found.re.groups else found[0])[:20] if found else None


class Cron(Part):
    """`[cron]`: how the scheduler starts background jobs, and shows that it is the scheduler."""

    key: Text = Field(description="name of the credential")
    method: Literal["GET", "POST"] = "GET"
    headers: dict[str, str] = Field(default={"authorization": "Bearer {{key}}"}, description="templates")


class Session(Part):
    """`[session]`: where the answer to a registration holds the session, and how a request shows it."""

    cookie: str | None = Field(default=None, description="the cookie that is the session; else `fields.token` is")
    headers: dict[str, str] = Field(default={}, description="templates; `{{token}}` is the cookie's value or the token")

    def shown(self) -> dict[str, str]:
        """The headers of a request, as templates: as they are given, else the cookie or a bearer token."""
        usual = {"cookie": self.cookie + "={{token}}"} if self.cookie else {"authorization": "Bearer {{token}}"}
        return self.headers or usual


class Own(Part):
    """`[[tenant.own]]`: one thing that a synthetic tenant needs to itself on a target where its effects are real."""

    what: Text
    how: Text
    credential: str | None = None
    fields: list[str] = []


class Tenant(Part):
    """`[tenant]`: how a synthetic tenant comes and goes. `create` returns its columns; `fields` are its parameters.

    `sweep` statements remove what a killed run left: they get `%(run)s`, the marker of one run. `runs` lists the
    markers that are present. `sealed` fields go through the command `seal` before they are stored; `unseal` reads them
    again. `exclude` holds, for each table, the condition that leaves synthetic rows out.
    """

    create: Text
    fields: dict[str, str] = {}
    remove: list[str] = []
    runs: Text
    sweep: list[str]
    own: list[Own] = []
    exclude: dict[str, str] = {}
    sealed: list[str] = Field(default=[], description="fields that the application keeps encrypted")
    seal: list[str] = Field(default=[], description="command that encrypts its standard input as the application does")
    unseal: list[str] = Field(default=[], description="command that decrypts it again")

    @model_validator(mode="after")
    def _both_ways(self) -> Tenant:
        if self.sealed and not (self.seal and self.unseal):
            raise ValueError("sealed needs two commands of the application's own: seal and unseal")
        return self


class Redirect(Part):
    """`[[redirects]]`: a path that leads somewhere, in one hop."""

    path: Text
    to: Text
    status: list[int] = [301, 302, 303, 307, 308]


class Journal(Part):
    """`[journal]`: where the stand-ins of a non-production target tell what they took in."""

    url: Text
    token: Text = Field(description="name of the credential")


class History(Part):
    """`[history]`: where results are kept over time, how long, and how many false pages are bearable."""

    store: str | None = Field(
        default=None, description="a file, or `off`; DIALTONE_HISTORY in the environment counts more"
    )
    raw: Duration = Field(default=35 * 86400.0, ge=86400.0, description="how long single results are kept")
    false_pages: float = Field(default=1.0, gt=0, description="per month, for the whole suite")


class Profile(Part):
    """`[target.NAME]`: one deployment that is watched."""

    kind: Literal["sandbox", "preview", "production"]
    runbook: str = Field(default="docs/runbook.md", description="address of the runbook that section links lead to")
    base_url: Text
    tls_url: str | None = None
    plain_url: str | None = None
    ca_file: str | None = None
    project: str | None = Field(default=None, description="hosting or database project, compared by the fences")
    effects: list[Effect] = [Effect.READS]
    marker: Text = "dialtone-synthetic"
    settle: Duration = 5.0
    quiet: Duration = 1.0
    idle_gap: Duration = 5.0
    sample_time: Duration = 20.0
    clock_skew: Duration = 60.0
    sweep_after: Duration = 900.0
    key_mode: Literal["test", "live"] | None = None
    timeouts: Limits = Limits()
    budget: Budget | None = None
    schedule: Schedule | None = None
    client_address: ClientAddress | None = None
    headers: dict[str, str] = Field(default={}, description="sent with every request; `credential:NAME` for a secret")
    edge: Edge | None = None
    session: Session = Session()
    cron: Cron | None = None
    routes: dict[str, str] = {}
    pages: dict[str, Page] = {}
    redirects: list[Redirect] = []
    fields: dict[str, str] = Field(default={}, description="names of fields in the target's JSON answers")
    security_headers: dict[str, str] = Field(default={}, description="header -> regular expression of its value")
    requests: dict[str, str] = Field(default={}, description="bodies of requests that checks send, as templates")
    values: dict[str, str | bool | int | float] = Field(
        default={}, description="further values for checks, templates and SQL"
    )
    objectives: dict[str, ObjectiveTable] = {}
    webhooks: dict[str, Webhook] = {}
    providers: dict[str, Provider] = {}
    rate_limits: dict[str, RateLimit] = {}
    indicators: dict[str, Indicator] = {}
    queries: dict[str, str] = Field(default={}, description="SQL that checks ask by name")
    statements: dict[str, str] = Field(
        default={}, description="SQL of repairs and maintenance by name; some of it writes"
    )
    tools: dict[str, Tool] = {}
    traffic: dict[str, Traffic] = {}
    listed: dict[str, Listed] = {}
    tables: dict[str, list[str]] = Field(default={}, description="table -> columns that the SQL above relies on")
    secret_columns: Text = Field(
        default="(token|secret|password|passwd|api_key|private_key|_hash)$",
        description="columns of `tables` that no prober reads, a regular expression of their names",
    )
    required_variables: list[str] = []
    components: dict[str, list[str]] = Field(
        default={}, description="what customers see on the status page -> patterns of check ids"
    )
    database: str | None = Field(default=None, description="name of the credential that holds the database URL")
    repair_database: str | None = Field(
        default=None, description="credential that holds the database URL of a role that may repair"
    )
    tenant: Tenant | None = None
    books: dict[str, Book] = {}
    journal: Journal | None = None
    history: History = History()
    gate: Gate = Gate()
    allowance: Allowance = Allowance()
    quorum: Quorum | None = None
    contacts: dict[str, str] = Field(default={}, description="whom to turn to about a provider: address or words")
    witnesses: list[str] = []
    credentials: dict[str, str] = Field(default={}, description="credential -> environment variable that holds it")
    shared_credentials: list[str] = Field(default=[], description="credentials that production may share with this one")
    app: list[str] = Field(default=[], description="command of the application, sandbox only; {python} is this Python")
    app_defects: list[str] = Field(default=[], description="command that lists the defects of `app`, and holds one")
    app_way: Literal["proxy", "preload", "names"] | None = Field(
        default=None, description="how an `app` with provider hosts in its code is led to the interceptor"
    )
    app_hosts: dict[str, str] = Field(
        default={}, description="further hosts that `app` calls: a part of the sandbox, or the address of a stand-in"
    )
    standins: list[str] = Field(
        default=[], description="stand-ins that installed packages bring, to be started with a sandbox"
    )
    app_schema: list[str] = Field(default=[], description="files of SQL that a sandbox runs before `app`; globs")

    @field_validator("tables", mode="before")
    @classmethod
    def _in_schemas(cls, value: Any) -> Any:
        """A table in a schema of its own may stand under the schema: `[tables.billing]`, `orders = ["id"]`."""
        if not isinstance(value, dict):
            return value
        flat: dict[str, Any] = {}
        for name, columns in value.items():
            flat |= {f"{name}.{k}": v for k, v in columns.items()} if isinstance(columns, dict) else {name: columns}
        return flat

    @field_validator("secret_columns")
    @classmethod
    def _secret_columns(cls, value: str) -> str:
        return pattern(value)

    @field_validator("base_url", "tls_url", "plain_url")
    @classmethod
    def _url(cls, value: str | None) -> str | None:
        if value is not None and not re.match(r"https?://(\[[\da-fA-F:.]+\]|[^/\s:@]+)(:\d+)?(/|$)|\$\{", value):
            raise ValueError('an address of http or https is needed: "https://app.example.com"')
        return value

    def url(self, where: str) -> str:
        """The address of a route below `base_url`, which may have a path of its own; a whole URL stays as it is."""
        if re.match(r"https?://", where, re.IGNORECASE):
            return where
        return f"{self.base_url.rstrip('/')}/{where.lstrip('/')}"

    @model_validator(mode="after")
    def _names_meet(self) -> Profile:
        known = set(self.credentials)
        for where, name in self._credential_names():
            if name is not None and name not in known:
                raise ValueError(f"{where} names the credential {name!r}, which [credentials] does not list")
        for name, indicator in self.indicators.items():
            if indicator.objective not in self.objectives:
                raise ValueError(f"indicators.{name} names the objective {indicator.objective!r}, which does not exist")
            if "%(window)s" in indicator.sql and self.objectives[indicator.objective].window is None:
                raise ValueError(f"indicators.{name} asks for the window of objectives.{indicator.objective}: add one")
        for name, provider in self.providers.items():
            if provider.quota is not None and self.schedule is None:
                raise ValueError(
                    f'providers.{name}.quota needs to know how often a round runs: schedule = {{ every = "15m" }}'
                )
        if self.kind != "sandbox" and len(self.witnesses) < 2:
            raise ValueError("witnesses: name at least two hosts that do not depend on the target")
        return self

    def _credential_names(self) -> list[tuple[str, str | None]]:
        names: list[tuple[str, str | None]] = [("database", self.database)]
        names += [("repair_database", self.repair_database)]
        names += [(f"tools.{n}.credential", t.credential) for n, t in self.tools.items()]
        names += [(f"webhooks.{n}.key", w.key) for n, w in self.webhooks.items()]
        for n, p in self.providers.items():
            names += [(f"providers.{n}.{k}", getattr(p, k)) for k in ("credential", "client_id", "client_secret")]
            names += [(f"providers.{n}.leftovers.{i}.credential", e.credential) for i, e in enumerate(p.leftovers)]
        names += [("journal.token", self.journal.token)] if self.journal else []
        names += (
            [(f"tenant.own.{own.what}.credential", own.credential) for own in self.tenant.own] if self.tenant else []
        )
        names += [("cron.key", self.cron.key)] if self.cron else []
        told = {"headers": self.headers}
        for n, p in self.providers.items():
            told |= {f"providers.{n}.headers": p.headers, f"providers.{n}.query": p.query}
        for where, table in told.items():
            names += [(f"{where}.{k}", v[11:].rstrip("?")) for k, v in table.items() if v.startswith("credential:")]
        return names
