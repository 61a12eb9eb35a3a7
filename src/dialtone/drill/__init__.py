"""Experiments and drills: the story of an experiment, and the ledger of what was promised and what happened."""

from __future__ import annotations

from dialtone.drill.ledger import Answer, Duty, Entry, Ledger, Line, Outcome, Promise, Retry, reconcile
from dialtone.drill.schedule import Act

__all__ = ["Act", "Answer", "Duty", "Entry", "Ledger", "Line", "Outcome", "Promise", "Retry", "reconcile"]
