"""Keys that are rotated: for a while two are valid, then the new one alone; in headers, bodies and paths."""

from __future__ import annotations

import pytest
from tests.standins.conftest import SECRETS

from dialtone.standins.control import Control
from dialtone.standins.faults import Faults
from dialtone.standins.journal import Journal
from dialtone.standins.rotations import Rotations
from dialtone.standins.state import Clock
from dialtone.standins.wire import Request

OLD, NEW = "sk_test_51application", "sk_test_51successor"


def _seen(rotations: Rotations, key: str) -> str | None:
    request = Request("GET", "/", headers={"authorization": f"Bearer {key}"})
    return rotations.seen(request).bearer


def test_two_are_valid_then_one() -> None:
    """The new key is taken for the one that the stand-in knows; the retired one is none any more."""
    rotations = Rotations()
    assert _seen(rotations, NEW) == NEW
    name = rotations.add({"old": OLD, "new": NEW})
    assert (_seen(rotations, OLD), _seen(rotations, NEW)) == (OLD, OLD)
    assert rotations.retire(name)
    assert _seen(rotations, NEW) == OLD
    assert _seen(rotations, OLD) not in (OLD, NEW)
    assert not rotations.retire("7")


def test_wherever_it_stands() -> None:
    """In a form (Google's client secret) and in a path (Slack's webhook); other requests stay the object they are."""
    rotations = Rotations()
    rotations.add({"old": OLD, "new": NEW})
    request = Request("POST", f"/services/{NEW}", raw=f"client_secret={NEW}&x=1".encode())
    seen = rotations.seen(request)
    assert (seen.path, seen.raw) == (f"/services/{OLD}", f"client_secret={OLD}&x=1".encode())
    other = Request("POST", "/", raw=b"nothing")
    assert rotations.seen(other) is other


@pytest.mark.parametrize(
    "told", [None, {}, {"old": OLD}, {"old": OLD, "new": OLD}, {"old": "short", "new": NEW}, {"old": 1, "new": NEW}]
)
def test_what_is_no_rotation_is_refused(told: object) -> None:
    """In words, and without the key."""
    with pytest.raises(ValueError, match="old and new") as refused:
        Rotations().add(told)
    assert OLD not in str(refused.value)


def test_the_control_api() -> None:
    """Behind the journal's token; unknown rotations are 404, nonsense is 400."""
    rotations = Rotations()
    control = Control(Journal(Clock()), Faults(Clock(), frozenset()), SECRETS["journal_token"], rotations)

    def call(method: str, path: str, body: str = "") -> int:
        headers = {"authorization": f"Bearer {SECRETS['journal_token']}", "content-type": "application/json"}
        return control.answer(Request(method, path, headers=headers, raw=body.encode())).status

    assert control.answer(Request("POST", "/rotations", raw=b"{}")).status == 401
    assert call("POST", "/rotations", "{}") == 400
    assert call("POST", "/rotations", f'{{"old": "{OLD}", "new": "{NEW}"}}') == 201
    assert _seen(rotations, NEW) == OLD
    assert call("DELETE", "/rotations/1") == 200
    assert _seen(rotations, OLD) != OLD
    assert call("DELETE", "/rotations/2") == 404
