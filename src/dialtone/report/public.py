"""What of a run may be shown to anybody: a list of what is allowed, so that something new is not shown by itself.

Logs and artifacts of a public repository are public. Pages, badge and status page are made from this, never from
`verdicts.json`: no reason, no value, no address, no evidence.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
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
