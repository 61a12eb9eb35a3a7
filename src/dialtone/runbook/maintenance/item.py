"""Maintenance: what is to be looked at every week, month and quarter, run as far as a machine can.

    @task(every="weekly", runbook="maintenance", needs=["repair_database", "statements.slow_statements"])
    def review_slow_queries(work):
        \"\"\"Review slow queries.\"\"\"
        for row in work.rows("slow_statements"):
            work.note(f"{row['mean']} ms: {row['query']}")

A task looks, and says what it saw (`note`), what somebody should see to (`attention`), what is left to a person
(`person`). What it would change is a step, as in an action: taken with --yes, shown otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeVar

from dialtone.runbook.items import called, collect, hang, summary
from dialtone.runbook.maintenance.work import Work

Period = Literal["weekly", "monthly", "quarterly"]
PERIODS: tuple[Period, ...] = ("weekly", "monthly", "quarterly")
F = TypeVar("F", bound=Callable[[Work], None])


@dataclass(frozen=True, slots=True)
class Task:
    """One line of the maintenance procedures. `summary` is the line."""

    name: str
    summary: str
    every: Period
    runbook: str
    do: Callable[[Work], None] = field(repr=False)
    needs: Sequence[str] = ()


def task(*, every: Period, runbook: str, needs: Sequence[str] = ()) -> Callable[[F], F]:
    """Declare a function as a task of maintenance; its docstring's first line is the line of the runbook.

    `needs` are the settings without which it cannot be done here (as of checks).
    """

    def declare(function: F) -> F:
        line = summary(function).rstrip(".")
        hang(function, Task(called(function), line, every, runbook, function, tuple(needs)))
        return function

    return declare


def tasks(folder: Path) -> dict[str, Task]:
    """The tasks in the files of a folder, by name. Raises ItemsError."""
    return collect(folder, Task)
