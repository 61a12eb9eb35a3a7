"""Where a drill may run at all, and what ends one on production: a guard, a blast radius, an end time."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from dialtone.target import ProfileError, load
from dialtone.target.load import nearest, read

_EVERY = 2.0
"""Seconds between two looks at production."""
SHARE = "synthetic_share"
"""Query of the profile: the share of tenants that are synthetic, from 0 to 1."""

Check = Callable[[], str | None]


class RefusedError(Exception):
    """A drill that is not run here; the message says what it would take."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What has to be said before production is touched."""
    group = parser.add_argument_group("production", "never without all of these; no fault is put between it and others")
    group.add_argument("--production", metavar="NAME", help="name the target")
    group.add_argument("--really", metavar="NAME", help="name it once more")
    group.add_argument("--guard", metavar="INDICATOR", help="an indicator of the profile that stops the drill")
    group.add_argument(
        "--blast-radius", type=float, metavar="SHARE", help="share of tenants that may be synthetic: 0.05"
    )
    group.add_argument("--until", metavar="TIME", help="when it is over at the latest: 2026-11-30T04:00:00+00:00")


def guard(args: argparse.Namespace) -> Check:
    """What is asked while the drill runs: a reason to stop it, or None. Raises RefusedError before anything runs."""
    path = nearest()
    try:
        file = read(path)
        if args.target not in file.target:
            raise RefusedError(f"there is no target {args.target!r}; there are {', '.join(sorted(file.target))}")
        kind = {**file.defaults, **file.target[args.target]}.get("kind")
        if kind != "production":
            return lambda: None
        until = _until(args)
        return _guarded(load(path, args.target), args.guard, args.blast_radius, until)
    except ProfileError as wrong:
        raise RefusedError(str(wrong)) from None


def _until(args: argparse.Namespace) -> float:
    """The end time (s since the epoch), when all has been said."""
    if not args.production == args.really == args.target:
        raise RefusedError(
            f"{args.target} is production: say --production {args.target} --really {args.target}, with --guard, "
            "--blast-radius and --until"
        )
    lacking = [o for o in ("guard", "blast_radius", "until") if getattr(args, o) is None]
    if lacking:
        raise RefusedError("on production say also " + ", ".join("--" + o.replace("_", "-") for o in lacking))
    if not 0 < args.blast_radius <= 0.5:
        raise RefusedError("--blast-radius is a share of all tenants, above 0 and not above 0.5")
    try:
        until = datetime.fromisoformat(args.until)
    except ValueError:
        raise RefusedError(f"--until: {args.until!r} is no time: 2026-11-30T04:00:00+00:00") from None
    if until.tzinfo is None:
        raise RefusedError("--until: in which time zone? End it with +00:00")
    if until <= datetime.now(UTC):
        raise RefusedError(f"--until: {args.until} is over")
    return until.timestamp()


def _guarded(target: Any, indicator: str, radius: float, until: float) -> Check:
    from dialtone.probes.database import Database
    from dialtone.probes.indicator import measure

    if indicator not in target.profile.indicators:
        raise RefusedError(f"--guard: no indicator {indicator!r}; there are {', '.join(target.profile.indicators)}")
    if target.profile.database is None or SHARE not in target.profile.queries:
        raise RefusedError(f"the guard needs the database and queries.{SHARE} in the profile of {target.name}")
    database = Database(target.secret(target.profile.database))

    def look() -> str | None:
        try:
            share = float(database.value(target.query(SHARE)))
            found = measure(target, database, indicator)
        except Exception as error:  # noqa: BLE001 - who cannot see must not go on
            return f"{indicator} cannot be read: {type(error).__name__}"
        if share > radius:
            return f"{share:.1%} of the tenants are synthetic, more than {radius:.1%}"
        return f"{indicator} is {found.verdict}" if found.verdict.is_bad else None

    return every(look, until)


def every(look: Check, until: float, *, wall: Callable[[], float] = time.time, seconds: float = _EVERY) -> Check:
    """Ask `look` at most once in so many seconds, and end at `until` (s since the epoch)."""
    asked = float("-inf")

    def check() -> str | None:
        nonlocal asked
        if wall() >= until:
            return "its end time has come"
        if wall() - asked < seconds:
            return None
        asked = wall()
        return look()

    if (why := look()) is not None:
        raise RefusedError(f"not begun: {why}")
    return check
