"""What checks and experiments share: book an appointment as the voice agent does, sign up as an owner does, start a
background job as the scheduler does.

Policy of this suite, free of mechanism; fixtures of the engine come from the plugin `dialtone`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urljoin, urlsplit

import pytest

from dialtone import eventually, pick, undecided
from dialtone.template import fill, typed


def _is(found: Any, wanted: Any) -> bool:
    """Equal, and true is not 1."""
    return bool(found == wanted) and isinstance(found, bool) == isinstance(wanted, bool)


@dataclass(frozen=True)
class Booking:
    """A booking that the voice agent asked for."""

    tenant: Mapping[str, Any]
    answer: Any
    success: bool
    appointment_id: str | None
    date: str  # as the database tells it: 2025-11-23
    time: str  # 10:00
    caller: str
    asked: Mapping[str, str]  # date and time as the application is asked for them
    stored: Callable[[str], bool]
    event: Any = None  # of the tool call, so that it can be sent again

    def must_have_worked(self) -> Booking:
        """Go on only if the application says that it booked; that it does is asserted by `booking_is_stored`."""
        if not self.success or not self.appointment_id:
            undecided(f"the tool call booked nothing (status {self.answer.status}); see booking_is_stored")
        if not self.stored(self.appointment_id):
            undecided("the appointment is not in the database; see booking_is_stored")
        return self


@pytest.fixture
def written(target):
    """`written("2025-11-23", "10:00")`: `date` and `time` in the form that the application takes."""
    values = target.profile.values
    formats = {"date": values.get("date_format", "%Y-%m-%d"), "time": values.get("time_format", "%H:%M")}

    def write(date: str, time: str) -> dict[str, str]:
        at = datetime.fromisoformat(f"{date} {time}")
        return {name: at.strftime(form) for name, form in formats.items()}

    return write


@pytest.fixture
def number(run):
    """`number()`: a caller's number that nobody has, since 500 is no area code."""
    return lambda: "+1500" + f"{int(run.id()[-6:], 16):07d}"[-7:]


@pytest.fixture
def book(hook, target, request, booking):
    """`book(tenant)`: the agent's tool call for an appointment in three days, signed by Retell's key."""

    def stored(appointment_id: str) -> bool:
        """Whether the promised row is there; taken for granted where the profile cannot tell."""
        if target.lacks(["database", "queries.appointment"]):
            return True
        db, query = request.getfixturevalue("db"), target.query("appointment")
        found = eventually(lambda: db.one(query, {"appointment_id": appointment_id}), bool, within=target.profile.quiet)
        return bool(found)

    def make(tenant: Mapping[str, Any], *, time: str = "10:00", days: int = 3, caller: str | None = None) -> Booking:
        return booking(hook("retell", tenant), tenant, stored, time, days, caller)

    return make


@pytest.fixture
def booking(target, run, written, number):
    """`booking(retell, tenant, stored, time, days)`: the same by a given webhook, perhaps of another deployment."""

    def make(
        retell: Any, tenant: Mapping[str, Any], stored: Any, time: str, days: int, caller: str | None = None
    ) -> Booking:
        date = f"{datetime.now(UTC) + timedelta(days=days):%Y-%m-%d}"
        asked = written(date, time)
        caller = caller or number()
        event = retell.event(text=target.request("book"), call_id=run.id("call_"), caller=caller, **asked)
        answer = retell.send(event)
        tree = answer.json() if answer.ok else {}
        return Booking(
            tenant,
            answer,
            _is(pick(tree, target.field("booking_success", "success")), target.profile.values.get("booked", True)),
            pick(tree, target.field("booking_id", "appointment_id")),
            date,
            time,
            caller,
            asked,
            stored,
            event,
        )

    return make


@pytest.fixture
def sign_up(target, callers, run):
    """`sign_up("first")`: a synthetic owner; returns a caller and the headers of its session."""

    def make(name: str) -> tuple[Any, dict[str, str]]:
        http = callers(name)
        values = {
            "name": name,
            "run": run.token,
            "marker": run.marker,
            "phone": "+1500" + run.id()[-7:].translate(_DIGITS),
        }
        values = {**values, "name": f"{name}-{run.id()[-6:]}"}
        content, kind = typed(target.request("register"), values)
        answer = http.post(target.route("register"), content=content, headers=kind)
        session = target.profile.session
        if session.cookie:
            token = answer.cookies().get(session.cookie)
        else:
            token = pick(answer.json() if answer.ok else {}, target.field("token", "token"))
        if not token:
            undecided(f"no account could be had (register answered {answer.status})")
        shown = {name: fill(text, {"token": token}) for name, text in session.shown().items()}
        return http, shown

    return make


@pytest.fixture
def log_in(target, http, run):
    """`log_in(content, **headers)`: try a wrong password, or `content` in its place; the answer, and if it refuses."""

    def attempt(content: bytes | None = None, **headers: str) -> tuple[Any, bool]:
        wrong, kind = typed(target.request("login"), {"run": run.token})
        answer = http.post(
            target.route("login"), content=wrong if content is None else content, headers={**kind, **headers}
        )
        asked_again = "json" not in kind["content-type"] and _asks_for_a_password(target, answer)
        return answer, answer.status in (400, 401, 403, 422) or asked_again

    return attempt


def _asks_for_a_password(target: Any, answer: Any) -> bool:
    """Whether the form is shown again, or a redirect leads back to it: so refuse those that answer in pages."""
    if 300 <= answer.status < 400:
        page = target.profile.pages.get("login")
        forms = [target.route("login"), *([page.path] if page else [])]
        there = urlsplit(urljoin(answer.url, answer.header("location") or "")).path
        return there.rstrip("/") in [urlsplit(target.url(form)).path.rstrip("/") for form in forms]
    return bool(answer.ok and answer.is_html and re.search(r"""type=["']?password""", answer.text(), re.IGNORECASE))


@pytest.fixture
def cron(target, http):
    """`cron("jobs")`: start a background job as the scheduler does, by its secret or by another `key`."""

    def start(route: str, key: str | None = None) -> Any:
        spec = target.profile.cron
        headers = {name: fill(text, {"key": key or target.secret(spec.key)}) for name, text in spec.headers.items()}
        return http.request(spec.method, target.route(route), headers=headers)

    return start


_DIGITS: Callable[..., Any] = str.maketrans("abcdef-", "0123456")  # type: ignore[assignment]


@pytest.fixture
def record(ask):
    """`record("supabase", path)`: a provider's own record as JSON; that its API fails is for `provider_answers`."""

    def read(provider: str, path: str) -> Any:
        answer = ask(provider, path)
        if answer.status == 404:
            undecided(f"{provider} knows no {path.partition('?')[0]}: does the profile name the right one?")
        if answer.failure or not answer.ok:
            said = answer.failure.reason if answer.failure else f"answered {answer.status}"
            undecided(f"{provider} gives no record: {said}; see provider_answers")
        return answer.json()

    return read
