"""The outbox: once under a lease, in order, late to the fallback, quiet ones together, and never dropped."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from dialtone.history import Store
from dialtone.incidents.channels.sending import NotSent
from dialtone.incidents.desk import Desk
from dialtone.incidents.message import Message
from dialtone.incidents.outbox import LEASE, Postman
from dialtone.incidents.routing import Router
from dialtone.verdict import Severity

from .conftest import NOON, Rounds, alerting, sign


class Far:
    """What has arrived; `trouble` is raised as long as there is any."""

    def __init__(self, *trouble: NotSent) -> None:
        self.trouble, self.got, self.doubts = list(trouble), list[Message](), list[bool]()

    def send(self, message: Message, memory: dict[str, Any], *, doubt: bool) -> dict[str, Any]:
        """Take it."""
        self.doubts.append(doubt)
        if self.trouble:
            raise self.trouble.pop(0)
        self.got.append(message)
        return {"seen": memory.get("seen", 0) + 1}

    def close(self) -> None:
        """Nothing is open."""


@pytest.fixture
def told(rounds: Rounds) -> Rounds:
    """One incident that is open, and told of on three channels."""
    rounds.play(health="critical")
    rounds.play(health="critical")
    return rounds


def post(rounds: Rounds, at: float = 0.0, **far: Far) -> Postman:
    """A postman at a time."""
    made = Postman(rounds.desk.outbox, far, clock=lambda: rounds.now + at, seed=1)
    made.deliver()
    return made


def all_up() -> dict[str, Far]:
    """Three channels that work."""
    return {name: Far() for name in ("slack", "mail", "pager")}


def test_each_once_in_order(told):
    """Everything arrives, and a second delivery has nothing left; a channel keeps its memory of the incident."""
    told.play(health="ok")
    told.play(health="ok")
    far = all_up()
    post(told, **far)
    post(told, **far)
    assert {name: [m.told for m in one.got] for name, one in far.items()} == {
        key: ["opened", "resolved"] for key in far
    }
    assert told.desk.outbox.memory(far["slack"].got[0].incident, "slack") == {"seen": 2}


def test_what_follows_waits_for_what_came_before(told):
    """A resolve does not overtake the message that it ends."""
    told.play(health="ok")
    told.play(health="ok")
    slow = Far(NotSent("503"))
    post(told, slack=slow)
    assert slow.got == []
    post(told, at=10.0, slack=slow)
    assert [m.told for m in slow.got] == ["opened", "resolved"]


def test_a_lease_keeps_others_away(told):
    """Two at once: each row once. After the lease a dead one's row is taken over, and is in doubt."""
    row = told.desk.outbox.claim(told.now)
    far = all_up()
    post(told, **far)
    assert far[row.channel].got == []
    post(told, at=LEASE + 1, **far)
    assert far[row.channel].doubts == [True]
    assert [d for name, one in far.items() if name != row.channel for d in one.doubts] == [False, False]


