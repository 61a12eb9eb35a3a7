"""What of a run may be shown to anybody: a list of what is allowed, so that something new is not shown by itself.

Logs and artifacts of a public repository are public. Pages, badge and status page are made from this, never from
`verdicts.json`: no reason, no value, no address, no evidence.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from dialtone.report.terminal import state

FIELDS = ("id", "severity", "verdict", "kind", "armed", "experiment")
"""What is told of one check."""
TOP = ("target", "started", "finished", "exit_code")
"""What is told of the run."""
FORM = 1
"""Of the document; a reader refuses one that it does not know."""


def public(document: Mapping[str, Any]) -> dict[str, Any]:
    """The document of a run, as far as anybody may see it."""
    checks = [{name: entry.get(name) for name in FIELDS} for entry in document.get("checks", ())]
    told = {name: document.get(name) for name in TOP}
    return {"form": FORM, **told, "counts": dict(Counter(map(state, checks))), "checks": checks}


COMPONENT = ("name", "state", "days")
"""What customers are told of one component; of a day: its state, and nothing about who did not observe it."""
INCIDENT = ("began", "ended", "components")
"""What customers are told of one incident: no cause, no check, no reason."""
STATUS = ("form", "at", "state", "since", "components", "incidents")
"""What customers are told at all."""
_SAYS = {
    "critical": "down", "breach": "down", "broken": "unknown", "offline": "unknown", "refused": "unknown",
    "undecided": "unknown", "not seen": "unknown", "unarmed": "unknown", "degraded": "degraded", "ok": "up",
}  # fmt: skip


def says(words: Iterable[str]) -> str:
    """The state of a component from those of its checks: unknown as long as not half of them say something.

    A check that is down makes it `degraded` as long as another one is up: something is left of it.
    """
    found = [_SAYS.get(word, "unknown") for word in words]
    known = {state for state in found if state != "unknown"}
    if "down" in known:
        return "down" if known == {"down"} else "degraded"
    if 2 * found.count("unknown") > len(found) or not known:
        return "unknown"
    return "degraded" if "degraded" in known else "up"


def members(components: Mapping[str, Sequence[str]], checks: Sequence[str], target: str) -> dict[str, list[str]]:
    """Component -> its checks, by the patterns of the profile; without any all checks are one, named after the target.

    A check that no component claims is nobody's business but the team's.
    """
    if not components:
        return {target: list(checks)}
    return {
        name: [check for check in checks if any(fnmatchcase(check, pattern) for pattern in patterns)]
        for name, patterns in components.items()
    }
