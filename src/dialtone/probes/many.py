"""Many probes at once: each a request over a connection of its own, its phases, and a verdict.

One event loop that belongs to the round and ends with it. It speaks raw `asyncio.Protocol` with httptools, on uvloop
where that is installed: a sixth of what an HTTP client costs. A round is never a load problem: it opens few connections
to one host at a time, and not many in a second. What a peer sends is bounded in time and size, and never decompressed.

    samples = probe_many([Probe("https://app.example.com/pricing", contains=b"<title>")])
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import SplitResult, urlsplit

from dialtone.http import Answer, Failure, FailureKind, Limits, Phases, Url, shared_context
from dialtone.http.dial import Dial
from dialtone.http.exchange import Exchange, Interrupted
from dialtone.http.raw import Raw
from dialtone.http.trust import explain
from dialtone.probes.caller import Caller, same_origin
from dialtone.verdict import Finding, Kind, Unarmed, Verdict


@dataclass(frozen=True, slots=True)
class Probe:
    """One request and what is wanted of its answer: one of these statuses, a text, the whole within so many seconds."""

    url: str
    status: tuple[int, ...] = (200,)
    contains: bytes = b""
    within: float | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    method: str = "GET"
    source: str | None = None
    """The address to speak from."""


@dataclass(frozen=True, slots=True)
class Load:
    """What a round may ask of the world: connections at once in all and to one host, new ones a second to one host
    (0 is any number), and seconds for the whole round."""

    at_once: int = 50
    per_host: int = 4
    rate: float = 50.0
    total: float = 60.0


@dataclass(frozen=True, slots=True)
class Sample:
    """What came of a probe. `at` is the unix time at which it began, `received` counts bytes of the body."""

    probe: Probe
    at: float
    status: int
    failure: Failure | None
    phases: Phases
    received: int
    finding: Finding

    @property
    def ok(self) -> bool:
        """Whether the answer is what was wanted."""
        return self.finding.verdict is Verdict.OK


class Many:
    """Many requests of one check to its target: they carry the marks of its caller and count against its budget."""

    def __init__(self, http: Caller) -> None:
        self._http = http

    def __call__(self, where: Sequence[str], *, load: Load | None = None, **wanted: Any) -> list[Sample]:
        """Probe paths of the target, or whole URLs; `wanted` are fields of `Probe`.

        No more than the budget allows: the rest is left out. An unreachable target is judged at once, as by `http`.
        """
        http, profile = self._http, self._http.target.profile
        left = http.budget.left
        urls = [profile.url(place) for place in where[: len(where) if left is None else left]]
        if not (profile.client_address and profile.budget):
            http.budget.take(len(urls))
        probes = [Probe(url, headers=http.headers("GET", url), source=http.source, **wanted) for url in urls]
        times = profile.timeouts
        limits = Limits(times.connect, times.read, times.total, times.max_body)
        samples = probe_many(probes, limits=limits, load=load, verify=shared_context(profile.ca_file))
        for sample in samples:
            if same_origin(sample.probe.url, profile.base_url):
                http.judge(Answer("GET", Url(sample.probe.url), sample.status, failure=sample.failure))
        return samples


def probe_many(
    probes: Sequence[Probe],
    *,
    limits: Limits | None = None,
    load: Load | None = None,
    verify: ssl.SSLContext | None = None,
    clock: Callable[[], float] = time.monotonic,
    now: Callable[[], float] = time.time,
) -> list[Sample]:
    """Send all of them and wait for the last; the samples stand in the order of the probes.

    Whatever the network or a peer does is in the samples. `verify` is a context of `shared_context` (the web's
    authorities without one). Ctrl-C ends the round at once. Raises Unarmed without httptools, ValueError
    for a header that would be two.
    """
    if not probes:
        return []
    _need_httptools()
    if any(set(f"{name}{value}") & {"\r", "\n"} for p in probes for name, value in p.headers.items()):
        raise ValueError("a header of the request holds a line break")

    def run() -> list[Sample]:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            return runner.run(_Round(probes, limits or Limits(), load or Load(), verify, clock, now).run())

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return run()
    return _in_a_thread(run)  # somebody's own loop runs here already


def _need_httptools() -> None:
    try:
        import httptools  # noqa: F401
    except ImportError:
        raise Unarmed("many probes at once need httptools: install pytest-dialtone[scale]") from None


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop's where it is installed: half the CPU of the standard one."""
    try:
        import uvloop
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


