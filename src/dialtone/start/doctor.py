"""`dialtone doctor`: what is not armed on a target, the narrowest grant that arms it, and what can do too much.

Sends no request but, where the database's credential is set, a few to the catalog of the database. Prints no value.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from textwrap import wrap
from typing import Any

from dialtone.catalog import CatalogError, collected
from dialtone.incidents.review import review
from dialtone.start.grants import grant, role_sql
from dialtone.start.missing import Gap, gaps
from dialtone.start.role import judge
from dialtone.target import ProfileError, Target, load
from dialtone.target.load import nearest, raw

WIDTH = 100
_SHOWN = 6
_NEEDED = re.compile(r"\$\{(\w+)\}")


@dataclass(slots=True)
class Diagnosis:
    """What the doctor found. `wide` are credentials that can do more than they need, `narrow` what one cannot do,
    `untold` what would leave people untold of an incident, `notes` what to know of how they are told, `unset`
    variables without which nothing runs."""

    target: str
    armed: list[str]
    gaps: list[Gap]
    grants: dict[str, str] = field(default_factory=dict)
    wide: list[str] = field(default_factory=list)
    narrow: list[str] = field(default_factory=list)
    unasked: str | None = None
    untold: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    sql: str | None = None
    unset: list[str] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """1 where a variable is not set, a credential is too wide, too narrow or not known, or somebody would not hear
        of an incident; else 0."""
        unset = any(gap.what == "variable" for gap in self.gaps)
        return int(bool(unset or self.unset or self.wide or self.narrow or self.unasked or self.untold))

    def document(self) -> dict[str, Any]:
        """The same as data."""
        return {**asdict(self), "exit_code": self.exit_code}


def examine(entries: Sequence[Mapping[str, Any]], target: Target, *, offline: bool = False) -> Diagnosis:
    """All of it, for collected checks and a target as it is in this environment."""
    armed, missing = gaps(entries, target)
    found = Diagnosis(target.name, armed, missing)
    for gap in missing:
        if gap.credential and (words := grant(target, gap.credential)):
            found.grants[gap.name] = words
    found.wide += too_wide(target)
    if target.profile.database:
        found.sql = role_sql(target)
        if target.profile.database in target.credentials:
            _ask(found, target, offline)
    return found


def too_wide(target: Target) -> list[str]:
    """Credentials that are not of the narrow form, and those that two purposes share; by their variables."""
    profile, told = target.profile, []
    for name, provider in sorted(profile.providers.items()):
        value = target.credentials.get(provider.credential or "")
        if value and provider.narrow and not re.search(provider.narrow, value):
            variable = profile.credentials[str(provider.credential)]
            told.append(
                f"{variable} can do more than {name} is asked for" + (f": use {provider.grant}" * bool(provider.grant))
            )
    probes = {p.credential for p in profile.providers.values()} | {profile.database}
    repairs = {t.credential for t in profile.tools.values()} | {profile.repair_database}
    for probe in sorted(filter(None, probes)):
        for repair in sorted(filter(None, repairs - {probe})):
            if probe in target.credentials and target.credentials[probe] == target.credentials.get(repair):
                one, other = profile.credentials[probe], profile.credentials[repair]
                if one != other:  # one variable for both is what the profile says
                    told.append(f"{one} is the same as {other}: what only reads can repair")
    return told


def _ask(found: Diagnosis, target: Target, offline: bool) -> None:
    from dialtone.probes.database import Database, DatabaseFailure
    from dialtone.verdict import Unarmed

    variable = target.profile.credentials[str(target.profile.database)]
    if offline:
        found.unasked = f"{variable}: the database was not asked what its role can do (--offline)"
        return
    try:
        database = Database(
            target.secret(str(target.profile.database)), connect_timeout=target.profile.timeouts.connect
        )
        try:
            too_much, lacking = judge(database, target)
        finally:
            database.close()
    except (DatabaseFailure, Unarmed) as wrong:
        found.unasked = f"{variable}: what its role can do is not known: {wrong}"
        return
    found.wide += too_much
    found.narrow += lacking


def text(found: Diagnosis, width: int = WIDTH) -> str:
    """For a terminal, never wider than `width`, the SQL apart."""
    unarmed = {name for gap in found.gaps for name in [*gap.arms, *gap.needed]}
    checks = "check is" if len(found.armed) == 1 else "checks are"
    lines = [f"{found.target}: {len(found.armed)} {checks} armed, {len(unarmed)} not"]
    heads = {
        "variable": "Not set in the environment",
        "option": "Not set, optional",
        "setting": "Not in the profile (leave it where the application has no such thing)",
        "effect": "Not allowed there (effects in the profile)",
    }
    lines += ["", "Not set, and nothing runs without it", *(f"  {name}" for name in found.unset)] if found.unset else []
    for what, head in heads.items():
        some = [gap for gap in found.gaps if gap.what == what]
        lines += ["", head] if some else []
        for gap in some:
            lines += _filled(gap.name, width, 2)
            lines += _filled(found.grants.get(gap.name, ""), width, 6)
            lines += _filled(_checks(gap), width, 6)
    for head, sentences in (
        ("Can do more than it needs", found.wide),
        ("Can do less than it needs", found.narrow),
        ("Not known", [found.unasked] if found.unasked else []),
        ("Nobody would hear (docs/incidents.md)", found.untold),
        ("How incidents are told (docs/incidents.md)", found.notes),
    ):
        lines += ["", head] if sentences else []
        for sentence in sentences:
            lines += _filled(sentence, width, 2)
    wants_sql = any("SQL below" in words for words in found.grants.values()) or found.narrow or found.wide
    if found.sql and wants_sql:
        lines += ["", "SQL of the prober's role (dialtone doctor --sql prints it alone)"]
        lines += [f"  {line}" for line in found.sql.splitlines()]
    if not found.exit_code:
        lines += ["", "Nothing to do."]
    return "\n".join(lines)


def _filled(words: str, width: int, indent: int) -> list[str]:
    return [f"{'':{indent}}{line}" for line in wrap(words, width - indent, break_on_hyphens=False)]


def _checks(gap: Gap) -> str:
    told = []
    for head, ids in (("arms", gap.arms), ("needed, not alone, by", gap.needed)):
        names = list(dict.fromkeys(id_.partition("[")[0] for id_ in ids))
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        if names:
            told.append(f"{'would run' if gap.what == 'effect' else head}: {', '.join(names[:_SHOWN])}{more}")
    return "; ".join(told)


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command; it sets `run`, a function from the arguments to an exit code."""
    parser = commands.add_parser(
        "doctor",
        help="what is not armed on a target, the narrowest grant that arms it, and what can do too much",
        description="Says what is not armed and why, grouped by what is missing, with the narrowest grant that arms it;"
        " and which credential can do more than it needs. Asks the catalog of the database, if its credential is set,"
        " and nothing else; and who would not hear of an incident in time. Prints no value. Exit codes: 0 nothing to"
        " do, 1 a variable is not set, a credential is too wide, too narrow or not known, or somebody would not hear,"
        " 4 the profile or the checks cannot be read.",
    )
    named = os.environ.get("DIALTONE_TARGET") or "production"
    parser.add_argument("--target", default=named, metavar="NAME", help=f"target (default: {named})")
    parser.add_argument("--config", type=Path, default=None, help="the profile file (default: dialtone.toml)")
    parser.add_argument("--offline", action="store_true", help="do not ask the database what its role can do")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="as JSON")
    form.add_argument("--sql", action="store_true", help="the SQL of the prober's database role alone")
    parser.add_argument("paths", nargs="*", default=["checks"], help="files or folders of checks (default: checks)")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    try:
        path = args.config or nearest()
        target, unset = _target(path, args.target, os.environ)
        if args.sql:
            return _sql(path, target)
        entries = collected(args.paths, args.target, args.config)
        found = examine(entries, target, offline=args.offline)
        found.unset = unset
        found.untold, found.notes = review(path, target, [str(entry["id"]) for entry in entries])
    except (ProfileError, CatalogError) as wrong:
        print(wrong, file=sys.stderr)
        return 4
    print(json.dumps(found.document(), indent=1) if args.json else text(found))
    return found.exit_code


def _target(path: Path, name: str, environ: Mapping[str, str]) -> tuple[Target, list[str]]:
    """The target, and the variables that it cannot do without and that are not set: addresses that nobody asks here."""
    try:
        return load(path, name, environ), []
    except ProfileError as first:
        unset = sorted(n for n in set(_NEEDED.findall(str(raw(path, name)))) if not environ.get(n))
        if raw(path, name).get("kind") == "sandbox":
            raise ProfileError(f"{name} is a sandbox: a run starts it with all that it needs (pytest checks)") from None
        if not unset:
            raise
        instead = {n: f"https://{n.lower().replace('_', '-')}.invalid" for n in unset}
        try:
            return load(path, name, {**environ, **instead}), unset
        except ProfileError:  # of a value that no address can stand for, or of another mistake: tried once it is set
            raise first from None


def _sql(path: Path, target: Target) -> int:
    if not target.profile.database:
        print(f"{path.name}: target.{target.name} names no database", file=sys.stderr)
        return 4
    print(role_sql(target), end="")
    return 0
