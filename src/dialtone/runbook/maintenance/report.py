"""The report of a round of maintenance: Markdown with a tick for each line that is done, dated, for the team."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from dialtone.redact import secrets
from dialtone.runbook.maintenance.run import Done, State

_WORDS = {
    State.DONE: "",
    State.ATTENTION: "see to what was found",
    State.WAITING: "not done: run it again with --yes",
    State.PERSON: "the rest is a person's",
    State.UNARMED: "not done: unarmed",
    State.FAILED: "FAILED",
}


def report(target: str, period: str, done: Sequence[Done], at: float, runbook: str = "") -> str:
    """The whole report."""
    ticked = sum(one.is_ticked for one in done)
    day = datetime.fromtimestamp(at, UTC)
    lines = [
        f"# {period.capitalize()} maintenance of {target}, {day:%Y-%m-%d}",
        "",
        f"{ticked} of {len(done)} done, at {day:%H:%M} UTC." + (f" The procedures: {runbook}" if runbook else ""),
        "",
    ]
    for one in done:
        lines += _task(one)
    left = [f"- [ ] {one.line}: {text}" for one in done for text in _left(one)]
    lines += ["", "## Left to a person", "", *(left or ["Nothing."]), ""]
    return secrets.scrub("\n".join(lines))


def write(folder: Path, target: str, period: str, text: str, at: float) -> Path:
    """Write the report to a file of its day; a second one of that name on the same day replaces the first."""
    day = datetime.fromtimestamp(at, UTC)
    path = folder / "maintenance" / f"{day:%Y-%m-%d}-{period}-{re.sub(r'[^A-Za-z0-9_-]', '-', target)}.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def _task(one: Done) -> list[str]:
    mark = "x" if one.is_ticked else " "
    words = _WORDS[one.state]
    lines = [f"- [{mark}] **{one.line}**" + (f" ({words})" if words else "")]
    lines += [f"  - {one.reason}"] if one.reason else []
    lines += [f"  - **{text}**" for text in one.attentions]
    lines += [f"  - {text}" for text in one.notes]
    for step in one.steps:
        came = "" if step.came is None else f": {'FAILED, ' if step.failed else ''}{step.came}"
        lines.append(f"  - {step.what}{came}")
        if step.came is None:
            lines += [f"    {line}".rstrip() for line in ("```", *step.shown, "```")]
    return lines


def _left(one: Done) -> list[str]:
    """What of a task is left to a person."""
    found = [*one.persons, *one.attentions]
    if one.state is State.WAITING:
        found.append(f"{len(one.steps)} {'step waits' if len(one.steps) == 1 else 'steps wait'} for --yes")
    if one.state in (State.UNARMED, State.FAILED):
        found.append(one.reason or "; ".join(f"{s.what}: {s.came}" for s in one.steps if s.failed))
    return found
