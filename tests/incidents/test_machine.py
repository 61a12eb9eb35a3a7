"""Thousands of steps of verdicts, people, silences, dead channels, crashes and clocks that jump: what never happens."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any, NamedTuple

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from dialtone.history import Store
from dialtone.incidents.channels.sending import NotSent
from dialtone.incidents.desk import Desk
from dialtone.incidents.lifecycle import CALLS, State
from dialtone.incidents.message import Message
from dialtone.incidents.outbox import Postman
from dialtone.incidents.routing import Router
from dialtone.incidents.silence import Silence
from dialtone.verdict import Kind, Severity, Verdict

from .conftest import NOON, alerting, sign

CHECKS = {"database": Severity.P0, "login": Severity.P1, "booking": Severity.P2, "page": Severity.P3}
VERDICTS = st.sampled_from([Verdict.OK] * 3 + [Verdict.CRITICAL] * 3 + [Verdict.DEGRADED, Verdict.UNKNOWN])
MOST_AN_HOUR = 30
CHANNELS = st.sampled_from(["slack", "pager", "mail"])
MODES = st.sampled_from(["up", "up", "later", "never", "crash before", "crash after"])
CALLING = {str(told) for told in CALLS}


STEPS: Counter[str] = Counter()
"""What was done in all runs together."""


class Crash(BaseException):
    """The process is gone."""


class Wire:
    """A channel that works, refuses, or ends the process before or after the message has gone."""

    def __init__(self) -> None:
        self.mode = "up"
        self.got: list[tuple[str, int, str]] = []

    def send(self, message: Message, memory: dict[str, Any], *, doubt: bool) -> dict[str, Any]:
        """As the mode says."""
        if self.mode == "later":
            raise NotSent("503", doubt=True, after=30)
        if self.mode == "never":
            raise NotSent("403", final=True)
        if self.mode == "crash before":
            raise Crash
        if not message.digest:
            self.got.append((message.incident, message.seq, message.told))
        if self.mode == "crash after":
            raise Crash
        return memory

    def close(self) -> None:
        """Nothing is open."""


class Row(NamedTuple):
    """What the invariants have to know of a message."""

    incident: str
    seq: int
    channel: str
    told: str
    cause: str


class Machine(RuleBasedStateMachine):
    """A desk, three channels, and two clocks: the one that the desk sees may jump, the other only goes on."""

    @initialize()
    def begin(self) -> None:
        """An empty store."""
        self.store = Store.open(Path(":memory:"))
        routes = {"all": {"channels": ["slack", "pager", "mail"], "fallback": ["mail"]}}
        router = Router(alerting(routes=routes, causes={"database": ["login", "booking"]}), ["production"])
        self.desk = Desk(self.store.engine, router)
        self.wires = {name: Wire() for name in ("slack", "pager", "mail")}
        self.now, self.true, self.number = NOON, 0.0, 0
        self.steps: dict[str, list[float]] = defaultdict(list)
        self.told: set[tuple[str, int]] = set()
        self.known: dict[str, Row] = {}

    def _rows(self, incident: str | None = None) -> list[Row]:
        """The outbox; each row is read once."""
        asked = "SELECT id FROM dialtone_outbox WHERE incident = coalesce(?, incident)"
        names = [name for (name,) in self.store.engine.all(asked, [incident])]
        if any(name not in self.known for name in names):
            for row in self.store.engine.all("SELECT id, incident, seq, channel, body FROM dialtone_outbox"):
                if row[0] not in self.known:
                    body = json.loads(row[4])
                    self.known[row[0]] = Row(*row[1:4], body["told"], body["cause"])
        return [self.known[name] for name in names]

    def _pass(self, seconds: float) -> None:
        self.now += seconds
        self.true += seconds

    def _watch(self) -> None:
        for incident in self.desk.records.latest(1_000):
            for seq, *_ in self.desk.records.steps(incident.id):
                if (incident.id, seq) not in self.told:
                    self.told.add((incident.id, seq))
                    self.steps[incident.id].append(self.true)

    @rule(verdicts=st.lists(VERDICTS, min_size=4, max_size=4), again=st.integers(1, 4), channel=CHANNELS, mode=MODES)
    def rounds(self, verdicts: list[Verdict], again: int, channel: str, mode: str) -> None:
        """The same verdicts for some rounds, a minute apart, and what is to be told then."""
        for _ in range(again):
            STEPS["round"] += 1
            self._pass(60)
            self.number += 1
            signs = [
                sign(
                    check,
                    str(verdict),
                    self.now,
                    severity=severity,
                    kind=Kind.BROKEN if verdict is Verdict.UNKNOWN else None,
                )
                for (check, severity), verdict in zip(CHECKS.items(), verdicts, strict=True)
            ]
            self.desk.absorb(f"r{self.number}", "production", signs, self.now)
            self.desk.tick(self.now)
            self._watch()
        self._deliver(channel, mode)

    @rule(who=st.sampled_from(["ada", "bo"]), resolve=st.booleans(), which=st.integers(0, 5))
    def person(self, who: str, resolve: bool, which: int) -> None:
        """Somebody has one of them, or says that it is over."""
        live = [i for i in self.desk.records.latest(50) if i.live]
        if live:
            STEPS["person"] += 1
            chosen = live[which % len(live)].id
            (self.desk.close if resolve else self.desk.acknowledge)(chosen, who, self.now)
            self._watch()

    @rule(pattern=st.sampled_from(["*", "database", "page", "unknown*"]), span=st.integers(60, 7_200))
    def silence(self, pattern: str, span: int) -> None:
        """Somebody silences something."""
        self.number += 1
        STEPS["silence"] += 1
        one = Silence(f"s{self.number}", "production", pattern, self.now + span, "because", "ada", self.now)
        self.desk.silence(one, self.now)

    @rule(seconds=st.integers(60, 20_000))
    def time_passes(self, seconds: int) -> None:
        """And somebody looks at the timers twice in it."""
        for part in (seconds // 2, seconds - seconds // 2):
            STEPS["tick"] += 1
            self._pass(part)
            self.desk.tick(self.now)
            self._watch()

    @rule(seconds=st.sampled_from([-3_600, 3_600, 86_400]))
    def clock_jumps(self, seconds: int) -> None:
        """Set back an hour, on an hour, on a day: no time has passed."""
        STEPS["jump"] += 1
        self.now += seconds
        self.desk.tick(self.now)
        self._watch()

    @rule(channel=CHANNELS, mode=MODES)
    def deliver(self, channel: str, mode: str) -> None:
        """Messages leave, with one channel in some state."""
        self._deliver(channel, mode)

    def _deliver(self, channel: str, mode: str) -> None:
        """After a crash the lease runs out."""
        self.wires[channel].mode = mode
        STEPS["delivery"] += 1
        try:
            Postman(self.desk.outbox, self.wires, clock=lambda: self.now, seed=1).deliver(200)
        except Crash:
            STEPS["crash"] += 1
            self._pass(61)
        self.wires[channel].mode = "up"

    @rule(channel=CHANNELS, down=st.booleans(), again=st.integers(1, 6))
    def own_trouble(self, channel: str, down: bool, again: int) -> None:
        """A channel is found down or in order, or goes up and down a few times."""
        for number in range(again):
            STEPS["own"] += 1
            self._pass(30)
            trouble = "403" if down is (number % 2 == 0) else ""
            self.desk.own("production", f"channel: {channel}", trouble, Severity.P1, self.now)
            self._watch()

    @invariant()
    def no_channel_is_to_tell_of_itself(self) -> None:
        """What is wrong with a channel goes out on others."""
        for row in self._rows() if hasattr(self, "desk") else ():
            assert row.cause != f"channel: {row.channel}"

    @invariant()
    def nobody_is_left_untold(self) -> None:
        """An open incident has called somebody, or is covered by a silence that has an end."""
        for incident in self.desk.records.latest(1_000) if hasattr(self, "desk") else ():
            if incident.live and not incident.silenced:
                assert any(row.told in CALLING for row in self._rows(incident.id)), incident
            if incident.live and incident.silenced:
                due = self.store.engine.all("SELECT due FROM dialtone_incident WHERE id = ?", [incident.id])[0][0]
                assert due is not None

    @invariant()
    def no_message_without_a_cause(self) -> None:
        """Each row belongs to a transition that is on record."""
        if hasattr(self, "desk"):
            known = set(self.store.engine.all("SELECT incident, seq FROM dialtone_transition"))
            assert {(r.incident, r.seq) for r in self._rows()} <= known

    @invariant()
    def messages_are_bounded(self) -> None:
        """However things turn, in no hour does one incident speak more than so often."""
        for times in self.steps.values() if hasattr(self, "steps") else ():
            for first in times[-MOST_AN_HOUR - 1 :]:
                assert sum(first <= t < first + 3_600 for t in times) <= MOST_AN_HOUR

    @invariant()
    def no_resolve_is_lost(self) -> None:
        """Whatever channel was told that it began is told that it is over."""
        for incident in self.desk.records.latest(1_000) if hasattr(self, "desk") else ():
            if incident.state is State.RESOLVED:
                rows = self._rows(incident.id)
                ends = {r.channel for r in rows if r.seq == incident.seq}
                assert {r.channel for r in rows} <= ends, incident

    def teardown(self) -> None:
        """With every channel up all that is left arrives, and what was said last is what is true."""
        if not hasattr(self, "desk"):
            return
        self.now += 2 * 86_400
        self.desk.outbox.retry(self.now)
        Postman(self.desk.outbox, self.wires, clock=lambda: self.now, seed=1).deliver(5_000)
        assert self.desk.outbox.rows(state="pending") == []
        for wire in self.wires.values():
            latest = {incident: seq for incident, seq, _ in wire.got}
            newest: dict[str, int] = defaultdict(int)
            for incident, seq, _ in wire.got:
                newest[incident] = max(seq, newest[incident])
            assert latest == newest  # what came more than once was followed again by what came after it
        self.store.close()


class TestMachine(Machine.TestCase):
    """All of it, and that all of it happened."""

    def runTest(self) -> None:
        """Thousands of steps, with crashes and clocks that jump among them."""
        super().runTest()
        assert STEPS.total() >= 1_000, STEPS
        assert min(STEPS[name] for name in ("round", "crash", "jump", "person", "own")) >= 1, STEPS


TestMachine.settings = settings(
    max_examples=40,
    stateful_step_count=50,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=(
        Phase.explicit,
        Phase.reuse,
        Phase.generate,
    ),  # shrinking a failure takes minutes
)