def _in_a_thread(run: Callable[[], list[Sample]]) -> list[Sample]:
    found: list[list[Sample]] = []
    thread = threading.Thread(target=lambda: found.append(run()), name="dialtone-many")
    thread.start()
    thread.join()
    return found[0]


class _Round:
    """One loop's work: a few workers for each host, all of them below one limit."""

    def __init__(
        self,
        probes: Sequence[Probe],
        limits: Limits,
        load: Load,
        verify: ssl.SSLContext | None,
        clock: Callable[[], float],
        now: Callable[[], float],
    ) -> None:
        self._probes, self._limits, self._load, self._clock, self._now = probes, limits, load, clock, now
        self._verify = verify
        self._samples: list[Sample | None] = [None] * len(probes)
        self._dial = Dial()
        self._next: dict[str, float] = {}
        self._end = clock() + load.total

    async def run(self) -> list[Sample]:
        self._loop = asyncio.get_running_loop()
        self._free = asyncio.Semaphore(self._load.at_once)
        hosts: dict[str, deque[tuple[int, Probe, SplitResult]]] = {}
        for index, probe in enumerate(self._probes):
            parts = _split(probe.url)
            if parts is None:
                wrong = Failure(FailureKind.PROTOCOL, "not a URL that HTTP can ask for")
                self._samples[index] = self._sample(probe, Exchange(self._limits, self._clock), None, wrong)
            else:
                hosts.setdefault(parts.hostname or "", deque()).append((index, probe, parts))
        if self._verify is None and any(parts.scheme == "https" for queue in hosts.values() for _, _, parts in queue):
            self._verify = shared_context()  # before the clock runs: loading authorities takes time
            self._end = self._clock() + self._load.total
        async with asyncio.TaskGroup() as workers:
            for host, queue in hosts.items():
                for _ in range(min(self._load.per_host, len(queue))):
                    workers.create_task(self._work(host, queue))
        return [sample for sample in self._samples if sample is not None]

    async def _work(self, host: str, queue: deque[tuple[int, Probe, SplitResult]]) -> None:
        while queue:
            index, probe, parts = queue.popleft()
            await self._pace(host)
            async with self._free:
                self._samples[index] = await self._one(probe, parts)

    async def _pace(self, host: str) -> None:
        if self._load.rate <= 0:
            return
        now = self._clock()
        at = max(now, self._next.get(host, now))
        self._next[host] = at + 1 / self._load.rate
        if now < at < self._end:
            await asyncio.sleep(at - now)

    async def _one(self, probe: Probe, parts: SplitResult) -> Sample:
        exchange, at = Exchange(self._limits, self._clock, fresh=True), self._now()
        if exchange.started >= self._end:
            reason = f"{_shown(parts)}: not asked, the {self._load.total:g} s of the round were over"
            finding = Finding(Verdict.UNKNOWN, reason, Kind.UNDECIDED, samples=0)
            return Sample(probe, at, 0, None, Phases(), 0, finding)
        exchange.end = min(exchange.end, self._end)
        request = _request(probe, parts)
        answer = Raw(self._loop, exchange, request, keep=bool(probe.contains), bodiless=probe.method == "HEAD")
        failure = None
        try:
            sock = await self._dial.connect(parts.hostname or "", _port(parts), probe.source, exchange)
            await self._speak(sock, answer, parts, exchange)
            await answer.over
        except Interrupted as wrong:
            failure = wrong.failure
        finally:
            answer.close()
        return self._sample(probe, exchange, answer, failure, at)

    async def _speak(self, sock: socket.socket, answer: Raw, parts: SplitResult, exchange: Exchange) -> None:
        """Hand the socket to the protocol, which sends the request as soon as TLS, if it is wanted, is made."""
        secure = parts.scheme == "https"
        answer.began = exchange.now() if secure else None
        name = parts.hostname if secure else None
        try:
            if secure:
                async with asyncio.timeout(exchange.patience(exchange.limits.connect)):
                    await self._loop.create_connection(
                        lambda: answer, sock=sock, ssl=self._verify, server_hostname=name
                    )
            else:
                await self._loop.create_connection(lambda: answer, sock=sock)
        except (OSError, ValueError) as wrong:  # ValueError: a host that cannot be a name in a certificate
            sock.close()
            spent = exchange.now() - (answer.began or exchange.started)
            raise Interrupted(
                FailureKind.TLS, f"TLS handshake failed: {explain(wrong, name or '', None, spent)}"
            ) from None

    def _sample(
        self, probe: Probe, exchange: Exchange, answer: Raw | None, failure: Failure | None, at: float | None = None
    ) -> Sample:
        phases, status = exchange.phases(), answer.status if answer else 0
        finding = _judged(probe, phases, answer, failure)
        return Sample(probe, self._now() if at is None else at, status, failure, phases, exchange.body or 0, finding)


