"""The desk: rounds, people and time move incidents, and each transition leaves its messages in the outbox."""

from __future__ import annotations

import pytest

from dialtone.incidents.desk import Desk, identity
from dialtone.incidents.lifecycle import Rules
from dialtone.incidents.routing import Router
from dialtone.incidents.silence import Silence
from dialtone.verdict import Kind, Severity

from .conftest import NOON, Rounds, alerting, sign


def rows(rounds: Rounds) -> list[tuple[str, str]]:
    """(what it tells, channel) of every message."""
    return [(row.message.told, row.channel) for row in rounds.desk.outbox.rows()]


def test_confirmed_told_and_over(rounds):
    """Two bad rounds open it, two good ones end it; each is told once on each channel of its route."""
    assert rounds.play(health="critical") == []
    assert rounds.play(health="critical") == ["opened"]
    assert rounds.play(health="critical") == []
    assert rounds.play(health="ok") == []
    assert rounds.play(health="ok") == ["resolved"]
    assert sorted(rows(rounds)) == sorted(
        (told, on) for told in ("opened", "resolved") for on in ("slack", "mail", "pager")
    )


def test_one_bad_round_is_no_incident(rounds):
    """A suspicion that does not last is forgotten, and its evidence with it."""
    for _ in range(5):
        assert rounds.play(health="critical") == []
        assert rounds.play(health="ok") == []
    assert rounds.desk.records.latest(10) == []


def test_a_round_moves_once(rounds):
    """The same round handed in again changes nothing."""
    first = rounds.desk.absorb("x", "production", [sign()], NOON)
    again = [rounds.desk.absorb("x", "production", [sign(at=NOON + n)], NOON + n) for n in range(5)]
    assert (first, again) == ([], [[]] * 5)
    assert rounds.desk.records.latest(10)[0].weight == pytest.approx(sign().weight)


def test_ids_follow_from_target_cause_and_first_round():
    """Two programs without a common memory call it the same."""
    assert identity("production", "health", NOON) == identity("production", "health", NOON + 0.2)
    assert len({identity(t, c, n) for t in "ab" for c in "cd" for n in (NOON, NOON + 60)}) == 8


def test_escalates_until_somebody_answers(rounds):
    """P0: secondary after 5 minutes, escalation after 10, then again every 15 until it is acknowledged."""
    rounds.play(health="critical")
    rounds.play(health="critical")
    assert rounds.wait(4 * 60) == ["escalated"]  # five minutes after the round that opened it
    assert rounds.wait(5 * 60) == ["escalated"]
    assert rounds.wait(16 * 60) == ["reminded"]
    assert rounds.wait(15 * 60) == ["reminded"]
    incident = rounds.desk.records.latest(1)[0]
    told = [s.told for s in rounds.desk.acknowledge(incident.id[:6], "ada", rounds.now)]
    assert told == ["acknowledged"]
    assert rounds.wait(50 * 60) == []
    assert rounds.wait(11 * 60) == ["acknowledgement expired"]
    mails = [row.message.mails for row in rounds.desk.outbox.rows() if row.channel == "mail"]
    assert [len(m) for m in mails] == [1, 2, 3, 3, 3, 3, 3]


def test_a_slow_scheduler_tells_everybody_at_once(engine):
    """Where nobody looks at the timers within the deadline, the escalation goes out with the first message."""
    rounds = Rounds(Desk(engine, Router(alerting(), ["production"]), gap=900.0), every=900.0)
    rounds.play(health="critical")
    rounds.play(health="critical")
    (mail,) = [row.message for row in rounds.desk.outbox.rows() if row.channel == "mail"]
    assert mail.names == ("ada", "bo", "founders")


