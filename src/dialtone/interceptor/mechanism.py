"""What a fault mechanism is: a frozen dataclass of its parameters with one or more of the methods below.

    @mechanism("latency")
    @dataclass(frozen=True, slots=True)
    class Latency(Mechanism):
        seconds: Annotated[float, Bounds(0, 60)] = 0.2

        async def answer(self, act, pieces):
            await act.pause(self.seconds)
            async for piece in pieces:
                yield piece

One file in `faults/` is all that a new one takes; docs/write-a-fault.md shows it.
"""

from __future__ import annotations

import asyncio
import dataclasses
import importlib
import pkgutil
import random
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from dialtone import extension

if TYPE_CHECKING:
    from dialtone.interceptor.board import Fault
    from dialtone.interceptor.heads import RequestHead

Pieces = AsyncIterator[bytes]
"""An answer as it travels: of HTTP the head first, by itself, then the body in pieces; of TCP just pieces."""


class Cut(Exception):
    """Raised by a mechanism to end the connection: `reset` (RST), `close` (FIN), `half` (FIN, but still reading)."""

    def __init__(self, how: Literal["reset", "close", "half"]) -> None:
        super().__init__(how)
        self.how = how


class Refused(Cut):
    """Raised in `connect` to refuse a CONNECT with a status; where there was none the connection is reset."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__("reset")
        self.status, self.why = status, why


@dataclass(frozen=True, slots=True)
class Bounds:
    """Least and most of a number; stands in the annotation of a parameter."""

    least: float
    most: float


@dataclass(slots=True)
class Waiting:
    """Waits that end early when the fault ends."""

    ended: bool = False
    futures: set[asyncio.Future[None]] = field(default_factory=set)
    after: list[Callable[[], None]] = field(default_factory=list)

    def then(self, work: Callable[[], None]) -> None:
        """Call something at the end; at once when that is over."""
        if self.ended:
            work()
        else:
            self.after.append(work)

    async def pause(self, seconds: float | None) -> None:
        """Wait so many seconds, or until the fault ends (None: only that)."""
        if self.ended or (seconds is not None and seconds <= 0):
            return
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        handle = None if seconds is None else loop.call_later(seconds, _wake, future)
        self.futures.add(future)
        try:
            await future
        finally:
            self.futures.discard(future)
            if handle is not None:
                handle.cancel()

    def end(self) -> None:
        """Wake everybody."""
        self.ended = True
        for future in tuple(self.futures):
            _wake(future)
        for work in self.after:
            work()
        self.after.clear()


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


class Act:
    """One fault acting on one exchange or connection."""

    __slots__ = (
        "_random", "answered", "beside", "clock", "fault", "head", "host", "note", "number", "open_connections",
        "request_body", "resend",
    )  # fmt: skip

    def __init__(
        self, fault: Fault, number: int, host: str, head: RequestHead | None, clock: Callable[[], float]
    ) -> None:
        self.fault = fault
        self.number = number
        """Which match of this fault it is, from 1."""
        self.host = host
        self.head = head
        self.clock = clock
        self.request_body = b""
        """What has been read of the request's body; all of it only for a mechanism with `whole_request`."""
        self.resend: Callable[[], Pieces] | None = None
        """Sends the same request to the upstream once more, over a connection of its own; HTTP only."""
        self.open_connections = 0
        """Connections to this host, this one included; only in `connect`."""
        self.note: Callable[[str], None] = lambda _: None
        """Writes a line into the journal."""
        self.beside: Callable[[Coroutine[Any, Any, None]], None] = lambda work: work.close()
        """Runs something that outlives the exchange, and at most the interceptor."""
        self.answered = 0.0
        """When the upstream's answer began, by the clock; 0 before that, and for plain TCP."""
        self._random: random.Random | None = None

    @property
    def random(self) -> random.Random:
        """Numbers that depend on the seed, the fault and the number of the match alone: a replay gets the same."""
        if self._random is None:
            self._random = random.Random(f"{self.fault.spec.seed}/{self.fault.id}/{self.number}")  # noqa: S311 - meant to repeat
        return self._random

    @property
    def ended(self) -> bool:
        """Whether the fault is over: what still runs then lets everything through as it is."""
        return self.fault.waiting.ended

    @property
    def age(self) -> float:
        """Seconds since the fault began."""
        return self.clock() - self.fault.begins

    async def pause(self, seconds: float, since: float = 0.0) -> None:
        """Wait; shorter when the fault ends before. `since` is when the wait began, if that was earlier than now."""
        await self.fault.waiting.pause(seconds - max(0.0, self.clock() - since) if since else seconds)

    async def hold(self) -> None:
        """Wait for the end of the fault and close the connection then: a client has waited in vain."""
        await self.fault.waiting.pause(None)
        raise Cut("close")