def _judged(probe: Probe, phases: Phases, answer: Raw | None, failure: Failure | None) -> Finding:
    """The verdict on one probe; its reason quotes nothing of the answer."""
    path = _shown(urlsplit(probe.url)) if answer else "a probe"
    total = phases.total or 0.0
    if failure:
        verdict, kind = Verdict.BREACH, None
        if failure.kind is FailureKind.NO_ADDRESS_FAMILY:
            verdict, kind = Verdict.UNKNOWN, Kind.REFUSED
        return Finding(verdict, f"{path}: {failure.reason}", kind)
    assert answer is not None
    if answer.challenge and answer.status not in probe.status:
        return Finding(Verdict.UNKNOWN, f"{path}: a challenge page stands in front", Kind.REFUSED)
    if answer.status not in probe.status:
        refused = answer.status in (401, 429)
        wanted = " or ".join(map(str, probe.status))
        reason = f"{path} answered {answer.status}, not {wanted}"
        return Finding(Verdict.UNKNOWN if refused else Verdict.BREACH, reason, Kind.REFUSED if refused else None)
    if probe.contains and probe.contains not in b"".join(answer.kept):
        return Finding(Verdict.BREACH, f"{path} answered {answer.status}, but lacks what it should contain")
    if probe.within is not None and total > probe.within:
        return Finding(Verdict.BREACH, f"{path} took {total:.2f} s, longer than {probe.within:g} s", None, total, "s")
    return Finding(Verdict.OK, f"{path} answered {answer.status}", None, total, "s")


def _request(probe: Probe, parts: SplitResult) -> bytes:
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    lines = [f"{probe.method} {path} HTTP/1.1", f"host: {parts.netloc.rpartition('@')[2]}"]
    lines += [f"{name}: {value}" for name, value in probe.headers.items()]
    return ("\r\n".join([*lines, "accept: */*", "connection: close"]) + "\r\n\r\n").encode("latin-1")


def _split(url: str) -> SplitResult | None:
    """The parts of a URL that can be asked for, or None."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 80) < 65_536
        url.encode("ascii")
    except ValueError:
        return None
    return parts if usable and not any(c <= " " for c in url) else None


def _shown(parts: SplitResult) -> str:
    """Where it went, without query and credentials."""
    return f"{parts.netloc.rpartition('@')[2]}{parts.path or '/'}"


def _port(parts: SplitResult) -> int:
    return parts.port or (443 if parts.scheme == "https" else 80)
