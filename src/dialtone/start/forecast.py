"""`dialtone forecast`: what a month of a configuration costs, reckoned before the first run.

GitHub bills each job by started minutes. How often the workflows start is read from them; how long a run takes is what
was measured or assumed, and says which. Reads of providers are the declared ones, requests the most that a round may
send. What is above the allowance of the profile is refused.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from math import ceil
from pathlib import Path
from typing import Any

from dialtone.catalog import CatalogError, collected, rows, totals
from dialtone.start.cron import CronError, starts_a_month
from dialtone.target import ProfileError, Target
from dialtone.target.load import alerting, describe, nearest


@dataclass(frozen=True, slots=True)
class Price:
    """What one unit costs, dollars; where that was read, and when."""

    what: str
    dollars: float
    source: str
    read: str


PRICES = {
    "minute": Price(
        "a minute of a Linux runner with 2 cores, private repository",
        0.006,
        "github/docs: data/reusables/billing/actions-standard-runner-prices.md",
        "2026-11-26",
    ),
    "free": Price(
        "minutes within the plan: 2,000 (Free), 3,000 (Pro, Team), 50,000 (Enterprise); none are billed in a public"
        " repository or on a runner of one's own",
        0.0,
        "docs.github.com/billing/concepts/product-billing/github-actions",
        "2026-11-26",
    ),
}
SECONDS = {"checks": 55.0, "gate": 170.0, "drill": 900.0, "maintenance": 170.0, "pages": 170.0}
"""What a run takes, where nothing else is said: `bench/checks_job.py` measures the first, the others are assumed."""
TRANSITIONS = 4
"""Messages of one incident: opened, worse, better, over."""


@dataclass(frozen=True, slots=True)
class Flow:
    """One workflow in a month: how often it starts, billed minutes of one start, and on what that rests."""

    name: str
    starts: float
    minutes: int
    basis: str

    @property
    def total(self) -> int:
        """Billed minutes of the month."""
        return ceil(self.starts * self.minutes)


@dataclass(frozen=True, slots=True)
class Forecast:
    """A month. `unknown` is what could not be reckoned, `above` what the profile does not allow, in words."""

    target: str
    flows: list[Flow]
    minutes: int
    money: float
    requests: int
    sentry_events: int
    reads: dict[str, tuple[int, int | None]]
    unknown: list[str] = field(default_factory=list)
    above: list[str] = field(default_factory=list)


def flows(folder: Path, gates: int, seconds: Mapping[str, float]) -> tuple[list[Flow], list[str]]:
    """The workflows of a repository, and those whose starts cannot be known. Raises CronError for one that is none."""
    import yaml

    found, unknown = [], []
    for path in sorted([*folder.glob("*.yml"), *folder.glob("*.yaml")]):
        try:
            told = yaml.safe_load(path.read_text())
            when = told[True] if True in told else told["on"]  # YAML 1.1 takes `on` for true
            jobs = told["jobs"]
        except (yaml.YAMLError, TypeError, KeyError):
            raise CronError(f"{path}: not a workflow") from None
        events = {when: None} if isinstance(when, str) else dict.fromkeys(when) if isinstance(when, list) else when
        starts = sum(starts_a_month(entry["cron"]) for entry in events.get("schedule") or ())
        starts += gates if "deployment_status" in events or "repository_dispatch" in events else 0
        if starts:
            found.append(Flow(path.stem, starts, *_minutes(path.stem, jobs, seconds)))
        if set(events) & {"push", "pull_request"}:
            unknown.append(f"{path.stem}: starts with pushes, which nobody can foresee; it is not in the sum")
    return found, unknown


def _minutes(name: str, jobs: Mapping[str, Any], seconds: Mapping[str, float]) -> tuple[int, str]:
    """Billed minutes of one start: each job by itself, the first as long as is said, others a minute."""
    if name in seconds or name in SECONDS:
        first = seconds.get(name, SECONDS.get(name, 0.0))
        basis = f"{first:.0f} s {'as told' if name in seconds else 'assumed'}"
        return ceil(first / 60) + sum("needs" in job for job in jobs.values()), basis
    bound = sum(int(job.get("timeout-minutes", 360)) for job in jobs.values())
    return bound, "its time limit: nothing is known of it"


def forecast(
    target: Target, entries: Sequence[Mapping[str, Any]], found: Sequence[Flow], unknown: Sequence[str], alerts: bool
) -> Forecast:
    """Reckon a month of a target with these checks and workflows."""
    profile, allowed = target.profile, target.profile.allowance
    table = rows(entries, target)
    runs = {row.id for row in table if row.runs}
    armed = [entry for entry in entries if entry["function"] in runs]
    schedule = profile.schedule
    rounds = schedule.rounds_a_month if schedule else round(next((f.starts for f in found if f.name == "checks"), 0))
    budget = None if profile.client_address else profile.budget
    free = sum(entry["requests"] + 300 * entry["samples"] for entry in armed)
    requests = rounds * (min(free, budget.per_round) if budget else free)
    provoked = sum(entry["effect"] == "provokes" for entry in armed)
    events = rounds * provoked + (ceil(profile.history.false_pages) * TRANSITIONS if alerts else 0)
    minutes = sum(flow.total for flow in found)
    over = max(0, minutes - allowed.included_minutes) if allowed.private else 0
    money = over * PRICES["minute"].dollars
    reads = {name: (count, profile.providers[name].quota) for name, count in totals(table).items()}
    told = [*unknown]
    costly = sorted({str(entry["function"]) for entry in armed if entry["effect"] == "costs"})
    told += [f"{', '.join(costly)}: cost money at a provider, of which no price is known here"] if costly else []
    watched = round(sum(f.starts for f in found if f.name == "checks"))
    if schedule and watched and abs(watched - rounds) > 0.1 * rounds:
        told.append(f"the profile says {rounds:,} rounds a month (schedule.every), the workflow starts {watched:,}")
    above = [
        f"{what}: {value:,.{digits}f}, {bound:,.{digits}f} allowed"
        for what, value, bound, digits in (
            ("minutes of GitHub Actions", minutes, allowed.minutes, 0),
            ("dollars", money, allowed.money, 2),
            ("lines in the target's logs", requests, allowed.log_lines, 0),
            ("events at Sentry", events, allowed.sentry_events, 0),
            *((f"reads of {name}", count, quota, 0) for name, (count, quota) in reads.items()),
        )
        if bound is not None and value > bound
    ]
    return Forecast(target.name, list(found), minutes, round(money, 2), requests, events, reads, told, above)


def text(told: Forecast, target: Target) -> str:
    """For people."""
    allowed = target.profile.allowance
    lines = [f"a month of {told.target}", ""]
    for flow in told.flows:
        basis = f"{flow.minutes} billed each ({flow.basis})"
        lines.append(f"  {flow.name:<12}{flow.starts:>8,.0f} starts  {flow.total:>7,} minutes  {basis}")
    free = f"{allowed.included_minutes:,} free" if allowed.private else "free in a public repository"
    lines += ["", f"  GitHub Actions       {told.minutes:>9,} minutes, {free}: ${told.money:,.2f}"]
    lines.append(f"  requests, log lines  {told.requests:>9,} at most")
    lines.append(f"  events at Sentry     {told.sentry_events:>9,} at most")
    for name, (count, quota) in sorted(told.reads.items()):
        lines.append(f"  reads of {name:<12}{count:>9,}" + (f" of {quota:,}" if quota else ", no quota in the profile"))
    lines += ["", *(f"not known: {line}" for line in told.unknown)] if told.unknown else []
    price = PRICES["minute"]
    lines += ["", f"prices: ${price.dollars} {price.what} ({price.source}, read {price.read})"]
    lines += [f"above the allowance: {line}" for line in told.above] or ["within the allowance"]
    return "\n".join(lines)


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command; it sets `run`, a function from the arguments to an exit code."""
    parser = commands.add_parser(
        "forecast",
        help="what a month costs: Actions minutes, reads of providers, log lines, Sentry events, money",
        description="Reckons a month from the workflows, the checks and the profile, without a request. Exit codes: 0"
        " within the allowance of the profile, 1 above it, 4 something cannot be read.",
        epilog="dialtone forecast --seconds checks=48 --seconds gate=150",
    )
    parser.add_argument("--target", default="production", metavar="NAME", help="what is watched (production)")
    parser.add_argument("--config", type=Path, default=None, help="the profile file (default: dialtone.toml)")
    parser.add_argument("--workflows", type=Path, metavar="FOLDER", help="default: .github/workflows beside it")
    parser.add_argument("--seconds", action="append", default=[], metavar="NAME=S", help="what a run of one takes")
    parser.add_argument("--json", action="store_true", help="as JSON")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    config = args.config or nearest()
    root = config.resolve().parent
    try:
        seconds = {name: float(value) for name, _, value in (pair.partition("=") for pair in args.seconds)}
        target = describe(config, args.target, os.environ)
        found, unknown = flows(args.workflows or root / ".github/workflows", target.profile.allowance.gates, seconds)
        entries = collected([str(root / "checks")], args.target, config)
        alerts = any(channel.kind == "sentry" for channel in alerting(config).channels.values())
        told = forecast(target, entries, found, unknown, alerts)
    except ModuleNotFoundError:
        print("reading workflows needs PyYAML: pip install 'pytest-dialtone[start]'", file=sys.stderr)
        return 4
    except (ProfileError, CatalogError, CronError, ValueError) as wrong:
        print(wrong, file=sys.stderr)
        return 4
    print(json.dumps(asdict(told), indent=1) if args.json else text(told, target))
    return 1 if told.above else 0
