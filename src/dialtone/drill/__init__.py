"""Experiments and drills: the story of an experiment, and the ledger of what was promised and what happened."""

from __future__ import annotations

from dialtone.drill.ledger import Answer, Duty, Entry, Ledger, Line, Outcome, Promise, Retry, reconcile

__all__ = ["Answer", "Duty", "Entry", "Ledger", "Line", "Outcome", "Promise", "Retry", "reconcile"]
