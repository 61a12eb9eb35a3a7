"""What checks and experiments share: book an appointment as the voice agent does, sign up as an owner does.

Policy of this suite, free of mechanism; fixtures of the engine come from the plugin `dialtone`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dialtone import eventually, pick, undecided
from dialtone.template import body


@dataclass(frozen=True)
class Booking:
    """A booking that the voice agent asked for."""

    tenant: Mapping[str, Any]
    answer: Any
    success: bool
    appointment_id: str | None
    date: str
    time: str
    caller: str
    stored: Callable[[str], bool]

    def must_have_worked(self) -> Booking:
        """Go on only if the application says that it booked; that it does is asserted by `booking_is_stored`."""
        if not self.success or not self.appointment_id:
            undecided(f"the tool call booked nothing (status {self.answer.status}); see booking_is_stored")
        if not self.stored(self.appointment_id):
            undecided("the appointment is not in the database; see booking_is_stored")
        return self


@pytest.fixture
def book(hook, target, run, request):
    """`book(tenant)`: the agent's tool call for an appointment in three days, signed by Retell's key."""

    def stored(appointment_id: str) -> bool:
        """Whether the promised row is there; taken for granted where the profile cannot tell."""
        if target.lacks(["database", "queries.appointment"]):
            return True
        db, query = request.getfixturevalue("db"), target.query("appointment")
        found = eventually(lambda: db.one(query, {"appointment_id": appointment_id}), bool, within=target.profile.quiet)
        return bool(found)

    def make(tenant: Mapping[str, Any], *, time: str = "10:00", days: int = 3) -> Booking:
        retell = hook("retell", tenant)
        date = (datetime.now(UTC) + timedelta(days=days)).strftime("%Y-%m-%d")
        caller = "+1500" + f"{int(run.id()[-6:], 16):07d}"[-7:]
        event = retell.event(text=target.request("book"), call_id=run.id("call_"), date=date, time=time, caller=caller)
        answer = retell.send(event)
        tree = answer.json() if answer.ok else {}
        return Booking(
            tenant,
            answer,
            pick(tree, target.field("booking_success", "success")) is True,
            pick(tree, target.field("booking_id", "appointment_id")),
            date,
            time,
            caller,
            stored,
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
        answer = http.post(
            target.route("register"),
            content=body(target.request("register"), values),
            headers={"content-type": "application/json"},
        )
        token = pick(answer.json() if answer.ok else {}, target.field("token", "token"))
        if not token:
            undecided(f"no account could be had (register answered {answer.status})")
        return http, {"authorization": f"Bearer {token}", "content-type": "application/json"}

    return make


_DIGITS: Callable[..., Any] = str.maketrans("abcdef-", "0123456")  # type: ignore[assignment]


@pytest.fixture
def record(ask):
    """`record("supabase", path)`: a provider's own record as JSON; that its API fails is for `provider_answers`."""

    def read(provider: str, path: str) -> Any:
        answer = ask(provider, path)
        if answer.failure or not answer.ok:
            said = answer.failure.reason if answer.failure else f"answered {answer.status}"
            undecided(f"{provider} gives no record: {said}; see provider_answers")
        return answer.json()

    return read
