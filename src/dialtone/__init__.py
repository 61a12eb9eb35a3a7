"""Dialtone: synthetic checks and chaos experiments for a live service, as pytest tests.

A check imports `check`, `expect` and the judgements from here; everything else it asks for as a fixture.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = [
    "action",
    "check",
    "each",
    "eventually",
    "expect",
    "experiment",
    "fail",
    "fault",
    "note",
    "ok",
    "pick",
    "task",
    "undecided",
]

if TYPE_CHECKING:
    from dialtone.assertions import expect, note, pick
    from dialtone.drill.declared import experiment, fault
    from dialtone.judging import check, each, fail, ok, undecided
    from dialtone.probes.journal import eventually
    from dialtone.runbook.actions.item import action
    from dialtone.runbook.maintenance.item import task

_HOME = {
    "action": "dialtone.runbook.actions.item",
    "check": "dialtone.judging",
    "each": "dialtone.judging",
    "experiment": "dialtone.drill.declared",
    "fault": "dialtone.drill.declared",
    "degraded": "dialtone.judging",
    "fail": "dialtone.judging",
    "ok": "dialtone.judging",
    "task": "dialtone.runbook.maintenance.item",
    "undecided": "dialtone.judging",
    "expect": "dialtone.assertions",
    "note": "dialtone.assertions",
    "pick": "dialtone.assertions",
    "eventually": "dialtone.probes.journal",
}


def __getattr__(name: str) -> Any:
    """Load a public name on first use: the plugin has to stay cheap where nobody uses it."""
    if name not in _HOME:
        raise AttributeError(f"module 'dialtone' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value