class Mechanism:
    """Base of all. Each method does nothing here; a mechanism overrides those where it acts."""

    __slots__ = ()
    name: str = ""
    whole_request: bool = False
    """Whether it needs the request's whole body (at most 1 MiB) before `request` is called."""
    one_process: bool = False
    """Whether it needs all traffic in one process; one with state of its own does in any case."""
    needs_http: bool = False
    """Whether its `answer` needs a head, or the end of one answer, which plain TCP has not; `request` always does."""

    async def connect(self, act: Act) -> None:
        """A connection was accepted (and its host is known); nothing was answered, no TLS handshake done yet."""

    async def request(self, act: Act) -> bytes | None:
        """A request's head was read and nothing forwarded. Bytes are the answer, and the upstream hears nothing."""
        return None

    def answer(self, act: Act, pieces: Pieces) -> Pieces:
        """What becomes of the answer's pieces; mechanisms are chained in the order of the plan."""
        return pieces

    def certificate(self) -> str | None:
        """Which wrong certificate the handshake shows: `expired`, `wrong-host`, `unknown-authority`."""
        return None

    def listener(self) -> str | None:
        """What happens to the host's own listener: `refuse` (closed) or `blackhole` (accepts nobody)."""
        return None

    def unresolved(self) -> bool:
        """Whether the host's name does not resolve, for applications that look it up through us (the preload)."""
        return False


_MECHANISMS: dict[str, type[Mechanism]] = {}
_all_imported = False
M = TypeVar("M", bound=type[Mechanism])


def mechanism(name: str) -> Callable[[M], M]:
    """Register a mechanism under the name that plans use."""

    def register(cls: M) -> M:
        if name in _MECHANISMS:
            raise ValueError(f"two mechanisms are called {name}")
        if not dataclasses.is_dataclass(cls):
            raise TypeError(f"{cls.__name__}: a mechanism is a dataclass of its parameters")
        cls.name = name
        _MECHANISMS[name] = cls
        return cls

    return register


def mechanisms() -> dict[str, type[Mechanism]]:
    """All of them by name; the modules in `faults/`, and those of other packages, are imported on first use."""
    global _all_imported
    if not _all_imported:  # one of them may have been imported by itself before
        _all_imported = True
        from dialtone.interceptor import faults

        for module in pkgutil.iter_modules(faults.__path__):
            importlib.import_module(f"{faults.__name__}.{module.name}")
        for name, point in extension.brought("faults", _MECHANISMS).items():
            extension.load(point)
            if name not in _MECHANISMS:
                raise extension.ExtensionError(f"{point.value} registers no mechanism {name!r}; see docs/extend.md")
    return _MECHANISMS


def acts(cls: type[Mechanism], phase: str) -> bool:
    """Whether a mechanism overrides a method."""
    return getattr(cls, phase) is not getattr(Mechanism, phase)


def on_tcp(cls: type[Mechanism]) -> bool:
    """Whether a mechanism can act on plain TCP: of that only connections and the bytes of the upstream are known."""
    bytes_only = acts(cls, "answer") and not (cls.needs_http or acts(cls, "request"))
    return bytes_only or acts(cls, "connect") or acts(cls, "listener")


def remembers(cls: type[Mechanism]) -> bool:
    """Whether a mechanism keeps something from one request to the next."""
    return cls.one_process or any(not p.init for p in dataclasses.fields(cls))  # type: ignore[arg-type] # every registered one is a dataclass


def parameters(cls: type[Mechanism]) -> list[dataclasses.Field[Any]]:
    """The parameters of a mechanism."""
    return [p for p in dataclasses.fields(cls) if p.init]  # type: ignore[arg-type] # every registered one is a dataclass
