"""SQL for people to read: every parameter in its place, as the server would read it."""

from __future__ import annotations

import pytest

from dialtone.probes.spelled import spelled

pytest.importorskip("psycopg")


@pytest.mark.parametrize(
    ("sql", "params", "text"),
    [
        ("SELECT %(a)s", {"a": 7}, "SELECT 7"),
        ("SELECT %(a)s, %(a)s", {"a": "o'clock"}, "SELECT 'o''clock', 'o''clock'"),
        ("SELECT 'a%%' || %(a)s", {"a": None}, "SELECT 'a%' || NULL"),
        (" SELECT %(ids)s ", {"ids": ["a", "b"]}, "SELECT '{a,b}'"),
        ("SELECT %(a)s", {"a": "%(b)s", "b": 1}, "SELECT '%(b)s'"),
        ("SELECT 100 %% 7", {}, "SELECT 100 % 7"),
    ],
)
def test_parameters_are_spelled_out(sql: str, params: dict[str, object], text: str) -> None:
    """Quoted as literals; what a value holds is never taken for a parameter."""
    assert spelled(sql, params) == text


def test_a_parameter_without_a_value_is_a_mistake() -> None:
    """Better no line than one that would not be run like this."""
    with pytest.raises(KeyError):
        spelled("SELECT %(a)s", {})