def test_acknowledgement_ends_with_something_worse(rounds):
    """A P2 that somebody has becomes a P0: they are asked again."""
    for _ in range(2):
        rounds.of([sign(verdict="breach", severity=Severity.P2)])
    rounds.desk.acknowledge(rounds.desk.records.latest(1)[0].id, "ada", rounds.now)
    assert rounds.of([sign(severity=Severity.P0)]) == ["worse"]
    assert str(rounds.desk.records.latest(1)[0].state) == "open"
    assert ("worse", "pager") in rows(rounds)


def test_recovery_is_told_to_whom_the_outage_was_told(rounds):
    """A resolve goes where the incident was told, also where its last severity has no route to."""
    rounds.of([sign()])
    rounds.of([sign()])
    rounds.desk.router = Router(alerting(routes={"all": {"channels": ["slack"]}}), ["production"])
    rounds.play(health="ok")
    rounds.play(health="ok")
    assert {on for told, on in rows(rounds) if told == "resolved"} == {"slack", "mail", "pager"}


def test_flapping_holds_it_open(rounds):
    """Pairs of messages do not follow the turns: it says once that it flaps, and ends after half an hour of calm."""
    rounds.play(health="critical")
    told = rounds.play(health="critical")
    for _ in range(10):
        told += rounds.play(health="ok")
        told += rounds.play(health="critical")
    assert [t for t in told if t not in ("escalated", "reminded")] == ["opened", "flapping"]
    calm = [t for _ in range(29) for t in rounds.play(health="ok")]
    assert "resolved" not in calm
    assert "resolved" in [t for _ in range(5) for t in rounds.play(health="ok")]


def test_it_opens_again_instead_of_anew(rounds):
    """Within an hour after its end the same cause is the same incident; later it is another."""
    for verdict in ("critical", "critical", "ok", "ok"):
        rounds.play(health=verdict)
    rounds.play(health="critical")
    assert rounds.play(health="critical") == ["reopened"]
    for _ in range(4):
        rounds.play(health="ok")
    first = rounds.desk.records.latest(10)
    assert [str(i.state) for i in first] == ["resolved"]
    rounds.wait(3_700)
    rounds.play(health="critical")
    assert rounds.play(health="critical") == ["opened"]
    assert len(rounds.desk.records.latest(10)) == 2


def test_a_cause_that_shows_late_takes_its_consequences_in(engine):
    """First what depends on it is red, then the cause: one incident goes on, the others say where."""
    desk = Desk(engine, Router(alerting(causes={"database": ["*"]}), ["production"]))
    rounds = Rounds(desk)
    for _ in range(2):
        rounds.play(login="critical", booking="critical")
    told = rounds.play(login="critical", booking="critical", database="critical")
    assert sorted(told) == ["merged", "merged", "opened"]
    live = [i for i in desk.records.latest(10) if i.live]
    assert [(i.cause, sorted(i.members)) for i in live] == [("database", ["booking", "database", "login"])]
    rounds.play(login="ok", booking="ok", database="ok")
    assert rounds.play(login="ok", booking="ok", database="ok") == ["resolved"]


def test_what_is_left_after_the_cause_recovered_stays_with_it(engine):
    """The database is well again and one check is not: still the same incident."""
    rounds = Rounds(Desk(engine, Router(alerting(causes={"database": ["*"]}), ["production"])))
    for _ in range(2):
        rounds.play(login="critical", database="critical")
    told = [t for _ in range(3) for t in rounds.play(login="critical", database="ok")]
    assert told == []
    assert len(rounds.desk.records.latest(10)) == 1
    rounds.play(login="ok", database="ok")
    assert rounds.play(login="ok", database="ok") == ["resolved"]


def test_not_knowing_for_long_is_an_incident_one_lower(rounds):
    """A check that breaks for half an hour: P0 becomes P1, under a cause of its own."""
    broken = sign(verdict="unknown", kind=Kind.BROKEN)
    told = [t for _ in range(30) for t in rounds.of([broken])]
    assert told == []
    assert rounds.of([broken]) == ["opened"]
    (incident,) = rounds.desk.records.latest(1)
    assert (incident.cause, str(incident.severity)) == ("unknown: health", "P1")
    rounds.of([sign(verdict="ok")])
    assert rounds.of([sign(verdict="ok")]) == ["resolved"]


