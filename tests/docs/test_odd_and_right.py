"""Checks of the checkout, called by themselves: what is unusual and right stays ok, what looks like it does not."""

from __future__ import annotations

import importlib.util
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import ValidationError

from dialtone.http import Answer, Failure, FailureKind
from dialtone.http.answer import Headers, Url
from dialtone.judging import Meta, Record, current
from dialtone.target import Profile, Target
from dialtone.verdict import Bad, Undecided

CHECKS = Path(__file__).parents[2] / "checks"


def module(name: str) -> Any:
    """A file of checks, as a module."""
    spec = importlib.util.spec_from_file_location(f"odd_{name}", CHECKS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


@pytest.fixture(autouse=True)
def record() -> Iterator[Record]:
    """The record of a running check."""
    made = Record(Meta("x"))
    token = current.set(made)
    yield made
    current.reset(token)


class Http:
    """Answers everything alike; whether an outage would have been judged is told by an assertion."""

    def __init__(self, status: int = 200, tree: Any = None, failure: FailureKind | None = None) -> None:
        self.status, self.body = status, json.dumps(tree).encode()
        self.failure = Failure(failure, "as it is") if failure else None

    def send(self, method: str, where: str) -> Answer:
        """The answer, whatever it is."""
        return Answer(method, Url(where), self.status, Headers([]), self.body, failure=self.failure)

    def get(self, where: str) -> Answer:
        """The same, for a path as well."""
        return self.judge(self.send("GET", where))

    def judge(self, answer: Answer) -> Answer:
        """An outage is bad, as for the caller of checks."""
        assert not answer.failure, "the target is down"
        return answer

    def agree_on_time(self) -> None:
        """Our clock is right."""


def target(**tables: Any) -> Target:
    """A target of https."""
    base = {"kind": "preview", "base_url": "https://a.example", "witnesses": ["https://b", "https://c"]}
    pages = {"home": {"path": "/", "contains": "x"}}
    return Target("odd", Profile.model_validate({**base, "pages": pages, **tables}), {})


class _WithTls(Http):
    def get(self, where: str) -> Answer:
        """Answers, but without TLS."""
        return super().get(where) if where.startswith("http:") else Answer("GET", Url(where), 200, Headers([]), b"")


def test_who_answers_nothing_without_tls_is_right() -> None:
    """A closed port 80 is no outage, unless the profile says that somebody answers there, or nobody answers at all."""
    check, dead = module("test_tls").test_plain_http_redirects_to_https, Http(0, failure=FailureKind.REFUSED)
    check(target(), _WithTls(0, failure=FailureKind.REFUSED))
    with pytest.raises(AssertionError, match="the target is down"):
        check(target(plain_url="http://a.example"), _WithTls(0, failure=FailureKind.REFUSED))
    with pytest.raises(AssertionError, match="the target is down"):
        check(target(), dead)
    with pytest.raises(Bad, match="answered 200"):
        check(target(), Http())


TIMES = {
    "an HTTP date": lambda: formatdate(usegmt=True),
    "milliseconds as text": lambda: str(round(time.time() * 1000)),
    "nanoseconds": lambda: f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}123Z",
    "UTC without a zone": lambda: datetime.now(UTC).replace(tzinfo=None).isoformat(),
}


@pytest.mark.parametrize("form", TIMES)
def test_times_of_health(form: str) -> None:
    """All the forms in which a time is told."""
    fresh = module("test_site_down").test_health_is_fresh
    fresh(target(routes={"health": "/up"}, fields={"health_time": "at"}), Http(tree={"at": TIMES[form]()}))


@pytest.mark.parametrize(("off", "raised"), [(3600, Undecided), (20_700, Undecided), (600, Bad)])
def test_a_time_without_a_zone(off: int, raised: type[BaseException]) -> None:
    """What may be another zone is undecided; an age that no zone explains is old."""
    at = (datetime.now(UTC) - timedelta(seconds=off)).replace(tzinfo=None).isoformat()
    fresh = module("test_site_down").test_health_is_fresh
    with pytest.raises(raised):
        fresh(target(routes={"health": "/up"}, fields={"health_time": "at"}), Http(tree={"at": at}))


def test_a_success_refuses_nothing() -> None:
    """A profile by which a forged event could be both accepted and refused is a mistake."""
    hook = {"route": "/h", "scheme": "stripe", "key": "k", "answer_within": "5s", "refuses": [200, 400]}
    with pytest.raises(ValidationError, match="refuses names 200"):
        target(webhooks={"h": hook}, credentials={"k": "K"})
    assert target(webhooks={"h": {**hook, "accepts_from": 202}}, credentials={"k": "K"}).webhook("h").refuses[0] == 200


class Hook:
    """A webhook that lets in what `lets_in` says: of each delivery, what is wrong with it."""

    def __init__(self, *lets_in: str) -> None:
        self.spec = SimpleNamespace(route="/h", refuses=[401])
        self._lets_in = lets_in

    def __call__(self, _name: str) -> Hook:
        """Whatever its name."""
        return self

    def event(self, _form: str) -> str:
        """An event, and what is wrong with it: nothing."""
        return ""

    def sign(self, _event: str, *, key: str = "", age: float = 0) -> str:
        """What is wrong with the signature."""
        return key or ("stale" if age else "")

    def send(self, _event: str, headers: Any = "", body: str = "") -> Answer:
        """Let in or refused."""
        wrong = body or ("unsigned" if headers == {} else headers)
        return Answer("POST", Url("https://a.example/h"), 202 if wrong in ("", *self._lets_in) else 401)

    def accepted(self, answer: Answer) -> bool:
        """By its status."""
        return answer.status == 202

    def forged_key(self) -> str:
        """What is wrong with it."""
        return "forged"

    def stale_after(self) -> float:
        """Seconds."""
        return 300.0

    def rewritten(self, _event: str) -> str:
        """What is wrong with it."""
        return "reserialised"

    def truncated(self, _event: str) -> str:
        """What is wrong with it."""
        return "truncated"


KINDS = ["unsigned", "stale", "reserialised", "truncated"]


@pytest.mark.parametrize("kind", KINDS)
def test_one_cause_is_one_red_check(kind: str) -> None:
    """While any signature will do, only that is red; what else is let in is red by itself alone."""
    checks = module("test_webhooks")
    check = getattr(checks, f"test_webhook_refuses_{kind}")
    check("h", Hook())
    with pytest.raises(Bad, match="was accepted"):
        check("h", Hook(kind))
    with pytest.raises(Undecided, match="see webhook_refuses_forged"):
        check("h", Hook("forged", *KINDS))
    with pytest.raises(Bad, match="forged signature was accepted"):
        checks.test_webhook_refuses_forged("h", Hook("forged", *KINDS))
