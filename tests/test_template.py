"""Templates of profiles: what is filled in stays data and never becomes syntax."""

from __future__ import annotations

import json
from random import Random
from typing import Any
from urllib.parse import parse_qsl
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialtone.template import TemplateError, body, fill, made, moments, rewritten, typed

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


FORM = "application/x-www-form-urlencoded"


@calm
@given(value=texts)
def test_a_value_in_a_form_stays_a_value(value: str) -> None:
    """No value ends its field, or begins another; what the template says itself is sent as it stands."""
    made = body("From=%2B1&Body={{text}}&Last=1", {"text": value}, content_type=FORM)
    assert made.startswith(b"From=%2B1&Body=")
    assert parse_qsl(made.decode(), keep_blank_values=True) == [("From", "+1"), ("Body", value), ("Last", "1")]


def test_a_form_is_told_from_what_is_none() -> None:
    """A JSON template under the type of a form is a mistake of the profile."""
    with pytest.raises(TemplateError, match="not a form"):
        body('{"a": 1}', {}, content_type=FORM)


@pytest.mark.parametrize(
    ("template", "content", "kind"),
    [
        (' {"a": "{{x}}"}', b'{"a":"1&2"}', "application/json"),
        ("a={{x}}", b"a=1%262", FORM),
    ],
)
def test_a_request_says_its_type_by_its_form(template: str, content: bytes, kind: str) -> None:
    """JSON begins with a brace or a bracket; what does not is a form."""
    assert typed(template, {"x": "1&2"}) == (content, {"content-type": kind})


@calm
@given(value=st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Co", "Cn"])))
def test_a_value_in_xml_stays_a_value(value: str) -> None:
    """Neither in an element nor in an attribute."""
    made = body('<a b="{{x}}">{{x}}</a>', {"x": value}, content_type="text/xml; charset=utf-8")
    tree = ElementTree.fromstring(made)  # noqa: S314 - made here
    assert (tree.get("b"), tree.text or "") == (value, value)


def test_other_text_is_sent_as_it_stands() -> None:
    """Without any escaping: nothing is known of it."""
    assert body("id={{x}}&\n", {"x": "a&b"}, content_type="text/plain") == b"id=a&b&\n"


def test_the_same_in_other_bytes() -> None:
    """A JSON body is indented otherwise, a form escaped otherwise; of other types nothing is known."""
    for kind, plain, indent in (("application/json", b'{"a":[1]}', None), ("application/json", b'{\n "a": [1]\n}', 1)):
        other = rewritten(plain, kind, indent)
        assert other
        assert other != plain
        assert json.loads(other) == json.loads(plain)
    form = b"a=1&b=+x&c="
    other = rewritten(form, FORM)
    assert other == b"a=%31&b=%20%78&c="
    assert parse_qsl(other, keep_blank_values=True) == parse_qsl(form, keep_blank_values=True)
    assert rewritten(b"<a/>", "text/xml") is None
