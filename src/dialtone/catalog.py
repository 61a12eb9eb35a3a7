"""`dialtone checks`: every check with its effect, what it reads of providers in a month, and what it needs on a target.

The checks are collected, not run, and the profile is read without a request; what the environment lacks is named, not
missed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from textwrap import wrap
from typing import Any

from dialtone.target import ProfileError, Target
from dialtone.target.load import describe, nearest
from dialtone.verdict import Effect, Misdeclared

WIDTH = 80
_BOUND = 120.0  # seconds for collecting


class CatalogError(Exception):
    """The checks cannot be collected; the message says why."""


@dataclass(frozen=True, slots=True)
class Row:
    """One check function. `cases` are those of a parametrised one; `reads` a month by provider, all cases together.

    `refused` says what the target would have to allow, or that it never will, `lacks` which settings the profile has
    not, `variables` what the environment has to hold.
    """

    id: str
    severity: str
    effect: str
    runbook: str
    cases: list[str] = field(default_factory=list)
    reads: dict[str, int] = field(default_factory=dict)
    refused: str | None = None
    lacks: list[str] = field(default_factory=list)
    variables: list[str] = field(default_factory=list)

    @property
    def runs(self) -> bool:
        """Whether it runs on the target, once the environment holds what it needs."""
        return not self.refused and not self.lacks


def collected(arguments: Sequence[str], target: str, config: Path | None = None) -> list[dict[str, Any]]:
    """What the checks below these paths declare. Raises CatalogError."""
    environment = {"DIALTONE_CONFIG": str(config)} if config else {}
    with tempfile.TemporaryDirectory(prefix="dialtone-checks-") as folder:
        catalog = Path(folder) / "catalog.json"
        command = [sys.executable, "-m", "pytest", *arguments, "--target", target, "--collect-only", "-q"]
        done = subprocess.run(
            [*command, "-p", "no:cacheprovider", "-p", "no:randomly"],
            env={**os.environ, **environment, "DIALTONE_CATALOG": str(catalog)},
            capture_output=True,
            text=True,
            check=False,
            timeout=_BOUND,
        )
        if done.returncode or not catalog.exists():
            said = (done.stdout + done.stderr).strip().splitlines() or ["nothing was said"]
            raise CatalogError(f"the checks cannot be collected: {said[-1]}")
        found: list[dict[str, Any]] = json.loads(catalog.read_text())["checks"]
    return [entry for entry in found if not entry["experiment"]]


def rows(entries: Sequence[Mapping[str, Any]], target: Target) -> list[Row]:
    """One row for each function, by section of the runbook, the most severe first."""
    schedule = target.profile.schedule
    rounds = schedule.rounds_a_month if schedule else 1
    made: dict[str, Row] = {}
    for entry in entries:
        needs = [*entry["needs"], *([f"objectives.{entry['objective']}"] if entry["objective"] else [])]
        needs += [f"providers.{name}" for name in entry["reads"]]
        row = made.get(entry["function"]) or Row(
            entry["function"],
            entry["severity"],
            entry["effect"],
            entry["runbook"],
            refused=_refused(target, Effect(entry["effect"])),
        )
        _, bracket, case = entry["id"].partition("[")
        missing = lacks(target, needs)
        reads = Counter(row.reads)
        if not missing and not row.refused:
            reads.update({name: count * rounds for name, count in entry["reads"].items()})
        made[row.id] = replace(
            row,
            cases=[*row.cases, case.rstrip("]")] if bracket else row.cases,
            reads=dict(reads),
            lacks=[lack for lack in missing if not row.cases or lack in row.lacks],  # what every case lacks
            variables=sorted({*row.variables, *variables(target, needs)}),
        )
    return sorted(made.values(), key=lambda row: (row.runbook, row.severity, row.id))


def _refused(target: Target, effect: Effect) -> str | None:
    if effect in target.effects:
        return None
    if effect is Effect.DISRUPTS and target.profile.kind == "production":
        return "production is never disrupted"
    return f"{effect} in effects"


def lacks(target: Target, needs: Sequence[str]) -> list[str]:
    """Settings that the profile has not; credentials are taken for present."""
    try:
        present = replace(target, credentials=dict.fromkeys(target.profile.credentials, "present"))
        return list(dict.fromkeys(present.lacks(needs)))
    except Misdeclared as wrong:
        return [str(wrong)]


class _Noted(dict[str, str]):
    """Credentials that are all there; which of them were asked for."""

    def __init__(self, names: Iterable[str]) -> None:
        super().__init__(dict.fromkeys(names, "present"))
        self.asked: list[str] = []

    def __getitem__(self, name: str) -> str:
        self.asked.append(name)
        return super().__getitem__(name)


def variables(target: Target, needs: Sequence[str]) -> Iterator[str]:
    """The variables of the environment behind the credentials that these needs stand for."""
    noted = _Noted(target.profile.credentials)
    with suppress(Misdeclared):  # told by lacks
        replace(target, credentials=noted).lacks(needs)
    yield from (target.profile.credentials[name] for name in noted.asked)


def standing(entries: Sequence[Mapping[str, Any]], target: Target) -> tuple[list[str], dict[str, list[str]]]:
    """The ids that are armed on a target in this environment, and those that are not, by the reason."""
    armed: list[str] = []
    unarmed: dict[str, list[str]] = {}
    for entry in entries:
        needs = [*entry["needs"], *([f"objectives.{entry['objective']}"] if entry["objective"] else [])]
        try:
            reason = target.refuses(Effect(entry["effect"])) or "; ".join(target.lacks(needs))
        except Misdeclared as wrong:
            reason = str(wrong)
        if reason:
            unarmed.setdefault(reason, []).append(entry["id"])
        else:
            armed.append(entry["id"])
    return armed, unarmed


def totals(found: Sequence[Row]) -> dict[str, int]:
    """Reads a month by provider."""
    summed: Counter[str] = Counter()
    for row in found:
        summed.update(row.reads)
    return dict(sorted(summed.items()))


def text(found: Sequence[Row], target: Target, width: int = WIDTH) -> str:
    """The table for a terminal, never wider than `width`."""
    lines: list[str] = []
    for runbook in dict.fromkeys(row.runbook for row in found):
        lines += ["", runbook]
        for row in (row for row in found if row.runbook == runbook):
            cases = f" ({len(row.cases)} cases)" if len(row.cases) > 1 else ""
            reads = ", ".join(f"{name} {count:,}" for name, count in row.reads.items())
            head = f"  {row.severity} {row.effect:<8} {row.id}{cases}"
            lines.append(head)
            for words in (f"reads a month: {reads}" if reads else "", _wants(row)):
                lines += [f"{'':14}{line}" for line in wrap(words, width - 14, break_on_hyphens=False)]
    return "\n".join([*lines[1:], "", *_summary(found, target, width)])


def _wants(row: Row) -> str:
    if row.effect == Effect.DISRUPTS and row.refused:
        return f"never runs: {row.refused}"
    needs = ", ".join([*([row.refused] if row.refused else []), *row.variables])
    words = [*([f"needs {needs}"] if needs else []), *row.lacks]
    return "; ".join([*(["does not run"] if row.refused or row.lacks else []), *words])


def _summary(found: Sequence[Row], target: Target, width: int) -> list[str]:
    run = [row for row in found if row.runs]
    refused = Counter(row.effect for row in found if row.refused)
    words = f"{len(run)} of {len(found)} check functions can run on {target.name}"
    if refused:
        words += f"; not allowed there: {', '.join(f'{count} {effect}' for effect, count in refused.items())}"
    lines = wrap(words, width)
    schedule = target.profile.schedule
    for name, count in totals(found).items():
        quota = target.profile.providers[name].quota
        when = f"in {schedule.rounds_a_month:,} rounds a month" if schedule else "a round"
        lines.append(f"{name}: {count:,} reads {when}" + (f", of {quota:,} allowed" if quota else ""))
    return lines


def markdown(found: Sequence[Row], target: Target) -> str:
    """The same as a page of the documentation."""
    lines = [
        "# Every check",
        "",
        f"What each does, what it reads of providers in a month, and what it needs on the target `{target.name}`.",
        f"`dialtone checks --target {target.name} --markdown` prints this page, and a test compares them.",
        "",
    ]
    for runbook in dict.fromkeys(row.runbook for row in found):
        lines += [
            f"## {runbook}",
            "",
            "| check | severity | effect | reads a month | there it |",
            "|---|---|---|---|---|",
        ]
        for row in (row for row in found if row.runbook == runbook):
            cases = f", {len(row.cases)} cases" if len(row.cases) > 1 else ""
            reads = ", ".join(f"{name} {count:,}" for name, count in row.reads.items()) or "none"
            wants = _wants(row) or "needs nothing more"
            lines.append(f"| `{row.id}`{cases} | {row.severity} | {row.effect} | {reads} | {wants} |")
        lines.append("")
    return "\n".join([*lines, *(f"{line}  " for line in _summary(found, target, 10_000))]) + "\n"


def document(found: Sequence[Row], target: Target) -> dict[str, Any]:
    """The same as data."""
    schedule = target.profile.schedule
    quotas = {name: provider.quota for name, provider in target.profile.providers.items()}
    return {
        "target": target.name,
        "rounds_a_month": schedule.rounds_a_month if schedule else None,
        "checks": [{**asdict(row), "runs": row.runs} for row in found],
        "reads": {name: {"reads": count, "quota": quotas.get(name)} for name, count in totals(found).items()},
    }


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command; it sets `run`, a function from the arguments to an exit code."""
    parser = commands.add_parser(
        "checks",
        help="every check with its effect, its reads of providers, and what it needs on a target",
        description="Collects the checks, without running one, and says what each does on a target: its effect, its"
        " reads of providers in a month of rounds, the variables it needs, or why it never runs there.",
    )
    parser.add_argument("--target", default="production", metavar="NAME", help="target (default: production)")
    parser.add_argument("--config", type=Path, default=None, help="the profile file (default: dialtone.toml)")
    parser.add_argument("--json", action="store_true", help="as JSON")
    parser.add_argument("--markdown", action="store_true", help="as a page of documentation")
    parser.add_argument("paths", nargs="*", default=["checks"], help="files or folders of checks (default: checks)")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    try:
        target = describe(args.config or nearest(), args.target, os.environ)
        found = rows(collected(args.paths, args.target, args.config), target)
    except (ProfileError, CatalogError) as wrong:
        print(wrong, file=sys.stderr)
        return 4
    if args.json:
        print(json.dumps(document(found, target), indent=1))
    else:
        print(markdown(found, target) if args.markdown else text(found, target), end="" if args.markdown else "\n")
    return 0