def test_an_offline_prober_is_one_incident(rounds):
    """What nobody could see is no outage of the target: 30 checks, one cause."""
    told = []
    for _ in range(32):
        told += rounds.of([sign(f"check{n}", "unknown", kind=Kind.OFFLINE) for n in range(30)])
    assert told == ["opened"]
    assert rounds.desk.records.latest(10)[0].cause == "unknown: offline"


def test_gathering_evidence_is_no_trouble(rounds):
    """Undecided with samples is on its way; undecided because of something red waits for that."""
    told = [t for _ in range(60) for t in rounds.of([sign(verdict="unknown", kind=Kind.UNDECIDED, samples=20)])]
    assert told == []


def test_silence(rounds):
    """Nobody is told while it lasts; when it ends and the trouble does not, it is told then."""
    one = Silence("s1", "production", "health*", NOON + 1_800, "upgrade", "ada", NOON)
    rounds.desk.silence(one, NOON)
    for _ in range(5):
        rounds.play(health="critical")
    assert rows(rounds) == []
    assert rounds.desk.records.latest(1)[0].silenced
    assert rounds.wait(1_500) == ["silence over"]
    assert len(rows(rounds)) == 3


def test_a_silence_hides_no_recovery(rounds):
    """What was told before the silence ends for those who were told, silence or not."""
    rounds.play(health="critical")
    rounds.play(health="critical")
    rounds.desk.silence(Silence("s1", "production", "*", NOON + 9_000, "x", "ada", NOON), rounds.now)
    assert rounds.wait(900) == []
    rounds.play(health="ok")
    rounds.play(health="ok")
    assert {told for told, _ in rows(rounds)} == {"opened", "resolved"}


def test_maintenance_windows_recur(engine):
    """Each night of the window nobody is told."""
    windows = {"nightly": {"at": "13:30-14:30", "timezone": "Europe/Berlin", "until": "2027-01-01T00:00:00Z",
                           "reason": "vacuum", "owner": "ada"}}  # fmt: skip
    rounds = Rounds(Desk(engine, Router(alerting(maintenance=windows), ["production"])))
    rounds.play(health="critical")
    rounds.play(health="critical")
    assert rows(rounds) == []
    rounds.now = NOON + 31 * 60  # 14:31 in Berlin
    rounds.play(health="critical")
    assert {told for told, _ in rows(rounds)} == {"silence over"}


def test_quiet_hours(rounds):
    """A P2 at night waits for the morning and its deadline with it; a P0 does not."""
    rounds.now = NOON + 10 * 3600  # midnight in Berlin
    for _ in range(2):
        rounds.of([sign("calendar", "breach", severity=Severity.P2), sign()])
    by = {row.message.cause: row for row in rounds.desk.outbox.rows() if row.channel == "mail"}
    assert by["health"].after == rounds.now - 60
    morning = NOON + 17 * 3600  # 07:00 in Berlin
    assert (by["calendar"].after, by["calendar"].digest) == (morning, True)
    due = {i.cause: i.due for i in rounds.desk.records.latest(10)}
    assert due["calendar"] == morning + 4 * 3600


def test_another_target_is_left_alone(engine):
    """No route is about the sandbox: nothing is kept of it."""
    routes = {"all": {"channels": ["slack"], "targets": ["production"]}}
    desk = Desk(engine, Router(alerting(routes=routes), ["production", "sandbox"]), rules=Rules(needed=1.0))
    assert desk.absorb("r", "sandbox", [sign()], NOON) == []
    assert desk.records.latest(10) == []


def test_words_for_an_id_that_is_none(rounds):
    """A typing error says what to do."""
    with pytest.raises(LookupError, match="dialtone incidents"):
        rounds.desk.acknowledge("ffff", "ada", NOON)
