"""What a look found loses the data of customers and keeps what on-call needs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialtone.runbook.masking import masked, statement


@pytest.mark.parametrize(
    ("sql", "shown"),
    [
        ("SELECT * FROM a WHERE b = 'Mary O''Neil' AND c = 15", "SELECT * FROM a WHERE b = ? AND c = ?"),
        ("select E'it\\'s', $$body of Mary$$, $x$y$x$ from t1", "select ?, ?, ? from t1"),
        ("SELECT $1, id -- for Mary\nFROM users /* +15005550001 */", "SELECT $1, id ? FROM users ?"),
        ("UPDATE t SET a = 1.5e3, b = 'not closed", "UPDATE t SET a = ?, b = ?"),
    ],
)
def test_a_statement_keeps_its_words(sql: str, shown: str) -> None:
    """Literals and comments go, names and parameters stay."""
    assert statement(sql) == shown
    assert masked(sql) == shown


@given(st.text(alphabet=st.characters(blacklist_characters="'\\", codec="utf-8"), min_size=4, max_size=30))
def test_no_literal_is_ever_shown(word: str) -> None:
    """Whatever stands between quotes is gone."""
    literal = f"'{word}'"
    assert statement(" ".join(["SELECT id FROM t WHERE name =", literal, "AND x =", literal])) == (
        "SELECT id FROM t WHERE name = ? AND x = ?"
    )


def test_long_statements_end() -> None:
    """Two hundred characters tell which statement it is."""
    assert len(statement(f"SELECT {', '.join(f'column{n}' for n in range(99))}")) == 201


def test_values_of_rows() -> None:
    """Numbers, times and names of things stay; quotes, addresses and long numbers do not; it is JSON."""
    row = {
        "pid": 17,
        "seconds": Decimal("1.23456"),
        "at": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        "age": timedelta(minutes=2),
        "state": "idle in transaction",
        "who": "mary@example.com",
        "said": 'no slot for "Mary"',
        "phone": "+15005550001",
        "none": None,
    }
    assert masked(row) == {
        "pid": 17,
        "seconds": 1.235,
        "at": "2026-01-02T03:04:05+00:00",
        "age": "120.0 s",
        "state": "idle in transaction",
        "who": "…@…",
        "said": "no slot for '…'",
        "phone": "…",
        "none": None,
    }
