"""Orders to a sandbox that runs: a part is stopped, and started again, perhaps with another environment.

Drills take a database away, roll an application back and exchange its secrets. An order is one JSON object a line:
`{"stop": PART, "how": "asked" | "at once" | "killed"}` or `{"start": PART, "environment": {…}, "within": s}`, answered
by `{"done": PART}` or `{"failed": reason}`. Parts are `postgres` and `application`.
"""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING, Any

from dialtone.sandbox.isolation import identity_for_postgres
from dialtone.sandbox.lifeline import PartEnded, TooSlow
from dialtone.sandbox.parts import Part, stop_all

if TYPE_CHECKING:
    from dialtone.sandbox.supervisor import Supervisor

_PATIENCE = 10.0  # seconds for a part that was asked to end; then it is killed
_TRIES, _PAUSE = 10, 0.5  # how often a part is started whose port is taken, and seconds between two of them
_HOW = {"at once": signal.SIGQUIT, "killed": signal.SIGKILL}


def obey(supervisor: Supervisor, order: dict[str, Any]) -> None:
    """Do what an order says and answer it. LifelineEnded passes through: then nobody waits for an answer."""
    from dialtone.sandbox.supervisor import say

    try:
        if "stop" in order:
            _stop(supervisor, order["stop"], order.get("how", "asked"))
        else:
            _start(supervisor, order["start"], order.get("environment") or {}, order.get("within", 30.0))
    except (PartEnded, TooSlow, OSError, RuntimeError, KeyError) as wrong:
        say(failed=supervisor.redactor.scrub(str(wrong)))
    else:
        say(done=str(order.get("stop") or order["start"]))


def _part(supervisor: Supervisor, name: str) -> Part | None:
    return next((part for part in supervisor.parts if part.name == name), None)


def _stop(supervisor: Supervisor, name: str, how: str) -> None:
    """Stop a part: asked as at the end of the sandbox, or without being asked. One that is gone is no error."""
    part = _part(supervisor, name)
    if part is None:
        return
    if part in supervisor.standing:
        supervisor.standing.remove(part)
    if how != "asked":
        part.signal(_HOW[how], group=how == "killed")
    else:
        part.signal(part.stop_signal)
    deadline = time.monotonic() + _PATIENCE
    supervisor.watch.until(lambda: part.ended is not None or time.monotonic() > deadline, name, deadline + 1)
    supervisor.drop(part)


def _start(supervisor: Supervisor, name: str, environment: dict[str, str], within: float) -> None:
    """Start a part that was stopped, and return when it is ready."""
    plan = supervisor.plan
    if plan is None or name not in ("postgres", "application"):
        raise RuntimeError(f"this sandbox starts no {name} again")
    if _part(supervisor, name) is not None:
        raise RuntimeError(f"{name} runs already")
    for key, value in environment.items():
        if value and value not in plan.for_application().values() and ("SECRET" in key or "KEY" in key):
            supervisor.redactor.add(value)
    deadline = time.monotonic() + within
    for tries_left in reversed(range(_TRIES)):
        try:
            part = _started(supervisor, name, environment, deadline)
        except PartEnded as ended:
            # The part before it, or somebody else, has the port for a moment longer.
            if not (tries_left and ended.part.found_its_port_taken):
                raise
            again = min(time.monotonic() + _PAUSE, deadline)
            supervisor.watch.until(lambda at=again: time.monotonic() >= at, name, again + 1)  # type: ignore[misc]
        else:
            supervisor.standing.append(part)
            return


def _started(supervisor: Supervisor, name: str, environment: dict[str, str], deadline: float) -> Part:
    """The part, when it is ready; one that does not get ready is gone when this raises."""
    from dialtone.sandbox.supervisor import answers

    plan = supervisor.plan
    assert plan is not None
    try:
        if name == "postgres":
            part = supervisor.add(name, plan.cluster.server_command(), identity_for_postgres())
            pid = part.process.pid
            supervisor.watch.until(lambda: plan.cluster.is_served_by(pid), "PostgreSQL", deadline, [part])
        else:
            part = supervisor.start_application(plan, environment)
            accepts = answers(plan.ports["edge"]) if supervisor.order["app"] else None
            supervisor.watch.until(lambda: part.ready or bool(accepts and accepts()), name, deadline, [part])
    except (PartEnded, TooSlow):
        if (failed := _part(supervisor, name)) is not None:
            supervisor.watch.remove(failed)
            supervisor.parts.remove(failed)
            stop_all([failed])
        raise
    return part
