"""Rounds: the same checks again and again, each round a session of pytest in a process of its own."""

from dialtone.watch.rounds import Round, rounds
from dialtone.watch.supervisor import supervise

__all__ = ["Round", "rounds", "supervise"]
