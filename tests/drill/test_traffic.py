"""The ledger on real traffic: two lists, planted losses and doubles, and the reading of a provider's pages."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import respx
from httpx import Request, Response
from hypothesis import given
from hypothesis import strategies as st

from dialtone.drill.traffic import Balance, Seen, balanced, read
from dialtone.target import Target
from dialtone.target.model import Profile
from dialtone.target.traffic import Traffic
from dialtone.verdict import Misdeclared, Refused, Unarmed, Undecided

NOW, HOUR = 1_764_000_000.0, 3600.0
SINCE, UNTIL = NOW - 24 * HOUR, NOW - 600


def _spec(**fields: Any) -> Traffic:
    return Traffic(what="payments", provider="bank", path="/list", at="created", sql="SELECT", **fields)


def _held(theirs: list[Seen], ours: list[Seen], **fields: Any) -> Balance:
    return balanced(_spec(**fields), theirs, ours, since=SINCE, until=UNTIL)


def _seen(key: str, ago: float, once: str | None = None) -> Seen:
    return Seen(key, key, NOW - ago, once)


def test_lists_that_agree() -> None:
    """Each entry once on both sides."""
    both = [_seen(str(n), HOUR * n) for n in range(1, 20)]
    found = _held(both, both)
    assert (found.bad, found.kept) == (0, 19)
    assert found.told == "19 payments of the last 24 h agree with bank, each once"


def test_what_the_table_does_not_know() -> None:
    """Told with the times at which to look, and without an id."""
    found = _held([_seen("secret-1", 2 * HOUR), _seen("secret-2", 3 * HOUR)], [])
    assert found.told == (
        "of the last 24 h: 2 of 2 payments at bank are not in the table (11-24 13:00 to 11-24 14:00 UTC)"
    )


def test_what_the_provider_never_did() -> None:
    """The table says paid."""
    assert "1 of 1 payments in the table are not known to bank" in _held([], [_seen("1", HOUR)]).told


def test_twice_for_one_thing() -> None:
    """Another id for the same purpose is once too often; the first of both is right. A minute ago is wrong already."""
    theirs = [_seen("1", HOUR, "booking"), _seen("2", 60, "booking"), _seen("3", HOUR, "another")]
    found = _held(theirs, theirs, once="metadata")
    assert found.doubled == [NOW - 60]


def test_one_entry_read_twice_is_one() -> None:
    """Pages that overlap list an entry again."""
    theirs = [_seen("1", HOUR, "booking")] * 2
    assert _held(theirs, theirs).bad == 0


def test_a_key_with_two_rows_is_doubled() -> None:
    """The table notes a payment twice."""
    rows = [Seen("1", "a", NOW - HOUR), Seen("1", "b", NOW - HOUR)]
    assert _held([_seen("1", HOUR)], rows).doubled == [NOW - HOUR]


@pytest.mark.parametrize(("owes", "bad"), [("both", 2), ("table", 1), ("provider", 1)])
def test_who_has_to_have_what_the_other_has(owes: str, bad: int) -> None:
    """A table may know more than a provider's list goes back, or the other way round."""
    assert _held([_seen("1", HOUR)], [_seen("2", HOUR)], owes=owes).bad == bad


def test_what_is_on_its_way_is_not_missed() -> None:
    """Too young, or older than the window; but what is there counts, however old."""
    theirs = [_seen("young", 60), _seen("old", 25 * HOUR), _seen("edge", 23.9 * HOUR)]
    assert _held(theirs, [_seen("edge", 24.5 * HOUR)]).bad == 0


KEYS = st.sets(st.integers(0, 40), max_size=25)


@given(KEYS, KEYS)
def test_none_missed_and_none_invented(theirs: set[int], ours: set[int]) -> None:
    """The two differences of two sets."""
    told = _held([_seen(str(n), HOUR + n) for n in theirs], [_seen(str(n), HOUR + n) for n in ours])
    assert (len(told.unrecorded), len(told.unproved), len(told.doubled)) == (len(theirs - ours), len(ours - theirs), 0)


# reading


def _target(**fields: Any) -> Target:
    traffic = {"what": "calls", "provider": "bank", "path": "/list", "at": "created", "sql": "SELECT", **fields}
    raw = {
        "kind": "production",
        "base_url": "https://app.example.com",
        "witnesses": ["https://one.example.org", "https://two.example.org"],
        "providers": {"bank": {"base_url": "https://bank.example.com", "credential": "key"}},
        "credentials": {"key": "BANK_KEY"},
        "traffic": {"calls": traffic},
    }
    return Target("production", Profile.model_validate(raw), {"key": "secret"})


def _rows(*keys: str) -> Callable[[str, Mapping[str, Any]], list[dict[str, Any]]]:
    return lambda *_: [{"key": key, "at": NOW - HOUR} for key in keys]


