"""An experiment's story: steady state, fault under load, expected fallback, expected alert, recovery, ledger.

    story.steady("a booking works", lambda: book(tenant).success)
    callers = story.load("callers", lambda: book(tenant))
    with story.fault(fault):
        story.fallback("every caller gets an appointment", lambda: all(s.good for s in story.during_fault(callers)))
        story.alert("slack", names=["stripe"], about=tenant["id"])
    story.recovered("bookings are charged again", lambda: ...)
    story.ledger(reconciled)

Every step is noted with its time, and the story goes on after one that does not hold: its verdict is formed at the
end, when no fault is left. A steady state that does not hold and a fault that met nothing make it inconclusive.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Any

from dialtone.drill.declared import Fault
from dialtone.drill.ledger import Ledger, Outcome
from dialtone.drill.load import Load
from dialtone.drill.receiving import PEOPLE, Message, arrived
from dialtone.interceptor.client import Active, Controller
from dialtone.judging import Aims, fail, ok, running
from dialtone.probes.journal import Journal, eventually
from dialtone.verdict import Unarmed, Undecided

_ASSERTIONS = {"fallback", "alert", "silence", "recovery", "ledger", "search"}
_RARELY = 0.05
"""Pause between two looks for a recovery, as a share of what it has taken so far: so exact is the time of it."""
_LAST_LOOK = 1.0
"""Seconds that the last look for a recovery, begun in time, may itself take."""
_LEDGER_PAUSE = 0.2
"""Seconds between two looks at all books."""


class Story:
    """The steps of one experiment and what they showed; times in the record are seconds since its begin."""

    def __init__(
        self,
        journal: Journal | None,
        controller: Controller | None,
        aims: Aims | None = None,
        *,
        settle: float = 4.0,
        quiet: float = 0.3,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._inbox, self._controller, self._wall = journal, controller, wall
        self._settle, self._quiet = settle, quiet
        self.aims = aims or running().meta.aims
        self.begin = wall()
        self.steps: list[dict[str, Any]] = []
        self.cells: list[dict[str, Any]] = []
        self.loads: list[Load] = []
        self._active: list[Active] = []
        self.fault_began: float | None = None
        self.fault_ended: float | None = None
        self._failed: list[str] = []
        self._unproved: list[str] = []
        self._later: list[Callable[[], None]] = []
        self._alerted: list[float] = []
        self._recovered: list[float] = []
        self._balance: Ledger | None = None
        self._lost = self._doubled = 0
        self._explored = False
        state = controller.state() if controller else {"arrived": {}, "hosts": {}, "tcp": []}
        self._arrived: dict[str, int] = state["arrived"]
        self._hosts, self._tcp = sorted(state["hosts"]), state["tcp"]
        record = running()
        record.closing = self.conclude
        self._notes = record.notes
        self._notes["story"] = self.steps

    # the steps

    def steady(self, what: str, look: Callable[[], Any], *, within: float | None = None) -> None:
        """What must hold before the fault (within the settle time); else the experiment is inconclusive, at once."""
        holds = bool(eventually(look, bool, within=self._settle if within is None else within))
        self._step("steady state", what, holds=holds)
        if not holds:
            self._unproved.append(f"the steady state does not hold: {what}")
            raise Undecided(f"inconclusive: the steady state does not hold: {what}")

    def load(self, what: str, call: Callable[[], Any], *, every: float = 0.3, most: int = 60) -> Load:
        """Customers from now to the end of the story: `call` every so many seconds, `most` times at most."""
        made = Load(what, call, every=every, most=most)
        self.loads.append(made)
        return made.start()

    @contextlib.contextmanager
    def fault(self, *faults: Fault | Active, says: str | None = None, may_miss: bool = False) -> Iterator[Active]:
        """A fault, or several at once, for as long as the block runs. They end with it, or with this process.

        One that meets nothing makes the story inconclusive, unless it is one of many that `may_miss`.
        """
        controller = self._controller
        if controller is None:
            raise Unarmed("no interceptor stands between this target and its providers: no fault can be put")
        before = controller.state()["arrived"]
        self.fault_began, self.fault_ended = self.fault_began or self._wall(), None
        self._called = {host: number - self._arrived.get(host, 0) for host, number in before.items()}
        active: list[tuple[Active, str, str]] = []
        already = len(self._active)
        try:
            for one in faults:
                put = one if isinstance(one, Active) else one.put(controller)
                shown = put.shown()
                what, kind = (one.what, one.kind) if isinstance(one, Fault) else _told(shown)
                active.append((put, kind, self.named(shown["match"].get("host", "*"))))
                self._active.append(put)
                self._step("fault", says or what, holds=True, host=active[-1][2], fault=kind)
            yield active[0][0]
        finally:
            del self._active[already:]
            self._end(controller, active, may_miss=may_miss)

    def named(self, pattern: str) -> str:
        """The host that a pattern means, such as an answer's `*.upstash.io`, where it is just one of the target's."""
        meant = [host for host in self._hosts if fnmatchcase(host, pattern)]
        return meant[0] if len(meant) == 1 else pattern

    def _end(self, controller: Controller, active: list[tuple[Active, str, str]], *, may_miss: bool) -> None:
        shown = [put.shown() for put, _, _ in active]
        controller.end([put.id for put, _, _ in active])
        self.fault_ended = self._wall()
        for told, (_, kind, host) in zip(shown, active, strict=True):
            met, how = _met(told, sum(n for one, n in self._called.items() if fnmatchcase(one, host)))
            self._step("fault ends", f"{kind} at {host}: {how}", holds=met or may_miss, host=host, fault=kind)
            if may_miss and not met:
                continue
            self.cells.append({"host": host, "fault": kind, "matched": told["matched"], "acted": told["acted"]})
            if "ended" in told and told["ended"] != "ended by its controller":
                self._unproved.append(f"{kind} at {host} ended early: {told['ended']}")
            elif not met:
                self._unproved.append(f"the fault met nothing: {kind} at {host}")

    @contextlib.contextmanager
    def disturbed(self, what: str, *, kind: str, host: str) -> Iterator[None]:
        """A disturbance that the block makes by itself, on any target: a webhook sent twice, a secret exchanged.

        `kind` and `host` are its cell of the matrix (`duplicate`, `stripe webhook`).
        """
        self.fault_began, self.fault_ended = self.fault_began or self._wall(), None
        self._step("fault", what, holds=True, host=host, fault=kind)
        try:
            yield
        finally:
            self.fault_ended = self._wall()
            self._step("fault ends", what, holds=True, host=host, fault=kind)
            self.cells.append({"host": host, "fault": kind, "matched": 1, "acted": 1})

    @property
    def _journal(self) -> Journal:
        """The receiving ends."""
        if self._inbox is None:
            raise Unarmed("the profile has no journal: nobody can look at the receiving end")
        return self._inbox

    def acted(self) -> int:
        """On how many requests the faults that last now have acted."""
        return sum(active.acted() for active in self._active)

    def fallback(self, what: str, look: Any, *, within: float = 0.0) -> bool:
        """What the customer must still get while the fault lasts: a truth, or a look that may take `within` seconds."""
        return self._judge("fallback", what, look, within)

    def alert(
        self,
        channel: str,
        *,
        names: Sequence[str] = (),
        about: str | None = None,
        within: float | None = None,
        once: bool | None = None,
    ) -> bool:
        """Who must hear of it, seen at the receiving end: `names` are words of the cause, `about` marks the tenant.

        In time from the fault's begin (the experiment's `alert_within`), and, except at Sentry, once until the end of
        the story.
        """
        words = [*names, *([about] if about else [])]
        begin = self._began()
        deadline = begin + (self.aims.alert_within if within is None else within)
        look = lambda: arrived(self._journal, [channel], begin, words)  # noqa: E731
        found: list[Message] = eventually(look, bool, within=max(0.0, deadline - self._wall()))
        told = f"{channel} hears of it" + (f", naming {', '.join(names)}" if names else "")
        holds = bool(found) and found[0].at <= deadline
        if found:
            self._alerted.append(found[0].at)
            told += f", after {found[0].at - begin:.1f} s"
        self._step("alert", told, holds=holds, channel=channel)
        if not holds:
            others = len(arrived(self._journal, [channel], begin))
            heard = f"of {others} messages none names {', '.join(words)}" if others else "nothing at all"
            self._failed.append(f"alert: {told}" if found else f"alert: {channel} heard in time: {heard}")
        if once if once is not None else channel != "sentry":
            self._later.append(lambda: self._once(channel, begin, words))
        return holds

    def _once(self, channel: str, begin: float, words: Sequence[str]) -> None:
        until = self.fault_ended or self._wall()
        found = [m for m in arrived(self._journal, [channel], begin, words) if m.at <= until + self._settle]
        if len(found) > 1 and not all(m.says(["resolved"]) for m in found[1:]):
            self._judge("alert", f"{channel} is told once, not {len(found)} times", look=False)

    def silence(self, *channels: str, about: str | None = None) -> None:
        """Nobody is told on these channels (of people, where none is named), from the begin to the end of the story."""
        chosen = channels or ("slack", "mail")

        def look() -> None:
            found = arrived(self._journal, chosen, self.begin, [about] if about else [])
            self._judge("silence", f"nothing is told on {', '.join(chosen)}: {len(found)} messages", look=not found)

        self._later.append(look)

    def recovered(self, what: str, look: Callable[[], Any], *, within: float | None = None) -> bool:
        """What must hold again when the fault is gone, within the experiment's `recover_within` from its end.

        The longer it takes the less often is looked: who asks ten times a second for a minute is one too many himself.
        """
        ended = self.fault_ended or self._wall()
        limit = self.aims.recover_within if within is None else within

        def rarely(pause: float) -> None:
            now = self._wall()
            time.sleep(min(max(pause, _RARELY * (now - ended)), max(0.0, ended + limit - now)))

        holds = bool(eventually(look, bool, within=max(0.0, ended + limit - self._wall()), sleep=rarely))
        took = self._wall() - ended
        holds = holds and took <= limit + _LAST_LOOK
        self._step("recovery", f"{what}, after {took:.1f} s", holds=holds)
        if holds:
            self._recovered.append(took)
        else:
            self._failed.append(f"recovery: not within {limit:g} s: {what}")
        return holds

    def resolved(self, channel: str, *, names: Sequence[str] = (), within: float | None = None) -> bool:
        """The message that it is over, at the receiving end, within `recover_within` of the fault's end."""
        ended = self.fault_ended or self._wall()
        limit = self.aims.recover_within if within is None else within
        look = lambda: arrived(self._journal, [channel], ended, names)  # noqa: E731
        found = eventually(look, bool, within=max(0.0, ended + limit - self._wall()))
        return self._judge("resolve", f"{channel} hears that it is over", bool(found))

    def ledger(
        self, look: Callable[[], Ledger], *, within: float | None = None, loss_at: float | None = None
    ) -> Ledger:
        """Hold what was promised against what happened, after quiet: `look` reconciles; again until nothing is due.

        A retry may double what is kept, so the last one is waited for, as long as a recovery may take; what is not done
        by then is not recovered in time, and a retry that is still due then leaves the experiment inconclusive. What
        was lost counts beyond the experiment's recovery point objective, if there was a loss at `loss_at`.
        """
        for load in self.loads:
            load.stop()
        limit = self.aims.recover_within if within is None else within
        balance: Ledger = eventually(
            look,
            lambda found: bool(found.count(Outcome.DOUBLED)) or (found.balanced and not _coming(found)),
            within=limit,
            sleep=lambda pause: time.sleep(max(pause, _LEDGER_PAUSE)),
        )
        at = loss_at if loss_at is not None else float("-inf")
        lost = balance.lost_beyond(self.aims.rpo, at) if loss_at is not None else balance.of(Outcome.LOST)
        self._balance, self._lost, self._doubled = balance, len(lost), balance.count(Outcome.DOUBLED)
        pending = balance.of(Outcome.PENDING)
        holds = not (lost or pending or self._doubled)
        self._step("ledger", "; ".join(str(balance).splitlines()), holds=holds)
        if balance.unknown:
            self._unproved += [f"the ledger: {text}" for text in balance.unknown]
        if not any(sum(counts.values()) for counts in balance.counts.values()):
            self._unproved.append("the ledger: nothing was promised")
        if lost:
            self._failed.append(f"ledger: {len(lost)} lost ({', '.join(sorted({line.duty for line in lost}))})")
        if pending:
            told = ", ".join(sorted({line.duty for line in pending}))
            self._failed.append(f"ledger: {len(pending)} still pending after {limit:g} s ({told})")
        if self._doubled:
            doubled = {line.duty for line in balance.of(Outcome.DOUBLED)}
            self._failed.append(f"ledger: {self._doubled} doubled ({', '.join(sorted(doubled))})")
        return balance

    def explored(self, what: str, broken: str, cells: Sequence[dict[str, Any]]) -> None:
        """What a search through many schedules came to, and the faults that acted in them; `broken` fails the story."""
        self.cells += cells
        self._explored = True
        self._step("search", what, holds=not broken)
        if broken:
            self._failed.append(broken)

    def during_fault(self, load: Load) -> list[Any]:
        """The samples of a load that began while the fault lasted."""
        return load.between(self._began(), self.fault_ended or float("inf"))

    # the verdict

    def stop(self) -> None:
        """End the load; nothing else of a story outlives its blocks."""
        for load in self.loads:
            load.stop(5.0)

    def conclude(self) -> None:
        """Form the verdict, now that no fault is left: inconclusive before fail before pass."""
        self.stop()
        if self._later and not self._unproved:
            time.sleep(self._quiet)
        for look in self._later:
            look()
        self._later.clear()
        self._notes["experiment"] = self.record()
        if self._unproved:
            raise Undecided(f"inconclusive: {'; '.join(self._unproved)}")
        if self._failed:
            more = f" (and {len(self._failed) - 1} more)" if len(self._failed) > 1 else ""
            fail(self._failed[0] + more)
        if self._balance is not None and self._balance.due:
            raise Undecided(
                f"inconclusive: the ledger: {self._balance.due} retries are still due: each may do again what is kept;"
                " a longer recover_within waits for them"
            )
        if not self.cells and not self._explored:
            raise Undecided("inconclusive: no fault was put")
        if not any(step["step"] in _ASSERTIONS for step in self.steps):
            raise Undecided("inconclusive: nothing was asserted")
        ok(f"{len(self.steps)} steps hold")

    def record(self) -> dict[str, Any]:
        """What the drill keeps of it."""
        began, ended = self.fault_began, self.fault_ended
        signs = [s.at for load in self.loads for s in load.samples if began and s.at >= began and not s.good]
        if began is not None and self._inbox is not None:
            signs += [m.at for m in arrived(self._journal, ["sentry", *PEOPLE], began)]
        counts = (
            {d: {str(o): n for o, n in c.items()} for d, c in self._balance.counts.items()} if self._balance else {}
        )
        return {
            "seconds_to_detect": _first(signs, began),
            "seconds_to_alert": _first(self._alerted, began),
            "seconds_to_recover": round(max(self._recovered), 3) if self._recovered else None,
            "lost": self._lost,
            "doubled": self._doubled,
            "started": self.begin,
            "fault": [None if t is None else round(t - self.begin, 3) for t in (began, ended)],
            "steps": self.steps,
            "symptoms": [load.shown(self.begin) for load in self.loads],
            "ledger": counts,
            "cells": self.cells,
            "hosts": self._hosts,
            "tcp": self._tcp,
        }

    def _judge(self, kind: str, what: str, look: Any, within: float = 0.0) -> bool:
        holds = bool(eventually(look, bool, within=within) if callable(look) else look)
        self._step(kind, what, holds=holds)
        if not holds:
            self._failed.append(f"{kind}: {what}")
        return holds

    def _began(self) -> float:
        return self.fault_began if self.fault_began is not None else self.begin

    def _step(self, kind: str, what: str, *, holds: bool, **more: str) -> None:
        at = round(self._wall() - self.begin, 3)
        self.steps.append({"at": at, "step": kind, "what": what, "holds": holds, **more})


def _told(shown: dict[str, Any]) -> tuple[str, str]:
    """A fault that was put by hand, in words and as a class."""
    kind = f"{shown['provider']}.{shown['row']}" if shown["fault"] == "answer" else shown["fault"]
    return f"{kind} at {shown['match'].get('host', 'every host')}", kind


def _met(told: dict[str, Any], called: int) -> tuple[bool, str]:
    """Whether a fault met anything, in words.

    Who is refused by the kernel is never seen: that this story `called` the host before is the proof then.
    """
    if told["acted"]:
        return True, f"acted on {told['acted']} of {told['matched']}"
    if told["fault"] in ("refuse", "blackhole"):
        return called > 0, f"the host was called {called} times before"
    return False, "met nothing"


def _coming(balance: Ledger) -> bool:
    """Whether something may still change by itself."""
    return bool(balance.due or balance.count(Outcome.PENDING))


def _first(times: Sequence[float], began: float | None) -> float | None:
    """Seconds from the begin of the fault to the first of these times."""
    return round(min(times) - began, 3) if times and began is not None else None
