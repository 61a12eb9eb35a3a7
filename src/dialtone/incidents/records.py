"""Incidents, their transitions, silences and heartbeats in the tables of the history, whose schema it is."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

from dialtone.history.engines import Engine
from dialtone.incidents.lifecycle import Incident, Sign, State, Transition
from dialtone.incidents.silence import Silence
from dialtone.verdict import Kind, Severity, Verdict

_SIGN = [f.name for f in fields(Sign)]
_INCIDENT = [f.name for f in fields(Incident)]


class Records:
    """Reads and writes; whoever calls holds the transaction."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def near(self, target: str, since: float) -> list[Incident]:
        """Those of a target that are not over, and those that ended after `since`."""
        rows = self.engine.all(
            "SELECT body FROM dialtone_incident WHERE target = ? AND (state <> 'resolved' OR resolved >= ?)"
            " ORDER BY first_bad, id",
            [target, ms(since)],
        )
        return [decoded(row[0]) for row in rows]

    def due(self, at: float, most: int = 1_000) -> list[Incident]:
        """Those that time may move by now, the longest waiting first."""
        rows = self.engine.all("SELECT body FROM dialtone_incident WHERE due <= ? ORDER BY due LIMIT ?", [ms(at), most])
        return [decoded(row[0]) for row in rows]

    def find(self, start: str) -> list[Incident]:
        """Those whose id begins like this."""
        if not start.isalnum():
            return []
        rows = self.engine.all("SELECT body FROM dialtone_incident WHERE id LIKE ? ORDER BY first_bad", [f"{start}%"])
        return [decoded(row[0]) for row in rows]

    def latest(self, most: int, target: str | None = None) -> list[Incident]:
        """The newest that somebody was told of, or is to be; newest first."""
        rows = self.engine.all(
            "SELECT body FROM dialtone_incident WHERE target = coalesce(?, target)"
            " ORDER BY CASE WHEN state = 'resolved' THEN 1 ELSE 0 END, first_bad DESC, id LIMIT ?",
            [target, most],
        )
        return [decoded(row[0]) for row in rows]

    def related(self, incident: Incident, most: int = 10) -> list[Incident]:
        """Earlier ones of the same cause on the same target, newest first."""
        rows = self.engine.all(
            "SELECT body FROM dialtone_incident WHERE target = ? AND cause = ? AND id <> ?"
            " ORDER BY first_bad DESC LIMIT ?",
            [incident.target, incident.cause, incident.id, most],
        )
        return [decoded(row[0]) for row in rows]

    def put(self, incident: Incident, due: float | None) -> None:
        """Insert or replace."""
        row = (
            incident.id,
            incident.target,
            incident.cause,
            str(incident.state),
            str(incident.severity),
            ms(incident.first_bad),
            None if incident.resolved is None else ms(incident.resolved),
            None if due is None else ms(due),
            json.dumps(as_json(incident), separators=(",", ":")),
        )
        self.engine.many(_PUT, [row])

    def forget(self, incident: Incident) -> None:
        """Remove a suspicion that came to nothing."""
        self.engine.many("DELETE FROM dialtone_incident WHERE id = ?", [(incident.id,)])

    def add(self, incident: Incident, steps: Iterable[Transition]) -> None:
        """Keep transitions; one that is there already stays as it is."""
        rows = [(incident.id, s.seq, str(s.told), ms(s.at), s.note) for s in steps]
        if rows:
            self.engine.many("INSERT INTO dialtone_transition VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", rows)

    def steps(self, incident: str) -> list[tuple[int, str, float, str]]:
        """Number, what it told, when and the note of each transition."""
        rows = self.engine.all(
            "SELECT seq, told, at, note FROM dialtone_transition WHERE incident = ? ORDER BY seq", [incident]
        )
        return [(int(seq), str(told), at / 1000, str(note)) for seq, told, at, note in rows]

    def first_time(self, token: str, at: float) -> bool:
        """Take a round in; False where it has been."""
        return (
            self.engine.many("INSERT INTO dialtone_absorbed VALUES (?, ?) ON CONFLICT DO NOTHING", [(token, ms(at))])
            > 0
        )

    def silences(self, at: float) -> list[Silence]:
        """Those that are not over."""
        return [s for s in self.all_silences() if at < s.until]

    def all_silences(self) -> list[Silence]:
        """All of them, the latest end first."""
        rows = self.engine.all(
            "SELECT id, target, pattern, until, reason, owner, begun FROM dialtone_silence ORDER BY until DESC"
        )
        return [
            Silence(i, t, p, until / 1000, reason, owner, begun / 1000) for i, t, p, until, reason, owner, begun in rows
        ]

    def put_silence(self, one: Silence) -> None:
        """Insert, or change the end."""
        row = (one.id, one.target, one.pattern, ms(one.begun), ms(one.until), one.reason, one.owner)
        self.engine.many(
            "INSERT INTO dialtone_silence VALUES (?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (id) DO UPDATE SET until = excluded.until",
            [row],
        )

    def beat(self, target: str, at: float, every: float) -> tuple[float, float] | None:
        """Note that the target is looked at; when it was before, and how often that was to be."""
        before = self.heartbeats().get(target)
        self.engine.many(
            "INSERT INTO dialtone_heartbeat VALUES (?, ?, ?)"
            " ON CONFLICT (target) DO UPDATE SET at = excluded.at, every = excluded.every",
            [(target, ms(at), ms(every))],
        )
        return before

    def heartbeats(self) -> dict[str, tuple[float, float]]:
        """Target -> last look and seconds until the next."""
        rows = self.engine.all("SELECT target, at, every FROM dialtone_heartbeat")
        return {str(target): (at / 1000, every / 1000) for target, at, every in rows}


_PUT = """INSERT INTO dialtone_incident (id, target, cause, state, severity, first_bad, resolved, due, body)
 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET cause = excluded.cause, state = excluded.state,
 severity = excluded.severity, resolved = excluded.resolved, due = excluded.due, body = excluded.body"""


def ms(at: float) -> int:
    """Whole milliseconds, as the tables hold times."""
    return round(at * 1000)


def as_json(incident: Incident) -> dict[str, Any]:
    """JSON types only. `asdict` would copy deeply, which costs a millisecond for each incident."""
    told = {name: getattr(incident, name) for name in _INCIDENT}
    members = {check: {name: getattr(s, name) for name in _SIGN} for check, s in incident.members.items()}
    return {**told, "members": members}


def decoded(body: str) -> Incident:
    """An incident from its JSON; keys of a newer program are left out."""
    told: dict[str, Any] = {k: v for k, v in json.loads(body).items() if k in _INCIDENT}
    members = {check: sign(found) for check, found in told["members"].items()}
    state, severity = State(told["state"]), Severity(told["severity"])
    return Incident(**{**told, "state": state, "severity": severity, "members": members, "turns": tuple(told["turns"])})


def sign(found: Mapping[str, Any]) -> Sign:
    """A sign from its JSON."""
    given = {k: v for k, v in found.items() if k in _SIGN}
    kind = given.get("kind")
    return Sign(
        **{
            **given,
            "verdict": Verdict(given["verdict"]),
            "kind": Kind(kind) if kind else None,
            "severity": Severity(given["severity"]),
        }
    )
