"""Actions: what the runbook does by hand and is safe to script.

    @action(runbook="database", needs=["repair_database", "statements.long_queries"], options={"older": "60s"})
    def end_long_queries(plan):
        \"\"\"End the queries that have been running for long.\"\"\"
        for row in plan.rows("long_queries", seconds=plan.seconds("older")):
            plan.statement(f"end the query of process {row['pid']}", "end_query", pid=row["pid"])

An action looks at the target, reading only, and lists the steps that are needed now. Where nothing is needed it lists
none: that makes it idempotent. Whether the steps are shown or taken is not its business.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from dialtone.runbook.actions.plan import Plan
from dialtone.runbook.items import called, collect, hang, summary

F = TypeVar("F", bound=Callable[[Plan], None])


@dataclass(frozen=True, slots=True)
class Action:
    """One item of `dialtone do`. `takes` is the usage of its words, of which it needs `least`."""

    name: str
    summary: str
    runbook: str
    make: Callable[[Plan], None] = field(repr=False)
    needs: Sequence[str] = ()
    takes: str = ""
    least: int = 0
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def usage(self) -> str:
        """How it is called, after `dialtone do`."""
        options = [f"[{name}={value}]" for name, value in self.options.items()]
        return " ".join(filter(None, [self.name, self.takes, *options]))


def action(
    *,
    runbook: str,
    needs: Sequence[str] = (),
    takes: str = "",
    least: int = 0,
    options: Mapping[str, str] | None = None,
) -> Callable[[F], F]:
    """Declare a function as an action.

    `runbook` is the anchor of its section, `needs` the settings without which it cannot be used (as of checks),
    `takes` the usage of further words of the command line and `least` how many there have to be, `options` the
    options with their defaults, given as `name=value`.
    """

    def declare(function: F) -> F:
        made = Action(called(function), summary(function), runbook, function, tuple(needs), takes, least, options or {})
        hang(function, made)
        return function

    return declare


def actions(folder: Path) -> dict[str, Action]:
    """The actions in the files of a folder, by name. Raises ItemsError."""
    return collect(folder, Action)
