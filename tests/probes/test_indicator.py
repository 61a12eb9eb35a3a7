"""Indicators: what SQL returns becomes a finding by their kind."""

from __future__ import annotations

from typing import Any, cast

import pytest

from dialtone.probes.database import Database
from dialtone.probes.indicator import measure
from dialtone.target import Profile, Target
from dialtone.verdict import Finding, Misdeclared, Unarmed, Undecided, Verdict

LEVELS = {
    "share": {"alert": 10, "unit": "%", "window": "24h"},
    "waiting": {"alert": 5, "unit": "count"},
    "lag": {"alert": 30, "unit": "s", "quantile": 0.9},
}


class Rows:
    """A database that returns these rows, and keeps what it was asked with."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self._rows = rows
        self.parameters: Any = None

    def rows(self, sql: str, parameters: Any) -> list[dict[str, Any]]:
        """See `Database.rows`."""
        self.parameters = parameters
        return self._rows


def measured(kind: str, objective: str, rows: list[dict[str, Any]], **more: str) -> tuple[Finding, Rows]:
    """The finding on an indicator of this kind."""
    spec = {"sql": "SELECT …", "objective": objective, "kind": kind, **more}
    tables = {"kind": "sandbox", "base_url": "http://a", "objectives": LEVELS, "indicators": {"late_parcels": spec}}
    database = Rows(rows)
    target = Target("here", Profile.model_validate(tables), {})
    return measure(target, cast("Database", database), "late_parcels"), database


def test_a_rate_is_a_share_of_its_samples() -> None:
    """Within the window of its objective, which the SQL is told in seconds."""
    finding, database = measured("rate", "share", [{"events": 50, "samples": 100}])
    assert (finding.verdict, finding.value) == (Verdict.BREACH, 50)
    assert finding.reason == "late parcels: 50% (50 of 100), above the alert level 10%"
    assert database.parameters == {"window": 86_400}
    assert measured("rate", "share", [{"events": None, "samples": 0}])[0].verdict is Verdict.UNKNOWN


def test_a_value_is_held_against_the_levels() -> None:
    """The first row says it; in the words of the profile, if it has any."""
    finding, _ = measured("value", "waiting", [{"value": 7}], what="parcels that wait")
    assert finding.verdict is Verdict.BREACH
    assert finding.reason == "parcels that wait: 7, above the alert level 5"
    assert measured("value", "waiting", [{"value": 5}])[0].verdict is Verdict.OK


def test_a_quantile_is_one_of_all_rows() -> None:
    """What has no value is no sample."""
    finding, _ = measured("quantile", "lag", [{"value": 3}] * 90 + [{"value": None}] * 9)
    assert (finding.verdict, finding.samples) == (Verdict.OK, 90)


@pytest.mark.parametrize(("kind", "objective"), [("rate", "share"), ("value", "waiting"), ("quantile", "lag")])
def test_a_wrong_column_is_a_mistake_of_the_profile(kind: str, objective: str) -> None:
    """Told by name and column; the check is broken, the target is not bad."""
    wanted = "events" if kind == "rate" else "value"
    with pytest.raises(Misdeclared, match=f"late_parcels is a {kind}: its sql has to return a column '{wanted}'"):
        measured(kind, objective, [{"count": 1}])


@pytest.mark.parametrize(("kind", "objective"), [("rate", "share"), ("value", "waiting")])
def test_nothing_is_undecided(kind: str, objective: str) -> None:
    """No row is no figure."""
    with pytest.raises(Undecided, match="returns no"):
        measured(kind, objective, [])


def test_an_unknown_name_is_unarmed() -> None:
    """As everything that a profile lacks."""
    target = Target("here", Profile.model_validate({"kind": "sandbox", "base_url": "http://a"}), {})
    with pytest.raises(Unarmed, match=r"indicators\.gone"):
        measure(target, cast("Database", Rows([])), "gone")
