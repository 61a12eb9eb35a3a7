"""The commands of incidents: `incidents`, `ack`, `silence`, `outbox`, `routes`, `channels`."""

from __future__ import annotations

import argparse
import getpass
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from dialtone.history import Store, StoreError, where
from dialtone.incidents import document
from dialtone.incidents.channels.sending import NotSent
from dialtone.incidents.desk import Desk
from dialtone.incidents.handover import Handover, RoutesError, unheard
from dialtone.incidents.lifecycle import Incident
from dialtone.incidents.message import Line, Message, moment, subject
from dialtone.incidents.outbox import Row
from dialtone.incidents.records import as_json
from dialtone.incidents.review import look_gap
from dialtone.incidents.routing import duration
from dialtone.incidents.silence import Silence
from dialtone.redact import secrets
from dialtone.target import ProfileError, load
from dialtone.target.duration import seconds
from dialtone.verdict import Severity

Run = Callable[[argparse.Namespace], int]


def add_parser(commands: Any) -> None:
    """Add the commands to the command line."""
    one = _command(
        commands, "incidents", "what is wrong, since when, and who has it; or the document of one", _incidents
    )
    one.add_argument("incident", nargs="?", help="beginning of an id: everything about that one, as Markdown")
    one.add_argument("--json", action="store_true", help="for programs")
    one.add_argument("--all", action="store_true", help="those that are over as well")
    one = _command(commands, "ack", "say that you have an incident: nobody else is called for it", _ack)
    one.add_argument("incident", help="beginning of its id")
    one.add_argument("--as", dest="who", default=None, help="who has it (default: you)")
    one.add_argument("--resolve", action="store_true", help="it is over")
    one = _command(
        commands, "silence", "keep incidents quiet for a time; without arguments: what is silenced", _silence
    )
    one.add_argument("pattern", nargs="?", help="checks or causes, such as 'calendar*'")
    one.add_argument("--for", dest="span", default=None, help="how long: 30m, 4h, 2d")
    one.add_argument("--reason", default=None, help="why; everybody who wonders reads it")
    one.add_argument("--owner", default=None, help="who answers for it (default: you)")
    one.add_argument("--end", default=None, metavar="ID", help="end a silence now")
    one = _command(commands, "outbox", "messages that wait, failed or left; `send` sends what may leave", _outbox)
    one.add_argument("action", nargs="?", choices=["list", "send", "retry"], default="list")
    one.add_argument("ids", nargs="*", help="with retry: these only (default: all that failed)")
    one.add_argument("--state", choices=["pending", "sent", "failed"], default=None)
    one.add_argument("--json", action="store_true", help="for programs")
    one = _command(commands, "routes", "who would hear of a check, how, when and why", _routes)
    one.add_argument("action", choices=["explain"])
    one.add_argument("check", help="id of a check in build/verdicts.json, or a severity such as P1")
    one.add_argument("--verdicts", type=Path, default=Path("build/verdicts.json"))
    one = _command(commands, "channels", "send a message marked as a test over every channel", _channels)
    one.add_argument("action", choices=["test"])
    one.add_argument("names", nargs="*", help="these only (default: all)")


def _command(commands: Any, name: str, says: str, run: Run) -> Any:
    parser = commands.add_parser(name, help=says, description=f"{says[0].upper()}{says[1:]}.")
    parser.add_argument("--target", default=os.environ.get("DIALTONE_TARGET", "production"))
    parser.add_argument("--config", type=Path, default=None, help="the profile file (default: dialtone.toml)")
    parser.set_defaults(run=lambda args: _in_words(run, args))
    return parser


def _in_words(run: Run, args: argparse.Namespace) -> int:
    try:
        return run(args)
    except (ProfileError, RoutesError, StoreError, LookupError, ValueError) as wrong:
        print(secrets.scrub(str(wrong)), file=sys.stderr)
        return 4


def _config(args: argparse.Namespace) -> Path:
    named = args.config or (Path(os.environ["DIALTONE_CONFIG"]) if os.environ.get("DIALTONE_CONFIG") else None)
    here = Path.cwd()
    found = named or next((p for f in (here, *here.parents) if (p := f / "dialtone.toml").is_file()), None)
    if found is None:
        raise ProfileError("no dialtone.toml here or above: name one with --config")
    return found