def test_two_watchers_race(tmp_path):
    """Threads with stores of their own on one file, both deliver: nothing goes twice."""
    path = tmp_path / "history.db"
    store = Store.open(path)
    rounds = Rounds(Desk(store.engine, Router(alerting(), ["production"])))
    for _ in range(2):
        rounds.of([sign(f"check{n}") for n in range(20)])
    got: list[str] = []

    class Shared(Far):
        def send(self, message: Message, memory: dict[str, Any], *, doubt: bool) -> dict[str, Any]:
            got.append(message.key)
            return memory

    def carry() -> None:
        own = Store.open(path, patience=30)
        desk = Desk(own.engine, Router(alerting(), ["production"]))
        Postman(desk.outbox, {"slack": Shared()}, clock=lambda: rounds.now).deliver()
        own.close()

    for row in rounds.desk.outbox.rows():
        if row.channel != "slack":
            store.engine.many("DELETE FROM dialtone_outbox WHERE id = ?", [(row.id,)])
    threads = [threading.Thread(target=carry) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == len(set(got)) == 20
    store.close()


def test_refused_for_good_goes_to_the_fallback(engine):
    """At once, with the reason; the other channel has it by its own row where it is told anyway."""
    routes = {"all": {"channels": ["slack"], "fallback": ["pager", "mail"]}}
    rounds = Rounds(Desk(engine, Router(alerting(routes=routes), ["production"])))
    rounds.play(health="critical")
    rounds.play(health="critical")
    mail = Far()
    post(rounds, slack=Far(NotSent("404 no_service", final=True)), pager=Far(NotSent("401", final=True)), mail=mail)
    assert [m.via for m in mail.got] == ["pager could not carry it: 401"]
    assert {(r.channel, r.state) for r in rounds.desk.outbox.rows()} == {
        ("slack", "failed"),
        ("pager", "failed"),
        ("mail", "sent"),
    }
    assert rounds.desk.outbox.unheard(rounds.now) == []


def test_late_goes_to_the_fallback_and_is_tried_on(engine):
    """A P0 that Slack does not take for a minute is carried by mail; when Slack is back, it has it as well."""
    rounds = Rounds(
        Desk(engine, Router(alerting(routes={"all": {"channels": ["slack"], "fallback": ["mail"]}}), ["production"]))
    )
    rounds.play(health="critical")
    rounds.play(health="critical")
    slack, mail = Far(*[NotSent("503") for _ in range(3)]), Far()
    for at in (0.0, 30.0, 61.0):
        post(rounds, at=at, slack=slack, mail=mail)
    assert (len(slack.got), len(mail.got)) == (0, 1)
    post(rounds, at=200.0, slack=slack, mail=mail)
    assert (len(slack.got), len(mail.got)) == (1, 1)


def test_all_dead_is_known(told):
    """Nobody took it: it is listed, and may leave again."""
    dead = {name: Far(*[NotSent("403", final=True) for _ in range(5)]) for name in ("slack", "mail", "pager")}
    post(told, **dead)
    assert {row.channel for row in told.desk.outbox.unheard(told.now)} == {"slack", "mail", "pager"}
    assert told.desk.outbox.retry(told.now) == 3
    far = all_up()
    post(told, **far)
    assert [len(one.got) for one in far.values()] == [1, 1, 1]
    assert told.desk.outbox.unheard(told.now) == []


def test_retry_after_is_obeyed(told):
    """The whole channel rests, not only the row."""
    told.of([sign("other")])
    told.of([sign("other")])
    slack = Far(NotSent("429", after=30.0))
    postman = Postman(told.desk.outbox, {"slack": slack}, clock=lambda: told.now, seed=1)
    postman.deliver()
    assert len(slack.doubts) == 1
    told.now += 31
    postman.deliver()
    assert len(slack.got) == 2


def test_only_the_rest_of_the_recipients(engine):
    """Who has it does not get it again."""
    routes = {"all": {"channels": ["mail"], "people": ["ada", "bo"]}}
    rounds = Rounds(Desk(engine, Router(alerting(routes=routes), ["production"])))
    rounds.play(health="critical")
    rounds.play(health="critical")
    mail = Far(NotSent("one later", rest=["bo@example.com"]))
    post(rounds, mail=mail)
    post(rounds, at=10.0, mail=mail)
    assert [m.mails for m in mail.got] == [("bo@example.com",)]


def test_a_digest_is_one_message(rounds):
    """What was quiet at night is one message in the morning; what began and ended in it is one line."""
    rounds.now = NOON + 10 * 3600
    for name in ("calendar", "rate"):
        for _ in range(2):
            rounds.of([sign(name, "breach", severity=Severity.P2)])
    for _ in range(3):
        rounds.of([sign("rate", "ok")])
    slack = Far()
    post(rounds, slack=slack, mail=Far())
    assert slack.got == []
    rounds.now = NOON + 17 * 3600 + 1
    post(rounds, slack=slack, mail=Far())
    (message,) = slack.got
    assert [line.split(":")[0] for line in message.digest] == ["P2 OPENED calendar", "P2 RESOLVED rate"]
    assert rounds.desk.outbox.rows(state="pending") == []


def test_times_of_waiting_grow(told):
    """Each try waits longer than the one before, up to a minute, never at the same moment as another program's."""
    waits = []
    for _ in range(9):
        at = told.now
        postman = Postman(told.desk.outbox, {"slack": Far(NotSent("503"))}, clock=lambda at=at: at, seed=7)
        postman.deliver(1)
        row = next(r for r in told.desk.outbox.rows() if r.channel == "slack")
        waits.append(row.after - at)
        told.now = row.after + 0.01
    assert all(0.5 * 2**n <= wait <= 2**n or wait <= 60 for n, wait in enumerate(waits))
    assert waits[-1] >= 30
