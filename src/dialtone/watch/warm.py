"""The warm session: pytest that has imported and collected once, and copies itself for every slice of looks.

A plugin of pytest, in a process that the resident watch starts: `python -m pytest -p dialtone.watch.warm …`. Where
pytest would run its tests, it tells what it collected and then waits; each socket that it is handed becomes a copy of
it (fork(2)), which runs the checks that are named over that socket, one by one, and ends. No copy knows what it will
be asked for next: a check that hangs keeps none waiting behind it. What belongs to a session of pytest (fixtures of
that scope, what was read of a provider) belongs to one copy.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import pkgutil
import signal
import socket
import time
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from dialtone import report as reports
from dialtone.budget import Need
from dialtone.environment import Environment
from dialtone.evidence import MONTH
from dialtone.keeping import EVERY, LEFT, Keeping
from dialtone.session import SESSION, id_of, meta_of, reads_of
from dialtone.verdict import Effect, Misdeclared
from dialtone.watch.allowance import month, spread
from dialtone.watch.wire import Line

if TYPE_CHECKING:
    from dialtone.judging import Meta
    from dialtone.session import Session
    from dialtone.target import Target

CHANNEL = "DIALTONE_WARM"
"""Number of the file descriptor on which the watch is asked and told."""
_DEFAULT, _LEAST, _LIMIT = 60.0, 900.0, 120.0


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool | None:
    """Serve instead of running; only in a process that the watch has started."""
    channel = os.environ.pop(CHANNEL, None)
    if channel is None or session.testsfailed:
        return None  # what cannot be collected is told by pytest itself: a part of the checks is not watched
    with socket.socket(fileno=int(channel)) as control:
        control.set_inheritable(False)
        own = session.config.stash[SESSION]
        line = Line(control)
        try:
            line.send({"ready": _catalogue(own)})
        except pytest.UsageError as wrong:
            line.send({"refused": "\n".join(str(one) for one in wrong.args)})
            return True
        _serve(session, own, control)
    return True


class _Passing(Keeping):
    """The history of a copy: keeps what was measured for whoever writes it, and writes nothing itself."""

    def take(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        """Nothing."""

    def measured(self, nodeid: str) -> Any:
        """What a check measured, once."""
        return self._measured.pop(nodeid, None)


def _serve(session: pytest.Session, own: Session, control: socket.socket) -> None:
    items = {id_of(item): item for item in own.checks}
    _warm(own.environment.target)
    own.aftermath_of("")  # of no copy: loads what the end of each needs
    alive: set[int] = set()
    control.settimeout(1.0)
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 1)  # what copies would write to the terminal is nobody's to read
    os.close(silent)
    gc.collect()
    gc.freeze()
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            alive -= {pid for pid in alive if _gone(pid)}
            try:
                asked, sockets, _, _ = socket.recv_fds(control, 1, 1)
            except TimeoutError:
                continue
            if not asked:
                break
            for descriptor in sockets:
                pid = os.fork()
                if pid == 0:
                    control.close()
                    _copy(session, own, items, descriptor)
                alive.add(pid)
                os.close(descriptor)
    for pid in alive:
        with contextlib.suppress(OSError):
            os.killpg(pid, signal.SIGKILL)


def _gone(pid: int) -> bool:
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return True


def _warm(target: Target) -> None:
    """Load once what every copy may need: modules, and the authorities of TLS. Else each would load them anew."""
    import dialtone.outcome  # noqa: F401
    from dialtone import probes
    from dialtone.http import shared_context

    for found in pkgutil.iter_modules(probes.__path__, f"{probes.__name__}."):
        importlib.import_module(found.name)
    shared_context(target.profile.ca_file)


def _copy(session: pytest.Session, own: Session, items: dict[str, pytest.Item], descriptor: int) -> NoReturn:
    """One session: from the first check to the end of its fixtures. Leaves no other way than `os._exit`."""
    code = 1
    try:
        os.setpgid(0, 0)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        line = Line(socket.socket(fileno=descriptor))
        own.started = time.time()
        history = _Passing(own.environment, own.gatherer, own.started)
        own.history = history
        own.environment.apart()
        entries: dict[str, dict[str, Any]] = {}
        line.send({"hello": os.getpid()})
        try:
            for asked in line:
                if "look" not in asked:
                    break
                item = items[asked["look"]]
                own.gatherer = reports.Gatherer()
                # The session stands in for the next test: only what belongs to it stays set up in between.
                item.config.hook.pytest_runtest_protocol(item=item, nextitem=session)
                entry = own.gatherer.entries.get(item.nodeid)
                if entry is not None:
                    entries[item.nodeid] = entry
                line.send({"entry": entry, "measured": _plain(history.measured(item.nodeid))})
        finally:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            session._setupstate.teardown_exact(None)
        own.gatherer = reports.Gatherer()
        own.gatherer.entries = entries
        own.diagnose(f"-{os.getpid()}")
        line.send({"end": True, "diagnosis": own.diagnosis})
        if own.aftermath is not None:
            own.aftermath.clear()  # one folder of pages for every copy would be without end
        code = 0
    except KeyboardInterrupt:
        code = 130
    except OSError:
        code = 141  # the watch is gone
    finally:
        os._exit(code)


def _plain(measured: Any) -> Any:
    return json.loads(measured) if isinstance(measured, str) else measured


def _catalogue(own: Session) -> dict[str, Any]:
    """What is watched, how often, within which allowance. Raises UsageError where the profile forbids it."""
    if not own.checks:
        raise pytest.UsageError("there is no check: say where they are, as in `dialtone watch -- checks`")
    environment: Environment = own.environment
    target = environment.target
    schedule = target.profile.schedule
    armed: list[dict[str, Any]] = []
    unarmed: dict[str, str] = {}
    needs: list[Need] = []
    reads: dict[str, dict[str, int]] = {}
    intervals: dict[str, float] = {}
    others = own.config.stash.get(LEFT, [])  # of other shards: what is allowed is allowed to all together
    for item in [*own.checks, *others]:
        meta = meta_of(item)
        if meta is None or meta.experiment:
            continue
        reason = _unarmed(own, item, meta)
        if reason:
            unarmed |= {id_of(item): reason} if item not in others else {}
            continue
        every = schedule.of(id_of(item), meta.every) if schedule else meta.every or _DEFAULT
        if meta.effect is not Effect.READS and target.profile.kind != "sandbox":
            every = max(every, schedule.least if schedule else _LEAST)
        intervals[item.nodeid] = every
        if item not in others:
            armed.append(
                {"id": id_of(item), "nodeid": item.nodeid, "severity": str(meta.severity), "every": every,
                 "limit": schedule.limit if schedule else _LIMIT, "declared": reports.declared(meta)}
            )  # fmt: skip
        needs.append(Need(item.nodeid, meta.severity, meta.requests, meta.samples))
        reads[item.nodeid] = reads_of(item, meta)
    if not armed:
        raise pytest.UsageError("no check is armed: `dialtone profile` says what each lacks")
    _within(target, reads, intervals)
    budget = target.profile.budget
    if budget is not None and target.profile.client_address is None:
        own.grants = {**own.grants, **spread(needs, intervals, budget.requests, budget.window)}
    # The budget of false pages is shared by looks: this interval gives as many as all the others together.
    os.environ[EVERY] = f"{len(intervals) / sum(1 / every for every in intervals.values()):.6g}"
    return {
        "target": target.name, "address": target.profile.base_url, "kind": target.profile.kind, "checks": armed,
        "unarmed": unarmed, "month": sum(MONTH / every for every in intervals.values()),
    }  # fmt: skip


def _unarmed(own: Session, item: pytest.Item, meta: Meta) -> str | None:
    try:
        return own.unarmed(item, meta)
    except Misdeclared:
        return None  # told by the check itself, each time


def _within(target: Target, reads: dict[str, dict[str, int]], intervals: dict[str, float]) -> None:
    """Refuse to read a provider more often than its quota allows."""
    lines = []
    for name, count in sorted(month(reads, intervals).items()):
        quota = target.profile.providers[name].quota if name in target.profile.providers else None
        if quota is not None and count > quota:
            file = target.source.name if target.source else "the profile"
            lines.append(
                f"{file}: target.{target.name}.providers.{name}.quota: the watch would read {name} {count:,.0f} times a"
                f" month, and the quota is {quota:,}: give its checks a longer interval (schedule.checks), or raise it"
            )
    if lines:
        raise pytest.UsageError(*lines)


__all__ = ["CHANNEL", "pytest_runtestloop"]
