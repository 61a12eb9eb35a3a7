"""The outbox: messages that are written in the transaction that moves an incident, and leave afterwards, at least once.

A row is (incident, transition, channel), and its id is the same however often it is sent. A lease keeps two programs
from sending one row at the same time; a program that dies in between leaves a row whose lease runs out and that is *in
doubt*: its channel looks, where it can, whether it is there already. Within an incident and a channel rows leave in
order. What a channel refuses for good, or for longer than the severity allows, goes to the fallback.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from dialtone.history.engines import Engine
from dialtone.incidents.channels.sending import LONGEST_WAIT, NotSent, Sender
from dialtone.incidents.message import Message, subject
from dialtone.incidents.records import ms
from dialtone.incidents.routing import SEND_WITHIN, Plan
from dialtone.verdict import Severity

LEASE = 60.0
"""Longer than any channel takes for one row, seconds."""
BACKOFF, LONGEST_BACKOFF = 1.0, 60.0
GIVE_UP = 3_600.0
"""How long a row is still tried after its fallback had to carry it, seconds."""


@dataclass(frozen=True, slots=True)
class Row:
    """One message for one channel. Times are seconds since 1970."""

    id: str
    channel: str
    state: str
    severity: str
    digest: bool
    after: float
    deadline: float
    attempts: int
    doubt: bool
    sent: float | None
    fallback: tuple[str, ...]
    error: str
    message: Message


class Outbox:
    """Reads and writes of the rows; `add` belongs into the caller's transaction, everything else has its own."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def add(self, message: Message, channels: Iterable[str], plan: Plan, at: float) -> None:
        """One row for each channel; those that are there already stay as they are."""
        deadline = plan.after + SEND_WITHIN[Severity(message.severity)]
        self._insert([(message, name, plan.digest, at, plan.after, deadline, plan.fallback) for name in channels])

    def _insert(self, rows: Sequence[tuple[Message, str, bool, float, float, float, Sequence[str]]]) -> int:
        made = [
            (
                f"{m.key}.{name}", m.incident, m.seq, name, "pending", m.severity, int(digest), ms(at), ms(after),
                ms(deadline), 0, 0, 0, None, json.dumps(list(fallback)), None, json.dumps(m.as_json()),
            )
            for m, name, digest, at, after, deadline, fallback in rows
        ]  # fmt: skip
        return (
            self.engine.many(f"INSERT INTO dialtone_outbox VALUES ({', '.join('?' * 17)}) ON CONFLICT DO NOTHING", made)
            if made
            else 0
        )

    def copied(self, other: Outbox) -> int:
        """Take the rows of another outbox that wait, with what channels remember, to be sent from here; how many."""
        rows = other.rows(state="pending")
        with self.engine.transaction():
            for row in rows:
                self._insert([(row.message, row.channel, row.digest, row.message.at, row.after, row.deadline,
                               row.fallback)])  # fmt: skip
                if memory := other.memory(row.message.incident, row.channel):
                    self.remember(row.message.incident, row.channel, memory)
        return len(rows)

    def channels(self, incident: str) -> list[str]:
        """The channels that were told of it, or are about to be."""
        rows = self.engine.all(
            "SELECT DISTINCT channel FROM dialtone_outbox WHERE incident = ? ORDER BY channel", [incident]
        )
        return [str(row[0]) for row in rows]

    def adopted(self, incident: str) -> bool:
        """Whether a channel knows of it from before this store: then others were told as well."""
        known = self.engine.all("SELECT channel FROM dialtone_thread WHERE incident = ?", [incident])
        return bool({str(row[0]) for row in known} - set(self.channels(incident)))

    def claim(self, at: float, resting: Iterable[str] = ()) -> Row | None:
        """Take the most urgent row that may leave, for `LEASE` seconds; None where there is none."""
        away = sorted(resting)
        rest = f"AND o.channel NOT IN ({', '.join('?' * len(away))})" if away else ""
        absurd = [ms(at + LONGEST_WAIT + LEASE), ms(at + 2 * LEASE)]
        while True:
            order = "ORDER BY o.severity, o.created, o.seq, o.id LIMIT 1"
            found = self.engine.all(
                f"{_SELECT} {_CLAIMABLE} {rest} {order}", [ms(at), absurd[0], ms(at), absurd[1], *away]
            )
            if not found:
                return None
            row = _row(found[0])
            with self.engine.transaction():
                taken = self.engine.many(
                    "UPDATE dialtone_outbox SET leased = ?, attempts = attempts + 1, doubt = 1"
                    " WHERE id = ? AND state = 'pending' AND (leased <= ? OR leased > ?)",
                    [(ms(at + LEASE), row.id, ms(at), absurd[1])],
                )
            if taken:
                return replace(row, attempts=row.attempts + 1)

    def pace(self, channel: str, at: float, every: float) -> float:
        """Take the next moment at which the channel may be used, for all programs together: 0 if that is now, else how
        many seconds are left until then."""
        with self.engine.transaction():
            self.engine.many("INSERT INTO dialtone_pace VALUES (?, 0) ON CONFLICT DO NOTHING", [(channel,)])
            if self.engine.many(
                "UPDATE dialtone_pace SET free = ? WHERE channel = ? AND (free <= ? OR free > ?)",
                [(ms(at + every), channel, ms(at), ms(at + 2 * every))],
            ):
                return 0.0
        free: float = self.engine.all("SELECT free FROM dialtone_pace WHERE channel = ?", [channel])[0][0] / 1000
        return max(0.001, free - at)

    def release(self, row: Row) -> None:
        """Give a claimed row back that was not sent."""
        with self.engine.transaction():
            self.engine.many(
                "UPDATE dialtone_outbox SET leased = 0, attempts = attempts - 1, doubt = ? WHERE id = ?",
                [(int(row.doubt), row.id)],
            )

    def with_it(self, row: Row, at: float) -> list[Row]:
        """The other rows that belong into the same digest, taken as well."""
        found = self.engine.all(
            f"{_SELECT} WHERE o.state = 'pending' AND o.digest = 1 AND o.channel = ? AND o.after <= ? AND o.leased <= ?"
            " AND o.id <> ? ORDER BY o.created, o.seq", [row.channel, ms(at), ms(at), row.id]
        )  # fmt: skip
        taken = []
        for other in map(_row, found):
            if other.message.target != row.message.target:
                continue
            with self.engine.transaction():
                if self.engine.many(
                    "UPDATE dialtone_outbox SET leased = ?, doubt = 1"
                    " WHERE id = ? AND state = 'pending' AND leased <= ?",
                    [(ms(at + LEASE), other.id, ms(at))],
                ):
                    taken.append(other)
        return taken

    def memory(self, incident: str, channel: str) -> dict[str, Any]:
        """What the channel remembers of the incident."""
        found = self.engine.all(
            "SELECT body FROM dialtone_thread WHERE incident = ? AND channel = ?", [incident, channel]
        )
        return dict(json.loads(found[0][0])) if found else {}

    def remember(self, incident: str, channel: str, memory: Mapping[str, Any]) -> None:
        """Keep it; inside of the caller's transaction."""
        self.engine.many(
            "INSERT INTO dialtone_thread VALUES (?, ?, ?)"
            " ON CONFLICT (incident, channel) DO UPDATE SET body = excluded.body",
            [(incident, channel, json.dumps(memory))],
        )

    def sent(self, rows: Sequence[Row], memory: Mapping[str, Any], at: float) -> None:
        """They have arrived."""
        with self.engine.transaction():
            self.engine.many(
                "UPDATE dialtone_outbox SET state = 'sent', sent = ?, doubt = 0, leased = 0, error = NULL WHERE id = ?",
                [(ms(at), row.id) for row in rows],
            )
            if len(rows) == 1:
                self.remember(rows[0].message.incident, rows[0].channel, memory)

    def not_sent(self, row: Row, trouble: NotSent, at: float, pause: float) -> None:
        """Try again after `pause` seconds, or hand over to the fallback, or both."""
        late = at >= row.deadline
        over = trouble.final or at >= row.deadline + GIVE_UP
        message = row.message
        if trouble.rest:
            message = replace(message, mails=trouble.rest)
        with self.engine.transaction():
            self.engine.many(
                "UPDATE dialtone_outbox SET state = ?, after = ?, leased = 0, doubt = ?, error = ?, body = ?"
                " WHERE id = ?",
                [("failed" if over else "pending", ms(at + pause), int(trouble.doubt), trouble.reason,
                  json.dumps(message.as_json()), row.id)],
            )  # fmt: skip
            if trouble.rest:
                self.remember(message.incident, row.channel, {"rest": message.key})
            if (over or late) and row.fallback:
                first, *others = row.fallback
                via = f"{row.channel} could not carry it: {trouble.reason}"
                told = replace(row.message, via=via)
                deadline = at + SEND_WITHIN[Severity(row.severity)]
                self._insert([(told, first, False, at, at, deadline, others)])

    def retry(self, at: float, ids: Sequence[str] = ()) -> int:
        """Rows that failed may leave again: these, or all that no later message of their incident has overtaken."""
        where = f" AND id IN ({', '.join('?' * len(ids))})" if ids else _NOT_OVERTAKEN
        with self.engine.transaction():
            rows = self.engine.all(f"SELECT id FROM dialtone_outbox o WHERE state = 'failed'{where}", list(ids))
            return (
                self.engine.many(
                    "UPDATE dialtone_outbox SET state = 'pending', after = ?, deadline = ?, leased = 0 WHERE id = ?",
                    [(ms(at), ms(at + GIVE_UP), row[0]) for row in rows],
                )
                if rows
                else 0
            )

    def rows(self, *, state: str | None = None, incident: str | None = None, most: int = 10_000) -> list[Row]:
        """Rows, oldest first."""
        found = self.engine.all(
            f"{_SELECT} WHERE o.state = coalesce(?, o.state) AND o.incident = coalesce(?, o.incident)"
            " ORDER BY o.created, o.incident, o.seq, o.channel LIMIT ?", [state, incident, most],
        )  # fmt: skip
        return [_row(row) for row in found]

    def next_time(self, at: float) -> float | None:
        """When the next row may leave."""
        found = self.engine.all(
            "SELECT min(CASE WHEN leased > after THEN leased ELSE after END) FROM dialtone_outbox"
            " WHERE state = 'pending'"
        )
        return None if found[0][0] is None else max(at, found[0][0] / 1000)

    def unheard(self, at: float) -> list[Row]:
        """Rows past their deadline whose transition has reached nobody on any channel: a run has to say so."""
        found = self.engine.all(
            f"{_SELECT} WHERE o.state <> 'sent' AND (o.state = 'failed' OR o.deadline <= ?) AND NOT EXISTS ("
            "SELECT 1 FROM dialtone_outbox e WHERE e.incident = o.incident AND e.seq = o.seq AND e.id <> o.id"
            " AND (e.state = 'sent' OR (e.state = 'pending' AND e.deadline > ?))) ORDER BY o.created", [ms(at), ms(at)],
        )  # fmt: skip
        return [_row(row) for row in found]


