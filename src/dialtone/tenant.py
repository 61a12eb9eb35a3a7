"""`dialtone tenant plan`: what a synthetic tenant needs on a target, and the SQL that keeps it out of analytics.

Where calls, messages and money are real, checks that do more than read need a customer that is nobody. What that takes
is written in the profile; this prints it with what the environment already holds. Nothing is sent or changed.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from textwrap import wrap
from typing import Any

from dialtone.target import ProfileError, Target
from dialtone.target.load import describe
from dialtone.template import fill
from dialtone.verdict import Effect

_WIDTH = 80
_EFFECTS = {
    Effect.WRITES: "rows of its own, removed after each check",
    Effect.PROVOKES: "single refusals and errors on purpose",
    Effect.COSTS: "calls, messages and fees of this tenant; set an allowance at each provider first",
}


def plan(target: Target, environ: Mapping[str, str]) -> dict[str, Any]:
    """The plan as data: `own`, what is allowed, fields, and the SQL for each table. Raises ProfileError without one."""
    profile, tenant = target.profile, target.profile.tenant
    if tenant is None:
        file = target.source.name if target.source else "the profile"
        raise ProfileError(f"{file}: target.{target.name}.tenant: missing; docs/profile.md#tenant says what it holds")
    quoted = {"prefix": profile.marker.replace("'", "''")}
    conditions = {table: fill(condition, quoted) for table, condition in tenant.exclude.items()}
    own = []
    for entry in tenant.own:
        variable = profile.credentials.get(entry.credential or "")
        state = None if variable is None else "set" if environ.get(variable) else "missing"
        own.append({"what": entry.what, "how": entry.how, "variable": variable, "state": state, "fields": entry.fields})
    return {
        "target": target.name,
        "marker": profile.marker,
        "own": own,
        "effects": {str(effect): effect in target.effects for effect in _EFFECTS},
        "fields": dict(tenant.fields),
        "exclude": {table: f"SELECT * FROM {table} WHERE {real}" for table, real in conditions.items()},  # noqa: S608
    }


def text(told: Mapping[str, Any], width: int = _WIDTH) -> str:
    """The plan for people."""
    lines = wrap(
        f"A synthetic tenant for {told['target']}: a customer that is nobody, so that checks may write.", width
    )
    known = f"It is known by its name: {told['marker']!r} and the run that it belongs to. It comes with each check that"
    lines += ["", *wrap(f"{known} needs one and goes with it; what a killed run left goes with the next.", width)]
    lines += ["", "To itself it needs"]
    for number, own in enumerate(told["own"], 1):
        lines.append(f"{number:>3}. {own['what']}")
        fields = f" Fields: {', '.join(own['fields'])}." if own["fields"] else ""
        lines += [f"     {line}" for line in wrap(own["how"] + fields, width - 5, break_on_hyphens=False)]
        if own["variable"]:
            lines.append(f"     {own['variable']}: {own['state']}")
    lines += ["", "Checks that do more than read run where the profile allows their effect:"]
    for effect, allowed in told["effects"].items():
        words = f"{effect:<9} {'allowed' if allowed else 'not allowed'}: {_EFFECTS[Effect(effect)]}"
        lines += wrap(words, width, initial_indent="  ", subsequent_indent=" " * 12)
    lines += wrap(
        "A synthetic call ends before its first leg that is not allowed; legs that were not run are unknown.", width
    )
    lines += ["", "SQL that leaves synthetic traffic out of analytics:"]
    lines += [f"  {statement};" for statement in told["exclude"].values()] or ["  the profile has no tenant.exclude"]
    return "\n".join(lines)


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command; it sets `run`, a function from the arguments to an exit code."""
    tenant = commands.add_parser("tenant", help="the synthetic tenant that checks use", description=__doc__)
    actions = tenant.add_subparsers(title="actions", metavar="ACTION", required=True)
    summary = "what a synthetic tenant needs on a target, and the SQL that keeps it out of analytics"
    action = actions.add_parser("plan", help=summary, description=f"Prints {summary}. Changes nothing.")
    action.add_argument("--target", default="production", metavar="NAME", help="target (default: production)")
    action.add_argument("--config", type=Path, default=None, help="the profile file (default: dialtone.toml)")
    form = action.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="as JSON")
    form.add_argument("--sql", action="store_true", help="the SQL alone")
    action.set_defaults(run=_plan)


def _plan(args: argparse.Namespace) -> int:
    from dialtone.target.load import nearest

    try:
        told = plan(describe(args.config or nearest(), args.target, os.environ), os.environ)
    except ProfileError as wrong:
        print(wrong, file=sys.stderr)
        return 4
    if args.sql:
        print("\n".join(f"{statement};" for statement in told["exclude"].values()))
    else:
        print(json.dumps(told, indent=1) if args.json else text(told))
    return 0
