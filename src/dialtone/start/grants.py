"""The narrowest grant behind each credential: SQL for the prober's role, and what the profile says of a provider's key.

The role reads the columns that the profile's `tables` name, those whose names say that they hold a secret left out,
and PostgreSQL's own statistics through `pg_monitor` (https://www.postgresql.org/docs/18/predefined-roles.html).
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from dialtone.target import Target
from dialtone.target.model import Profile
from dialtone.verdict import Effect

ROLE = "dialtone"
_PLAIN = re.compile(r"[a-z_][a-z0-9_]*")
_WRITES = re.compile(r"\b(INSERT\s+INTO|DELETE\s+FROM|UPDATE)\s+([\w.\"]+)", re.IGNORECASE)


def quoted(name: str) -> str:
    """A name as SQL takes it, a schema before it too."""
    parts = name.split(".")
    return ".".join(p if _PLAIN.fullmatch(p) else '"' + p.replace('"', '""') + '"' for p in parts)


def secret_columns(profile: Profile) -> dict[str, list[str]]:
    """The columns of `tables` whose names say that they hold a secret: the prober has no business reading them."""
    pattern = re.compile(profile.secret_columns, re.IGNORECASE)
    found = {table: [c for c in columns if pattern.search(c)] for table, columns in profile.tables.items()}
    return {table: columns for table, columns in found.items() if columns}


def readable(profile: Profile) -> dict[str, list[str]]:
    """The columns of `tables` that the role reads."""
    secret = secret_columns(profile)
    left = {table: [c for c in columns if c not in secret.get(table, [])] for table, columns in profile.tables.items()}
    return {table: columns for table, columns in left.items() if columns}


def relying(profile: Profile) -> dict[str, list[str]]:
    """Queries and indicators that name one of the secret columns, by the column: these need another form."""
    texts = {f"queries.{name}": sql for name, sql in profile.queries.items()}
    texts |= {f"indicators.{name}": indicator.sql for name, indicator in profile.indicators.items()}
    columns = {column for found in secret_columns(profile).values() for column in found}
    told = {c: [n for n, sql in texts.items() if re.search(rf"\b{re.escape(c)}\b", sql)] for c in sorted(columns)}
    return {column: names for column, names in told.items() if names}


def written(profile: Profile) -> dict[str, set[str]]:
    """The tables that the statements of the tenant write, each with the privileges that they take."""
    found: dict[str, set[str]] = {}
    tenant = profile.tenant
    for sql in [tenant.create, *tenant.remove, *tenant.sweep] if tenant else []:
        for verb, table in _WRITES.findall(sql):
            found.setdefault(table, set()).add(verb.split()[0].upper())
    return found


def role_sql(target: Target, role: str = ROLE) -> str:
    """SQL that makes the prober's role. It holds no password: `\\password` of psql sends a hash."""
    profile = target.profile
    writes = written(profile) if Effect.WRITES in target.effects else {}
    schemas = sorted({quoted(t.rpartition(".")[0]) if "." in t else "public" for t in profile.tables} | {"public"})
    lines = [f"CREATE ROLE {role} LOGIN CONNECTION LIMIT 10;"]
    if not writes:
        lines.append(f"ALTER ROLE {role} SET default_transaction_read_only = on;")
    lines += [f"GRANT pg_monitor TO {role};", f"GRANT USAGE ON SCHEMA {', '.join(schemas)} TO {role};"]
    for table, columns in sorted(readable(profile).items()):
        lines.append(f"GRANT SELECT ({_list(columns)}) ON {quoted(table)} TO {role};")
    if writes:
        lines.append("-- The profile allows writes: the synthetic tenant comes and goes by these.")
        lines += [
            f"GRANT {', '.join(sorted(rights))} ON {table} TO {role};" for table, rights in sorted(writes.items())
        ]
    secret = secret_columns(profile)
    if secret:
        names = ", ".join(f"{table}.{column}" for table, columns in sorted(secret.items()) for column in columns)
        lines.append(f"-- Not granted, secrets by their names: {names}.")
    for column, queries in relying(profile).items():
        lines.append(
            f"-- {', '.join(queries)}: unreadable so, for want of {column}; a view may tell what they need of it."
        )
    if profile.tables:
        lines.append("-- Where row level security is on, a role without a policy sees no rows. As the tables' owner:")
        lines += [
            f"--   CREATE POLICY {role}_reads ON {quoted(table)} FOR SELECT TO {role} USING (true);"
            for table in sorted(readable(profile))
        ]
    return "\n".join(lines) + "\n"


def _list(columns: Iterable[str]) -> str:
    return ", ".join(quoted(column) for column in columns)


def grant(target: Target, credential: str) -> str | None:
    """What to ask for behind a credential, in words; None where the profile does not say."""
    profile = target.profile
    if credential == profile.database:
        return "a role of its own: the SQL below"
    if credential == profile.repair_database:
        return "a role that may repair, apart from the prober's: only `dialtone do` and `dialtone maintenance` use it"
    for name, provider in sorted(profile.providers.items()):
        if credential == provider.credential and provider.grant:
            return f"{name}: {provider.grant}"
    for name, webhook in sorted(profile.webhooks.items()):
        if credential == webhook.key:
            return f"the secret that webhooks.{name} is signed with, the same that the application verifies with"
    return None
