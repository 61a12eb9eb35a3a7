"""The supervisor: starts the parts of the sandbox, holds them, and takes them down when nobody needs them any more.

    python -m dialtone.sandbox.supervisor RUN_ID

Its stdin is the read end of a pipe whose other end only the controller holds. The controller writes one line of JSON,
the order, and keeps the pipe open; its end, however it comes about, is the end of the sandbox. Answers go to stdout,
one JSON object a line: {"progress"}, then {"ready": state file} or {"error": reason}. Later lines are orders to a part
(`orders.py`). Everything that could be left
behind is made by this process or its children, so that a killed controller leaves nothing.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from dialtone.redact import Redactor
from dialtone.sandbox import folder as folders
from dialtone.sandbox import interception
from dialtone.sandbox.brought import secrets_of
from dialtone.sandbox.environment import Plan, default_application, inherited
from dialtone.sandbox.isolation import Identity, identity_for_postgres
from dialtone.sandbox.leftovers import sweep
from dialtone.sandbox.lifeline import LifelineEnded, PartEnded, TooSlow, Watch
from dialtone.sandbox.orders import obey
from dialtone.sandbox.parts import Part, stop_all
from dialtone.sandbox.processes import RUN_ID_VARIABLE, of_run, send, start_time

START_BOUND = 90.0
"""Seconds within which the sandbox is healthy, or has failed."""
_ASK_AGAIN, _ANSWER_PATIENCE = 0.25, 15.0  # seconds between two questions, and for the answer to one


class Supervisor:
    """One sandbox, from its first process to the removal of its folder."""

    def __init__(self, order: dict[str, Any], folder: folders.RunFolder, watch: Watch) -> None:
        self.order = order
        self.folder = folder
        self.watch = watch
        self.redactor = Redactor()
        self.parts: list[Part] = []
        self.environment = {**inherited(), RUN_ID_VARIABLE: folder.run_id}
        self.standing: list[Part] = []
        self.plan: Plan | None = None

    def start(self) -> Path:
        """Start everything and answer the state file; once more with new ports if one was taken meanwhile."""
        try:
            return self._start()
        except PartEnded as ended:
            if not ended.part.found_its_port_taken:
                raise
        say(progress="a port was taken meanwhile, starting again with others")
        self._take_down()
        return self._start()

    def _start(self) -> Path:
        began = time.monotonic()
        deadline = began + START_BOUND
        until = self.watch.until
        identity = identity_for_postgres()
        plan = self.plan = Plan.make(
            self.folder.path,
            self.order["webhooks"],
            recoverable=bool(self.order.get("recoverable")),
            intercepted=bool(self.order.get("intercepted")),
            way=self.order.get("way"),
            hosts=self.order.get("hosts"),
            brought=secrets_of(self.order.get("brought") or ()),
        )
        for value in plan.secret_values():
            self.redactor.add(value)
        plan.cluster.prepare(identity)
        self.folder.write(plan.defects_file.name, [])
        say(progress="creating the database")
        making = self._make_database(plan, identity)
        if self.order.get("database_only"):
            self._start_database(plan, making, identity, deadline, [])
            return self._write_state(plan, time.monotonic() - began)
        standins = self._start_standins(plan)
        between = self._start_interceptor(plan)
        plan.certificates.issue()
        # The application of this package waits for its database, so it may load meanwhile; another one need not.
        waiting = [] if self.order["app"] or self.order.get("way") else [self.start_application(plan)]
        server = self._start_database(plan, making, identity, deadline, [standins, *between, *waiting])
        until(lambda: not between or self._intercepts.exists(), "the interceptor", deadline, alive=[server, *between])

        self._apply_schema(plan)
        say(progress="starting the application")
        application = waiting[0] if waiting else self.start_application(plan)
        alive = [server, application, *between, standins]
        until(lambda: standins.ready, "the stand-ins", deadline, alive)
        accepts = answers(plan.ports["edge"]) if self.order["app"] else None
        alive = [server, standins, *between, application]
        until(lambda: application.ready or bool(accepts and accepts()), "the application", deadline, alive)
        return self._write_state(plan, time.monotonic() - began)

    def _make_database(self, plan: Plan, identity: Identity) -> Part:
        password = folders.write_private(self.folder.path / "password", plan.credentials.admin_password)
        return self.add("initdb", plan.cluster.initdb_command(password), identity)

    def _start_database(
        self, plan: Plan, initdb: Part, identity: Identity, deadline: float, others: Sequence[Part]
    ) -> Part:
        """The server, when initdb is done and roles and database are there."""
        self.watch.until(lambda: initdb.ended is not None, "initdb", deadline, alive=others)
        if initdb.ended != 0:
            raise PartEnded(initdb)
        self.drop(initdb)
        (self.folder.path / "password").unlink()
        plan.cluster.configure()
        server = self.add("postgres", plan.cluster.server_command(), identity)
        self.watch.until(plan.cluster.is_ready, "PostgreSQL", deadline, alive=[*others, server])
        plan.cluster.set_up(plan.credentials, self.environment)
        return server

    def _apply_schema(self, plan: Plan) -> None:
        """Run the application's files of SQL as the owner of its database, in the order of their names."""
        for pattern in self.order.get("schema") or ():
            where = Path(self.order["cwd"]) / pattern
            files = sorted(Path(where.anchor).glob(str(where.relative_to(where.anchor))))
            if not files:
                raise RuntimeError(f"app_schema: there is no {where}")
            for file in files:
                plan.cluster.apply(file, plan.credentials, self.environment)

    def _start_standins(self, plan: Plan) -> Part:
        told = plan.for_standins() | ({"listed": listed} if (listed := self.order.get("listed")) else {})
        config = self.folder.write("standins.json", told)
        command = self.order["standins"] or [sys.executable, "-P", "-m", "dialtone.standins"]
        return self.add("standins", [*command, "--config", str(config)])

    @property
    def _intercepts(self) -> Path:
        return self.folder.path / interception.FOLDER / "state.json"

    def _start_interceptor(self, plan: Plan) -> list[Part]:
        if not plan.between:
            return []
        told = interception.settings(self._intercepts.parent, plan.ports, plan.between, plan.further)
        return [self.add("interceptor", interception.command(self.folder.write("interceptor.json", told)))]

    def start_application(self, plan: Plan, own: Mapping[str, str] | None = None) -> Part:
        """Start the application; `own` replaces some of its environment."""
        command, own = self.order["app"] or default_application(), {**plan.for_application(), **(own or {})}
        # By names the interceptor itself is at port 443, which therefore stays open.
        fenced = (way := self.order.get("way")) in ("proxy", "preload")
        if way:
            command, own = interception.led(self._intercepts.parent, way, command, {**self.environment, **own})
        return self.add("application", command, cwd=self.order["cwd"], environment=own, fenced=fenced)

    def add(
        self,
        name: str,
        command: list[str],
        identity: Identity | None = None,
        cwd: str | None = None,
        environment: Mapping[str, str] | None = None,
        *,
        fenced: bool = False,
    ) -> Part:
        """Start a part; one with an identity is Postgres' own, a `fenced` one connects to no provider."""
        own = {"LC_ALL": "C", "TZ": "UTC"} if identity else environment or {}
        try:
            part = Part(
                name,
                command,
                folder=self.folder.path,
                environment={**self.environment, **own},
                cwd=Path(cwd) if cwd else None,
                identity=identity or Identity.OWN,
                stop_signal=signal.SIGINT if identity else signal.SIGTERM,
                fenced=fenced,
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise RuntimeError(f"{name} cannot be started: {error}") from error
        self.parts.append(part)
        self.watch.add(part)
        running = {part.name: [part.process.pid, start_time(part.process.pid)] for part in self.parts}
        self.folder.write("processes.json", running)
        return part

    def drop(self, part: Part) -> None:
        """Forget a part, after its end."""
        self.watch.remove(part)
        self.parts.remove(part)
        stop_all([part])

    def _write_state(self, plan: Plan, seconds: float) -> Path:
        return self.folder.write(
            "state.json",
            {
                "run_id": self.folder.run_id,
                "supervisor": [os.getpid(), start_time(os.getpid())],
                "resident": self.order["resident"],
                "started": time.time(),
                "seconds": round(seconds, 3),
                "environment": plan.for_checks(),
                "admin_database_url": plan.admin_url,
                "defects_file": str(plan.defects_file),
                "ports": dict(plan.ports),
                "interceptor": str(self._intercepts.parent) if plan.between else None,
            },
        )

    def hold(self) -> None:
        """Keep everything running until the lifeline ends; do as told meanwhile, note a part that ends by itself."""
        self.standing = list(self.parts)
        while True:
            try:
                self.watch.until(lambda: bool(self.watch.orders), "", float("inf"), self.standing)
                obey(self, self.watch.orders.popleft())
            except PartEnded as ended:
                self.standing.remove(ended.part)
                ended.part.kill_group()
                reason = self.redactor.scrub(str(ended))
                with (self.folder.path / "problems.txt").open("a") as file:
                    file.write(reason + "\n")

    def _take_down(self) -> None:
        for part in self.parts:
            self.watch.remove(part)
        stop_all(self.parts)
        self.parts.clear()
        for pid in of_run(self.folder.run_id, self.folder.path):  # what a part started and did not end
            send(pid, signal.SIGKILL)
        self.folder.empty()

    def end(self) -> None:
        """Stop everything and remove the folder."""
        self._take_down()
        self.folder.remove()


def answers(port: int) -> Callable[[], bool]:
    """Whether an application that knows nothing of `ready` answers HTTP on its port; asked at most every 0.25 s.

    A look waits for nothing: what was asked is heard at a later one, for a first page may take its time.
    """
    asked = float("-inf")
    connection: socket.socket | None = None

    def look() -> bool:
        nonlocal asked, connection
        now = time.monotonic()
        try:
            if connection is None:
                if now - asked < _ASK_AGAIN:
                    return False
                asked = now
                connection = socket.create_connection(("127.0.0.1", port), timeout=1)
                connection.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nConnection: close\r\n\r\n" % port)
            if not select.select([connection], [], [], 0)[0] and now - asked < _ANSWER_PATIENCE:
                return False
            heard = connection.recv(5)
        except OSError:
            heard = b""
        if connection is not None:
            connection.close()
            connection = None
        return heard == b"HTTP/"

    return look


def say(**message: str) -> None:
    """One line to the controller; when that is gone, the lifeline says so as well."""
    with suppress(OSError):
        os.write(1, json.dumps(message).encode() + b"\n")


def _run(run_id: str) -> int:
    watch = Watch(lifeline=0)
    try:
        order = watch.order()
        sweep()
        folder = folders.create(run_id)
    except LifelineEnded:
        return 0
    except OSError as error:
        say(error=str(error))
        return 1
    supervisor = Supervisor(order, folder, watch)
    try:
        state = supervisor.start()
        say(ready=str(state))
        supervisor.hold()
    except LifelineEnded:
        return 0
    except (PartEnded, TooSlow, OSError, RuntimeError, subprocess.TimeoutExpired) as error:
        say(error=supervisor.redactor.scrub(str(error)))
        return 1
    finally:
        supervisor.end()
    return 0


if __name__ == "__main__":
    os.umask(0o077)
    raise SystemExit(_run(sys.argv[1]))
