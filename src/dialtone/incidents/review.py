"""What is wrong with the alerting of a target before anything is red: for `dialtone doctor`."""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Mapping
from pathlib import Path

from dialtone.history import HOLDS, Store, StoreError, where
from dialtone.incidents.channels import lacks
from dialtone.incidents.grouping import PROVIDER, matches
from dialtone.incidents.handover import RESIDENT
from dialtone.incidents.rounds import REMEMBERED, usual_gap
from dialtone.incidents.routing import Router, RoutesError, duration
from dialtone.incidents.silence import lapsed
from dialtone.target import Target, alerting
from dialtone.target.load import read
from dialtone.verdict import Severity


def review(
    config: Path, target: Target, checks: Collection[str], environ: Mapping[str, str] = os.environ
) -> tuple[list[str], list[str]]:
    """Sentences: what would leave somebody untold, and what is only to be known. Raises ProfileError."""
    found = alerting(config)
    try:
        router = Router(found, read(config).target)
    except RoutesError as wrong:
        return str(wrong).splitlines(), []
    if not router.watches(target.name):
        return [], []
    lacking = {name: lack for name, channel in found.channels.items() if (lack := lacks(channel, environ))}
    told, known = [], []
    if deaf := router.silent(target.name, found.channels.keys() - lacking):
        lack = "; ".join(f"{name}: {what}" for name, what in lacking.items())
        told.append(f"nobody would hear of {', '.join(deaf)} on {target.name}: {lack}")
    told += unknown_causes(found.causes, checks)
    gap, measured = look_gap(target, environ)
    late = [s for s in Severity if gap is not None and router.too_slow(s, "", target.name, gap)]
    if gap is not None and late:
        word = "are" if measured else "are to be"
        known.append(
            f"{', '.join(late)}: an answer is due sooner than the next look (rounds {word} {duration(gap)} apart), so"
            " everybody is told at once: let `dialtone watch` run, or give the routes a longer ack_within"
        )
    return told, [*known, *lapsed(found.maintenance, time.time())]


def unknown_causes(causes: Mapping[str, Collection[str]], checks: Collection[str]) -> list[str]:
    """A sentence for each name in `[causes]` that no check has: it would explain nothing."""
    told = []
    for cause, patterns in causes.items():
        if not cause.startswith(PROVIDER) and not any(matches(check, [cause]) for check in checks):
            told.append(f"causes.{cause}: there is no such check: correct the name, or remove it")
        told += [
            f"causes.{cause} names {pattern!r}, which fits no check: correct it, or remove it"
            for pattern in patterns
            if not any(matches(check, [pattern]) for check in checks)
        ]
    return told


def look_gap(target: Target, environ: Mapping[str, str]) -> tuple[float | None, bool]:
    """How far apart looks at the timers are (s), None where something looks always; and whether that was measured."""
    if environ.get(RESIDENT):
        return None, False
    schedule = target.profile.schedule
    planned = schedule.every if schedule else HOLDS
    try:
        place = where(target, environ)
        if place is None or ("://" not in place and not Path(place).is_file()):
            return planned, False
        store = Store.open(place)
        try:
            usual = usual_gap(store.runs(target.name, time.time() - REMEMBERED))
        finally:
            store.close()
    except StoreError:
        return planned, False
    return planned if usual is None else usual, usual is not None
