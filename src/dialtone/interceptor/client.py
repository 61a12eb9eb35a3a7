"""A controller: puts faults, keeps them alive as long as it lives, and reads what they did.

    with Controller.attached() as controller:
        fault = controller.google.token.invalid_grant(share=0.5, seed=7)
        …
        assert fault.matched()

A fault ends with its controller: by `end`, by the end of the `with`, or, when the process dies or hangs, because
nobody renews its lease.
"""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from dialtone.interceptor.answers import Answers

FOLDER_VARIABLE = "DIALTONE_INTERCEPTOR"
_TIMEOUT = 5.0


class ControlError(RuntimeError):
    """The interceptor refused, or cannot be reached; the text says why. `problems` are those of a plan."""

    def __init__(self, why: str, problems: Sequence[str] = ()) -> None:
        super().__init__("\n".join([why, *problems]))
        self.problems = list(problems)


def folder_of(folder: Path | None = None) -> Path:
    """The folder of an interceptor: the given one, or that of DIALTONE_INTERCEPTOR. Raises ControlError without."""
    if folder is None and not os.environ.get(FOLDER_VARIABLE):
        raise ControlError(f"which interceptor? Start one with `dialtone faults serve` and set {FOLDER_VARIABLE}")
    return folder or Path(os.environ[FOLDER_VARIABLE])


class Active:
    """A fault that was put. In a `with` it ends with the block."""

    def __init__(self, controller: Controller, id: str) -> None:
        self._controller, self.id = controller, id

    def shown(self) -> dict[str, Any]:
        """What the interceptor says of it: the plan, `matched`, `acted`, and `left` or why it `ended`."""
        told = self._controller.faults()
        return next(f for f in [*told["active"], *told["ended"]] if f["id"] == self.id)

    def matched(self) -> int:
        """How many requests it meant so far. A fault that matched nothing has proved nothing."""
        return int(self.shown()["matched"])

    def acted(self) -> int:
        """On how many it acted."""
        return int(self.shown()["acted"])

    def end(self) -> None:
        """End it; nothing happens when it is over already."""
        self._controller.end([self.id])

    def __enter__(self) -> Active:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()


