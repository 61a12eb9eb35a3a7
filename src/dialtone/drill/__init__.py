"""Experiments and drills: the story of an experiment, and the ledger of what was promised and what happened."""

from __future__ import annotations

from dialtone.drill.ledger import Answer, Duty, Entry, Ledger, Line, Outcome, Promise, Retry, reconcile
from dialtone.drill.story import Story

__all__ = ["Answer", "Duty", "Entry", "Ledger", "Line", "Outcome", "Promise", "Retry", "Story", "reconcile"]