def _handover(args: argparse.Namespace, *, unarmed: bool = False) -> Handover:
    config = _config(args)
    target = load(config, args.target, os.environ)
    found = Handover(config, target) if unarmed else Handover.open(config, target)
    if found is None or not found.router.watches(args.target):
        raise RoutesError(
            f"{config.name} has no [routes] about {args.target}: docs/incidents.md says how to write them"
        )
    return found


@contextmanager
def _open(args: argparse.Namespace) -> Iterator[tuple[Handover, Store, Desk]]:
    handover = _handover(args, unarmed=True)  # what is known can be read without any credential
    place = where(load(_config(args), args.target, os.environ), os.environ)
    if place is None:
        raise StoreError(f"{args.target} has no history: name one in DIALTONE_HISTORY")
    store = Store.open(place)
    try:
        yield handover, store, handover.desk(store)
    finally:
        store.close()
        handover.close()


def _incidents(args: argparse.Namespace) -> int:
    with _open(args) as (_, _store, desk):
        if args.incident:
            found = desk.one(args.incident)
            made = document.facts(desk, found)
            print(json.dumps(made, indent=1, ensure_ascii=False) if args.json else document.markdown(made))
            return 0
        shown = [i for i in desk.records.latest(500, args.target) if i.live or args.all]
        if args.json:
            print(json.dumps([as_json(i) for i in shown], indent=1, ensure_ascii=False))
        elif not shown:
            print(f"no open incident on {args.target}")
        for incident in () if args.json else shown:
            print(_line(incident, time.time()))
    return 0


def _line(incident: Incident, at: float) -> str:
    who = f" by {incident.by}" if incident.by else ""
    quiet = ", silenced" if incident.silenced else ""
    end = incident.resolved or at
    return (
        f"{incident.id}  {incident.severity}  {incident.state}{who}{quiet}  {subject(incident.cause)}"
        f"  since {moment(incident.first_bad)} ({duration(end - incident.first_bad)}), {len(incident.members)} check(s)"
    )


def _ack(args: argparse.Namespace) -> int:
    who = args.who or getpass.getuser()
    with _open(args) as (handover, store, desk):
        found = desk.one(args.incident)
        done = desk.close if args.resolve else desk.acknowledge
        steps = done(found.id, who, time.time())
        if not steps:
            print(f"{found.id} is {found.state}{f' by {found.by}' if found.by else ''}: nothing to do")
            return 0
        handover.postman(desk.outbox).drain(5.0)
        now = desk.one(found.id)
        until = f", until {moment(now.ack_until)}" if now.ack_until else ""
        print(f"{now.id} {subject(now.cause)}: {now.state} by {who}{until}")
        return _tell_unheard(store, desk)


def _tell_unheard(_store: Store, desk: Desk) -> int:
    lines = unheard(desk.outbox.unheard(time.time()), Path.cwd(), os.environ)
    print("\n".join(lines), file=sys.stderr, end="\n" if lines else "")
    return 16 if lines else 0


def _silence(args: argparse.Namespace) -> int:
    at = time.time()
    with _open(args) as (_, _store, desk):
        known = desk.records.all_silences()
        if args.end:
            found = [s for s in known if s.id.startswith(args.end)]
            if len(found) != 1:
                raise LookupError(f"{len(found)} silences begin with {args.end}")
            desk.silence(replace(found[0], until=at), at)
            print(f"{found[0].id} ended")
            return 0
        if not args.pattern:
            for one in known:
                word = f"ends {moment(one.until)}" if at < one.until else f"EXPIRED {moment(one.until)}"
                print(f"{one.id}  {one.pattern} on {one.target}  {word}  {one.owner}: {one.reason}")
            return 0
        if not args.span or not args.reason:
            raise ValueError("a silence needs an end and a reason: --for 4h --reason 'upgrade of the database'")
        until = at + seconds(args.span)
        made = Silence(
            f"s{round(at):x}", args.target, args.pattern, until, args.reason, args.owner or getpass.getuser(), at
        )
        desk.silence(made, at)
        print(f"{made.id}: nobody is told of {made.pattern} on {made.target} until {moment(until)}")
    return 0


