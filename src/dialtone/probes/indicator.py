"""Business indicators: figures that SQL of the profile takes from the target's database, held against an objective."""

from __future__ import annotations

from typing import Any

from dialtone.judging import running
from dialtone.objective import Objective
from dialtone.probes.database import Database
from dialtone.target import Target
from dialtone.verdict import Finding, Misdeclared, Undecided


def measure(target: Target, database: Database, name: str, what: str | None = None) -> Finding:
    """The finding on an indicator, `what` in words. Its SQL may ask for `%(window)s`, the objective's window (s).

    Raises Unarmed where the profile lacks it, Misdeclared where the SQL returns other columns than its kind needs.
    """
    spec = target.indicator(name)
    objective = target.objective(spec.objective)
    said = what or spec.what or name.replace("_", " ")
    rows = database.rows(spec.sql, {"window": objective.window})

    def column(row: dict[str, Any], wanted: str) -> Any:
        if wanted not in row:
            raise Misdeclared(f"indicators.{name} is a {spec.kind}: its sql has to return a column {wanted!r}")
        return row[wanted]

    if spec.kind == "rate":
        if not rows:
            raise Undecided(f"{said}: the query returns no row")
        events, samples = (int(column(rows[0], wanted) or 0) for wanted in ("events", "samples"))
        _window(objective, events if objective.direction == "below" else samples - events, samples)
        return objective.judge_rate(events, samples, what=said)
    values = [float(value) for row in rows if (value := column(row, "value")) is not None]
    if spec.kind == "quantile":
        level = objective.levels.alert
        _window(objective, sum(v > level for v in values) if level is not None else 0, len(values))
        return objective.judge_quantile(values, what=said)
    if not values:
        raise Undecided(f"{said}: the query returns no value")
    return objective.judge(values[0], what=said, samples=1)


def _window(objective: Objective, bad: int, samples: int) -> None:
    """Rounds look at the same events again: what confirms an incident has to know how much this window says at all."""
    running().notes["window"] = {"nats": round(objective.nats(bad, samples), 3), "seconds": objective.window or 0.0}
