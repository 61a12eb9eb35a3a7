"""Templates of profiles: what is filled in stays data and never becomes syntax."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialtone.template import TemplateError, body, fill, made, moments

calm = settings(deadline=None, max_examples=100)
texts = st.text(st.characters(exclude_categories=["Cs"]))


def test_placeholders_are_filled() -> None:
    """Blanks inside of the braces do not matter; dots belong to the name."""
    assert fill("/a/{{id}}/{{ tenant.id }}", {"id": 7, "tenant.id": "t-1"}) == "/a/7/t-1"


def test_a_placeholder_without_a_value_is_named() -> None:
    """The message says what is missing and what there is."""
    with pytest.raises(TemplateError, match=r"no value for \{\{nmae\}\}; there is id, name"):
        fill("{{nmae}}", {"name": "x", "id": 1})


@calm
@given(value=texts)
def test_a_value_is_not_a_template(value: str) -> None:
    """What was filled in is not looked at again."""
    assert fill("<{{a}}>", {"a": value, "b": "!"}) == f"<{value}>"


@calm
@given(value=texts, other=st.none() | st.booleans() | st.integers() | st.lists(st.integers()))
def test_a_value_in_json_stays_a_value(value: str, other: Any) -> None:
    """Quotes, backslashes and line breaks in a value do not end the string that it stands in."""
    made = body('{"text": "say {{a}}", "other": {{b}}}', {"a": value, "b": other})
    assert json.loads(made) == {"text": f"say {value}", "other": other}


def test_json_is_compact_or_indented_as_its_sender_writes_it() -> None:
    """A signature covers every blank."""
    template = '{ "a": 1,\n "b": ["ü"] }'
    assert body(template, {}) == '{"a":1,"b":["ü"]}'.encode()
    assert body(template, {}, indent=2) == json.dumps({"a": 1, "b": ["ü"]}, indent=2, ensure_ascii=False).encode()


def test_a_template_that_is_no_json_says_where() -> None:
    """The position, not the content."""
    with pytest.raises(TemplateError, match=r"not JSON after filling \(position 6\)"):
        body('{"a": {{b}}', {"b": "text without quotes"})


def test_moments_are_one_moment() -> None:
    """Seconds, milliseconds and ISO 8601 of the same clock reading."""
    assert moments(1_700_000_000.25) == {
        "now": 1_700_000_000,
        "now_ms": 1_700_000_000_250,
        "now_iso": "2023-11-14T22:13:20.250Z",
        "hour_ago": 1_699_996_400,
    }


def test_made_up_values_follow_the_seed() -> None:
    """The same seed gives the same phone number, in the asked form and length."""
    template = "+1500{{digits7}} {{token12}} {{hex32}} {{name}}"
    first, again = (made(template, Random(7), {"name": "n"}) for _ in range(2))  # noqa: S311
    assert first == again
    digits, token, hexes, name = first.split()
    assert (len(digits), len(token), len(hexes), name) == (12, 12, 32, "n")
    assert digits[1:].isdigit()
    assert token.isalnum()
    assert int(hexes, 16) >= 0