class Controller:
    """The client of one control API. Close it, or use it in a `with`."""

    _numbers = itertools.count(1)

    def __init__(self, url: str, token: str, *, ttl: float = 5.0) -> None:
        parts = urlsplit(url)
        self._address = (parts.hostname or "127.0.0.1", parts.port or 80)
        self._token, self.ttl = token, ttl
        self._mine: set[str] = set()
        self._lock = threading.Lock()
        self._end = threading.Event()
        self._thread: threading.Thread | None = None

    @classmethod
    def attached(cls, folder: Path | None = None, *, ttl: float = 5.0) -> Controller:
        """The controller of the interceptor whose folder is given, or named by DIALTONE_INTERCEPTOR."""
        named = folder_of(folder)
        try:
            state = json.loads((named / "state.json").read_text())
            return cls(state["control"], (named / "token").read_text(), ttl=ttl)
        except (OSError, ValueError, KeyError) as error:
            raise ControlError(f"no interceptor runs in {named}: {error}") from None

    def __enter__(self) -> Controller:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End what was put through this controller."""
        self._end.set()
        if self._thread is not None:
            self._thread.join(_TIMEOUT)
        with self._lock:
            mine = list(self._mine)
        if mine:
            with contextlib.suppress(ControlError):
                self.end(mine)

    # faults

    def put(self, fault: str, **spec: Any) -> Active:
        """Put one fault: a mechanism's name, its parameters, `match`, `seed`, `start`, `duration`, `ttl`, `course`."""
        given = {"id": f"{fault}-{os.getpid()}-{next(self._numbers)}", "ttl": self.ttl, "fault": fault, **spec}
        return self.plan({"faults": [given]})[0]

    def plan(self, plan: Mapping[str, Any]) -> list[Active]:
        """Put a whole plan, or nothing of it. Raises ControlError with everything that is wrong."""
        made = self.call("POST", "/faults", plan)["faults"]
        with self._lock:
            self._mine |= {fault["id"] for fault in made}
        self._renewing()
        return [Active(self, fault["id"]) for fault in made]

    def check(self, plan: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Have a plan validated without starting it; every fault with its defaults filled in."""
        faults: list[dict[str, Any]] = self.call("POST", "/plan", plan)["faults"]
        return faults

    def faults(self) -> dict[str, Any]:
        """`active` and `ended` faults, and why the `lever` is pulled if it is."""
        return self.call("GET", "/faults")

    def end(self, ids: Sequence[str] | None = None) -> None:
        """End faults (None: all, whoever put them)."""
        query = "" if ids is None else "?" + "&".join(f"id={one}" for one in ids)
        self.call("DELETE", "/faults" + query)
        with self._lock:
            self._mine -= self._mine if ids is None else set(ids)

    def pull(self, why: str) -> int:
        """Pull the safety lever: every fault ends now and none is taken until `release`; how many ended."""
        return int(self.call("POST", "/lever", {"why": why})["ended"])

    def release(self) -> None:
        """Take faults again."""
        self.call("DELETE", "/lever")

    def state(self) -> dict[str, Any]:
        """Addresses, hosts, and how many requests arrived by host."""
        return self.call("GET", "/state")

    def journal(self, since: int = 0) -> list[dict[str, Any]]:
        """Lines of the journal after number `since`, as far as they are still in memory."""
        lines: list[dict[str, Any]] = []
        while page := self._raw("GET", f"/journal?since={since}").splitlines():
            lines += map(json.loads, page)
            since = lines[-1]["n"]
        return lines

    def follow(self, since: int = 0) -> Iterator[dict[str, Any]]:
        """Lines as they come, for ever."""
        connection, answer = self._ask("GET", f"/journal?since={since}&follow=1", None, timeout=None)
        with contextlib.closing(connection):
            for line in answer:
                yield json.loads(line)

    @contextlib.contextmanager
    def guard(self, read: Callable[[], float], limit: float, what: str, every: float = 0.5) -> Iterator[None]:
        """While the block runs read an indicator of the target, and pull the lever when it is past its limit.

        An indicator that cannot be read pulls the lever too: who cannot see must not break things.
        """
        end = threading.Event()

        def watch() -> None:
            while not end.wait(every):
                try:
                    value = read()
                except Exception as error:  # noqa: BLE001 - whatever it is, the target cannot be seen
                    why = f"{what} cannot be read: {type(error).__name__}"
                else:
                    if value <= limit:
                        continue
                    why = f"{what} is {value:g}, past {limit:g}"
                with contextlib.suppress(ControlError):
                    self.pull(why)
                return

        thread = threading.Thread(target=watch, name="dialtone-guard", daemon=True)
        thread.start()
        try:
            yield
        finally:
            end.set()
            thread.join(_TIMEOUT)

    def __getattr__(self, provider: str) -> Provider:
        """Authentic answers: `controller.stripe.any.lock_timeout(nth=1)`."""
        if provider.startswith("_"):
            raise AttributeError(provider)
        return Provider(self, provider)

    # the wire

    def call(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """One request of the control API. Raises ControlError."""
        told: dict[str, Any] = json.loads(self._raw(method, path, body))
        return told

    def _raw(self, method: str, path: str, body: Any = None) -> bytes:
        connection, answer = self._ask(method, path, body, _TIMEOUT)
        with contextlib.closing(connection):
            data = answer.read()
        if answer.status >= 400:
            told = json.loads(data) if data[:1] == b"{" else {}
            raise ControlError(told.get("error", f"the interceptor answered {answer.status}"), told.get("problems", ()))
        return data

    def _ask(
        self, method: str, path: str, body: Any, timeout: float | None
    ) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        connection = http.client.HTTPConnection(*self._address, timeout=timeout)
        try:
            text = None if body is None else json.dumps(body)
            connection.request(method, path, text, {"Authorization": f"Bearer {self._token}"})
            return connection, connection.getresponse()
        except OSError as error:
            connection.close()
            raise ControlError(f"the interceptor at {self._address[0]}:{self._address[1]}: {error}") from None

    def _renewing(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._renew, name="dialtone-lease", daemon=True)
            self._thread.start()

    def _renew(self) -> None:
        while not self._end.wait(self.ttl / 4):
            with self._lock:
                mine = list(self._mine)
            if mine:
                with contextlib.suppress(ControlError):
                    alive = set(self.call("POST", "/lease", {"ids": mine})["renewed"])
                    with self._lock:
                        self._mine -= set(mine) - alive


class Provider:
    """One provider's endpoints: `controller.google.token`."""

    def __init__(self, controller: Controller, provider: str) -> None:
        self._controller, self._provider = controller, provider
        self._answers = Answers.of(provider)

    def __getattr__(self, endpoint: str) -> Endpoint:
        if endpoint.startswith("_"):
            raise AttributeError(endpoint)
        return Endpoint(self._controller, self._answers, endpoint)


class Endpoint:
    """One endpoint's answers, each a function that puts it: `.invalid_grant(share=0.5, seed=7)`."""

    def __init__(self, controller: Controller, answers: Answers, endpoint: str) -> None:
        self._controller, self._answers, self._endpoint = controller, answers, endpoint
        answers.match(endpoint)

    def __getattr__(self, name: str) -> Callable[..., Active]:
        if name.startswith("_"):
            raise AttributeError(name)
        row = self._answers.row(f"{self._endpoint}.{name}")

        def put(*, seed: int = 0, duration: float | None = None, **match: Any) -> Active:
            given = {**self._answers.match(self._endpoint), **match}
            return self._controller.put(
                "answer", provider=self._answers.provider, row=row.name, match=given, seed=seed, duration=duration
            )

        return put
