"""From a finished run to incidents and their messages: what the controller of a run hands over, and what it hears back.

Inert unless `dialtone.toml` has routes about the target and the run has a history. The verdicts move incidents in the
transaction that stores the last results; messages leave after it, for as long as `PATIENCE`; what is left leaves with
the next run or with `dialtone outbox send`.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dialtone.history import HOLDS, Store, StoreError
from dialtone.incidents import quorum
from dialtone.incidents.channels import build, lacks
from dialtone.incidents.channels.sending import NotSent, Sender
from dialtone.incidents.compose import Composer
from dialtone.incidents.desk import Desk
from dialtone.incidents.grouping import Dependencies, matches
from dialtone.incidents.lifecycle import Rules, Sign, State, evidence_needed
from dialtone.incidents.outbox import Outbox, Postman, Row
from dialtone.incidents.overlap import windowed
from dialtone.incidents.rounds import REMEMBERED, ROUNDS, new_deployment, unseen, usual_gap
from dialtone.incidents.routing import Router, RoutesError, duration
from dialtone.incidents.section import Runbook
from dialtone.incidents.silence import lapsed
from dialtone.target import ProfileError, alerting
from dialtone.target.load import read
from dialtone.verdict import Kind, Severity, Verdict

if TYPE_CHECKING:
    from dialtone.history import Run
    from dialtone.target import Target

PATIENCE = 30.0
UNDELIVERED = Path("build/undelivered.json")
RESIDENT = "DIALTONE_RESIDENT"
"""Set by whoever looks at the timers all the time: deadlines are then not late by a whole round."""


SHARD = "DIALTONE_SHARD"
"""Which part of the checks this run is, as in `2/5`: parts of one run share its token, and each is taken in."""

EPHEMERAL = "DIALTONE_EPHEMERAL"
"""Set where the history may be older than what was sent from it, as on a disk that goes with a killed job."""


class Handover:
    """Everything that is configured, for one target."""

    def __init__(self, config: Path, target: Target, environ: Mapping[str, str] = os.environ) -> None:
        self._target, self._environ, self._folder = target, environ, config.parent
        self.alerting = alerting(config)
        self.router = Router(self.alerting, read(config).target)
        self.lacking = {n: lack for n, c in self.alerting.channels.items() if (lack := lacks(c, environ))}
        armed = {n: c for n, c in self.alerting.channels.items() if n not in self.lacking}
        self.senders: dict[str, Sender] = {n: build(n, c, environ) for n, c in armed.items()}
        self._words: list[str] = []
        self._looked: tuple[str, float] | None = None
        self._gap: float | None = None
        self._deployed: str | None = None

    @classmethod
    def open(cls, config: Path, target: Target, environ: Mapping[str, str] = os.environ) -> Handover | None:
        """None where no route is about the target. Raises RoutesError, also with no channel armed, and ProfileError."""
        found = alerting(config)
        if not found.routes:
            return None
        made = cls(config, target, environ)
        if not made.router.watches(target.name):
            return None
        if not made.senders:
            lack = "; ".join(f"{name}: {what}" for name, what in made.lacking.items())
            raise RoutesError(f"no channel is armed, so nobody hears of an incident on {target.name} ({lack})")
        return made

    def desk(self, store: Store, checks: Sequence[Mapping[str, Any]] = (), every: float | None = None,
             diagnosis: Mapping[str, Any] | None = None, suite: int = 0) -> Desk:  # fmt: skip
        """The desk on an open store, for a round of these checks. `every` is what was planned, as the profile says it
        where nothing does; deadlines are held against how far apart rounds really were."""
        schedule = self._target.profile.schedule
        every = every or (self._looked[1] if self._looked else None) or (schedule.every if schedule else HOLDS)
        if self._gap is None and not self._environ.get(RESIDENT):
            self._gap = usual_gap(store.runs(self._target.name, time.time() - REMEMBERED))
        declared = {str(c["id"]): list(c["depends"]) for c in checks if c.get("depends")}
        needed = evidence_needed(
            suite or max(1, sum(bool(c["armed"]) for c in checks)), every, self._target.profile.history.false_pages
        )
        return Desk(
            store.engine,
            self.router,
            rules=Rules(needed=needed),
            dependencies=Dependencies(declared, self.alerting.causes),
            composer=Composer(
                Runbook(self._target.profile.runbook, self._folder),
                _links(self._target, self._environ),
                _said(diagnosis),
            ),
            gap=None if self._environ.get(RESIDENT) else max(every, self._gap or 0.0),
        )

    def recall(self, store: Store, at: float) -> None:
        """A store that knows of no incident may be one that did not outlive its job: ask the channels what stands."""
        desk = self.desk(store)
        if desk.records.latest(1, self._target.name):
            return
        for name, sender in self.senders.items():
            standing = getattr(sender, "standing", None)
            if standing is None:
                continue
            try:
                found = desk.adopt(standing(self._target.name), name, at)
            except NotSent as trouble:
                self._words.append(f"{name} does not say what is open: {trouble.reason}")
                continue
            if found:
                self._words.append(f"{found} open incident(s) taken over from {name}")

    def absorb(
        self, store: Store, run: Run, checks: Sequence[Mapping[str, Any]], at: float,
        diagnosis: Mapping[str, Any] | None = None, *, around: Sequence[tuple[Mapping[str, Any], float]] = (),
        suite: int = 0,
    ) -> int:  # fmt: skip
        """Move incidents by what the run said; within the transaction that stores it. How many steps there were.

        Of a part of the checks, `around` is what was seen last of the others, with its time, and `suite` how many there
        are: what is red together has one cause, and evidence is held against the looks of all.
        """
        shard = self._environ.get(SHARD, "")
        if not suite and shard:  # as if all parts were as large as this one
            suite = max(1, sum(bool(c["armed"]) for c in checks)) * int(shard.partition("/")[2])
        desk = self.desk(store, [*checks, *(entry for entry, _ in around)], run.every, diagnosis, suite)
        if (rule := self._target.profile.quorum) is not None:
            store.engine.alone()
            at = quorum.after(desk.records.heartbeats().get(run.target), at)
        before = desk.records.beat(run.target, at, run.every)
        missed = unseen(before, at, self._gap)
        self._words += [f"nothing looked at {run.target} {missed}"] if missed else []
        trouble = f"nothing looked {missed}" if missed else ""
        desk.own(run.target, ROUNDS, trouble, Severity.P2, at, within=True)
        if before:
            ended = [s for s in desk.records.all_silences() if before[0] <= s.until < at]
            self._words += [s.words for s in ended if matches(run.target, [s.target])]
        self._deployed = new_deployment(store, run)
        self._looked = run.token, run.every
        signs = [sign_of(check, at, run.every) for check in checks if check["armed"] and not check["experiment"]]
        if rule is not None:
            heard = quorum.votes(store.engine, run.target, at, run.every, rule.places)
            found = quorum.joint(signs, heard, run.place, rule)
            signs = list(found.signs)
            self._words += [*found.alone, *found.words]
        signs += [sign_of(entry, then) for entry, then in around]
        steps = desk.absorb(" ".join(f"{run.token} {run.place} {shard}".split()), run.target, signs, at, within=True)
        if deaf := self.router.silent(run.target, self.senders):
            lack = "; ".join(f"{name}: {what}" for name, what in self.lacking.items())
            self._words.append(f"nobody would hear of {', '.join(deaf)}: {lack}")
        look = desk.gap
        late = [s for s in Severity if look and self.router.too_slow(s, "", run.target, look)]
        if late:
            every = duration(look or run.every)
            self._words.append(
                f"{', '.join(late)}: answers are due sooner than the next look ({every}): all are told at once"
            )
        return len(steps)

    def deliver(
        self, store: Store, *, patience: float = PATIENCE, clock: Callable[[], float] = time.time, wary: bool = False,
        alive: bool = True,
    ) -> int:  # fmt: skip
        """Acknowledgements in, time, messages out; how many arrived. `wary` as of `Postman`; `alive` says that the dead
        man's switches are told as well."""
        desk = self.desk(store)
        self._hear(desk, clock())
        desk.tick(clock())
        postman = self.postman(desk.outbox, clock, wary=wary)
        arrived = postman.drain(patience)
        steps = [desk.own(self._target.name, f"channel: {name}", postman.down.get(name, ""), Severity.P1, clock())
                 for name in sorted({*postman.down, *postman.up})]  # fmt: skip
        if any(steps):
            arrived += postman.drain(patience)
        self._tell_deployment(clock())
        self._words += lapsed(self.alerting.maintenance, clock())
        if self._looked is not None and alive:
            self.check_in(*self._looked)
        return arrived

    def check_in(self, token: str, every: float) -> None:
        """Tell the dead man's switches that the target was looked at: only after a round that is stored."""
        for name, sender in self.senders.items():
            told = getattr(sender, "check_in", None)
            if told is None:
                continue
            ident = hashlib.sha256(token.encode()).hexdigest()[:32]
            try:
                told(f"dialtone-{self._target.name}", "ok", ident, every, where=self._target.name)
            except NotSent as trouble:
                self._words.append(f"{name} was not told that the watch is alive: {trouble.reason}")

    def _tell_deployment(self, at: float) -> None:
        """A change event where a channel has such: what was deployed stands beside the incidents, and wakes nobody."""
        deployed, self._deployed = self._deployed, None
        for name, sender in self.senders.items() if deployed else ():
            change = getattr(sender, "change", None)
            if change is None:
                continue
            try:
                change(f"{self._target.name}: deployed {deployed}", at, {"deployment": deployed})
            except NotSent as trouble:
                self._words.append(f"{name} was not told of the deployment: {trouble.reason}")

    def postman(self, outbox: Outbox, clock: Callable[[], float] = time.time, *, wary: bool = False) -> Postman:
        """Who carries the messages."""
        wary = wary or bool(self._environ.get("GITHUB_ACTIONS") or self._environ.get(EPHEMERAL))
        return Postman(outbox, self.senders, lacking=self.lacking, clock=clock, wary=wary)

    def _hear(self, desk: Desk, at: float) -> None:
        waiting = [i.id for i in desk.records.latest(200) if i.state is State.OPEN]
        for name, sender in self.senders.items() if waiting else ():
            asked = getattr(sender, "acknowledged", None)
            if asked is None:
                continue
            try:
                for incident, who in asked(waiting).items():
                    desk.acknowledge(incident, who, at)
            except NotSent as trouble:
                self._words.append(f"{name} does not say who acknowledged: {trouble.reason}")

    def close(self) -> None:
        """Close what the channels hold open."""
        for sender in self.senders.values():
            sender.close()

    def words(self) -> list[str]:
        """What people have to know of the alerting itself, each once; it is told, and forgotten."""
        told = list(dict.fromkeys(self._words))
        self._words.clear()
        return told


