"""The alerting's own trouble: a channel that is down, rounds that were missed, clocks, a store that is read-only."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from dialtone.history import Run, Store
from dialtone.incidents.channels.sending import NotSent
from dialtone.incidents.desk import Desk
from dialtone.incidents.handover import sign_of
from dialtone.incidents.lifecycle import CERTAIN, Rules, begin, observe
from dialtone.incidents.outbox import Outbox, Postman
from dialtone.incidents.overlap import windowed
from dialtone.incidents.rounds import ROUNDS, new_deployment, unseen, usual_gap
from dialtone.incidents.routing import Router
from dialtone.incidents.silence import Silence
from dialtone.objective import Objective
from dialtone.verdict import Levels, Severity

from .conftest import NOON, Rounds, alerting, sign
from .test_outbox import Far


def own(rounds: Rounds, trouble: str, cause: str = "channel: slack") -> list[str]:
    """Say it at the desk."""
    rounds.now += 1
    return [str(s.told) for s in rounds.desk.own("production", cause, trouble, Severity.P1, rounds.now)]


def test_a_channel_that_is_down_is_told_on_another(rounds):
    """Once, never on the channel itself; what it carries again ends it, and is told to the same people."""
    assert own(rounds, "") == []
    assert own(rounds, "404 no_service") == ["opened"]
    assert own(rounds, "404 no_service") == []
    assert own(rounds, "") == ["resolved"]
    told = [(r.message.told, r.channel) for r in rounds.desk.outbox.rows()]
    assert sorted(told) == [("opened", "mail"), ("resolved", "mail")]
    message = rounds.desk.outbox.rows()[0].message
    assert message.broken == "alerts do not arrive by slack: other channels carry them"
    assert "dialtone channels test slack" in message.first_step


@pytest.mark.parametrize(
    ("routes", "wanted"),
    [
        ({"channels": ["slack"], "fallback": ["slack", "mail"]}, ["mail"]),
        ({"channels": ["slack"]}, ["mail", "pager"]),
        ({"channels": ["slack", "pager"], "fallback": ["slack"]}, ["pager"]),
    ],
)
def test_there_is_always_another(engine, routes, wanted):
    """The rest of the route, else its fallback, else whatever people read."""
    rounds = Rounds(Desk(engine, Router(alerting(routes={"all": routes}), ["production"])))
    own(rounds, "down")
    rows = rounds.desk.outbox.rows()
    assert sorted(r.channel for r in rows) == wanted
    assert all("slack" not in r.fallback for r in rows)


def test_the_postman_says_which_channel_is_down(rounds):
    """A refusal for good, or past the deadline; a hiccup is none, and what works again is not down."""
    rounds.play(health="critical")
    rounds.play(health="critical")
    rounds.now -= 60  # the moment at which it opened
    far = {"slack": Far(NotSent("404", final=True)), "mail": Far(NotSent("503")), "pager": Far()}
    postman = Postman(rounds.desk.outbox, far, clock=lambda: rounds.now, seed=1)
    postman.deliver()
    assert (postman.down, postman.up) == ({"slack": "404"}, {"pager"})
    far["mail"].trouble = [NotSent("503")]
    rounds.now += 90
    postman.deliver()
    assert postman.down["mail"] == "503"
    rounds.now += 90
    postman.deliver()
    assert (set(postman.down), postman.up) == ({"slack"}, {"pager", "mail"})


def test_missed_rounds_are_an_incident(rounds):
    """The next round opens it, the one after that ends it."""
    assert own(rounds, "nothing looked for 2 h", ROUNDS) == ["opened"]
    assert own(rounds, "", ROUNDS) == ["resolved"]


@pytest.mark.parametrize(
    ("before", "at", "usual", "told"),
    [
        (None, NOON, None, ""),
        ((NOON, 900.0), NOON + 2_600, None, ""),
        ((NOON, 900.0), NOON + 2_800, None, "for 46 min 40 s: every 15 min was planned"),
        ((NOON, 900.0), NOON + 2_800, 1_500.0, ""),  # this scheduler is late as a rule
        ((NOON, 3.0), NOON + 500, None, ""),
        ((NOON, 3.0), NOON + 700, None, "for 11 min 40 s: every 3 s was planned"),
        ((NOON, 900.0), NOON - 3_600, None, ""),  # the clock was set back
    ],
)
def test_what_counts_as_missed(before, at, usual, told):
    """Three times the plan, twice what is usual, and never less than ten minutes."""
    assert unseen(before, at, usual) == told


def test_the_usual_gap_is_measured():
    """Shards of one round are one round; from a few rounds nothing is said."""
    runs = [Run(f"r{n}", "production", NOON, NOON + 900 * n, place) for n in range(8) for place in ("a", "b")]
    assert usual_gap(runs) == 900
    assert usual_gap([*runs, Run("late", "production", NOON, NOON + 900 * 20)]) == 900 * 13
    assert usual_gap(runs[:8]) is None


def test_a_deployment_is_new_once(engine):
    """The first round that sees it, and no other; without one before there is nothing to compare with."""
    store = Store(engine)
    seen = []
    for number, commit in enumerate([None, "abc", "abc", None, "def", "def"]):
        run = Run(f"r{number}", "production", NOON + number, NOON + number, deployment=commit)
        store.add(run)
        seen.append(new_deployment(store, run))
    assert seen == [None, None, None, None, "def", None]


def test_overlapping_windows_count_once():
    """The same events looked at a hundred times are no more evidence; a window later they are."""
    rules, incident = Rules(needed=14.0), begin("i", "production", "calls", NOON, Severity.P1)
    one = sign("calls", "breach", nats=9.0, window=86_400.0)
    for number in range(90):
        incident, steps = observe(incident, [replace(one, at=NOON + 900 * number)], NOON + 900 * number, rules)
        assert not steps, number
    assert incident.weight == pytest.approx(9.0)
    worse, steps = observe(incident, [replace(one, at=NOON + 86_000, nats=14.5)], NOON + 86_000, rules)
    assert [s.told for s in steps] == ["opened"]
    assert worse.weight == pytest.approx(14.5)
    _, steps = observe(incident, [replace(one, at=NOON + 86_400)], NOON + 86_400, rules)
    assert [s.told for s in steps] == ["opened"]


def test_independent_rounds_still_add_up():
    """What takes samples of its own each round is confirmed by them."""
    rules, incident = Rules(needed=9.0), begin("i", "production", "health", NOON, Severity.P0)
    incident, steps = observe(incident, [sign(at=NOON)], NOON, rules)
    assert not steps
    _, steps = observe(incident, [sign(at=NOON + 60)], NOON + 60, rules)
    assert steps


def test_the_evidence_of_a_window_is_exact():
    """Three of three at a target of 99 %: a millionth. Of many looks at few events most show the same."""
    objective = Objective("payments", Levels(99.0, 95.0, 90.0), "%", "above")
    assert objective.nats(3, 3) == pytest.approx(13.8, abs=0.1)
    assert objective.nats(0, 50) == 0
    assert windowed(9.2, 2, 86_400, 900) == pytest.approx(9.2 + 3.18, abs=0.01)
    assert windowed(9.2, 1_000, 86_400, 900) == 9.2
    window = {"nats": 9.2, "seconds": 86_400.0}
    entry = {"id": "x", "verdict": "breach", "kind": None, "severity": "P1", "reason": "", "samples": 2, "value": 0.0,
             "unit": "%", "levels": {}, "runbook": "", "at": "", "window": window}  # fmt: skip
    assert sign_of(entry, NOON, 900).weight == pytest.approx(9.2 + 3.18, abs=0.01)


def test_a_clock_that_is_set_back_loses_nothing(rounds):
    """A day back: verdicts are taken, timers keep what was left of them, and the end is told."""
    rounds.now = NOON + 86_400
    for _ in range(2):
        rounds.play(health="critical")
    rounds.now = NOON
    assert rounds.play(health="critical") == []
    assert "escalated" in rounds.wait(330)
    rounds.play(health="ok")
    assert rounds.play(health="ok") == ["resolved"]


def test_a_late_result_is_not_a_clock(rounds):
    """A round of another shard that comes a few seconds late changes nothing."""
    rounds.play(health="critical")
    rounds.play(health="critical")
    late = rounds.desk.absorb("late", "production", [sign("health", "ok", NOON + 30)], NOON + 61)
    assert late == []
    assert str(rounds.desk.records.latest(1)[0].members["health"].verdict) == "critical"


def test_a_row_does_not_wait_for_a_clock_that_was_wrong(rounds):
    """What was put off, or leased, by a clock half an hour ahead leaves now."""
    rounds.play(health="critical")
    rounds.play(health="critical")
    ahead = rounds.now + 1_800
    dead = {name: Far(NotSent("503", after=600)) for name in ("slack", "mail", "pager")}
    Postman(rounds.desk.outbox, dead, clock=lambda: ahead, seed=1).deliver(2)
    rounds.desk.outbox.claim(ahead)
    far = {"slack": Far(), "mail": Far(), "pager": Far()}
    Postman(rounds.desk.outbox, far, clock=lambda: rounds.now, seed=1).deliver()
    assert [len(one.got) for one in far.values()] == [1, 1, 1]


class Slow(Far):
    """A channel that takes a message a second."""

    every = 1.0


def test_one_message_a_second_for_all_programs(tmp_path):
    """Two programs share the pace through the store; others go on meanwhile, and a row that waits is not in doubt."""
    store = Store.open(tmp_path / "history.db")
    routes = {"all": {"channels": ["slack", "mail"]}}
    rounds = Rounds(Desk(store.engine, Router(alerting(routes=routes), ["production"])))
    for _ in range(2):
        rounds.of([sign("a"), sign("b"), sign("c")])
    other = Store.open(tmp_path / "history.db")
    slack, mail, sent = Slow(), Far(), []
    now = rounds.now
    for tenth in range(25):
        for engine in (store.engine, other.engine):
            at = now + tenth / 10
            before = len(slack.got)
            Postman(Outbox(engine), {"slack": slack, "mail": mail}, clock=lambda at=at: at, seed=1).deliver()
            sent += [tenth] * (len(slack.got) - before)
    assert sent == [0, 10, 20]
    assert len(mail.got) == 3
    assert slack.doubts == [False] * 3
    other.close()
    store.close()


def test_a_pace_from_a_wrong_clock_is_nothing(engine):
    """A day ahead and back: the channel is free."""
    outbox = Outbox(engine)
    assert outbox.pace("slack", NOON + 86_400, 1.0) == 0
    assert outbox.pace("slack", NOON, 1.0) == 0
    assert outbox.pace("slack", NOON + 0.4, 1.0) == pytest.approx(0.6)


def test_an_expired_silence_says_so(rounds):
    """The message that follows it names who wanted it, and why."""
    rounds.desk.silence(Silence("s1", "production", "health*", NOON + 600, "upgrade", "ada", NOON), NOON)
    for _ in range(3):
        rounds.play(health="critical")
    assert rounds.wait(900)[0] == "silence over"
    message = rounds.desk.outbox.rows()[0].message
    assert message.note == "the silence of health* by ada has ended: upgrade"


def test_a_store_that_is_read_only_keeps_nobody_from_being_told(tmp_path, monkeypatch):
    """What waits leaves from a copy, under the same ids; the store says that it was not told of it."""
    from dialtone.incidents.after_run import AfterRun

    store = Store.open(tmp_path / "history.db")
    rounds = Rounds(Desk(store.engine, Router(alerting(), ["production"])))
    rounds.play(health="critical")
    rounds.play(health="critical")
    store.engine.do("PRAGMA query_only = ON")
    with pytest.raises(Exception, match="readonly"):
        rounds.desk.outbox.claim(time.time())
    far = {"slack": Far(), "mail": Far(), "pager": Far()}

    def deliver(one: Store, *, wary: bool = False) -> None:
        Postman(Outbox(one.engine), far, clock=lambda: rounds.now, wary=wary, seed=1).deliver()

    after = AfterRun.__new__(AfterRun)
    after._told = []
    after._deliver(store, deliver)
    assert {name: [m.key for m in one.got] for name, one in far.items()} == {
        name: [rounds.desk.outbox.rows()[0].message.key] for name in far
    }
    assert far["slack"].doubts == [True]
    assert "readonly" in after._told[0]
    assert "3 message(s)" in after._told[0]
    store.close()


def test_what_is_known_needs_no_second_look():
    """Trouble of the alerting itself is no sample."""
    incident, steps = observe(begin("i", "t", "channel: x", NOON, Severity.P1), [sign("channel: x")], NOON, CERTAIN)
    assert [s.told for s in steps] == ["opened"]
    assert incident.about_channel == "x"
