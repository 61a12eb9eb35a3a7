"""Nothing that is secret, and nothing that a customer wrote, gets past these."""

from __future__ import annotations

import json
import re
import time
from base64 import b64encode
from typing import Any
from urllib.parse import quote, quote_plus, urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialtone import redact
from dialtone.redact import MASK, Redactor, foreign, shape

calm = settings(deadline=None, max_examples=120)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
hidden = st.text(st.characters(exclude_categories=["Cs"]), min_size=4, max_size=30).filter(
    lambda s: s.strip() == s and "‹" not in s and "›" not in s and s not in MASK
)
FORMS = [
    lambda s: s,
    lambda s: quote(s, safe=""),
    quote,
    quote_plus,
    lambda s: urlencode({"k": s}),
    lambda s: re.sub("%..", lambda m: m[0].lower(), quote(s, safe="")),
    json.dumps,
    lambda s: json.dumps(s, ensure_ascii=False),
    repr,
    lambda s: b64encode(f"{s}:".encode()).decode(),
]


@calm
@given(secret=hidden, before=texts, after=texts, form=st.sampled_from(FORMS))
def test_no_registered_secret_survives(secret: str, before: str, after: str, form: Any) -> None:
    """Plain, in a URL, in a form, in JSON, in a literal or in a Basic credential: the value is gone."""
    written = form(secret)
    found = Redactor([secret]).scrub(f"{before}{written}{after}")
    assert secret not in found.replace(MASK, "")
    assert written.strip("'\"") not in found.replace(MASK, "\0")


@calm
@given(secrets=st.lists(hidden, min_size=2, max_size=5), order=st.randoms())
def test_secrets_inside_of_secrets_are_masked_whole(secrets: list[str], order: Any) -> None:
    """The longest value wins, in whatever order they were registered."""
    text = " ".join(secrets)
    order.shuffle(secrets)
    found = Redactor(secrets).scrub(text).replace(MASK, "\0")
    assert not any(secret in found for secret in secrets)


@pytest.mark.parametrize("short", ["", "a", "abc"])
def test_a_value_that_is_an_ordinary_word_masks_nothing(short: str) -> None:
    """Three characters would mask half of every sentence."""
    assert Redactor([short]).scrub("abc a abcabc YWJj") == "abc a abcabc YWJj"


def test_the_password_of_a_url_is_a_secret_of_its_own() -> None:
    """A driver quotes the password without the URL, encoded or not."""
    redactor = Redactor(["postgresql://prober:hunter%2F2-hunter@db.example.com:5432/app"])
    assert redactor.scrub("tried hunter/2-hunter, then hunter%2F2-hunter") == f"tried {MASK}, then {MASK}"
    assert redactor.scrub("prober at db.example.com") == "prober at db.example.com"


@pytest.mark.parametrize(
    "key",
    [
        "sk_live_" + "a1B2" * 6,
        "rk_test_" + "a1B2" * 6,
        "whsec_" + "abc/+=" * 4,
        "sb_secret_" + "x" * 12,
        "xoxb-123-abc",
        "ghp_" + "a" * 20,
        "eyJhbGciOiJIUzI1NiJ9.eyJyZWYiOiJ4In0.c2ln",
        "key_" + "0a" * 12,
        "KEY" + "0A" * 12 + "_x",
    ],
)
def test_well_known_forms_are_masked_unregistered(key: str) -> None:
    """A key of the application that nobody registered still looks like a key."""
    assert Redactor().scrub(f"used {key}.") == f"used {MASK}."


def test_user_and_password_in_any_url_are_masked() -> None:
    """The host stays readable."""
    assert Redactor().scrub("at https://me:pw@host/x") == f"at https://{MASK}@host/x"


def test_trees_are_scrubbed_keys_included() -> None:
    """Reports are JSON: no value and no key may hold a secret."""
    tree = {"hush-hush": ["x hush-hush", {"a": ("hush-hush", 1, None, True)}]}
    assert Redactor(["hush-hush"]).tree(tree) == {MASK: [f"x {MASK}", {"a": [MASK, 1, None, True]}]}