def _outbox(args: argparse.Namespace) -> int:
    with _open(args) as (handover, store, desk):
        if args.action == "list":
            shown = desk.outbox.rows(state=args.state)
            if args.json:
                print(
                    json.dumps(
                        [{**asdict(r), "message": r.message.as_json()} for r in shown], indent=1, ensure_ascii=False
                    )
                )
            for row in () if args.json else shown:
                print(_row(row))
            return 0
        if args.action == "retry":
            print(f"{desk.outbox.retry(time.time(), args.ids)} messages may leave again")
        arrived = handover.deliver(store)
        waiting = len(desk.outbox.rows(state="pending"))
        print("\n".join([f"{arrived} sent, {waiting} waiting", *handover.words()]))
        return _tell_unheard(store, desk)


def _row(row: Row) -> str:
    when = f"sent {moment(row.sent)}" if row.sent else f"{row.state}, {row.attempts} tries, by {moment(row.deadline)}"
    trouble = f"  {row.error}" if row.error else ""
    return f"{row.id}  {row.severity}  {row.message.told}  {subject(row.message.cause)}  {when}{trouble}"


def _routes(args: argparse.Namespace) -> int:
    handover = _handover(args, unarmed=True)
    severity, section = Severity.P2, ""
    if args.check in list(Severity):
        severity = Severity(args.check)
    else:
        told = json.loads(args.verdicts.read_text())["checks"] if args.verdicts.is_file() else []
        found = next((c for c in told if c["id"] == args.check), None)
        if found is None:
            raise LookupError(f"{args.verdicts} knows no check {args.check}: run the checks once, or give a severity")
        severity, section = Severity(found["severity"]), str(found["runbook"])
    gap, _ = look_gap(load(_config(args), args.target, os.environ), os.environ)
    print("\n".join(handover.router.explained(args.target, severity, section, time.time(), gap, handover.lacking)))
    return 0


def _channels(args: argparse.Namespace) -> int:
    handover = _handover(args, unarmed=True)
    names = args.names or list(handover.alerting.channels)
    taken = []
    for number, name in enumerate(names, 1):
        trouble = _tested(handover, name, args.target)
        taken += [] if trouble else [name]
        print(f"{number}/{len(names)} {name}: {trouble or 'taken'}", flush=True)
    handover.close()
    _mended(args, taken)
    return 0 if len(taken) == len(names) else 1


def _mended(args: argparse.Namespace, channels: Sequence[str]) -> None:
    """What takes a test is in order: incidents about these channels end."""
    if not channels or where(load(_config(args), args.target, os.environ), os.environ) is None:
        return
    with _open(args) as (handover, _store, desk):
        at = time.time()
        steps = [desk.own(args.target, f"channel: {name}", "", Severity.P1, at) for name in channels]
        if any(steps):
            handover.postman(desk.outbox).drain(5.0)


def _tested(handover: Handover, name: str, target: str) -> str:
    if name not in handover.alerting.channels:
        return f"there is no channel {name} in the profile"
    if name in handover.lacking:
        return f"not armed: {handover.lacking[name]}"
    at = time.time()
    people = handover.alerting.people.values()
    message = Message(
        incident=f"test{round(at):x}",
        seq=1,
        told="opened",
        at=at,
        target=target,
        cause=f"test of {name}",
        severity="P3",
        state="open",
        first_bad=at,
        broken="nothing: somebody ran `dialtone channels test`",
        test=True,
        lines=(Line("none", "P3", "ok", "a test"),),
        mails=tuple(p.email for p in people if p.email),
    )
    over = replace(message, seq=2, told="resolved", state="resolved")
    try:
        memory = handover.senders[name].send(message, {}, doubt=False)
        handover.senders[name].send(over, memory, doubt=False)
    except NotSent as trouble:
        return trouble.reason
    return ""


__all__: Sequence[str] = ["add_parser"]
