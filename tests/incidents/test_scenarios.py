"""Twenty days in the life of a service: how many messages a channel gets, and how many it would get from a monitor that
tells every turn of every check.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from dialtone.incidents.desk import Desk
from dialtone.incidents.grouping import Dependencies
from dialtone.incidents.lifecycle import Sign
from dialtone.incidents.routing import Router
from dialtone.incidents.silence import Silence
from dialtone.verdict import Kind, Severity

from .conftest import NOON, Rounds, alerting, sign

Round = list[Sign]
THIRTY = [f"check_{n:02d}" for n in range(30)]


def bad(*names: str, **more: Any) -> Round:
    """These are red."""
    return [sign(name, **more) for name in names]


def good(*names: str) -> Round:
    """These are well."""
    return [sign(name, "ok") for name in names]


def unknown(kind: Kind, *names: str, **more: Any) -> Round:
    """Nothing is known of these."""
    return [sign(name, "unknown", kind=kind, **more) for name in names]


def outage(*names: str, lasting: int = 5) -> list[Round]:
    """Red for some rounds, then well."""
    return [good(*names)] + [bad(*names)] * lasting + [good(*names)] * 3


THREE = {n: [("database", "telephony", "payments")[i % 3]] for i, n in enumerate(THIRTY)}
ONE = {n: ["database"] for n in THIRTY}
CHAIN = {"pool": ["database"], "login": ["pool"], "booking": ["login"], "invoice": ["booking"]}
LATE = ("login", "booking", "database")
CAUSES = ("database", "telephony", "payments")

SCENARIOS: list[tuple[str, list[Round], dict[str, list[str]], int, int]] = [
    # name, rounds, what depends on what, incidents, messages on each channel
    ("one check, one outage", outage("health"), {}, 1, 2),
    ("one bad round in between", [good("health"), bad("health"), good("health")] * 5, {}, 0, 0),
    ("30 red checks, one cause", outage("database", *THIRTY), ONE, 1, 2),
    ("30 red checks, three causes", outage(*CAUSES, *THIRTY), THREE, 3, 6),
    ("30 red checks, nothing declared", outage(*THIRTY), {}, 30, 60),
    ("a chain of four", outage("database", *CHAIN), CHAIN, 1, 2),
    ("the cause shows two rounds late",
     [bad("login", "booking")] * 2 + [bad(*LATE)] * 3 + [good(*LATE)] * 3,
     {"login": ["database"], "booking": ["database"]}, 3, 6),
    ("the cause shows one round late",
     [bad("login", "booking")] + [bad("login", "booking", "database")] * 3 + [good("login", "booking", "database")] * 3,
     {"login": ["database"], "booking": ["database"]}, 1, 2),
    ("the cause is well before its consequences",
     [bad("login", "database")] * 3 + [bad("login") + good("database")] * 3 + [good("login", "database")] * 3,
     {"login": ["database"]}, 1, 2),
    ("consequences join one after the other",
     [bad("database", *THIRTY[:n]) for n in range(1, 11)] + [good("database", *THIRTY[:10])] * 3, ONE, 1, 2),
    ("flapping every round", [bad("health")] * 2 + [good("health"), bad("health")] * 15, {}, 1, 2),
    ("three short outages within an hour", outage("health", lasting=3) * 3, {}, 1, 5),
    ("a provider reports trouble, 8 checks feel it",
     [bad(*THIRTY[:8], explained="stripe")] * 4 + [good(*THIRTY[:8])] * 3, {}, 1, 2),
    ("the prober is offline for 20 min", [unknown(Kind.OFFLINE, *THIRTY)] * 20 + [good(*THIRTY)] * 2, {}, 0, 0),
    ("the prober is offline for 40 min", [unknown(Kind.OFFLINE, *THIRTY)] * 40 + [good(*THIRTY)] * 2, {}, 1, 2),
    ("a firewall turns the prober away for 40 min",
     [unknown(Kind.REFUSED, *THIRTY)] * 40 + [good(*THIRTY)] * 2, {}, 1, 2),
    ("one check is broken for 40 min", [unknown(Kind.BROKEN, "health")] * 40 + [good("health")] * 2, {}, 1, 2),
    ("evidence is gathered for an hour", [unknown(Kind.UNDECIDED, "health", samples=20)] * 60, {}, 0, 0),
    ("worse while it lasts",
     [bad("rate", severity=Severity.P2)] * 3 + [bad("rate", severity=Severity.P1)] * 3 + [good("rate")] * 3, {}, 1, 3),
    ("silenced maintenance", [bad("silenced")] * 10 + [good("silenced")] * 3, {}, 1, 0),
]  # fmt: skip


def naive(rounds: list[Round]) -> int:
    """Messages of a monitor that tells every turn of every check, and knows good and not good."""
    state: dict[str, bool] = {}
    count = 0
    for signs in rounds:
        for one in signs:
            count += not one.good if one.check not in state else state[one.check] != one.good
            state[one.check] = one.good
    return count


@pytest.fixture
def played(engine: Any) -> Callable[..., tuple[int, int]]:
    """Plays a scenario; incidents and messages on one channel."""

    def play(rounds: list[Round], depends: dict[str, list[str]]) -> tuple[int, int]:
        router = Router(
            alerting(routes={"all": {"channels": ["slack"], "ack_within": "9d", "resend_every": "9d"}}), ["production"]
        )
        desk = Desk(engine, router, dependencies=Dependencies(depends, {}))
        desk.silence(Silence("s", "production", "silenced", NOON + 9e5, "upgrade", "ada", NOON), NOON)
        player = Rounds(desk)
        for signs in rounds:
            player.of([replace(one) for one in signs])
        return len([i for i in desk.records.latest(1_000) if i.opened]), len(desk.outbox.rows())

    return play


@pytest.mark.parametrize(
    ("name", "rounds", "depends", "incidents", "messages"), SCENARIOS, ids=lambda v: v if isinstance(v, str) else ""
)
def test_scenario(played, name, rounds, depends, incidents, messages):
    """As many incidents as there are causes, and a message where there is something to tell."""
    assert played(rounds, depends) == (incidents, messages)


def test_there_are_twenty(snapshot):
    """The table of the documentation: ours beside a monitor without grouping."""
    assert len(SCENARIOS) == 20
    rows = [[*scenario[3:], naive(scenario[1])] for scenario in SCENARIOS]
    names = ["scenario", *(scenario[0] for scenario in SCENARIOS), "all"]
    cells = [["incidents", "messages", "every turn"], *rows, [sum(column) for column in zip(*rows, strict=True)]]
    lines = [f"{name:<45}{a:>11}{b:>11}{c:>11}" for name, (a, b, c) in zip(names, cells, strict=True)]
    assert "\n".join(lines) == snapshot