# Every value goes in as a parameter; what is put together here are names of our own.
# ruff: noqa: S608
_INSERT = f"INSERT INTO dialtone_outbox VALUES ({', '.join('?' * 17)}) ON CONFLICT DO NOTHING"
_COLUMNS = "id channel state severity digest after deadline attempts doubt sent fallback error body".split()
_SELECT = f"SELECT {', '.join('o.' + name for name in _COLUMNS)} FROM dialtone_outbox o"
_NOT_OVERTAKEN = """ AND NOT EXISTS (SELECT 1 FROM dialtone_outbox e WHERE e.incident = o.incident
 AND e.channel = o.channel AND e.seq > o.seq AND e.state = 'sent')"""
# A time to wait for that no channel asks for, and no lease lasts, is left from before the clock was set back.
_CLAIMABLE = """WHERE o.state = 'pending' AND (o.after <= ? OR (o.attempts > 0 AND o.after > ?))
 AND (o.leased <= ? OR o.leased > ?) AND NOT EXISTS (
 SELECT 1 FROM dialtone_outbox e WHERE e.incident = o.incident AND e.channel = o.channel AND e.seq < o.seq
 AND e.state = 'pending')"""


def _row(found: Sequence[Any]) -> Row:
    ident, channel, state, severity, digest, after, deadline, attempts, doubt, sent, fallback, error, body = found
    return Row(
        ident, channel, state, severity, bool(digest), after / 1000, deadline / 1000, attempts, bool(doubt),
        None if sent is None else sent / 1000, tuple(json.loads(fallback)), error or "", Message.of(json.loads(body)),
    )  # fmt: skip