def sign_of(check: Mapping[str, Any], at: float, every: float = HOLDS) -> Sign:
    """An entry of `verdicts.json` as a sign, from rounds `every` so many seconds."""
    kind, samples = check["kind"], int(check["samples"])
    seen = check.get("window")
    nats = windowed(seen["nats"], samples, seen["seconds"], every) if seen else None
    return Sign(
        str(check["id"]),
        at,
        Verdict(check["verdict"]),
        Kind(kind) if kind else None,
        Severity(check["severity"]),
        str(check["reason"]),
        samples,
        check["value"],
        check["unit"],
        dict(check["levels"]),
        str(check["runbook"]),
        str(check["at"] or ""),
        check.get("explained"),
        nats,
        float(seen["seconds"]) if seen else 0.0,
    )


def unheard(rows: Sequence[Row], folder: Path, environ: Mapping[str, str]) -> list[str]:
    """Messages that reached nobody: a file that holds them, an annotation where GitHub reads it, a line for each."""
    if not rows:
        return []
    path = folder / UNDELIVERED
    path.parent.mkdir(parents=True, exist_ok=True)
    told = [{"id": r.id, "channel": r.channel, "error": r.error, "message": r.message.as_json()} for r in rows]
    path.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n")
    lines = [f"NOT DELIVERED on any channel: {row.message.headline} ({row.channel}: {row.error})" for row in rows]
    if environ.get("GITHUB_ACTIONS"):
        lines += [f"::error title=alert not delivered::{_annotated(line)}" for line in lines]
    return lines


def _annotated(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _links(target: Target, environ: Mapping[str, str]) -> dict[str, str]:
    links = {"target": target.profile.base_url} if target.profile.base_url.startswith("https://") else {}
    if environ.get("GITHUB_RUN_ID"):
        links["run"] = (
            f"{environ['GITHUB_SERVER_URL']}/{environ['GITHUB_REPOSITORY']}/actions/runs/{environ['GITHUB_RUN_ID']}"
        )
    if environ.get("DIALTONE_REPORT_URL"):
        links["report"] = environ["DIALTONE_REPORT_URL"]
    return links


def _said(diagnosis: Mapping[str, Any] | None) -> dict[str, str]:
    """Check -> the likeliest cause of what is red there."""
    found: dict[str, str] = {}
    causes = [diagnosis["cause"], *diagnosis["candidates"]] if diagnosis else []
    for cause in causes:
        for check in cause["checks"] if cause else ():
            found.setdefault(str(check), f"{cause['says']}. {cause['first']}")
    return found


__all__ = ["Handover", "ProfileError", "RoutesError", "StoreError", "sign_of", "unheard"]