@pytest.mark.parametrize(
    ("message", "wanted"),
    [
        ("can't parse 'Jane Roe' here", "can't parse '…' here"),
        ("name 'O'Brien' is odd", "name '…' is odd"),
        ("bytes b'Jane Roe' and r'x'", "bytes '…' and '…'"),
        ('said "Jane \\"J\\" Roe" twice', "said '…' twice"),
        ("it begins 'Jane " + "x" * 400, "it begins '…'"),
        ('it begins "Jane\nRoe" here', "it begins '…'"),
        ("mail jane.roe@example.org now", "mail …@… now"),
        ("call +1 (555) 000-1111 now", "call … now"),
        ("relation ‘Jane Roe’ is gone", "relation '…' is gone"),
        ("", ""),
        ("   \n ", ""),
        ("x" * 400, "x" * 300),
    ],
)
def test_a_foreign_message_keeps_its_words_and_loses_its_data(message: str, wanted: str) -> None:
    """One line; what is quoted, an address or a number is masked, also where the quote is cut off."""
    assert foreign(message) == wanted


@calm
@given(data=st.text(st.characters(categories=["L", "Nd", "Zs"]), min_size=3, max_size=60))
def test_whatever_is_quoted_in_a_foreign_message_is_gone(data: str) -> None:
    """A repr in an error message quotes a customer's words."""
    assert foreign(f"failed on {data!r} at once") == "failed on '…' at once"


def test_a_foreign_message_is_scrubbed_of_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unquoted secrets go as well."""
    monkeypatch.setattr(redact, "secrets", Redactor(["hush-hush"]))
    assert foreign("key hush-hush refused") == f"key {MASK} refused"


scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts
trees = st.recursive(scalars, lambda t: st.lists(t, max_size=5) | st.dictionaries(texts, t, max_size=5), max_leaves=20)


def strings(tree: Any) -> list[str]:
    """Every string value of a JSON tree."""
    if isinstance(tree, str):
        return [tree]
    if isinstance(tree, dict):
        return [s for v in tree.values() for s in strings(v)]
    return [s for v in tree for s in strings(v)] if isinstance(tree, list) else []


def keys(tree: Any) -> list[str]:
    """Every key of a JSON tree."""
    if isinstance(tree, dict):
        return [*tree, *(k for v in tree.values() for k in keys(v))]
    return [k for v in tree for k in keys(v)] if isinstance(tree, list) else []


@calm
@given(tree=trees)
def test_a_shape_holds_markers_and_the_vocabulary_only(tree: Any) -> None:
    """No text of the target is quoted, whatever it answers."""
    found = shape(tree)
    marker = r"‹(text|object|list|key) \d+›|‹number›"
    assert all(s.lower() in redact._VOCABULARY or re.fullmatch(marker, s) for s in strings(found))
    assert all(re.fullmatch(rf"[A-Za-z_][\w.-]*|{marker}", k) for k in keys(found))


@pytest.mark.parametrize(
    "key",
    ["Jane", "Müller", "jane@example.org", "+15550001111", "Jane Roe", "id_5550001111", "a" * 60, "", "7f3a-9", "5"],
)
def test_a_key_that_looks_like_data_is_masked(key: str) -> None:
    """Answers keyed by customers are customers' data."""
    assert list(shape({key: 1})) == [f"‹key {len(key)}›"]


@pytest.mark.parametrize("key", ["status", "firstName", "FirstName", "x-request.id", "_id", "Status".lower(), "Error"])
def test_a_key_of_the_program_is_kept(key: str) -> None:
    """The names of fields are what makes a shape readable."""
    assert list(shape({key: 1})) == [key]


def test_shapes_are_small() -> None:
    """Evidence of a large answer is not large."""
    deep = {"a": {"b": {"c": {"d": {"e": 1}}}}}
    assert shape(deep) == {"a": {"b": {"c": "‹object 1›"}}}
    assert shape(list(range(100))) == [0, 1, 2]
    assert len(shape({f"k{i}": i for i in range(100)})) == 30
    assert shape({"amount": 12345678, "state": "OK", "name": "Jane"}) == {
        "amount": "‹number›",
        "state": "OK",
        "name": "‹text 4›",
    }


@pytest.mark.parametrize("word", ["a", "a.", "-+", "a@", "1 "])
def test_masking_a_foreign_message_costs_its_length(word: str) -> None:
    """Four times the length costs about four times as much, whatever it consists of: never its square."""

    def spent(length: int) -> float:
        text = (word * length)[:length]
        times = []
        for _ in range(5):
            begun = time.process_time()
            foreign(text)
            times.append(time.process_time() - begun)
        return min(times)

    assert spent(20_000) <= 9 * max(spent(5_000), 1e-4)