class Postman:
    """Sends what may leave. `senders` are the armed channels; a row of another one goes to its fallback at once.

    `wary`: the store may be older than what was sent from it, so that every row is in doubt.
    """

    def __init__(
        self,
        outbox: Outbox,
        senders: Mapping[str, Sender],
        *,
        lacking: Mapping[str, str] | None = None,
        clock: Callable[[], float] = time.time,
        seed: int | None = None,
        wary: bool = False,
    ) -> None:
        self.outbox, self._senders, self._clock = outbox, senders, clock
        self._lacking, self._wary = lacking or {}, wary
        self._random = random.Random(seed)  # noqa: S311 - jitter, no secret
        self._resting: dict[str, float] = {}
        self.down: dict[str, str] = {}
        """Armed channels that could not carry a message, with the reason, unless they carried a later one."""
        self.up: set[str] = set()

    def deliver(self, most: int = 1_000) -> int:
        """Send until nothing may leave any more, or `most` rows were tried; how many arrived."""
        arrived = 0
        for _ in range(most):
            at = self._clock()
            self._resting = {name: until for name, until in self._resting.items() if at < until}
            row = self.outbox.claim(at, self._resting)
            if row is None:
                break
            every = getattr(self._senders.get(row.channel), "every", 0.0)
            if every and (left := self.outbox.pace(row.channel, at, every)):
                self._resting[row.channel] = at + left
                self.outbox.release(row)
                continue
            arrived += self._one(row, at)
        return arrived

    def drain(self, patience: float, sleep: Callable[[float], None] = time.sleep) -> int:
        """Deliver, and wait up to `patience` seconds for what may leave soon; how many arrived."""
        end = self._clock() + patience
        arrived = self.deliver()
        while (following := self.outbox.next_time(self._clock())) is not None:
            rest = max(following, min(self._resting.values(), default=0.0)) if self._resting else following
            if rest > end or self._clock() >= end:
                break
            sleep(min(1.0, max(0.05, rest - self._clock())))
            arrived += self.deliver()
        return arrived

    def _one(self, row: Row, at: float) -> int:
        together = [row, *(self.outbox.with_it(row, at) if row.digest else ())]
        message = replace(_digest(together) if len(together) > 1 else row.message)
        memory = {} if message.digest else self.outbox.memory(row.message.incident, row.channel)
        try:
            memory = self._sender(row.channel).send(message, memory, doubt=row.doubt or self._wary)
        except NotSent as trouble:
            if trouble.after:
                self._resting[row.channel] = at + trouble.after
            pause = max(trouble.after, self._pause(row.attempts))
            for one in together:
                self.outbox.not_sent(one, trouble, self._clock(), pause)
            if row.channel in self._senders and (trouble.final or self._clock() >= row.deadline):
                self.down[row.channel] = trouble.reason
                self.up.discard(row.channel)
            return 0
        self.outbox.sent(together, memory, self._clock())
        self.up.add(row.channel)
        self.down.pop(row.channel, None)
        return len(together)

    def _sender(self, channel: str) -> Sender:
        if channel in self._senders:
            return self._senders[channel]
        raise NotSent(f"it is not armed: {self._lacking.get(channel, 'no such channel')}", final=True)

    def _pause(self, attempts: int) -> float:
        """Exponential, with full jitter above half: programs that fail together do not come back together."""
        whole: float = min(LONGEST_BACKOFF, BACKOFF * 2.0 ** min(attempts - 1, 10))
        return whole * self._random.uniform(0.5, 1.0)


def _digest(rows: Sequence[Row]) -> Message:
    """What happened while it was quiet, one line for each incident: how it began and where it stands."""
    by: dict[str, list[Message]] = {}
    for row in rows:
        by.setdefault(row.message.incident, []).append(row.message)
    lines = []
    for told in by.values():
        last = told[-1]
        reason = f": {last.lines[0].reason}" if last.lines else ""
        lines.append(f"{last.severity} {last.told.upper()} {subject(last.cause)}{reason} (incident {last.incident})")
    if len(by) == 1:
        return rows[-1].message
    return replace(min((r.message for r in rows), key=lambda m: m.severity), digest=tuple(lines), lines=(), measured="",
                   likely="", first_step="", broken="", note="", more=0)  # fmt: skip