def _read(target: Target, *keys: str, pages: int = 3) -> Balance:
    return read(target, "calls", _rows(*keys), pages, clock=lambda: NOW)


@respx.mock
def test_pages_by_the_last_id() -> None:
    """As Stripe pages; the bound of time is in the first question."""

    def answer(request: Request) -> Response:
        query = parse_qs(urlsplit(str(request.url)).query)
        assert query["since"] == [str(int(NOW - 25 * HOUR))]
        start = int(query.get("after", ["0"])[0])
        data = [{"id": str(n), "created": NOW - HOUR} for n in range(start + 1, start + 3)]
        return Response(200, json={"data": data, "has_more": start < 4})

    route = respx.get(url__startswith="https://bank.example.com/list").mock(side_effect=answer)
    target = _target(path="/list?since={{since}}", more="has_more", cursor="after")
    assert _read(target, *"123456").bad == 0
    assert len(route.calls) == 3
    assert all(call.request.headers["authorization"] == "Bearer secret" for call in route.calls)


@respx.mock
def test_pages_by_a_name_in_a_body() -> None:
    """As Retell pages: a POST that reads, times in milliseconds, entries that do not count left out."""

    def answer(request: Request) -> Response:
        asked = json.loads(request.content)
        assert asked["least"] == int((NOW - 25 * HOUR) * 1000)
        second = asked.get("page") == "two"
        entry = {"id": "2" if second else "1", "created": (NOW - HOUR) * 1000, "who": "real"}
        synthetic = {"id": "3", "created": (NOW - HOUR) * 1000, "who": "synthetic caller"}
        return Response(200, json={"found": {"calls": [entry, synthetic]}, **({} if second else {"page": "two"})})

    respx.post("https://bank.example.com/list").mock(side_effect=answer)
    target = _target(
        body='{"least": {{since_ms}}}', items="found.calls", more="page", cursor="page", but={"who": "^synthetic"}
    )
    assert _read(target, "1", "2").bad == 0


@respx.mock
def test_pages_by_their_number() -> None:
    """As Telnyx pages; times in ISO 8601."""

    def answer(request: Request) -> Response:
        number = int(parse_qs(urlsplit(str(request.url)).query).get("page[number]", ["1"])[0])
        entry = {"id": str(number), "created": "2025-11-24T15:00:00Z"}
        return Response(200, json={"data": [entry], "meta": {"pages": 2}})

    respx.get(url__startswith="https://bank.example.com/list").mock(side_effect=answer)
    assert _read(_target(more="meta.pages", cursor="page[number]"), "1", "2").bad == 0


@respx.mock
def test_more_than_may_be_read_shortens_the_window() -> None:
    """Two pages of an hour each: what is older is not known to be missing, and nothing is said of it."""

    def answer(request: Request) -> Response:
        start = int(parse_qs(urlsplit(str(request.url)).query).get("after", ["0"])[0])
        data = [{"id": str(n), "created": NOW - 900 - 60 * n} for n in range(start + 1, start + 61)]
        return Response(200, json={"data": data, "has_more": True})

    respx.get(url__startswith="https://bank.example.com/list").mock(side_effect=answer)
    target = _target(more="has_more", cursor="after")
    rows = [{"key": str(n), "at": NOW - 900 - 60 * n} for n in range(1, 1000)]
    found = read(target, "calls", lambda *_: rows, 2, clock=lambda: NOW)
    assert found.bad == 0
    assert 1.5 < (found.until - found.since) / HOUR < 2.5


@respx.mock
@pytest.mark.parametrize(
    ("answer", "raised", "words"),
    [
        (Response(401), Refused, "BANK_KEY"),
        (Response(500), Undecided, "gives no list: answered 500"),
        (Response(200, json={"other": []}), Undecided, "lists nothing under 'data'"),
        (Response(200, json={"data": [{"id": "1", "created": "soon"}]}), Misdeclared, "holds no time"),
    ],
)
def test_a_list_that_cannot_be_read(answer: Response, raised: type[Exception], words: str) -> None:
    """Says nothing about the target: unknown, in words."""
    respx.get("https://bank.example.com/list").mock(return_value=answer)
    with pytest.raises(raised, match=words):
        _read(_target())


@respx.mock
def test_sql_without_its_columns_is_told() -> None:
    """The remedy is in the profile."""
    respx.get("https://bank.example.com/list").mock(return_value=Response(200, json={"data": []}))
    with pytest.raises(Misdeclared, match="the columns key and at"):
        read(_target(), "calls", lambda *_: [{"id": 1}], 1, clock=lambda: NOW)


def test_what_it_needs() -> None:
    """The database and the provider's credential; a name that the profile lacks is unarmed."""
    assert _target().lacks(["traffic.calls"]) == ["the profile has no database"]
    with pytest.raises(Unarmed, match=r"traffic\.texts"):
        _target().traffic("texts")
